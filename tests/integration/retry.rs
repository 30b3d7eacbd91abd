//! A version that is quarantined stays so, whatever happens to its file, until an operator lifts that.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Models, Request, TestServer, adder, assert_said, said, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// A model whose copy was broken off.
fn cut_off() -> Vec<u8> {
    let whole = adder(2.0);
    whole[..whole.len() - 7].to_vec()
}

/// A server on which version 1 of `m` adds 1.
fn server() -> TestServer {
    let models = Models::made().file("m/1.onnx", adder(1.0));
    let server = TestServer::with_models(models).start();
    server.serves("m", "1", 1.0);
    server
}

fn retry(server: &TestServer, version: &str, wish: Value) -> Answer {
    let path = format!("/admin/v1/models/m/versions/{version}/retry");
    server.ask_at(server.admin(), &Request::post(&path, wish.to_string()))
}

fn version(server: &TestServer, label: &str) -> Value {
    let told = server.told("m");
    let versions = told["versions"].as_array().unwrap();
    versions.iter().find(|version| version["version"] == label).cloned().unwrap_or_default()
}

/// Waits until a version is quarantined, not at this time but at another.
#[track_caller]
fn quarantined_again(server: &TestServer, label: &str, before: &Value) -> Value {
    within(PATIENCE, &format!("version {label} is quarantined"), || {
        let told = version(server, label);
        (told["state"] == "quarantined" && told["since"] != *before).then_some(told)
    })
}

#[test]
fn a_truncated_file_is_tried_again_when_an_operator_says_so_and_not_before() {
    let mut server = server();
    server.put("m/2.onnx", cut_off());
    let told = quarantined_again(&server, "2", &Value::Null);
    assert_eq!(server.reaches("m", "refused")["id"], "r-000002");

    // The same content is not tried again: put there anew, under another name, or after a restart.
    server.put("m/2.onnx", cut_off());
    server.put("m/3.onnx", cut_off());
    server.looks_again();
    assert_eq!(server.stop().code(), Some(0));
    server.start_again();
    server.looks_again();
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 refused"]);
    assert_eq!(version(&server, "2")["reason"], told["reason"]);

    // An operator has it tried again, in a rollout of its own; it is what it was.
    let before = version(&server, "2")["since"].clone();
    let answer = retry(&server, "2", json!({ "actor": "ada", "reason": "the disk is whole" }));
    let lifted = answer.ok();
    let expected = json!(["m", "2", version(&server, "2")["digest"]]);
    let shown = ["model", "version", "digest"].map(|key| lifted[key].clone());
    assert_eq!(json!(shown), expected);
    assert_eq!(answer.header("etag"), Some(format!("\"{}\"", lifted["seq"]).as_str()));
    assert_eq!(quarantined_again(&server, "2", &before)["reason"], told["reason"]);
    server.reaches("m", "refused");
    let rollout = lifted["rollout"].as_str().unwrap();
    let past = server.admin_get(&format!("/admin/v1/models/m/rollouts/{rollout}")).ok();
    let begun = &past["transitions"][0];
    assert_eq!(
        json!([begun["actor"], begun["reason"], begun["to"], past["parent"]]),
        json!(["ada", "the disk is whole", "loading", "r-000002"])
    );
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 refused", "1 → 2 refused"]);
    assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
}

#[test]
fn the_first_version_of_a_model_is_tried_again() {
    let models = Models::made().file("m.onnx", cut_off());
    let server = TestServer::with_models(models).start();
    let told = quarantined_again(&server, "1", &Value::Null);
    assert_eq!(retry(&server, "1", json!({})).ok()["rollout"], "r-000002");
    quarantined_again(&server, "1", &told["since"]);
    within(PATIENCE, "the second end is written down", || {
        (server.history("m") == ["- → 1 refused", "- → 1 refused"]).then_some(())
    });
}

#[test]
fn what_cannot_be_lifted_is_told_with_what_fits() {
    let server = server();
    server.put("m/2.onnx", cut_off());
    server.reaches("m", "refused");
    let answer = retry(&server, "1", json!({}));
    let sentence = "`retry` does not fit: version 1 is neither quarantined nor refused; what fits: \
                    `retry` of version 2, `rollout retry`, `rollout start`";
    let expected = json!({
        "error": sentence, "code": "verb_does_not_fit", "verbs": ["retry", "start"], "versions": ["2"],
    });
    assert_eq!((answer.status, answer.json()), (409, expected));
    for (version, wish, status, code) in [
        ("7", json!({}), 404, "no_such_version"),
        ("stable", json!({}), 400, "invalid_version"),
        ("2", json!({ "fresh": true }), 400, "field_does_not_fit"),
        ("2", json!({ "force": true }), 400, "invalid_body"),
    ] {
        let answer = retry(&server, version, wish);
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{version}");
    }
    let request = Request::post("/admin/v1/models/nope/versions/1/retry", "");
    let answer = server.ask_at(server.admin(), &request);
    assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("no_such_model")));
    let request =
        Request::post("/admin/v1/models/m/versions/2/retry", "").header("if-match", "\"1\"");
    assert_eq!(server.ask_at(server.admin(), &request).status, 412);
    assert_eq!(server.history("m").len(), 2, "nothing was begun");
}

#[test]
fn an_older_version_is_loaded_again_where_it_is_kept_and_begins_nothing() {
    let models = Models::made()
        .file("m/2.onnx", adder(1.0))
        .file("m/1.onnx", cut_off())
        .file("m/model.toml", "versions = \"all\"");
    let server = TestServer::with_models(models).start();
    let told = quarantined_again(&server, "1", &Value::Null);
    assert_eq!(retry(&server, "1", json!({})).ok()["rollout"], Value::Null);
    quarantined_again(&server, "1", &told["since"]);
    assert_eq!(server.history("m"), ["- → 2 completed"]);
    let lifted = "nothing is held against version 1 of `m` any more: no reason was given";
    assert!(server.log().contains(lifted), "{}", server.log());
}

#[test]
fn operators_lift_it_on_the_command_line() {
    let server = server();
    server.put("m/2.onnx", cut_off());
    server.reaches("m", "refused");
    let told = said(&server, "models retry m 2 --actor ada --reason again", 0);
    assert_said(
        &told,
        &["version 2 of `m` is tried again in rollout r-000003; `greenroom rollout"],
    );
    server.reaches("m", "refused");
    assert_said(&said(&server, "rollout history m", 0), &["r-000003"]);
    let told = said(&server, "models retry m 2 --json", 0);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(json!([told["version"], told["rollout"]]), json!(["2", "r-000004"]));
    let told = said(&server, "models retry m 1", 1);
    assert_said(&told, &["error: `retry` does not fit: version 1 is neither quarantined nor"]);
    said(&server, "models retry m 7", 1);
    said(&server, "models retry nope 1", 4);
    said(&server, "models retry m latest", 2);
    said(&server, "models m retry m 2", 2);
}

#[cfg(target_arch = "x86_64")] // others divide without complaint
#[test]
fn what_crashed_the_server_is_tried_again() {
    use crate::support::adder_with_a_trap;

    let mut server = server();
    server.put("m/2.onnx", adder_with_a_trap(2.0));
    server.serves("m", "2", 2.0);
    let body = r#"{"instances": [[-9223372036854775808, 0]]}"#;
    // There may be an answer, when a copy of the request is what kills.
    let _ = server.connect().ask(&Request::predict("m", body));
    server.ended();
    server.start_again();
    assert_eq!(version(&server, "2")["state"], "quarantined");
    assert_eq!(retry(&server, "2", json!({})).ok()["rollout"], "r-000003");
    server.serves("m", "2", 2.0);
    assert_eq!(version(&server, "2")["state"], "ready");
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 rolled-back", "1 → 2 baking"]);
}
