//! Requests that wait together run together, where that changes no answer; and nobody pays for a neighbour.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    Answer, Models, Request, TestServer, assert_close, example_model, package, test_model,
};

/// So many requests come at once.
const TOGETHER: usize = 32;

/// Asks each on a connection of its own, and reads no answer before all are asked.
fn ask_together(server: &TestServer, requests: &[Request]) -> Vec<Answer> {
    let mut connections: Vec<_> = requests.iter().map(|_| server.connect()).collect();
    for (connection, request) in connections.iter_mut().zip(requests) {
        connection.write(&request.bytes()).unwrap();
    }
    connections.iter_mut().map(|connection| connection.read_answer(false).unwrap()).collect()
}

/// How many rows ran, and in how many runs.
fn rows_and_runs(server: &TestServer, model: &str) -> (f64, f64) {
    let of =
        |what: &str| server.metric(&format!("greenroom_batch_rows_{what}{{model=\"{model}\"}}"));
    (of("sum"), of("count"))
}

/// Waits for others, so that who comes at the same time runs together.
const GATHERING: &str = "[scheduler]\nmax_queue_delay = \"200ms\"\nmax_batch_size = 32\n";

#[test]
fn every_model_of_the_repository_answers_a_batch_as_it_answers_each_request() {
    for (model, version) in
        [("iris", "1"), ("iris", "2"), ("digits", "1"), ("wine", "1"), ("diabetes", "1")]
    {
        let file = package().join(format!("tests/expectations/{model}-{version}.json"));
        let file: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let list = |request: &Value, key: &str| request[key].as_array().unwrap().clone();
        let requests = file["requests"].as_array().unwrap().iter();
        let rows: Vec<(Value, Value)> = requests
            .flat_map(|it| list(it, "instances").into_iter().zip(list(it, "predictions")))
            .take(2 * TOGETHER)
            .collect();
        let kept = fs::read_to_string(package().join(format!("models/{model}/model.toml")));
        let models = Models::made()
            .file(
                &format!("{model}/{version}.onnx"),
                example_model(&format!("{model}/{version}.onnx")),
            )
            .file(
                &format!("{model}/model.toml"),
                format!("{}\n{GATHERING}", kept.unwrap_or_default()),
            );
        let server = TestServer::with_models(models).start();
        for rows in rows.chunks(TOGETHER) {
            let request =
                |row: &Value| Request::predict(model, json!({ "instances": [row] }).to_string());
            let requests: Vec<Request> = rows.iter().map(|(row, _)| request(row)).collect();
            let answers = ask_together(&server, &requests);
            for (answer, (_, expected)) in answers.iter().zip(rows) {
                assert_close(&answer.ok(), &json!({ "predictions": [expected] }));
            }
        }
        let (ran, runs) = rows_and_runs(&server, model);
        assert_eq!(ran, rows.len() as f64, "{model} {version}");
        assert!(runs * 4.0 <= ran, "{model} {version}: {ran} rows in {runs} runs");
    }
}

#[test]
fn a_model_of_which_rows_depend_on_each_other_runs_each_request_alone_and_the_log_says_why() {
    for (file, why) in [
        ("sequence", "a row's `Y` depends on the rows beside it"),
        ("softmax_over_rows", "a row's `Y` depends on the rows beside it"),
        ("quantized", "a row's `Y` depends on the rows beside it"),
        ("scalar", "`total` has no first dimension"),
    ] {
        let models =
            Models::made().file("m/1.onnx", test_model(file)).file("m/model.toml", GATHERING);
        let server = TestServer::with_models(models).start();
        let log = server.log();
        let line = log.lines().find(|line| line.contains("run one by one: "));
        let line = line.unwrap_or_else(|| panic!("{file}: {log}"));
        assert!(line.contains("requests for version 1 of `m`") && line.contains(why), "{line}");
        let request = Request::predict("m", r#"{"instances": [[1, 2]]}"#);
        let alone = server.ask(&request).json();
        let answers = ask_together(&server, &vec![request; TOGETHER]);
        for answer in answers {
            assert_eq!(answer.json(), alone, "{file}");
        }
        let (ran, runs) = rows_and_runs(&server, "m");
        assert_eq!(ran, runs, "{file}");
    }
}

#[test]
fn one_row_that_the_model_fails_on_fails_one_request_of_thirty_two() {
    let models =
        Models::made().file("m/1.onnx", test_model("fails_at_13")).file("m/model.toml", GATHERING);
    let server = TestServer::with_models(models).start();
    let row = |number: usize| if number == 17 { 13.0 } else { number as f64 / 8.0 };
    let request = |number: usize| {
        Request::predict("m", json!({ "instances": [[row(number), 1]] }).to_string())
    };
    let requests: Vec<Request> = (0..TOGETHER).map(request).collect();
    let answers = ask_together(&server, &requests);
    for (number, answer) in answers.iter().enumerate() {
        if number == 17 {
            assert_eq!(answer.status, 500, "{}", answer.text());
            assert_eq!(answer.json()["code"], "run_failed");
        } else {
            assert_eq!(answer.ok(), json!({ "predictions": [[row(number) + 2.0, 3.0]] }));
        }
    }
}
