//! A Triton repository of ONNX models is served as it is, and a model that cannot be stops nobody else.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Graph, Models, Request, TestServer, adder, within};

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

/// What runs together, and is warm before it answers.
const BATCHED: &str = r#"
platform: "onnxruntime_onnx"
max_batch_size: 4
input [ { name: "x", data_type: TYPE_FP32, dims: [ 2 ] } ]
output [ { name: "y", data_type: TYPE_FP32, dims: [ 2 ] } ]
dynamic_batching { }
instance_group [ { count: 2, kind: KIND_CPU } ]
optimization { graph { level: 1 } }
parameters { key: "enable_mem_arena" value: { string_value: "0" } }
model_warmup [
  { name: "zeros", batch_size: 4, inputs { key: "x" value: { data_type: TYPE_FP32 dims: 2 zero_data: true } } },
  { name: "row", batch_size: 1, inputs { key: "x" value: { data_type: TYPE_FP32 dims: 2 input_data_file: "row" } } }
]
"#;

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

/// Five models, each of another kind, as Triton has them.
fn five_kinds() -> Models {
    let row = [1.0_f32, 2.0].map(f32::to_le_bytes).concat();
    repository()
        .file("automatic/1/model.onnx", row_adder(2, 1.5))
        .file(
            "explicit/config.pbtxt",
            ADDER.replace("adder", "explicit").replace("all { }", "latest { }"),
        )
        .file("explicit/4/model.onnx", row_adder(2, 4.0))
        .file("batched/config.pbtxt", BATCHED)
        .file("batched/warmup/row", row)
        .file("batched/1/model.onnx", row_adder(2, 0.25))
}

fn infer(server: &TestServer, path: &str, shape: [usize; 2], parameters: Value) -> Answer {
    let elements: Vec<usize> = (0..shape.iter().product()).collect();
    let body = json!({
        "inputs": [{ "name": "x", "datatype": "FP32", "shape": shape, "data": elements }],
        "outputs": [{ "name": "y", "parameters": parameters }],
    });
    server.ask(&Request::post(&format!("/v2/models/{path}/infer"), body.to_string()))
}

#[track_caller]
fn assert_v2_is_served(server: &TestServer) {
    for (model, columns, version, answer) in [
        ("automatic", 2, "1", json!([1.5, 2.5])),
        ("explicit", 2, "4", json!([4.0, 5.0])),
        ("batched", 2, "1", json!([0.25, 1.25])),
        ("classes", 3, "3", json!([0.5, 1.5, 2.5])),
        ("adder", 2, "10", json!([10.0, 11.0])),
    ] {
        let port = |name| json!({ "name": name, "datatype": "FP32", "shape": [-1, columns] });
        let metadata = server.get(&format!("/v2/models/{model}")).ok();
        assert_eq!(metadata["platform"], "onnxruntime_onnx", "{model}");
        assert_eq!(metadata["inputs"], json!([port("x")]), "{model}");
        assert_eq!(metadata["outputs"], json!([port("y")]), "{model}");
        let reply = infer(server, model, [1, columns], json!({})).ok();
        assert_eq!(
            (&reply["model_version"], &reply["outputs"][0]["data"]),
            (&json!(version), &answer)
        );
    }
    let classes = infer(server, "classes", [1, 3], json!({ "classification": 2 })).ok();
    assert_eq!(classes["outputs"][0]["data"], json!(["2.5:2:bird", "1.5:1:dog"]));
    within(PATIENCE, "an older version that the policy keeps", || {
        let reply = infer(server, "adder/versions/2", [1, 2], json!({}));
        (reply.status == 200)
            .then(|| assert_eq!(reply.json()["outputs"][0]["data"], json!([2.0, 3.0])))
    });
}

#[test]
fn five_kinds_of_models_are_served_over_v2_without_a_change() {
    let server = TestServer::with_models(five_kinds()).start();
    assert_v2_is_served(&server);
    assert_eq!(infer(&server, "batched", [4, 2], json!({})).status, 200);
    let refused = infer(&server, "batched", [5, 2], json!({}));
    let sentence = "the request has 5 rows, and the model takes at most 4 (`max_batch_size`)";
    let expected = json!({ "error": sentence, "code": "invalid_input" });
    assert_eq!((refused.status, refused.json()), (400, expected));
    assert_eq!(infer(&server, "automatic", [5, 2], json!({})).status, 200, "nothing is said of it");
    let config = server.get("/v2/models/batched/config").ok();
    assert_eq!((&config["max_batch_size"], &config["input"][0]["dims"]), (&json!(4), &json!([2])));
    assert_eq!(server.get("/v2/models/explicit/config").ok()["max_batch_size"], 0);
}

#[test]
fn a_wrong_one_beside_them_names_its_line_and_folders_may_be_relative() {
    let config = BATCHED.replace("dims: [ 2 ] } ]\noutput", "dims: [ 2 ] } ]\noutputs");
    let models = five_kinds()
        .file("wrong/config.pbtxt", config)
        .file("wrong/1/model.onnx", row_adder(2, 1.0));
    let folder = format!("../{}", models.path().file_name().unwrap().display());
    let server = TestServer::with_models(models)
        .flags(&["--models", &folder, "--state", "state"])
        .in_its_folder()
        .start();
    assert_v2_is_served(&server);
    let told =
        "wrong/config.pbtxt:5:1: unknown field `outputs` of `ModelConfig`; did you mean `output`?";
    let versions = versions(&server, "wrong");
    let [version] = &versions[..] else { panic!("{versions:?}") };
    assert!(version.starts_with(&format!("1: refused: {told}\n")), "{version}");
    assert!(server.log().contains(&format!("the settings of `wrong` are refused: {told}")));
}

#[test]
fn a_version_that_fails_its_warm_up_is_not_served_until_that_is_put_right() {
    let config = BATCHED.replace("dims: 2 zero_data", "dims: 3 zero_data");
    let models = five_kinds().file("cold/config.pbtxt", &config).file("cold/warmup/row", [0; 8]);
    let models = models.file("cold/1/model.onnx", row_adder(2, 1.0));
    let server = TestServer::with_models(models).start();
    let told = "1: refused: cold/config.pbtxt:11:3: warm-up `zeros`: input `x`: expected f32[N, 2], got f32[4, 3]";
    within(PATIENCE, "a version that is not served", || {
        (versions(&server, "cold") == [told]).then_some(())
    });
    assert_others_answer(&server);
    fs::write(server.models().join("cold/config.pbtxt"), BATCHED).unwrap();
    serves(&server, "cold");
    // The file with the elements belongs to the settings: a wrong one is told as well, and the version goes on.
    fs::remove_file(server.models().join("cold/warmup/row")).unwrap();
    within(PATIENCE, "the missing file", || {
        server
            .log()
            .contains("`input_data_file` names `row`, which is not in the folder `warmup`")
            .then_some(())
    });
    let not_taken = model(&server, "cold")["not_taken"].clone();
    assert_eq!(not_taken[0]["file"], "cold/config.pbtxt");
    serves(&server, "cold");
    fs::write(server.models().join("cold/warmup/row"), [0; 8]).unwrap();
    within(PATIENCE, "good settings", || {
        (model(&server, "cold")["not_taken"] == json!([])).then_some(())
    });
}

#[test]
fn a_scalar_is_a_tensor_of_one_element_to_clients() {
    let graph = Graph::default().input("x", "f32[]").output("y", "f32[2]");
    let graph = graph.constant("c", &[2], &[1.0, 2.0]).node("Add", &["x", "c"], "y");
    let rows = Graph::default().input("x", "f32[N]").output("y", "f32[N]");
    let rows = rows.constant("c", &[1], &[1.0]).node("Add", &["x", "c"], "y");
    let tensor = |name: &str, dims: &str, reshape: &str| {
        format!(
            "{name}put {{ name: '{}' data_type: TYPE_FP32 dims: {dims} {reshape} }}\n",
            if name == "in" { 'x' } else { 'y' }
        )
    };
    let scalar = "reshape { shape: [] }";
    let config = [tensor("in", "[ 1 ]", scalar), tensor("out", "[ 2 ]", "")].concat();
    let of_rows = [tensor("in", "[ 1 ]", scalar), tensor("out", "[ 1 ]", scalar)].concat();
    let models = Models::made()
        .file("scalar/config.pbtxt", &config)
        .file("scalar/1/model.onnx", graph.model())
        .file("rows/config.pbtxt", format!("max_batch_size: 8 dynamic_batching {{}} {of_rows}"))
        .file("rows/1/model.onnx", rows.model());
    let server = TestServer::with_models(models).start();
    let metadata = server.get("/v2/models/rows").ok();
    assert_eq!(
        [&metadata["inputs"][0]["shape"], &metadata["outputs"][0]["shape"]],
        [&json!([-1, 1]); 2]
    );
    let reply = infer(&server, "rows", [3, 1], json!({})).ok();
    let output = &reply["outputs"][0];
    assert_eq!((&output["shape"], &output["data"]), (&json!([3, 1]), &json!([1.0, 2.0, 3.0])));

    let ask = |shape: Value, data: Value| {
        let x = json!({ "name": "x", "datatype": "FP32", "shape": shape, "data": data });
        let body = json!({ "inputs": [x] }).to_string();
        server.ask(&Request::post("/v2/models/scalar/infer", body))
    };
    assert_eq!(ask(json!([1]), json!([5])).ok()["outputs"][0]["data"], json!([6.0, 7.0]));
    let refused = ask(json!([]), json!([5]));
    let sentence = "inputs[0]: input `x`: expected f32[1], got f32[]";
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!(sentence)));
}

#[test]
fn what_is_declared_anew_is_what_the_same_version_takes_from_then_on() {
    let server = TestServer::with_models(repository()).start();
    let columns = |columns: u64| infer(&server, "open", [1, columns as usize], json!({})).status;
    let spec = "f32[N, M]";
    let graph = Graph::default().input("x", spec).output("y", spec).constant("c", &[1], &[1.0]);
    let config = ADDER
        .replace("adder", "open")
        .replace("dims: [ -1, 2 ] } ]\noutput", "dims: [ -1, 3 ] } ]\noutput");
    let config = config.replace("dims: [ -1, 2 ]", "dims: [ -1, -1 ]");
    let folder = server.models().join("open");
    fs::create_dir_all(folder.join("1")).unwrap();
    fs::write(folder.join("config.pbtxt"), &config).unwrap();
    fs::write(folder.join("1/model.onnx"), graph.node("Add", &["x", "c"], "y").model()).unwrap();
    within(PATIENCE, "three columns", || (columns(3) == 200).then_some(()));
    assert_eq!(columns(4), 400);
    fs::write(folder.join("config.pbtxt"), config.replace("-1, 3", "-1, 4")).unwrap();
    within(PATIENCE, "four columns", || (columns(4) == 200).then_some(()));
    assert_eq!(columns(3), 400);
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
    let told =
        "`version_policy` in `adder/config.pbtxt` names versions that are not there: `adder/7`";
    assert_eq!(server.log().matches(told).count(), 1, "{}", server.log());
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
