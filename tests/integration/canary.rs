//! A version takes its traffic in steps, and no client notices what becomes of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::shadow_page::schema;
use crate::support::{Models, Request, TestServer, Traffic, adder, greenroom, test_model, within};

const PATIENCE: Duration = Duration::from_secs(120);

/// Steps that take as little time as they can. Outputs are shown and not judged: version 2 adds something else.
const SETTINGS: &str = r#"
[scheduler]
deadline = "1s"
[rollout]
strategy = "canary"
change = "new-task"
shadow = { sample = 1.0, min_pairs = 0 }
steps = [5, 10, 25, 50]
min_time = "200ms"
min_requests = 3
bake = "1s"
[gates]
latency = { margin = 1.0, floor = "1s" }
"#;

/// Pairs cost nothing here.
const SERVER: &str = "[shadow]\nmax_rps = 1000\nmax_busy = 1.0\n";

/// Version 1 of `m` answers.
fn server(settings: &str) -> TestServer {
    let models = Models::made().file("m/1.onnx", adder(1.0)).file("m/model.toml", settings);
    TestServer::with_models(models).settings(SERVER).start()
}

/// Waits for the end of the rollout of version 2.
fn ends(server: &TestServer) -> Value {
    within(PATIENCE, "the end of the rollout", || {
        let rollout = server.rollout("m");
        let is_over = ["completed", "rolled-back", "aborted", "refused"]
            .iter()
            .any(|phase| rollout["phase"] == *phase);
        (is_over && rollout["candidate"] == "2").then_some(rollout)
    })
}

fn transitions(server: &TestServer) -> Vec<Value> {
    let told = server.admin_get("/admin/v1/models/m/rollouts/r-000002").ok();
    told["transitions"].as_array().unwrap().clone()
}

#[test]
fn a_good_candidate_walks_through_its_steps_and_bakes() {
    let server = server(SETTINGS);
    let (rollout, answers) = Traffic::of(&server, "m").during(|| {
        server.put("m/2.onnx", adder(2.0));
        ends(&server)
    });
    assert_eq!(rollout["phase"], "completed", "{rollout}");
    let phases: Vec<String> = transitions(&server)
        .iter()
        .map(|transition| {
            let reason = transition["reason"].as_str().unwrap();
            let weight =
                reason.split("the candidate has ").nth(1).and_then(|it| it.split(' ').next());
            let phase = transition["to"].as_str().unwrap();
            weight.map_or(phase.to_owned(), |weight| format!("{phase} {weight}"))
        })
        .collect();
    let expected =
        ["loading", "canary 5", "canary 10", "canary 25", "canary 50", "baking", "completed"];
    assert_eq!(phases, expected);
    assert!(answers.count(|kind| kind == "2 candidate -") > 0, "{answers:?}");
    assert!(answers.count(|kind| kind == "2 stable -") > 0, "{answers:?}");
    assert_eq!(answers.count(|kind| !kind.ends_with(" -")), 0, "nobody was rescued: {answers:?}");
    server.serves("m", "2", 2.0);
    // What was found out can be read.
    let report = server.admin_get("/shadow/report?rollout=r-000002").ok();
    assert_eq!(schema::problems(&report), Vec::<String>::new());
    let verdict = &report["reports"][0]["verdict"];
    let names: Vec<&str> = verdict["gates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gate| gate["name"].as_str().unwrap())
        .collect();
    // In the bake there are no live requests to compare, and pairs have to prove it.
    assert!(names == ["pair-errors", "latency"] || names == ["errors", "latency"], "{verdict}");
}

/// Version 2 is this model, and 13s come now and then.
#[track_caller]
fn is_rolled_back(candidate: Vec<u8>, settings: &str, fallback: &str) -> String {
    let server = server(settings);
    let traffic = Traffic { thirteen_each: 5, ..Traffic::of(&server, "m") };
    let (rollout, answers) = traffic.during(|| {
        server.put("m/2.onnx", candidate);
        ends(&server)
    });
    assert_eq!(rollout["phase"], "rolled-back", "{rollout}");
    assert_eq!(rollout["weight"], 0);
    assert!(answers.count(|kind| kind == format!("1 stable {fallback}")) > 0, "{answers:?}");
    server.serves("m", "1", 1.0);
    // The reason is told by everybody who can be asked.
    let reason = rollout["reason"].as_str().unwrap().to_owned();
    let last = transitions(&server).pop().unwrap();
    assert_eq!((&last["to"], &last["reason"]), (&json!("rolled-back"), &json!(reason)));
    let told = |command: &str| {
        let mut asking = greenroom();
        asking.args(["rollout", command, "m", "--server", &format!("http://{}", server.admin())]);
        let output = asking.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for command in ["status", "why"] {
        let told = told(command).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(&reason), "`{command}` does not tell `{reason}`: {told}");
    }
    assert!(server.log().contains(&reason));
    reason
}

#[test]
fn a_candidate_that_fails_on_some_inputs_is_taken_back() {
    let reason = is_rolled_back(test_model("fails_at_13"), SETTINGS, "error");
    assert!(reason.contains("the candidate failed in"), "{reason}");
}

#[test]
fn a_candidate_that_fails_all_the_time_is_taken_back_at_once() {
    let settings = SETTINGS.replace("sample = 1.0", "sample = 0.0");
    let server = server(&settings);
    let traffic = Traffic { thirteen_each: 1, ..Traffic::of(&server, "m") };
    let (rollout, answers) = traffic.during(|| {
        server.put("m/2.onnx", test_model("fails_at_13"));
        ends(&server)
    });
    assert_eq!(rollout["phase"], "rolled-back", "{rollout}");
    let reason = rollout["reason"].as_str().unwrap();
    assert!(reason.contains("in a row"), "{reason}");
    let rescued = answers.count(|kind| kind == "1 stable error");
    assert!((5..50).contains(&rescued), "{answers:?}");
    assert_eq!(answers.count(|kind| kind.starts_with('2')), 0, "{answers:?}");
}

#[test]
fn a_candidate_that_answers_what_is_no_number_is_taken_back() {
    let reason = is_rolled_back(test_model("nan_at_13"), SETTINGS, "error");
    assert!(reason.contains("NaN"), "{reason}");
}

#[test]
fn a_candidate_that_hangs_is_taken_back() {
    // It takes a minute for each of these numbers.
    let settings = SETTINGS.replace("deadline = \"1s\"", "deadline = \"2s\"");
    let server = server(&settings);
    let traffic = Traffic { from: 60_000, ..Traffic::of(&server, "m") };
    let (rollout, answers) = traffic.during(|| {
        server.put("m/2.onnx", test_model("patient"));
        ends(&server)
    });
    assert_eq!(rollout["phase"], "rolled-back", "{rollout}");
    assert!(answers.count(|kind| kind == "1 stable timeout") > 0, "{answers:?}");
    server.serves("m", "1", 1.0);
}

#[test]
fn a_candidate_that_hangs_and_cannot_be_stopped_is_taken_back() {
    // A minute for each, in one node. Nothing but that is held against it.
    let settings = SETTINGS
        .replace("deadline = \"1s\"", "deadline = \"500ms\"")
        .replace("sample = 1.0", "sample = 0.0");
    let mut server = server(&settings);
    let traffic = Traffic { from: 60_000, ..Traffic::of(&server, "m") };
    let (rollout, answers) = traffic.during(|| {
        server.put("m/2.onnx", test_model("stubborn"));
        let rollout = ends(&server);
        // Its runs go on, and nobody notices.
        for _ in 0..100 {
            server.served("m");
        }
        rollout
    });
    assert_eq!(rollout["phase"], "rolled-back", "{rollout}");
    assert_eq!(answers.count(|kind| kind.starts_with('2')), 0, "{answers:?}");
    assert!(server.log().contains("its thread gives way to all others"));
    assert_eq!(server.stop().code(), Some(0), "the server does not wait for them");
}

#[test]
fn the_same_failures_of_both_versions_are_nobodys_fault() {
    // Both fail at 13; only the candidate is rescued, in vain.
    let models =
        Models::made().file("m/2.onnx", test_model("fails_at_13")).file("m/model.toml", SETTINGS);
    let server = TestServer::with_models(models).settings(SERVER).start();
    let same = [test_model("fails_at_13"), vec![0x2a, 0x00]].concat(); // an empty field more
    server.put("m/3.onnx", same);
    server.reaches("m", "canary");
    let bad = Request::predict("m", r#"{"instances": [[13, 0]]}"#);
    let good = Request::predict("m", r#"{"instances": [[1, 0]]}"#);
    let mut connection = server.connect();
    let rollout = within(PATIENCE, "the end of the rollout", || {
        assert_eq!(connection.ask(&bad).unwrap().status, 500);
        for _ in 0..10 {
            assert_eq!(connection.ask(&good).unwrap().status, 200);
        }
        Some(server.rollout("m")).filter(|rollout| rollout["phase"] == "completed")
    });
    assert_eq!(rollout["candidate"], "3", "{rollout}");
}
