//! What the command line shows of a canary, and how it steers one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Models, Talking, TestServer, Traffic, adder, assert_said, command, on_a_terminal, said, within,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Two steps, of which each takes the requests that it needs and nothing else. No request is run twice.
const SETTINGS: &str = r#"
[rollout]
strategy = "canary"
shadow = { sample = 0.0, min_pairs = 0 }
steps = [20, 50]
min_time = "0s"
min_requests = 30
bake = "1s"
"#;

/// A server on which version 2 of `m` has its first share of the traffic, and waits for requests.
fn server(settings: &str) -> TestServer {
    let models = Models::made().file("m/1.onnx", adder(1.0)).file("m/model.toml", settings);
    let server = TestServer::with_models(models).start();
    server.put("m/2.onnx", adder(2.0));
    server.reaches("m", "canary");
    server
}

fn counted(server: &TestServer) -> Option<Value> {
    let counts = server.rollout("m")["counts"].clone();
    let has_some = |arm: &str| counts[arm]["requests"].as_u64().unwrap_or(0) > 0;
    (has_some("stable") && has_some("candidate")).then_some(counts)
}

#[test]
fn a_status_tells_the_step_the_share_and_what_came_of_requests() {
    let server = server(&SETTINGS.replace("0s", "1h"));
    let told = said(&server, "rollout status m", 3);
    assert_said(&told, &["m 1 → 2: canary", "steps     [20], 50 %", "20 % on version 2"]);
    let traffic = Traffic::of(&server, "m");
    traffic.during(|| within(PATIENCE, "counted requests", || counted(&server)));
    let told = said(&server, "rollout status m", 3);
    assert_said(&told, &[" on version 1 (none failed), ", " on version 2 (none failed)"]);
    let told = said(&server, "rollout why m", 0);
    assert_said(&told, &["It is at step 1 of 2, with 20 % of the traffic.", "Live requests that"]);
    assert_said(&told, &["\nVerdict: "]);
}

#[test]
fn a_share_is_set_where_a_canary_has_one() {
    let server = server(SETTINGS);
    let told = said(&server, "rollout set-weight m 62.5 --reason more", 0);
    assert_said(&told, &["steps     20, [50] %", "62.5 % on version 2", "more", "set-weight"]);
    assert_eq!(server.rollout("m")["weight"], 62.5);
    for wrong in ["101", "lots"] {
        let refused = said(&server, &format!("rollout set-weight m {wrong}"), 2);
        assert_said(&refused, &["expected a share in per cent, from 0 to 100"]);
    }
    said(&server, "rollout promote m", 0);
    let refused = said(&server, "rollout set-weight m 5", 1);
    assert_said(&refused, &["`weight` does not fit: rollout r-000002 of version 2 is baking"]);
}

#[test]
fn who_insists_on_a_state_that_is_gone_is_told_so_and_nothing_happens() {
    let server = server(SETTINGS);
    let seq = server.rollout("m")["seq"].as_u64().unwrap();
    said(&server, &format!("rollout set-weight m 30 --if-match {seq}"), 0);
    let last = server.rollout("m")["seq"].clone();
    let sentence = format!("the rollout has changed since you looked: its last change is {last}");
    for verb in ["start", "promote", "pause", "resume", "abort", "undo", "retry", "set-weight"] {
        let weight = if verb == "set-weight" { "40" } else { "" };
        let line = format!("rollout {verb} m {weight} --if-match {seq}");
        assert_said(&said(&server, &line, 1), &[&sentence]);
    }
    assert_eq!(server.rollout("m")["seq"], last);
    said(&server, &format!("rollout abort m --if-match {last}"), 0);
}

#[test]
fn one_who_watches_sees_each_share_and_no_bar_where_there_is_no_terminal() {
    let server = server(SETTINGS);
    let mut watching = Talking::start(&mut command(&server, "rollout watch m"));
    watching.until("; the candidate has 20 % of the traffic\n");
    let ((code, said, complained), _) = Traffic::of(&server, "m").during(|| watching.end());
    let phases: Vec<&str> =
        said.lines().map(|line| line.split("  ").nth(3).unwrap_or(line)).collect();
    let [second, baking, completed] = phases[..] else { panic!("{said}") };
    assert!(second.starts_with("canary: ") && second.ends_with("50 % of the traffic"), "{said}");
    assert!(baking.starts_with("baking: ") && completed.starts_with("completed, "), "{said}");
    assert_eq!((code, complained.as_str()), (Some(0), ""));
}

#[test]
fn on_a_terminal_a_line_says_how_far_it_is() {
    let server = server(SETTINGS);
    let Some(mut watch) = on_a_terminal(&command(&server, "rollout watch m")) else { return };
    let mut watching = Talking::start(&mut watch);
    watching.until("canary, step 1 of 2, 20 %");
    server.operate("m", "weight", json!({ "weight": 62.5 }));
    watching.until("canary, step 2 of 2, 62.5 %");
    server.operate("m", "abort", json!({ "reason": "that is enough" }));
    let (code, said, _) = watching.end();
    assert_eq!(code, Some(1), "{said}");
    assert_said(&said, &["aborted: that is enough"]);
}
