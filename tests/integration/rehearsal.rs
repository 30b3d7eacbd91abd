//! A candidate that recorded requests tell against is stopped before it has seen a live one.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::shadow_page::schema;
use crate::support::{
    Models, Request, TestServer, adder, example_model, package, test_model, within,
};

const PATIENCE: Duration = Duration::from_secs(60);

const SERVER: &str = "[capture]\nmode = \"on\"\nsample = 1.0\n\
                      [shadow]\nmax_rps = 10000\nmax_busy = 1.0\n";

/// A server that has answered these requests with version 1 of a model, and recorded them.
fn recorded(model: &str, version_1: Vec<u8>, settings: &str, requests: &[String]) -> TestServer {
    let kept = fs::read_to_string(package().join(format!("models/{model}/model.toml")));
    let settings = format!("{}\n{settings}\n", kept.unwrap_or_default());
    let models = Models::made()
        .file(&format!("{model}/1.onnx"), version_1)
        .file(&format!("{model}/model.toml"), settings);
    let server = TestServer::with_models(models).settings(SERVER).start();
    let mut connection = server.connect();
    for request in requests {
        connection.ask(&Request::predict(model, request.clone())).unwrap().ok();
    }
    let name = format!("greenroom_capture_records_total{{model=\"{model}\"}}");
    within(PATIENCE, "the requests are recorded", || {
        (server.metric(&name) >= requests.len() as f64).then_some(())
    });
    server
}

const CANARY: &str = "[rollout]\nstrategy = \"canary\"\nsteps = [50]\n";

fn rows(count: usize, row: impl Fn(usize) -> Value) -> Vec<String> {
    (0..count).map(|number| json!({ "instances": [row(number)] }).to_string()).collect()
}

/// The phases that a model's rollout went through, with the reason for each.
fn transitions(server: &TestServer, rollout: &Value) -> Vec<(String, String)> {
    let id = rollout["id"].as_str().unwrap();
    let model = rollout["model"].as_str().unwrap();
    let told = server.admin_get(&format!("/admin/v1/models/{model}/rollouts/{id}")).ok();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let transitions = told["transitions"].as_array().unwrap().iter();
    transitions.map(|one| (text(&one["to"]), text(&one["reason"]))).collect()
}

/// Puts a candidate there while clients go on asking. Gives the reason for which it is rolled back, after it has
/// answered none of them.
#[track_caller]
fn stopped(server: &TestServer, model: &str, candidate: Vec<u8>, request: &str) -> String {
    server.put(&format!("{model}/2.onnx"), candidate);
    let mut connection = server.connect();
    let rollout = within(PATIENCE, "the rollout is over", || {
        let answer = connection.ask(&Request::predict(model, request.to_owned())).unwrap();
        assert_eq!(answer.header("x-model-version"), Some("1"), "{}", answer.text());
        let rollout = server.rollout(model);
        (rollout["candidate"] == "2" && rollout["verbs"].as_array()?.contains(&json!("retry")))
            .then_some(rollout)
    });
    assert_eq!(rollout["phase"], "rolled-back", "{rollout}");
    let transitions = transitions(server, &rollout);
    let phases: Vec<&str> = transitions.iter().map(|(phase, _)| phase.as_str()).collect();
    assert_eq!(phases, ["loading", "rehearsing", "rolled-back"]);
    let asked = format!(
        "greenroom_requests_total{{model=\"{model}\",version=\"2\",role=\"candidate\",outcome=\"ok\"}}"
    );
    assert_eq!(server.metric(&asked), 0.0);
    let report = server.admin_get(&format!("/shadow/report?model={model}")).ok();
    assert_eq!(schema::problems(&report), Vec::<String>::new());
    let sampling = &report["reports"][0]["sampling"];
    assert_eq!(sampling["executed"], sampling["rehearsed"], "no live request became a pair");
    assert!(sampling["rehearsed"].as_u64() > Some(0), "{sampling}");
    rollout["reason"].as_str().unwrap().to_owned()
}

#[test]
fn swapped_classes_are_found_out_by_recorded_requests() {
    let file = package().join("tests/expectations/digits-1.json");
    let file: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let requests = file["requests"].as_array().unwrap().iter();
    let rows: Vec<String> = requests
        .flat_map(|request| request["instances"].as_array().unwrap())
        .take(300)
        .map(|row| json!({ "instances": [row] }).to_string())
        .collect();
    let server = recorded("digits", example_model("digits/1.onnx"), CANARY, &rows);
    let reason = stopped(&server, "digits", test_model("digits_swapped"), &rows[0]);
    assert!(reason.starts_with("outputs."), "{reason}");
}

#[test]
fn a_candidate_that_is_three_times_slower_is_found_out_by_recorded_requests() {
    // Two to four milliseconds a run.
    let rows = rows(200, |number| json!([2 + number % 3, 1]));
    let server = recorded("m", test_model("patient"), CANARY, &rows);
    // What it answers is three times as much as well, which must not be what decides.
    let settings = format!("{CANARY}[outputs.Y]\nkind = \"numeric\"\nabsolute = 1000\n");
    server.put("m/model.toml", settings);
    server.looks_again();
    let reason = stopped(&server, "m", test_model("sluggish"), &rows[0]);
    assert!(reason.starts_with("latency"), "{reason}");
}

#[test]
fn a_candidate_that_fails_on_one_recorded_request_in_twenty_is_found_out() {
    let row = |number| json!([if number % 20 == 7 { 13.0 } else { number as f64 / 7.5 }, 1]);
    let rows = rows(200, row);
    let server = recorded("m", adder(2.0), CANARY, &rows);
    let reason = stopped(&server, "m", test_model("fails_at_13"), &rows[0]);
    assert!(reason.starts_with("rehearsal: only the candidate failed in"), "{reason}");
}

#[test]
fn a_good_candidate_goes_on_and_takes_the_evidence_with_it() {
    let rows = rows(260, |number| json!([number, 1]));
    let settings = "[rollout]\nstrategy = \"shadow\"\nrehearse = 120\n\
                    shadow = { sample = 1.0, min_pairs = 250 }\n";
    let server = recorded("m", adder(2.0), settings, &rows);
    server.put("m/2.onnx", adder(2.0 + 1e-6));
    let rollout = server.reaches("m", "shadowing");
    let transitions = transitions(&server, &rollout);
    assert_eq!(transitions[1].0, "rehearsing");
    assert_eq!(
        transitions[2].1,
        "nothing against it in 120 recorded requests; sampled requests are run on it as well"
    );
    let report = || server.admin_get("/shadow/report?model=m").ok()["reports"][0].clone();
    assert_eq!(report()["sampling"]["executed"], 120);
    assert_eq!(
        report()["noise"]["pairs"],
        120,
        "what stable answered then is held against its run"
    );
    // Alone these would not be enough.
    for row in &rows[..180] {
        server.predict("m", row).ok();
    }
    let rollout = server.reaches("m", "waiting");
    assert_eq!(rollout["verdict"]["decision"], "pass", "{rollout}");
    let sampling = within(PATIENCE, "all pairs", || {
        Some(report()["sampling"].clone()).filter(|sampling| sampling["executed"] == 300)
    });
    assert_eq!((&sampling["sampled"], &sampling["rehearsed"]), (&json!(300), &json!(120)));
}

#[test]
fn what_was_rehearsed_is_not_rehearsed_again() {
    let rows = rows(50, |number| json!([number, 1]));
    let settings = "[rollout]\nstrategy = \"shadow\"\nshadow = { sample = 1.0, min_pairs = 500 }\n";
    let mut server = recorded("m", adder(2.0), settings, &rows);
    server.put("m/2.onnx", adder(2.0 + 1e-6));
    server.reaches("m", "shadowing");
    assert_eq!(server.operate("m", "abort", json!({})).status, 200);
    server.predict("m", &rows[0]).ok();
    server.predict("m", &rows[1]).ok();
    // With the end all of them are on the disk.
    server.stop();
    server.start_again();
    assert_eq!(server.operate("m", "retry", json!({})).status, 200);
    let rollout = server.reaches("m", "shadowing");
    let transitions = transitions(&server, &rollout);
    let reason = &transitions.last().unwrap().1;
    assert!(reason.starts_with("nothing against it in 52 recorded requests"), "{reason}");
    let report = server.admin_get("/shadow/report?model=m").ok();
    let sampling = &report["reports"][0]["sampling"];
    assert_eq!((&sampling["executed"], &sampling["rehearsed"]), (&json!(52), &json!(52)));
}

#[test]
fn requests_of_which_only_digests_are_kept_cannot_be_rehearsed_on() {
    let rows = rows(20, |number| json!([number, 1]));
    let models = Models::made()
        .file("m/1.onnx", adder(2.0))
        .file("m/model.toml", "[rollout]\nstrategy = \"shadow\"");
    let settings = SERVER.replace("\"on\"", "\"hash\"");
    let server = TestServer::with_models(models).settings(&settings).start();
    for row in &rows {
        server.predict("m", row).ok();
    }
    let name = "greenroom_capture_records_total{model=\"m\"}";
    within(PATIENCE, "digests", || (server.metric(name) >= 20.0).then_some(()));
    server.put("m/2.onnx", adder(2.0 + 1e-6));
    let rollout = server.reaches("m", "shadowing");
    let reason = rollout["reason"].as_str().unwrap();
    assert!(reason.starts_with("it could not be rehearsed: none of 20 recorded"), "{reason}");
}
