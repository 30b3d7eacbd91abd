//! Calls are routed, and rescued, and tell of a candidate, as all other requests.

use std::collections::BTreeSet;

use super::generated::infer_parameter::ParameterChoice;
use super::{Caller, numbers_of, parameters, row, told, with};
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
fn a_key_in_the_metadata_or_in_the_parameters_decides_which_version_answers() {
    for key in ["{ header = \"x-user\" }", "{ field = \"user\" }"] {
        let server = split(&format!("{SPLIT}key = {key}\n"), adder(2.0));
        let caller = Caller::of(&server);
        let mut versions = BTreeSet::new();
        for user in 0..20 {
            let mut seen = BTreeSet::new();
            for _ in 0..5 {
                let mut message = row([1.0, 2.0]);
                message.parameters = parameters("user", ParameterChoice::Int64Param(user));
                let response = caller.infer(with(message, "x-user", &user.to_string())).unwrap();
                assert!(told(&response, "x-rollout-id").is_some());
                let version = told(&response, "x-model-version").unwrap().to_owned();
                assert_eq!(response.into_inner().model_version, version);
                seen.insert(version);
            }
            assert_eq!(seen.len(), 1, "user {user} was sent to and fro");
            versions.extend(seen);
        }
        assert_eq!(versions.len(), 2, "all users are on one version");
    }
}

#[test]
fn a_candidate_that_answers_no_number_is_rescued() {
    let server = split(SPLIT, test_model("nan_at_13"));
    let caller = Caller::of(&server);
    let rescued = (0..100).any(|_| {
        let response = caller.infer(row([13.0, 2.0])).unwrap();
        let is_rescued = told(&response, "x-model-fallback") == Some("error");
        assert_eq!(numbers_of(&response.into_inner().raw_output_contents[0]), [14.0, 3.0]);
        is_rescued
    });
    assert!(rescued, "no request came to the candidate");
}
