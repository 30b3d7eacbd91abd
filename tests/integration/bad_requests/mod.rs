//! Whatever a client sends, it is told what is wrong, and the next request is answered as if nothing had been.
//!
//! Most of it stands in text files, as blocks of a name, a request and the answer that it must get.

mod discretion;
mod random;
mod slow;
mod transcript;
mod wire;

use serde_json::{Value, json};

use crate::support::{Answer, Models, Request, TestServer, assert_close, example_model};

/// A request that must be refused, and with what.
struct Bad {
    /// What is wrong with it.
    name: String,
    bytes: Vec<u8>,
    status: u16,
    /// The whole body, where there is one: what is not HTTP is answered without.
    body: Option<Value>,
    /// Headers that the answer must have.
    headers: Vec<(String, String)>,
}

impl Bad {
    fn new(name: &str, request: &Request, status: u16, code: &str, sentence: &str) -> Self {
        let body = Some(json!({ "error": sentence, "code": code }));
        Self { body, ..Self::raw(name, request.bytes(), status) }
    }

    /// Something that no HTTP library would send.
    fn raw(name: &str, bytes: impl Into<Vec<u8>>, status: u16) -> Self {
        let (name, bytes) = (name.to_owned(), bytes.into());
        Self { name, bytes, status, body: None, headers: Vec::new() }
    }
}

/// `{"instances": …}` that is good for `iris`.
const ROW: &str = r#"{"instances": [[5.1, 3.5, 1.4, 0.2]]}"#;

/// Example models and models for tests.
fn served() -> Models {
    let models = Models::of_tests(&["types", "fails", "slow", "text"]);
    let files = ["iris/1.onnx", "iris/2.onnx", "iris/model.toml", "wine/1.onnx", "wine/model.toml"];
    let more = ["diabetes/1.onnx", "diabetes/model.toml"];
    let examples = files.iter().chain(&more);
    examples.fold(models, |models, path| models.file(path, example_model(path)))
}

/// Sends each and compares the whole answer; asks something good after each.
#[track_caller]
fn check(server: &TestServer, all: &[Bad]) {
    let mut wrong = Vec::new();
    for bad in all {
        let name = &bad.name;
        let answer = send(server, &bad.bytes);
        let body = (!answer.body.is_empty()).then(|| {
            serde_json::from_slice(&answer.body).unwrap_or_else(|_| Value::String(answer.text()))
        });
        if (answer.status, &body) != (bad.status, &bad.body) {
            let got = body.unwrap_or_default();
            let expected = bad.body.clone().unwrap_or_default();
            wrong.push(format!(
                "{name}\n       got {} {got}\n  expected {} {expected}",
                answer.status, bad.status
            ));
        }
        for (header, value) in &bad.headers {
            if answer.header(header) != Some(value) {
                wrong.push(format!("{name}: not `{header}: {value}`:\n{}", answer.head));
            }
        }
        for secret in ["panicked", "backtrace", "src/", "/tmp/"] {
            assert!(!answer.text().contains(secret), "{name}: {}", answer.text());
        }
        assert_good(server);
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(!server.log().contains("panicked"));
}

fn send(server: &TestServer, bytes: &[u8]) -> Answer {
    let mut connection = server.connect();
    // A server that refuses a request while it is being sent has answered nevertheless.
    let written = connection.write(bytes);
    connection.read_answer(false).unwrap_or_else(|error| panic!("{error}, {written:?}"))
}

/// Asks something good on a connection of its own.
#[track_caller]
fn assert_good(server: &TestServer) {
    let answer = server.predict("iris", ROW);
    let probabilities =
        json!({ "setosa": 0.99981135, "versicolor": 0.00018487, "virginica": 0.00000378 });
    let predictions = json!([{ "label": "setosa", "probabilities": probabilities }]);
    assert_close(&answer.ok(), &json!({ "predictions": predictions }));
}
