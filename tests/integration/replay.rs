//! `greenroom replay`: what a model was asked in production, on two of its versions.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Models, Run, TestServer, adder, assert_said, command, said, within};

const PATIENCE: Duration = Duration::from_secs(60);

const SHADOW: &str = "[rollout]\nstrategy = \"shadow\"\nrehearse = 0\nchange = \"equivalent\"\n\
                      shadow = { sample = 1.0, min_pairs = 100000 }\n";

/// A server that records everything, of which version k of the model adds k.
fn recording(settings: &str) -> TestServer {
    let models = Models::made().file("m/1.onnx", adder(1.0)).file("m/model.toml", SHADOW);
    let capture = format!("[capture]\nmode = \"on\"\nsample = 1.0\n{settings}");
    let shadow = "[shadow]\nmax_rps = 1000\nmax_busy = 1.0\n";
    TestServer::with_models(models).settings(&format!("{capture}\n{shadow}")).start()
}

/// Asks so many times, and waits until that is recorded.
fn ask(server: &TestServer, count: usize) {
    let mut connection = server.connect();
    for number in 0..count {
        let body = format!("{{\"instances\": [[{number}, 0.5]]}}");
        connection.ask(&crate::support::Request::predict("m", body)).unwrap().ok();
    }
    within(PATIENCE, "recorded requests", || {
        let recorded = server.metric("greenroom_capture_records_total{model=\"m\"}");
        (recorded >= count as f64).then_some(())
    });
}

#[track_caller]
fn report(server: &TestServer, line: &str, code: i32) -> Value {
    let run = Run::of(&mut command(server, &format!("replay --json {line}")));
    assert_eq!(run.code, Some(code), "{run:?}");
    let answer: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(answer["schema"], "shadow.report/1");
    answer["reports"][0].clone()
}

#[test]
fn the_version_on_trial_is_judged_by_what_the_stable_one_was_asked() {
    let mut server = recording("");
    ask(&server, 300);
    server.put("m/2.onnx", adder(2.0));
    server.reaches("m", "shadowing");
    let worse = report(&server, "--model m", 1);
    assert_eq!(
        (&worse["stable"]["version"], &worse["candidate"]["version"]),
        (&json!("1"), &json!("2"))
    );
    assert_eq!(worse["stable"]["digest"], server.told("m")["versions"][0]["digest"]);
    assert_eq!(worse["sampling"]["executed"], 300);
    assert_eq!(worse["verdict"]["decision"], "fail");
    assert_eq!(worse["change"], "equivalent", "as the settings of the model have it");
    assert_eq!(
        worse["noise"]["pairs"], 300,
        "{}: live answers are the recorded ones",
        worse["noise"]
    );
    let page = server.state().join("page.html");
    let words = said(&server, &format!("replay --model m --html {}", page.display()), 1);
    assert_said(
        &words,
        &["version 2 of `m` is worse than version 1 of `m`: ", "300 pairs were compared"],
    );
    assert!(fs::read_to_string(page).unwrap().contains("shadow.report/1"));
    // Without a server it is the same.
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(report(&server, "--model m --version 2", 1)["sampling"]["executed"], 300);
}

#[test]
fn what_cannot_be_replayed_is_told() {
    let server = recording("redact = [\"Z\"]\n");
    let words = said(&server, "replay --model m", 2);
    assert_said(&words, &["`m` has no version to compare with its stable one, 1; it has: 1"]);
    server.put("m/2.onnx", adder(1.000001));
    server.reaches("m", "shadowing");
    let words = said(&server, "replay --model m", 2);
    assert_said(&words, &["no requests are recorded in", "[capture] mode = \"on\""]);
    ask(&server, 3);
    for (line, expected) in [
        ("replay --model m --version 7", "`m` has no version 7; it has: 1, 2"),
        ("replay --model m --version 1", "version 1 of `m` is the stable one; name another"),
        ("replay --model other", "there is no model `other` in"),
        ("replay --sample s-000009-1", "there is no example `s-000009-1`"),
    ] {
        assert_said(&said(&server, line, 2), &[expected]);
    }
    let words = said(&server, "replay --model m", 3);
    assert_said(&words, &["it is not shown that version 2 of `m` can take the place of version 1"]);
    let nowhere = server.state().join("nowhere");
    let mut replay = crate::support::greenroom();
    let run = Run::of(replay.args(["replay", "--model", "m", "--state"]).arg(&nowhere));
    assert_eq!(run.code, Some(2));
    assert_said(&run.stderr, &["there is no state folder"]);
}

#[test]
fn an_input_that_was_never_recorded_cannot_be_asked_again() {
    let server = recording("redact = [\"X\"]\n");
    ask(&server, 5);
    server.put("m/2.onnx", adder(1.000001));
    server.reaches("m", "shadowing");
    let words = said(&server, "replay --model m", 2);
    assert_said(
        &words,
        &["5 of 5 recorded requests are left out: 5 of which an input was never recorded"],
    );
}

#[test]
fn the_settings_may_be_others_and_an_example_is_run_again() {
    let server = recording("");
    server.put("m/2.onnx", adder(2.0));
    server.reaches("m", "shadowing");
    ask(&server, 50);
    let id = within(PATIENCE, "an example", || {
        let answer = server.admin_get("/shadow/report?model=m").ok();
        let worst = answer["reports"][0]["worst"].as_array()?.clone();
        let worst = worst.iter().find(|example| example["has_inputs"] == true)?;
        Some(worst["id"].as_str().unwrap().to_owned())
    });
    let words = said(&server, &format!("replay --sample {id}"), 0);
    assert_said(&words, &["version 1 of `m`", "version 2 of `m`", "X", "Y"]);
    let run = Run::of(&mut command(&server, &format!("replay --json --sample {id}")));
    let shown: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&shown["stable"]["version"], &shown["candidate"]["version"]),
        (&json!("1"), &json!("2"))
    );
    let expected = json!([{ "output": "Y", "elements": 2, "differing": 2, "largest": 1.0 }]);
    assert_eq!(shown["differences"], expected);
    let sample = server.admin_get(&format!("/shadow/samples/{id}")).ok();
    assert_eq!(shown["inputs"], sample["inputs"]);
    assert_eq!(shown["stable"]["outputs"], sample["stable"]);
    assert_eq!(shown["candidate"]["outputs"], sample["candidate"]);
    let settings = server.state().join("other.toml");
    fs::write(&settings, "[rollout]\nchange = \"new-task\"\n").unwrap();
    let line = format!("--model m --settings {}", settings.display());
    assert_eq!(report(&server, &line, 3)["change"], "new-task");
}
