//! Promises of the server, each kept by a file of tests that asks the real binary over HTTP.

mod support;

mod architecture;

mod admin;
mod admin_guard;
mod bad_requests;
mod canary;
mod canary_commands;
mod canary_restart;
mod canary_routing;
mod check_command;
mod commands;
mod comparison;
mod contract;
mod crash;
mod crash_attribution;
mod deletion;
mod full_disk;
mod hostile_files;
mod hot_swap;
mod judgement;
mod many_drops;
mod many_models;
mod memory;
mod metrics;
mod outputs;
mod pick_up;
mod predictions;
mod readme;
mod recreate;
mod repository;
mod restart;
mod scheduling;
mod shadow;
mod shadow_limits;
mod shadow_page;
mod shutdown;
mod signature_contract;
mod simulate;
mod simulation_tables;
mod start_up;
mod trial;
mod undo;
mod v1_metadata;
mod webhooks;
