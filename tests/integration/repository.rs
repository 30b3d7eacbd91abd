//! A bad model is told apart and told about, and nothing else suffers from it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Models, TestServer, adder, adder_with_external_data, example_model, test_model, within,
};

/// A server with these models beside a good one called `good`, which adds one.
fn beside_good(models: Models) -> TestServer {
    TestServer::with_models(models.file("good.onnx", adder(1.0))).start()
}

#[track_caller]
fn assert_good_answers(server: &TestServer) {
    let answer = server.predict("good", r#"{"instances": [[1, 2]]}"#);
    assert_eq!(answer.ok(), json!({ "predictions": [[2.0, 3.0]] }));
}

/// `version: state: reason` for each version of a model; a reason names no path of the machine, which
/// [`TestServer::ask`] makes sure of.
fn versions(server: &TestServer, model: &str) -> Vec<String> {
    let model = server.get(&format!("/admin/v1/models/{model}")).ok();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line =
        |version: &Value| ["version", "state", "reason"].map(|key| text(&version[key])).join(": ");
    model["versions"].as_array().unwrap().iter().map(line).collect()
}

fn stable(server: &TestServer, model: &str) -> Value {
    server.get(&format!("/admin/v1/models/{model}")).ok()["stable"].clone()
}

#[test]
fn a_text_is_quarantined() {
    let server = beside_good(Models::made().file("text.onnx", test_model("text")));
    assert_eq!(
        versions(&server, "text"),
        ["1: quarantined: the model's file is text, not an ONNX model"]
    );
    assert_good_answers(&server);
}

#[test]
fn half_a_model_is_quarantined() {
    let server = beside_good(Models::made().file("half/1/model.onnx", test_model("truncated")));
    assert_eq!(
        versions(&server, "half"),
        ["1: quarantined: the file is cut short: 659 bytes are announced, and 322 follow"]
    );
    assert_good_answers(&server);
}

#[test]
fn data_may_stand_in_a_file_beside_the_model() {
    let data = [10.0_f32, 20.0].map(f32::to_le_bytes).concat();
    let models = Models::made()
        .file("parts/1/model.onnx", adder_with_external_data("weights.bin"))
        .file("parts/1/weights.bin", data);
    let answer = beside_good(models).predict("parts", r#"{"instances": [[1, 2]]}"#);
    assert_eq!(answer.ok(), json!({ "predictions": [[11.0, 22.0]] }));
}

#[test]
fn data_that_is_missing_or_elsewhere_quarantines_without_telling_paths() {
    let models = Models::made()
        .file("missing/1/model.onnx", adder_with_external_data("weights.bin"))
        .file("outside/1/model.onnx", adder_with_external_data("../../../../etc/passwd"))
        .file("absolute/1/model.onnx", adder_with_external_data("/etc/passwd"))
        .file("short/1/model.onnx", adder_with_external_data("weights.bin"))
        .file("short/1/weights.bin", "four");
    let server = beside_good(models);
    for (model, reason) in [
        (
            "missing",
            "should be in the file `weights.bin`, which is not among the files of the version",
        ),
        (
            "outside",
            "should be in the file `../../../../etc/passwd`, which would be outside of the version's folder",
        ),
        (
            "absolute",
            "should be in the file `/etc/passwd`, which would be outside of the version's folder",
        ),
        ("short", "should end at byte 8 of the file `weights.bin`, which has 4 bytes"),
    ] {
        let told = format!("1: quarantined: initializer `c`: its data {reason}");
        assert_eq!(versions(&server, model), [told]);
    }
    assert_good_answers(&server);
}

#[test]
fn a_quarantined_model_answers_that_it_is_not_ready() {
    let server = beside_good(Models::made().file("text.onnx", test_model("text")));
    let answer = server.predict("text", r#"{"instances": [1]}"#);
    let sentence = "`text` is not ready: version 1 is quarantined";
    assert_eq!(
        (answer.status, answer.json()),
        (503, json!({ "error": sentence, "code": "not_ready" }))
    );
    assert_eq!(server.get("/v1/models/text").status, 503);
}

#[test]
fn a_version_with_bad_settings_is_refused_with_their_line() {
    let models = Models::made()
        .file("odd/1.onnx", adder(2.0))
        .file("odd/model.toml", "versions = \"all\"\n[scheduler]\nmax_queeu = 3\n");
    let server = beside_good(models);
    assert_eq!(
        versions(&server, "odd"),
        ["1: refused: odd/model.toml:3: unknown key `scheduler.max_queeu`; \
          did you mean `scheduler.max_queue`?"]
    );
    assert_good_answers(&server);
}

#[test]
fn features_that_do_not_fit_the_model_are_refused() {
    let models = Models::made()
        .file("misfit.onnx", adder(2.0))
        .file("misfit.toml", "features = [\"a\", \"b\", \"c\"]");
    let server = beside_good(models);
    assert_eq!(
        versions(&server, "misfit"),
        ["1: refused: `features` in the settings names 3 columns, but input `X` is f32[N, 2]"]
    );
    assert_good_answers(&server);
}

#[test]
fn a_version_that_only_the_settings_keep_is_not_tried_without_a_pause_but_with_other_settings() {
    let models = Models::made()
        .file("m/1.onnx", example_model("wine/1.onnx"))
        .file("m/2.onnx", adder(2.0))
        .file("m/model.toml", "versions = 'all'\nfeatures = ['a', 'b']");
    let server = TestServer::with_models(models).start();
    let failures = || server.metric(r#"greenroom_loads_total{model="m",outcome="failed"}"#);
    let soon = Duration::from_secs(20);
    within(soon, "version 1 is refused", || {
        server.version("m", "1").filter(|version| version["state"] == "refused")
    });
    // Whoever tries without a pause has tried very often by the time another version answers.
    server.put("m/3.onnx", adder(3.0));
    server.serves("m", "3", 3.0);
    assert!(failures() <= 2.0, "{} times", failures());

    // Sooner than what failed is tried again by itself.
    server.put("m/model.toml", "versions = 'all'");
    within(soon, "version 1 is loaded", || {
        server.version("m", "1").filter(|version| version["state"] == "ready")
    });
}

#[test]
fn features_of_a_model_with_several_inputs_are_refused() {
    let models = Models::made()
        .file("wine/1.onnx", example_model("wine/1.onnx"))
        .file("wine/model.toml", "features = [\"alcohol\"]");
    let server = beside_good(models);
    assert_eq!(
        versions(&server, "wine"),
        ["1: refused: `features` in the settings names the columns of the one input, \
             but the model has 13 inputs"]
    );
    assert_good_answers(&server);
}

#[test]
fn a_model_in_two_layouts_is_refused() {
    let models = Models::made().file("twice.onnx", adder(2.0)).file("twice/1.onnx", adder(3.0));
    let server = beside_good(models);
    let told = server.get("/admin/v1/models/twice").ok();
    let sentence = "`twice.onnx` and the folder `twice` both claim to be the model `twice`; \
                    keep one of them";
    assert_eq!(
        json!([told["problem"], told["stable"], told["versions"]]),
        json!([sentence, null, []])
    );
    assert_good_answers(&server);
}

#[test]
fn where_the_newest_version_is_bad_the_next_older_becomes_stable() {
    let models = Models::made()
        .file("m/1.onnx", adder(10.0))
        .file("m/2.onnx", adder(20.0))
        .file("m/10.onnx", test_model("truncated"));
    let server = beside_good(models);
    assert_eq!(stable(&server, "m"), "2");
    let answer = server.predict("m", r#"{"instances": [[1, 2]]}"#);
    assert_eq!(answer.ok(), json!({ "predictions": [[21.0, 22.0]] }));
    assert_eq!(
        versions(&server, "m"),
        [
            "1: found: -",
            "2: ready: -",
            "10: quarantined: the file is cut short: 659 bytes are announced, and 322 follow"
        ]
    );
}

#[test]
fn an_older_version_is_known_but_not_loaded_until_the_settings_want_it() {
    let server = beside_good(
        Models::made()
            .file("m/1.onnx", adder(10.0))
            .file("m/2.onnx", adder(20.0))
            .file("m/model.toml", "versions = \"stable\""),
    );
    assert_eq!(versions(&server, "m"), ["1: found: -", "2: ready: -"]);
    let answer = server.predict("m/versions/1", r#"{"instances": [[1, 2]]}"#);
    let sentence = "version `1` of `m` is not loaded; loaded: 2";
    assert_eq!(
        (answer.status, answer.json()),
        (404, json!({ "error": sentence, "code": "not_loaded" }))
    );
}

#[test]
fn versions_that_the_settings_name_are_kept_loaded() {
    let models = (1..=4).fold(Models::made(), |models, version| {
        models.file(&format!("m/{version}.onnx"), adder(version as f32))
    });
    let server = beside_good(models.file("m/model.toml", "versions = [\"1\", \"3\"]"));
    assert_eq!(
        versions(&server, "m"),
        ["1: ready: -", "2: found: -", "3: ready: -", "4: ready: -"]
    );
    let answer = server.predict("m/versions/3", r#"{"instances": [[1, 2]]}"#);
    assert_eq!(answer.ok(), json!({ "predictions": [[4.0, 5.0]] }));
}

#[test]
fn files_on_their_way_to_another_name_are_not_there() {
    let models = Models::made()
        .file("m/1.onnx", adder(10.0))
        .file("m/2.onnx.part", adder(20.0))
        .file("m/3.tmp/model.onnx", adder(30.0))
        .file("m/.4.onnx", adder(40.0))
        .file("notes.txt", "not a model");
    let server = beside_good(models);
    assert_eq!(versions(&server, "m"), ["1: ready: -"]);
    assert_eq!(server.get("/v1/models").ok(), json!({ "models": ["good", "m"] }));
}

#[test]
fn a_server_without_models_is_ready_and_says_so() {
    let server = TestServer::with_models(Models::made()).start();
    assert_eq!(server.get("/v1/models").ok(), json!({ "models": [] }));
    assert!(server.log().contains("there are no models in"), "{}", server.log());
}
