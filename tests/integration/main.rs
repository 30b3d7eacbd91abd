//! Promises of the server, each kept by a file of tests that asks the real binary over HTTP.

mod support;

mod architecture;

mod admin;
mod bad_requests;
mod many_models;
mod metrics;
mod outputs;
mod predictions;
mod readme;
mod repository;
mod scheduling;
mod shutdown;
mod start_up;
mod v1_metadata;
