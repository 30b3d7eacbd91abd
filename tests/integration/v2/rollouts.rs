//! Requests of this protocol are routed, and rescued, and tell of a candidate, as all others.

use serde_json::json;

use super::{ask, infer, with_x};
use crate::support::{Models, TestServer, adder, test_model};

const SPLIT: &str = r#"
[rollout]
strategy = "canary"
steps = [{ weight = 50, min_time = "1h", min_requests = 1000000 }]
shadow = { sample = 1.0, min_pairs = 0 }
"#;

/// Version 2 of `adder` has half of the traffic.
fn split(settings: &str, candidate: Vec<u8>) -> TestServer {
    let models = Models::made().file("adder/model.toml", settings).file("adder/1.onnx", adder(1.0));
    let server = TestServer::with_models(models).start();
    server.put("adder/2.onnx", candidate);
    server.reaches("adder", "canary");
    server
}

#[test]
fn a_key_in_the_parameters_decides_which_version_answers() {
    let server = split(&format!("{SPLIT}key = {{ field = \"user\" }}\n"), adder(2.0));
    let mut versions = std::collections::BTreeSet::new();
    for user in 0..20 {
        let mut seen = std::collections::BTreeSet::new();
        for place in 0..6 {
            let mut request = with_x("FP32", &json!([1, 2]), &json!([1, 2]));
            match place % 2 {
                0 => request["parameters"] = json!({ "user": user }),
                _ => request["user"] = json!(user),
            }
            let answer = ask(&server, "adder", &request);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let version = answer.header("x-model-version").unwrap().to_owned();
            assert_eq!(answer.ok()["model_version"], version.as_str());
            assert!(answer.header("x-rollout-id").is_some());
            seen.insert(version);
        }
        assert_eq!(seen.len(), 1, "user {user} was sent to and fro");
        versions.extend(seen);
    }
    assert_eq!(versions.len(), 2, "all users are on one version");
}

#[test]
fn a_candidate_that_answers_no_number_is_rescued_also_where_only_some_outputs_are_wanted() {
    let candidate = test_model("nan_at_13");
    let server = split(SPLIT, candidate);
    let mut request = with_x("FP32", &json!([1, 2]), &json!([13, 2]));
    request["outputs"] = json!([{ "name": "Y" }]);
    let mut connection = server.connect();
    let rescued = (0..100).any(|_| {
        let answer = connection.ask(&infer("adder", request.to_string())).unwrap();
        assert_eq!(answer.ok()["outputs"][0]["data"], json!([14.0, 3.0]));
        answer.header("x-model-fallback") == Some("error")
    });
    assert!(rescued, "no request came to the candidate");
}
