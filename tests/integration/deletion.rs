//! A file that is deleted takes back what was being released from it, and never what answers.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Models, TestServer, adder, is_long, row, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server on which version 2 of `m` has just followed version 1; version k adds k.
fn server() -> TestServer {
    let server = TestServer::with_models(Models::made().file("m/1.onnx", adder(1.0))).start();
    server.put("m/2.onnx", adder(2.0));
    server.serves("m", "2", 2.0);
    server
}

fn delete(server: &TestServer, path: &str) {
    fs::remove_file(server.models().join(path)).unwrap();
}

#[test]
fn a_version_whose_file_is_deleted_in_its_bake_is_taken_back() {
    let server = server();
    let seen = server.watched("m", || {
        delete(&server, "m/2.onnx");
        server.serves("m", "1", 1.0);
    });
    assert_eq!(seen, [("2".to_owned(), 2.0), ("1".to_owned(), 1.0)]);
    let rollout = server.rollout("m");
    let told = json!([rollout["phase"], rollout["actor"], rollout["reason"]]);
    assert_eq!(told, json!(["aborted", "file", "its file was deleted"]));
}

#[test]
fn a_version_that_is_put_there_again_after_its_deletion_is_released_again() {
    let server = server();
    delete(&server, "m/2.onnx");
    server.serves("m", "1", 1.0);
    // Nobody said that it is bad.
    server.put("m/2.onnx", adder(2.0));
    server.looks_again();
    let told = server.versions("m");
    assert_eq!(server.served("m"), ("2".to_owned(), 2.0), "{told:?}");
}

#[test]
fn a_model_whose_only_file_is_replaced_by_its_deletion_goes_on_for_a_while() {
    let server = TestServer::with_models(Models::made().file("m.onnx", adder(1.0))).start();
    delete(&server, "m.onnx");
    within(PATIENCE, "words about the file", || {
        server.log().contains("it is unloaded in a minute").then_some(())
    });
    assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
    server.put("m.onnx", adder(1.0));
    server.looks_again();
    assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
    assert_eq!(server.history("m"), ["- → 1 completed"]);
}

#[test]
fn a_model_whose_files_stay_away_is_unloaded_after_a_minute() {
    if !is_long() {
        return eprintln!("skipped: it takes a minute");
    }
    let server = server();
    fs::remove_dir_all(server.models().join("m")).unwrap();
    let deleted = Instant::now();
    within(2 * PATIENCE, "an end", || (server.ask(&row("m")).status == 404).then_some(()));
    assert!(deleted.elapsed() > Duration::from_secs(60), "after {:?}", deleted.elapsed());
    assert_eq!(server.get("/v1/models").ok(), json!({ "models": [] }));
    within(PATIENCE, "an empty store", || {
        (fs::read_dir(server.state().join("store")).unwrap().count() == 0).then_some(())
    });
    server.put("m/2.onnx", adder(2.0));
    server.serves("m", "2", 2.0);
}

#[test]
fn a_stable_version_outlives_its_file() {
    let mut server = server();
    server.operate("m", "promote", json!({})).ok();
    let history = server.history("m");
    let seen = server.watched("m", || {
        delete(&server, "m/2.onnx");
        within(PATIENCE, "a file that is known to be gone", || {
            let told = server.told("m");
            (told["versions"][1]["file_present"] == false).then_some(())
        });
        server.looks_again();
    });
    assert_eq!(seen, [("2".to_owned(), 2.0)]);
    assert_eq!(server.stop().code(), Some(0));
    server.start_again();
    server.looks_again();
    assert_eq!(server.served("m"), ("2".to_owned(), 2.0));
    assert_eq!(server.history("m"), history);
}

#[test]
fn a_previous_version_outlives_its_file() {
    let server = server();
    delete(&server, "m/1.onnx");
    server.looks_again();
    assert_eq!(server.served("m"), ("2".to_owned(), 2.0));
    server.operate("m", "undo", json!({})).ok();
    assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
}

#[test]
fn models_that_vanish_together_go_on() {
    let models = Models::made().file("a.onnx", adder(1.0)).file("b/1.onnx", adder(2.0));
    let plan = TestServer::with_models(models.file("c.onnx", adder(3.0)));
    // Both must be gone within one look, on a busy machine too.
    let server = plan.environment("GREENROOM_REPOSITORY__SETTLE", "1s").start();
    delete(&server, "a.onnx");
    fs::remove_dir_all(server.models().join("b")).unwrap();
    within(PATIENCE, "words about what vanished", || {
        server.log().contains("several models vanished at once (a, b)").then_some(())
    });
    server.looks_again();
    for (model, added) in [("a", 1.0), ("b", 2.0), ("c", 3.0)] {
        assert_eq!(server.served(model), ("1".to_owned(), added), "{model}");
        assert_eq!(server.history(model), ["- → 1 completed"], "{model}");
    }
    // What comes back is the same as before.
    server.put("a.onnx", adder(1.0));
    server.put("b/1.onnx", adder(2.0));
    server.looks_again();
    assert_eq!(server.history("a"), ["- → 1 completed"]);
    server.put("b/2.onnx", adder(4.0));
    server.serves("b", "2", 4.0);
}
