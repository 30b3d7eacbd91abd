//! What there is, and models loaded and unloaded at an operator's word.

use std::time::Duration;

use serde_json::json;

use super::{ask, with_x};
use crate::support::{Models, Request, TestServer, adder, within};

const PATIENCE: Duration = Duration::from_secs(60);

fn post(server: &TestServer, path: &str, body: &str) -> crate::support::Answer {
    server.ask(&Request::post(&format!("/v2/repository/{path}"), body.to_owned()))
}

/// What the model adds to 1, and which version has.
fn added(server: &TestServer) -> Result<(String, f64), u16> {
    let answer = ask(server, "adder", &with_x("FP32", &json!([1, 2]), &json!([1.0, 1.0])));
    match answer.status {
        200 => {
            let document = answer.ok();
            let version = document["model_version"].as_str().unwrap().to_owned();
            Ok((version, document["outputs"][0]["data"][0].as_f64().unwrap()))
        }
        status => Err(status),
    }
}

#[test]
fn every_version_of_every_model_is_told() {
    let models = Models::made()
        .file("adder/1.onnx", adder(1.0))
        .file("adder/2.onnx", adder(2.0))
        .file("broken/1.onnx", "no model");
    let server = TestServer::with_models(models).start();
    let index = post(&server, "index", "").ok();
    let line = |model: &str, version: &str| {
        let lines = index.as_array().unwrap().iter();
        let mut lines = lines.filter(|line| line["name"] == model && line["version"] == version);
        lines.next().unwrap().clone()
    };
    assert_eq!(line("adder", "2")["state"], "READY");
    assert_eq!(line("broken", "1")["state"], "UNAVAILABLE");
    assert_eq!(line("broken", "1")["reason"], "quarantined");
    let ready = post(&server, "index", r#"{"ready": true}"#).ok();
    let is_ready = ready.as_array().unwrap().iter().all(|line| line["state"] == "READY");
    assert!(is_ready && ready.as_array().unwrap().len() < index.as_array().unwrap().len());
    assert_eq!(post(&server, "index", "[").status, 400);
}

#[test]
fn an_unloaded_model_answers_again_when_it_is_loaded_and_not_before() {
    let models = Models::made().file("adder/1.onnx", adder(1.0)).file("other/1.onnx", adder(9.0));
    let mut server = TestServer::with_models(models).start();
    assert_eq!(added(&server), Ok(("1".to_owned(), 2.0)));
    assert_eq!(post(&server, "models/adder/unload", "").status, 200);
    assert_eq!(added(&server), Err(503));
    assert_eq!(server.get("/v2/models/adder/ready").status, 503);
    assert_eq!(server.get("/v2/models/other/ready").status, 200);
    within(PATIENCE, "its unloading", || {
        let model = server.get("/admin/v1/models/adder").ok();
        (model["versions"][0]["state"] == "unloaded").then_some(())
    });
    server.stop();
    server.start_again();
    assert_eq!(added(&server), Err(503), "a restart brings nothing back");
    assert_eq!(post(&server, "models/adder/unload", "{}").status, 200);
    assert_eq!(post(&server, "models/adder/load", "").status, 200);
    assert_eq!(added(&server), Ok(("1".to_owned(), 2.0)));
    assert_eq!(post(&server, "models/adder/load", "{}").status, 200, "it is there already");
    assert!(server.log().contains("`adder` is unloaded: "), "{}", server.log());
}

#[test]
fn a_newer_version_brings_a_model_back() {
    let models = Models::made().file("adder/1.onnx", adder(1.0)).file("other/1.onnx", adder(9.0));
    let server = TestServer::with_models(models).start();
    assert_eq!(post(&server, "models/adder/unload", "").status, 200);
    std::fs::write(server.models().join("adder/2.onnx"), adder(2.0)).unwrap();
    within(PATIENCE, "the new version", || {
        (added(&server) == Ok(("2".to_owned(), 3.0))).then_some(())
    });
}

#[test]
fn a_load_waits_for_what_was_just_put_there_and_says_what_is_wrong_with_it() {
    let server = TestServer::with_models(Models::made().file("other/1.onnx", adder(9.0))).start();
    std::fs::write(server.models().join("adder.onnx"), adder(1.0)).unwrap();
    assert_eq!(post(&server, "models/adder/load", "").status, 200);
    assert_eq!(added(&server), Ok(("1".to_owned(), 2.0)));
    std::fs::write(server.models().join("broken.onnx"), "no model").unwrap();
    let answer = post(&server, "models/broken/load", "");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("cannot be loaded: "), "{}", answer.text());
    for path in ["models/nobody/load", "models/nobody/unload"] {
        assert_eq!(post(&server, path, "").status, 404, "{path}");
    }
    let body = json!({ "parameters": { "file:1/model.onnx": "AAAA" } }).to_string();
    let answer = post(&server, "models/adder/load", &body);
    assert_eq!(answer.status, 501);
    assert!(answer.text().contains("are files in the models' folder"), "{}", answer.text());
}
