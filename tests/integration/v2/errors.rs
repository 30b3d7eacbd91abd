//! What a client did wrong is told with its place, and never as the server's fault.

use serde_json::{Value, json};

use super::{ask, infer, with_x};
use crate::support::{Models, Request, TestServer, adder};

fn server() -> TestServer {
    TestServer::with_models(Models::made().file("adder.onnx", adder(1.0))).start()
}

fn x(shape: Value, data: Value) -> Value {
    with_x("FP32", &shape, &data)
}

#[test]
fn a_request_that_does_not_fit_is_a_bad_one() {
    let server = server();
    for (body, code, sentence) in [
        (
            x(json!([2, 2]), json!([1, 2, 3])),
            "invalid_input",
            "inputs[0]: `data` has 3 elements, and `shape` [2, 2] takes 4",
        ),
        (
            x(json!([1, 3]), json!([1, 2, 3])),
            "invalid_input",
            "inputs[0]: input `X`: expected f32[N, 2], got f32[1, 3]",
        ),
        (
            x(json!([1, 2]), json!(["a", 2])),
            "invalid_input",
            "inputs[0].data[0]: expected a number, got a string",
        ),
        (
            with_x("FP64", &json!([1, 2]), &json!([1, 2])),
            "invalid_input",
            "inputs[0].datatype: the model takes FP32, got FP64",
        ),
        (
            json!({ "inputs": [{ "name": "X", "datatype": "FP32", "shape": [1, 2] }] }),
            "invalid_input",
            "input `X`: `data` or `binary_data_size` is missing",
        ),
        (
            json!({ "inputs": [], "parameters": { "triton_x": 1 } }),
            "invalid_input",
            "parameters.triton_x: `triton_x` is reserved",
        ),
    ] {
        let answer = ask(&server, "adder", &body);
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json(), json!({ "error": sentence, "code": code }), "{body}");
    }
    for body in ["", "{", "[1]", "{\"inputs\"", "NaN", "\u{7f}"] {
        let answer = server.ask(&infer("adder", body));
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
}

#[test]
fn what_is_not_there_and_what_is_not_offered_have_codes_of_their_own() {
    let server = server();
    let body = x(json!([1, 2]), json!([1, 2])).to_string();
    for (path, status) in [
        ("/v2/models/other/infer", 404),
        ("/v2/models/adder/versions/7/infer", 404),
        ("/v2/models/adder/versions/latest/infer", 400),
        ("/v2/models/adder/generate", 404),
        ("/v2/systemsharedmemory/status", 404),
    ] {
        let answer = server.ask(&Request::post(path, body.clone()));
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.json()["error"].is_string() && answer.json()["code"].is_string());
    }
    let answer = server.get("/v2/models/adder/infer");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    for version in ["1", "stable"] {
        let path = format!("/v2/models/adder/versions/{version}/infer");
        let answer = server.ask(&Request::post(&path, body.clone()));
        assert_eq!((answer.status, answer.header("x-model-role")), (200, Some("pinned")));
    }
}

#[test]
fn a_request_may_say_how_long_its_answer_is_of_use() {
    let models = Models::of_tests(&["slow"]);
    let server = TestServer::with_models(models).start();
    let request = |loops: u64, timeout: u64| {
        json!({
            "parameters": { "timeout": timeout },
            "inputs": [
                { "name": "X", "datatype": "FP32", "shape": [1, 2], "data": [1, 2] },
                { "name": "loops", "datatype": "INT64", "shape": [], "data": [loops] },
            ],
        })
    };
    assert_eq!(ask(&server, "slow", &request(1, 0)).status, 200);
    let late = ask(&server, "slow", &request(20_000, 50_000));
    assert_eq!(late.status, 504, "{}", late.text());
    assert_eq!(late.json()["error"], "`slow` did not answer within 50ms");
}
