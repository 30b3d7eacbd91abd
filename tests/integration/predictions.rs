//! What scikit-learn answers for every row of its data sets is what the server answers.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Models, Request, TestServer, assert_close, package};

/// One file of `tests/expectations/`: requests to one version, with scikit-learn's own answers.
struct Expectation {
    model: String,
    version: String,
    requests: Vec<Value>,
}

fn expectations() -> Vec<Expectation> {
    let folder = package().join("tests/expectations");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = files.filter(|path| path.extension().is_some_and(|ending| ending == "json")).map(
        |path| -> Expectation {
            let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            Expectation {
                model: file["model"].as_str().unwrap().to_owned(),
                version: file["version"].as_str().unwrap().to_owned(),
                requests: file["requests"].as_array().unwrap().clone(),
            }
        },
    );
    let read: Vec<Expectation> = read.collect();
    assert!(read.len() >= 5 && read.iter().all(|expected| !expected.requests.is_empty()));
    read
}

impl Expectation {
    fn predict(&self, body: Value) -> Request {
        let Self { model, version, .. } = self;
        let path = format!("/v1/models/{model}/versions/{version}:predict");
        Request::post(&path, body.to_string())
    }
}

#[test]
fn every_row_is_answered_as_scikit_learn_answers_it() {
    let server = TestServer::with_models(Models::of_the_repository()).start();
    let mut connection = server.connect();
    for expected in expectations() {
        for request in &expected.requests {
            let body = json!({ "instances": request["instances"] });
            let answer = connection.ask(&expected.predict(body)).unwrap();
            assert_close(&answer.ok(), &json!({ "predictions": request["predictions"] }));
        }
    }
}

#[test]
fn whole_columns_are_answered_like_the_same_rows() {
    let server = TestServer::with_models(Models::of_the_repository()).start();
    let mut connection = server.connect();
    for expected in expectations() {
        let inputs = inputs(&server, &expected.model);
        let features = features(&expected.model);
        for request in &expected.requests {
            let rows = request["instances"].as_array().unwrap();
            let body = json!({ "inputs": columns(rows, &inputs, &features) });
            let answer = connection.ask(&expected.predict(body)).unwrap().ok();
            let predictions = json!(rows_of(&answer["outputs"]));
            assert_close(&predictions, &request["predictions"]);
        }
    }
}

/// The names of a model's inputs, as its metadata tells them.
fn inputs(server: &TestServer, model: &str) -> Vec<String> {
    let metadata = server.get(&format!("/v1/models/{model}/metadata")).ok();
    let signature = &metadata["metadata"]["signature_def"]["signature_def"]["serving_default"];
    signature["inputs"].as_object().unwrap().keys().cloned().collect()
}

/// The names of the columns of a model's one input, as its settings give them.
fn features(model: &str) -> Vec<String> {
    let path = package().join("models").join(model).join("model.toml");
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let settings: toml::Table = text.parse().unwrap();
    let features = settings.get("features").and_then(toml::Value::as_array);
    let name = |feature: &toml::Value| feature.as_str().unwrap().to_owned();
    features.into_iter().flatten().map(name).collect()
}

/// The rows as whole tensors: one for each input.
fn columns(rows: &[Value], inputs: &[String], features: &[String]) -> Value {
    let plain = |row: &Value| match row {
        Value::Object(row) => features.iter().map(|feature| row[feature].clone()).collect(),
        row => row.clone(),
    };
    match inputs {
        [input] => json!({ input: rows.iter().map(plain).collect::<Vec<Value>>() }),
        inputs => {
            let column = |input| rows.iter().map(|row| json!([row[input]])).collect::<Vec<_>>();
            inputs.iter().map(|input| (input.clone(), json!(column(input)))).collect()
        }
    }
}

/// Whole outputs, cut into rows: `{"a": [1, 2]}` is `[{"a": 1}, {"a": 2}]`.
fn rows_of(outputs: &Value) -> Vec<Value> {
    match outputs {
        Value::Object(outputs) => {
            let rows = outputs.values().next().unwrap().as_array().unwrap().len();
            let row = |row: usize| -> Value {
                outputs.iter().map(|(name, values)| (name.clone(), values[row].clone())).collect()
            };
            (0..rows).map(row).collect()
        }
        only => only.as_array().unwrap().clone(),
    }
}
