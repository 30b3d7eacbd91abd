//! The Open Inference Protocol over REST, as KServe's and Triton's clients speak it.

mod binary;
mod compression;
mod errors;
mod json;
mod metadata;
mod repository;
mod rollouts;
mod statistics;

use serde_json::{Value, json};

use crate::support::{Answer, Request, TestServer};

/// `POST /v2/models/{model}/infer`
fn infer(model: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::post(&format!("/v2/models/{model}/infer"), body)
}

/// A request with one input, called `X`.
fn with_x(datatype: &str, shape: &Value, data: &Value) -> Value {
    json!({ "inputs": [{ "name": "X", "datatype": datatype, "shape": shape, "data": data }] })
}

#[track_caller]
fn ask(server: &TestServer, model: &str, body: &Value) -> Answer {
    server.ask(&infer(model, body.to_string()))
}
