//! A server that dies in the middle of a canary goes on with it, with its evidence.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Models, TestServer, Traffic, adder, within};

const PATIENCE: Duration = Duration::from_secs(60);
const DIE_AT: &str = "GREENROOM_TEST_DIE_AT";

const SETTINGS: &str = r#"
[rollout]
strategy = "canary"
change = "new-task"
shadow = { sample = 0.0, min_pairs = 0 }
steps = [20, 50]
min_time = "1h"
bake = "1h"
"#;

/// Version 2 of `m` has a fifth of the traffic.
fn canary(settings: &str) -> TestServer {
    let models = Models::made().file("m/1.onnx", adder(1.0)).file("m/model.toml", settings);
    let server = TestServer::with_models(models).start();
    server.put("m/2.onnx", adder(2.0));
    server
}

/// The phase, stage and weight of the rollout.
fn stands(server: &TestServer) -> String {
    let rollout = server.rollout("m");
    let text = |key: &str| rollout[key].as_str().unwrap_or("-").to_owned();
    format!(
        "{} {} {} {}",
        rollout["id"].as_str().unwrap(),
        text("phase"),
        text("stage"),
        rollout["weight"]
    )
}

/// Asks until the candidate, warm again, has answered.
#[track_caller]
fn is_warm_again(server: &TestServer) {
    within(PATIENCE, "a candidate that answers again", || {
        let (version, _) = server.served("m");
        (version == "2").then_some(())
    });
}

#[test]
fn it_goes_on_in_the_stage_in_which_it_was_killed() {
    let shadow = SETTINGS.replace("sample = 0.0, min_pairs = 0", "sample = 1.0, min_pairs = 1000");
    let mut server = canary(&shadow);
    server.reaches("m", "shadowing");
    let goes_on = |server: &mut TestServer| {
        let before = stands(server);
        server.kill();
        server.start_again();
        assert_eq!(stands(server), before);
        server.looks_again();
        assert_eq!(stands(server), before);
    };
    goes_on(&mut server);
    server.operate("m", "promote", json!({})).ok();
    goes_on(&mut server);
    is_warm_again(&server);
    server.operate("m", "pause", json!({})).ok();
    goes_on(&mut server);
    is_warm_again(&server);
    server.operate("m", "weight", json!({ "weight": 33 })).ok();
    goes_on(&mut server);
    server.operate("m", "promote", json!({})).ok();
    assert_eq!(stands(&server), "r-000002 canary canary 50");
    goes_on(&mut server);
    server.operate("m", "promote", json!({})).ok();
    goes_on(&mut server);
    assert_eq!(stands(&server), "r-000002 baking bake 100");
    server.serves("m", "2", 2.0);
    assert_eq!(server.operate("m", "undo", json!({})).ok()["phase"], "aborted");
    server.serves("m", "1", 1.0);
}

#[test]
fn what_was_seen_before_is_not_forgotten() {
    let mut server = canary(SETTINGS);
    server.reaches("m", "canary");
    let requests = |server: &TestServer| {
        let counts = server.rollout("m")["counts"].clone();
        ["stable", "candidate"].map(|arm| counts[arm]["requests"].as_u64().unwrap_or(0))
    };
    let ((), _) = Traffic::of(&server, "m").during(|| {
        within(PATIENCE, "some hundred requests", || {
            let [stable, candidate] = requests(&server);
            (stable > 300 && candidate > 50).then_some(())
        });
    });
    // Counted, and written down.
    let [stable, candidate] = requests(&server);
    let saved: Value = within(PATIENCE, "an observation that is written down", || {
        let journal = rusqlite::Connection::open(server.state().join("journal.sqlite3")).unwrap();
        let question = "SELECT document FROM observations WHERE rollout = 2";
        let document: String = journal.query_row(question, [], |row| row.get(0)).ok()?;
        let saved: Value = serde_json::from_str(&document).unwrap();
        let counts = &saved["observed"]["cells"][0]["counts"];
        (counts["stable"]["requests"].as_u64() >= Some(stable)).then_some(saved)
    });
    assert_eq!(saved["observed"]["cells"][0]["weight"], 200_000, "in millionths: {saved}");
    server.kill();
    server.start_again();
    within(PATIENCE, "the same counts", || {
        let [stable_now, candidate_now] = requests(&server);
        (stable_now >= stable && candidate_now >= candidate).then_some(())
    });
    is_warm_again(&server);
}

#[test]
fn a_change_that_was_written_down_and_not_shown_holds() {
    let mut server = canary(SETTINGS);
    server.reaches("m", "canary");
    for (phase, verb, wish, expected) in [
        ("canary", "weight", json!({ "weight": 40 }), "r-000002 canary canary 40"),
        ("paused", "pause", json!({}), "r-000002 paused canary 40"),
        ("baking", "promote", json!({}), "r-000002 canary canary 50"),
        ("aborted", "abort", json!({}), "r-000002 aborted - 0"),
    ] {
        // From `paused`, `promote` leads to a step: the moment is never met, and it simply answers.
        server.stop();
        server.set_environment(DIE_AT, Some(&format!("recorded:{phase}")));
        server.start_again();
        let path = format!("/admin/v1/models/m/rollout/{verb}");
        let request = crate::support::Request::post(&path, wish.to_string());
        let asked = server.connect_admin().ask(&request);
        if phase == "baking" {
            assert_eq!(asked.unwrap().status, 200);
            server.stop();
        } else {
            assert!(asked.is_err(), "{phase}: {asked:?}");
            assert_eq!(server.ended().signal(), Some(9));
        }
        server.set_environment(DIE_AT, None);
        server.start_again();
        assert_eq!(stands(&server), expected);
        server.looks_again();
        assert_eq!(stands(&server), expected);
    }
    server.serves("m", "1", 1.0);
}
