//! A server that dies between writing a change down and showing it goes on as it was written.
//!
//! That moment lasts for microseconds, so the server is told to kill itself there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Connection, Models, Request, Served, TestServer, adder, within};

const PATIENCE: Duration = Duration::from_secs(60);
const DIE_AT: &str = "GREENROOM_TEST_DIE_AT";

/// A server on which version 2 of `m` is being watched after version 1, for so long; version k adds k.
fn server(bake: &str) -> TestServer {
    let settings = format!("[rollout]\nbake = \"{bake}\"\n");
    let models = Models::made().file("m/1.onnx", adder(1.0)).file("m/model.toml", settings);
    let server = TestServer::with_models(models).start();
    server.put("m/2.onnx", adder(2.0));
    server.serves("m", "2", 2.0);
    server
}

/// Has it die when it has written down that a rollout has reached this phase. Gives who answers after a restart.
#[track_caller]
fn dies(server: &mut TestServer, phase: &str, act: impl FnOnce(&TestServer)) -> Served {
    assert_eq!(server.stop().code(), Some(0));
    server.set_environment(DIE_AT, Some(&format!("recorded:{phase}")));
    server.start_again();
    act(server);
    assert_eq!(server.ended().signal(), Some(9));
    server.set_environment(DIE_AT, None);
    server.start_again();
    server.served("m")
}

/// Has an operator ask a server that will not live to answer.
fn operate(server: &TestServer, verb: &str) {
    let path = format!("/admin/v1/models/m/rollout/{verb}");
    let asked = Connection::open(server.admin()).unwrap().ask(&Request::post(&path, "{}"));
    assert!(asked.is_err(), "{asked:?}");
}

fn stands_at(version: &str) -> Served {
    (version.to_owned(), version.parse().unwrap())
}

/// The store holds the contents that the models' pages show, and nothing else.
#[track_caller]
fn assert_store_is_accounted_for(server: &TestServer) {
    let models = server.get("/v1/models").ok();
    let names = models["models"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let digests_of = |model: &str| -> Vec<String> {
        let told = server.told(model);
        let digests = told["versions"].as_array().unwrap().iter().map(|known| &known["digest"]);
        digests.map(|digest| digest.as_str().unwrap().replace("sha256:", "")).collect()
    };
    let expected: BTreeSet<String> = names.flat_map(digests_of).collect();
    within(PATIENCE, "a store with what is accounted for alone", || {
        let folder = fs::read_dir(server.state().join("store")).unwrap();
        let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        (names.collect::<BTreeSet<String>>() == expected).then_some(())
    });
}

#[test]
fn a_release_that_was_begun_goes_on() {
    let mut server = server("10m");
    let before = dies(&mut server, "loading", |server| server.put("m/3.onnx", adder(3.0)));
    assert!([stands_at("2"), stands_at("3")].contains(&before), "{before:?}");
    server.serves("m", "3", 3.0);
    let expected = ["- → 1 completed", "1 → 2 superseded", "2 → 3 baking"];
    assert_eq!(server.history("m"), expected);
    assert_store_is_accounted_for(&server);
}

#[test]
fn a_release_that_was_recorded_is_served() {
    let mut server = server("10m");
    let after = dies(&mut server, "baking", |server| server.put("m/3.onnx", adder(3.0)));
    assert_eq!(after, stands_at("3"));
    server.looks_again();
    assert_eq!(server.served("m"), stands_at("3"));
    assert_eq!(server.told("m")["previous"], "2");
    let expected = ["- → 1 completed", "1 → 2 superseded", "2 → 3 baking"];
    assert_eq!(server.history("m"), expected);
    assert_store_is_accounted_for(&server);
    assert_eq!(server.operate("m", "undo", json!({})).status, 200);
    assert_eq!(server.served("m"), stands_at("2"));
}

#[test]
fn an_undo_that_was_recorded_holds() {
    let mut server = server("10m");
    assert_eq!(dies(&mut server, "aborted", |server| operate(server, "undo")), stands_at("1"));
    server.looks_again();
    assert_eq!(server.served("m"), stands_at("1"));
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 aborted"]);
    assert_store_is_accounted_for(&server);
    server.put("m/3.onnx", adder(3.0));
    server.serves("m", "3", 3.0);
}

#[test]
fn an_undo_after_the_bake_that_was_recorded_holds() {
    let mut server = server("10m");
    server.operate("m", "promote", json!({})).ok();
    assert_eq!(dies(&mut server, "completed", |server| operate(server, "undo")), stands_at("1"));
    server.looks_again();
    assert_eq!(server.served("m"), stands_at("1"));
    let expected = ["- → 1 completed", "1 → 2 completed", "2 → 1 completed"];
    assert_eq!(server.history("m"), expected);
    assert_store_is_accounted_for(&server);
}

#[test]
fn the_end_of_a_bake_that_was_recorded_is_not_told_twice() {
    let mut server = server("5s");
    let after = dies(&mut server, "completed", |_| {}); // time passes
    assert_eq!(after, stands_at("2"));
    let rollout = server.rollout("m");
    let told: [&Value; 2] = [&rollout["phase"], &rollout["reason"]];
    assert_eq!(told, ["completed", "the bake time is over"]);
    server.looks_again();
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 completed"]);
    assert_store_is_accounted_for(&server);
    // The version before is kept warm, as if nothing had happened.
    assert_eq!(server.operate("m", "undo", json!({})).status, 200);
    assert_eq!(server.served("m"), stands_at("1"));
}
