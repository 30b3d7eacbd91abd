//! What is told of the server and of its models.

use serde_json::json;

use crate::support::{Models, TestServer, adder, within};

#[test]
fn the_server_says_what_it_can_do() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(1.0))).start();
    let metadata = server.get("/v2").ok();
    assert_eq!(metadata["name"], "greenroom");
    assert_eq!(metadata["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        metadata["extensions"],
        json!([
            "classification",
            "model_repository",
            "model_repository(unload_dependents)",
            "model_configuration",
            "binary_tensor_data",
            "statistics",
        ])
    );
    assert_eq!(server.get("/v2/models").ok(), json!({ "models": ["adder"] }));
    assert_eq!(server.get("/v2/health/live").status, 200);
}

#[test]
fn a_model_says_what_it_takes_and_gives() {
    let server = TestServer::with_models(Models::of_the_repository()).start();
    let expected = json!({
        "name": "iris",
        "platform": "onnxruntime_onnx",
        "inputs": [{ "name": "X", "datatype": "FP32", "shape": [-1, 4] }],
        "outputs": [
            { "name": "label", "datatype": "BYTES", "shape": [-1] },
            { "name": "probabilities", "datatype": "FP32", "shape": [-1, -1] },
        ],
    });
    for path in ["", "/versions/1", "/versions/stable"] {
        let mut metadata = server.get(&format!("/v2/models/iris{path}")).ok();
        // Both are loaded, and the one that is asked for is told alone.
        let versions = metadata.as_object_mut().unwrap().shift_remove("versions").unwrap();
        let expected_versions = match path {
            "" => json!(["1", "2"]),
            "/versions/1" => json!(["1"]),
            _ => json!(["2"]),
        };
        assert_eq!(versions, expected_versions, "{path}");
        assert_eq!(metadata, expected, "{path}");
    }
    for path in ["/ready", "/versions/1/ready", "/versions/stable/ready"] {
        let ready = server.get(&format!("/v2/models/iris{path}")).ok();
        assert_eq!(ready, json!({ "name": "iris", "ready": true }), "{path}");
    }
}

#[test]
fn what_is_not_there_is_told_apart_from_what_is_not_ready() {
    let models = Models::made().file("adder/1.onnx", adder(1.0)).file("broken.onnx", "no model");
    let server = TestServer::with_models(models).start();
    for path in ["/v2/models/other", "/v2/models/other/ready", "/v2/models/adder/versions/7/ready"]
    {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(server.get("/v2/models/adder/versions/7").status, 404);
    assert_eq!(server.get("/v2/models/adder/versions/candidate/ready").status, 404);
    assert_eq!(server.get("/v2/models/adder/versions/a%2Fb/ready").status, 400);
    within(std::time::Duration::from_secs(30), "a broken model that is not ready", || {
        let answer = server.get("/v2/models/broken/ready");
        let expected = json!({ "name": "broken", "ready": false });
        (answer.status == 503 && answer.json() == expected).then_some(())
    });
    assert_eq!(server.get("/v2/models/broken").status, 503);
}
