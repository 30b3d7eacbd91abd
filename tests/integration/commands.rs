//! Operators' commands ask a running server, and their exit codes tell scripts how it stands.

use std::thread;

use serde_json::Value;

use crate::support::{Models, TestServer, adder, assert_said, said};

/// A server on which version 2 of `m` has just followed version 1.
fn server() -> TestServer {
    let server = TestServer::with_models(Models::made().file("m/1.onnx", adder(1.0))).start();
    server.put("m/2.onnx", adder(2.0));
    server.serves("m", "2", 2.0);
    server
}

#[test]
fn models_are_listed() {
    let server = server();
    assert_said(&said(&server, "models", 0), &["MODEL", "m"]);
    assert_said(&said(&server, "models m", 0), &["ready", "stable", "previous", "m/2.onnx"]);
    let told: Value = serde_json::from_str(&said(&server, "models m --json", 0)).unwrap();
    assert_eq!(told, server.told("m"));
    let told: Value = serde_json::from_str(&said(&server, "models --json", 0)).unwrap();
    assert_eq!(told["models"][0], server.told("m"));
    assert_said(&said(&server, "models nope", 4), &["model `nope` does not exist"]);
}

#[test]
fn the_exit_code_of_a_status_says_how_a_rollout_stands() {
    let server = server();
    assert_said(&said(&server, "rollout status m", 3), &["m 1 → 2: baking", "100 %"]);
    said(&server, "rollout promote m", 0);
    assert_said(&said(&server, "rollout status m", 0), &["m 1 → 2: completed"]);
    server.put("m/3.onnx", adder(3.0));
    server.serves("m", "3", 3.0);
    said(&server, "rollout abort m --reason drifts", 0);
    assert_said(&said(&server, "rollout status m", 1), &["m 2 → 3: aborted", "drifts"]);
    let told: Value = serde_json::from_str(&said(&server, "rollout status m --json", 1)).unwrap();
    assert_eq!(told, server.rollout("m"));
}

#[test]
fn an_undo_is_done_once_and_then_does_not_fit() {
    let server = server();
    said(&server, "rollout undo m --reason drifts --actor ada", 0);
    assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
    let refused = said(&server, "rollout undo m", 1);
    assert_said(&refused, &["`undo` does not fit", "what fits: `retry`, `start`"]);
    said(&server, "rollout retry m", 0);
    server.serves("m", "2", 2.0);
    let history = said(&server, "rollout history m", 0);
    assert_said(&history, &["r-000003", "r-000002", "r-000001", "1 → 2", "aborted", "drifts"]);
    said(&server, "rollout undo m --to 1", 0);
    server.serves("m", "1", 1.0);
    said(&server, "rollout start m --version 2", 0);
    server.serves("m", "2", 2.0);
}

#[test]
fn one_who_watches_sees_the_end_or_the_time_run_out() {
    let server = server();
    let late = said(&server, "rollout watch m --timeout 300ms", 124);
    assert_said(&late, &["1 → 2  baking", "there was no outcome within 300ms"]);
    thread::scope(|scope| {
        let watching = scope.spawn(|| said(&server, "rollout watch m --timeout 9s", 0));
        said(&server, "rollout promote m", 0);
        assert_said(&watching.join().unwrap(), &["1 → 2  completed"]);
    });
    said(&server, "rollout watch m", 0);
}

#[test]
fn without_a_server_there_is_no_answer() {
    let mut server = server();
    assert_eq!(server.stop().code(), Some(0));
    let nobody = said(&server, "rollout status m", 4);
    assert_said(&nobody, &["no server runs here", "greenroom serve"]);
    server.start_again();
    server.kill();
    assert_said(&said(&server, "models", 4), &["is gone"]);
}
