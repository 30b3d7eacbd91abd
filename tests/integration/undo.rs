//! What an operator took back stays away until an operator wants it, or something newer comes.

use std::fs::File;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::support::{Models, Request, TestServer, adder};

/// A server on which version 2 of `m` has just followed version 1; version k adds k.
fn server() -> TestServer {
    let server = TestServer::with_models(Models::made().file("m/1.onnx", adder(1.0))).start();
    server.put("m/2.onnx", adder(2.0));
    server.serves("m", "2", 2.0);
    server
}

#[track_caller]
fn assert_served(server: &TestServer, version: &str) {
    let (served, added) = server.served("m");
    assert_eq!((served.as_str(), added), (version, version.parse().unwrap()));
}

#[track_caller]
fn done(server: &TestServer, verb: &str, wish: Value) -> Value {
    server.operate("m", verb, wish).ok()
}

/// What fits, when this does not.
#[track_caller]
fn does_not_fit(server: &TestServer, verb: &str, wish: Value) -> Value {
    let answer = server.operate("m", verb, wish);
    let told = answer.json();
    assert_eq!((answer.status, &told["code"]), (409, &json!("verb_does_not_fit")), "{told}");
    told["verbs"].clone()
}

#[test]
fn an_undo_swaps_back_at_once_and_says_who_and_why() {
    let server = server();
    let seen = server.watched("m", || {
        let told = done(&server, "undo", json!({ "actor": "ada", "reason": "it drifts" }));
        assert_served(&server, "1");
        let told = ["phase", "actor", "reason"].map(|key| &told[key]).map(Value::to_string);
        assert_eq!(told[0], "\"aborted\"");
        assert!(told[2].contains("it drifts"), "{told:?}");
    });
    let versions: Vec<&str> = seen.iter().map(|(version, _)| version.as_str()).collect();
    assert!(versions == ["2", "1"] || versions == ["1"], "{versions:?}");
    assert_eq!(server.told("m")["stable"], "1");
}

#[test]
fn what_was_undone_does_not_come_back_by_itself() {
    let mut server = server();
    done(&server, "undo", json!({}));
    let file = File::options().append(true).open(server.models().join("m/2.onnx")).unwrap();
    file.set_modified(SystemTime::now()).unwrap();
    server.looks_again();
    assert_served(&server, "1");
    server.put("m/2.onnx", adder(2.0));
    server.looks_again();
    assert_served(&server, "1");

    assert_eq!(server.stop().code(), Some(0));
    server.start_again();
    server.looks_again();
    assert_served(&server, "1");
    server.kill();
    server.start_again();
    server.looks_again();
    assert_served(&server, "1");
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 aborted"]);

    server.put("m/3.onnx", adder(3.0));
    server.serves("m", "3", 3.0);
}

#[test]
fn what_was_undone_after_its_bake_does_not_come_back_by_itself_either() {
    let mut server = server();
    done(&server, "promote", json!({}));
    done(&server, "undo", json!({}));
    assert_served(&server, "1");
    server.put("m/2.onnx", adder(2.0));
    server.looks_again();
    assert_eq!(server.stop().code(), Some(0));
    server.start_again();
    server.looks_again();
    assert_served(&server, "1");
    server.put("m/3.onnx", adder(3.0));
    server.serves("m", "3", 3.0);
}

#[test]
fn a_second_undo_in_the_bake_does_not_fit() {
    let server = server();
    done(&server, "undo", json!({}));
    assert_eq!(does_not_fit(&server, "undo", json!({})), json!(["retry", "start"]));
    assert_served(&server, "1");
}

#[test]
fn an_undo_can_be_undone() {
    let server = server();
    done(&server, "promote", json!({}));
    done(&server, "undo", json!({}));
    assert_served(&server, "1");
    done(&server, "undo", json!({}));
    assert_served(&server, "2");
}

#[test]
fn a_verb_that_does_not_fit_is_answered_with_those_that_do() {
    let server = server();
    assert_eq!(
        does_not_fit(&server, "retry", json!({})),
        json!(["promote", "pause", "abort", "undo", "start"])
    );
    done(&server, "promote", json!({}));
    assert_eq!(does_not_fit(&server, "promote", json!({})), json!(["undo", "start"]));
    assert_eq!(does_not_fit(&server, "abort", json!({})), json!(["undo", "start"]));
    assert_eq!(does_not_fit(&server, "pause", json!({})), json!(["undo", "start"]));
    let stable = json!({ "version": "2" });
    assert_eq!(does_not_fit(&server, "start", stable), json!(["undo", "start"]));
    assert_eq!(server.operate("m", "start", json!({ "version": "7" })).status, 404);
    assert_served(&server, "2");
}

#[test]
fn one_who_has_not_seen_the_last_change_is_not_followed() {
    let server = server();
    let path = "/admin/v1/models/m/rollout";
    let tag = |server: &TestServer| server.admin_get(path).header("etag").unwrap().to_owned();
    let command = |verb: &str, tag: &str| {
        let request = Request::post(&format!("{path}/{verb}"), "{}").header("if-match", tag);
        server.ask_at(server.admin(), &request)
    };
    let old = tag(&server);
    assert_eq!(command("promote", &old).status, 200);
    let answer = command("undo", &old);
    assert_eq!((answer.status, &answer.json()["code"]), (412, &json!("stale")));
    assert_eq!(answer.header("etag"), Some(tag(&server).as_str()));
    assert_served(&server, "2");
    assert_eq!(command("undo", &tag(&server)).status, 200);
    assert_served(&server, "1");
}

#[test]
fn what_was_aborted_can_be_tried_again() {
    let server = server();
    let aborted = done(&server, "abort", json!({}));
    assert_served(&server, "1");
    let again = done(&server, "retry", json!({}));
    assert_eq!(again["parent"], aborted["id"]);
    server.serves("m", "2", 2.0);
    assert_eq!(server.told("m")["previous"], "1");
}

#[test]
fn an_older_version_can_be_started() {
    let server = server();
    server.put("m/3.onnx", adder(3.0));
    server.serves("m", "3", 3.0);
    done(&server, "start", json!({ "version": "1" }));
    server.serves("m", "1", 1.0);
    server.reaches("m", "baking");
    // Newer than everything that was released.
    server.put("m/4.onnx", adder(4.0));
    server.serves("m", "4", 4.0);
}

#[test]
fn the_history_keeps_everything() {
    let mut server = server();
    done(&server, "undo", json!({ "reason": "it drifts", "actor": "ada" }));
    done(&server, "retry", json!({}));
    server.serves("m", "2", 2.0);
    done(&server, "promote", json!({}));
    server.put("m/3.onnx", adder(3.0));
    server.serves("m", "3", 3.0);
    done(&server, "undo", json!({}));
    let expected = ["- → 1 completed", "1 → 2 aborted", "1 → 2 completed", "2 → 3 aborted"];
    assert_eq!(server.history("m"), expected);
    assert_eq!(server.stop().code(), Some(0));
    server.start_again();
    assert_eq!(server.history("m"), expected);

    let told = server.admin_get("/admin/v1/models/m/rollouts/r-000002").ok();
    let transitions = told["transitions"].as_array().unwrap().iter();
    let phases: Vec<&Value> = transitions.clone().map(|transition| &transition["to"]).collect();
    assert_eq!(phases, ["loading", "baking", "aborted"]);
    let last = transitions.last().unwrap();
    assert_eq!((&last["actor"], &last["reason"]), (&json!("ada"), &json!("it drifts")));
}
