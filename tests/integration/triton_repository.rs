//! A Triton repository of ONNX models is served as it is, and a model that cannot be stops nobody else.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Graph, Models, Request, TestServer, adder, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// What Triton is told of a model that adds something to rows of two.
const ADDER: &str = r#"
name: "adder"
platform: "onnxruntime_onnx"
max_batch_size: 0
input [ { name: "x", data_type: TYPE_FP32, dims: [ -1, 2 ] } ]
output [ { name: "y", data_type: TYPE_FP32, dims: [ -1, 2 ] } ]
version_policy: { all { } }
instance_group [ { count: 1, kind: KIND_CPU } ]
"#;

/// The same of one that names its classes, and whose requests run together.
const CLASSIFIER: &str = r#"
backend: "onnxruntime"
max_batch_size: 16
input { name: "x" data_type: TYPE_FP32 dims: 3 }
output { name: "y" data_type: TYPE_FP32 dims: 3 label_filename: "labels.txt" }
dynamic_batching { preferred_batch_size: [ 8 ] }
parameters { key: "intra_op_thread_count" value: { string_value: "1" } }
"#;

/// Adds `summand` to rows of so many.
fn row_adder(columns: u64, summand: f32) -> Vec<u8> {
    let spec = format!("f32[N, {columns}]");
    let graph = Graph::default().input("x", &spec).output("y", &spec);
    graph.constant("c", &[1], &[summand]).node("Add", &["x", "c"], "y").model()
}

fn model(server: &TestServer, name: &str) -> Value {
    server.get(&format!("/admin/v1/models/{name}")).ok()
}

/// `version: state: reason`, the newest content of each version.
fn versions(server: &TestServer, name: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line =
        |version: &Value| ["version", "state", "reason"].map(|key| text(&version[key])).join(": ");
    model(server, name)["versions"].as_array().unwrap().iter().map(line).collect()
}

fn repository() -> Models {
    Models::made()
        .file("adder/config.pbtxt", ADDER)
        .file("adder/1/model.onnx", row_adder(2, 1.0))
        .file("adder/2/model.onnx", row_adder(2, 2.0))
        .file("adder/10/model.onnx", row_adder(2, 10.0))
        .file("classes/config.pbtxt", CLASSIFIER)
        .file("classes/labels.txt", "cat\ndog\nbird\n")
        .file("classes/3/model.onnx", row_adder(3, 0.5))
}

/// A server with this repository and a model that is not as its settings have it.
fn beside_others(name: &str, config: &str) -> TestServer {
    let models = repository().file(&format!("{name}/config.pbtxt"), config);
    TestServer::with_models(models.file(&format!("{name}/1/model.onnx"), row_adder(2, 1.0))).start()
}

#[track_caller]
fn assert_others_answer(server: &TestServer) {
    let answer = server.predict("adder", r#"{"instances": [[1, 2]]}"#);
    assert_eq!(answer.ok(), json!({ "predictions": [[11.0, 12.0]] }));
}

#[track_caller]
fn serves(server: &TestServer, name: &str) {
    let answers =
        || (server.predict(name, r#"{"instances": [[1, 2]]}"#).status == 200).then_some(());
    within(PATIENCE, &format!("`{name}` is served"), answers);
}

#[test]
fn a_repository_is_served_as_it_is() {
    let server = TestServer::with_models(repository()).start();
    let ask = |path: &str, row: &str| {
        let request = Request::post(path, format!(r#"{{"instances": [{row}]}}"#));
        server.ask(&request).ok()["predictions"].clone()
    };
    assert_eq!(
        ask("/v1/models/adder:predict", "[1, 2]"),
        json!([[11.0, 12.0]]),
        "the highest number"
    );
    assert_eq!(
        ask("/v1/models/classes:predict", "[0, 1, 2]"),
        json!([{ "cat": 0.5, "dog": 1.5, "bird": 2.5 }])
    );
    let is_ready = |line: &String| line.ends_with(": ready: -");
    within(PATIENCE, "every version of `adder` is kept", || {
        versions(&server, "adder").iter().all(is_ready).then_some(())
    });
    assert_eq!(ask("/v1/models/adder/versions/2:predict", "[1, 2]"), json!([[3.0, 4.0]]));
    assert_eq!(ask("/v1/models/adder/versions/1:predict", "[1, 2]"), json!([[2.0, 3.0]]));
    let log = server.log();
    let told = "classes/config.pbtxt:6:44: `preferred_batch_size` has no effect";
    assert_eq!(log.matches(told).count(), 1, "{log}");
}

#[test]
fn only_the_newest_versions_of_a_policy_are_kept() {
    let config = ADDER.replace("all { }", "latest { num_versions: 2 }");
    let server = TestServer::with_models(repository().file("adder/config.pbtxt", config)).start();
    let expected = ["1: found: -", "2: ready: -", "10: ready: -"];
    within(PATIENCE, "two are kept", || (versions(&server, "adder") == expected).then_some(()));
}

#[test]
fn the_versions_that_a_policy_names_are_all_there_is() {
    let config = ADDER.replace("all { }", "specific { versions: [ 1, 2, 7 ] }");
    let server = TestServer::with_models(repository().file("adder/config.pbtxt", config)).start();
    let answer = server.predict("adder", r#"{"instances": [[1, 2]]}"#);
    assert_eq!(answer.ok(), json!({ "predictions": [[3.0, 4.0]] }), "not version 10");
    within(PATIENCE, "both are kept", || {
        (versions(&server, "adder") == ["1: ready: -", "2: ready: -"]).then_some(())
    });
}

#[test]
fn an_unknown_field_stops_only_its_model() {
    let server = beside_others("typo", "max_batchsize: 4\n");
    assert_eq!(
        versions(&server, "typo"),
        [
            "1: refused: typo/config.pbtxt:1:1: unknown field `max_batchsize` of `ModelConfig`; did you mean \
          `max_batch_size`?"
        ]
    );
    assert_others_answer(&server);
    fs::write(server.models().join("typo/config.pbtxt"), "max_batch_size: 4\n").unwrap();
    serves(&server, "typo");
}

#[test]
fn a_contradiction_stops_only_its_model() {
    let config =
        ADDER.replace("adder", "other").replace("[ -1, 2 ] } ]\noutput", "[ -1, 5 ] } ]\noutput");
    let server = beside_others("other", &config);
    assert_eq!(
        versions(&server, "other"),
        [
            "1: refused: other/config.pbtxt:5:9: input `x` is declared as f32[?, 5], but is f32[N, 2] in the model"
        ]
    );
    assert_eq!(
        server.log().matches("is not served").count(),
        1,
        "it is put off, not tried on and on"
    );
    assert_others_answer(&server);
    fs::write(server.models().join("other/config.pbtxt"), config.replace("-1, 5", "-1, 2"))
        .unwrap();
    serves(&server, "other");
}

#[test]
fn a_model_of_another_platform_stops_only_itself() {
    let models = repository()
        .file("plan/config.pbtxt", "platform: \"tensorrt_plan\"\nmax_batch_size: 8\n")
        .file("plan/1/model.plan", "not for us")
        .file("python/config.pbtxt", "backend: \"python\"\n")
        .file("python/1/model.onnx", adder(1.0));
    let server = TestServer::with_models(models).start();
    let sentence = "is not supported: only ONNX models (`onnxruntime_onnx`) are served; export the model to ONNX, or \
                    take its folder away";
    assert_eq!(
        model(&server, "plan")["problem"],
        format!("`plan/config.pbtxt`: platform `tensorrt_plan` {sentence}")
    );
    let sentence = sentence.replace("onnxruntime_onnx", "onnxruntime");
    assert_eq!(
        versions(&server, "python"),
        [format!("1: refused: python/config.pbtxt:1:10: backend `python` {sentence}")]
    );
    assert_others_answer(&server);
}
