//! While the journal cannot be written, nothing changes but back to a version that was stable before.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Models, TestServer, adder, busy, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server whose state has a disk of its own, and on which version 2 of `m` is being watched after version 1, for so
/// long. Version k adds k. None where nothing can be mounted.
fn server(bake: &str) -> Option<TestServer> {
    let settings = format!("[rollout]\nbake = \"{bake}\"\n");
    let models = Models::made().file("m/1.onnx", adder(1.0)).file("m/model.toml", settings);
    let server = TestServer::with_models(models).on_small_disk("4m")?.start();
    server.put("m/2.onnx", adder(2.0));
    server.serves("m", "2", 2.0);
    Some(server)
}

#[track_caller]
fn serves_without_a_doubt(server: &TestServer, version: &str) {
    let (served, added) = server.served("m");
    assert_eq!((served.as_str(), added), (version, version.parse().unwrap()));
}

/// Waits until the history, which is the journal's, ends so.
#[track_caller]
fn comes_to_be_written(server: &TestServer, last: &str) {
    within(PATIENCE, &format!("`{last}` in the journal"), || {
        (server.history("m").last().unwrap() == last).then_some(())
    });
}

#[test]
fn an_undo_takes_effect_at_once_and_is_written_down_later() {
    let Some(mut server) = server("10m") else { return };
    server.disk().fill();
    let seen = server.watched("m", || {
        let told = server.operate("m", "undo", json!({ "actor": "ada" })).ok();
        assert_eq!(json!([told["phase"], told["recorded"]]), json!(["aborted", false]));
        serves_without_a_doubt(&server, "1");
    });
    assert_eq!(seen.last().unwrap(), &("1".to_owned(), 1.0));
    assert_eq!(server.history("m").len(), 2);
    assert_eq!(server.rollout("m")["recorded"], false);

    server.disk().free();
    within(PATIENCE, "an undo that is written down", || {
        server.rollout("m")["recorded"].is_null().then_some(())
    });
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 aborted"]);
    server.kill();
    server.start_again();
    server.looks_again();
    serves_without_a_doubt(&server, "1");
    let told = server.admin_get("/admin/v1/models/m/rollouts/r-000002").ok();
    assert_eq!(told["transitions"][2]["actor"], "ada");
}

#[test]
fn a_second_change_does_not_come_before_the_first() {
    let Some(server) = server("10m") else { return };
    server.disk().fill();
    server.operate("m", "undo", json!({})).ok();
    // What was undone cannot be tried again before it is written that it was undone.
    let answer = server.operate("m", "retry", json!({}));
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("not_recorded")));
    serves_without_a_doubt(&server, "1");
    server.disk().free();
    server.operate("m", "retry", json!({})).ok();
    server.serves("m", "2", 2.0);
    let expected = ["- → 1 completed", "1 → 2 aborted", "1 → 2 baking"];
    assert_eq!(server.history("m"), expected);
}

#[test]
fn a_candidate_whose_file_is_deleted_goes_at_once() {
    let Some(server) = server("10m") else { return };
    server.disk().fill();
    fs::remove_file(server.models().join("m/2.onnx")).unwrap();
    server.serves("m", "1", 1.0);
    server.disk().free();
    comes_to_be_written(&server, "1 → 2 aborted");
}

#[test]
fn what_goes_on_waits_until_it_can_be_written_down() {
    let Some(server) = server("10m") else { return };
    server.disk().fill();
    let answer = server.operate("m", "promote", json!({}));
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("not_recorded")));
    assert_eq!(server.rollout("m")["phase"], "baking");
    server.put("m/3.onnx", adder(3.0));
    server.put("n.onnx", adder(7.0));
    within(PATIENCE, "words about the disk", || {
        let log = server.log();
        (log.contains("n.onnx` needs") && log.contains("m/3.onnx` needs")).then_some(())
    });
    serves_without_a_doubt(&server, "2");
    server.disk().free();
    server.serves("m", "3", 3.0);
    server.serves("n", "1", 7.0);
    let expected = ["- → 1 completed", "1 → 2 superseded", "2 → 3 baking"];
    assert_eq!(server.history("m"), expected);
}

#[test]
fn the_end_of_a_bake_waits_and_takes_no_time_meanwhile() {
    let Some(server) = server("5s") else { return };
    server.disk().fill();
    within(PATIENCE, "words about the journal", || {
        server.log().contains("the journal cannot be written").then_some(())
    });
    let before = busy(server.pid());
    // How much it does while it cannot do anything can only be seen by letting it.
    std::thread::sleep(Duration::from_secs(2));
    let busy = busy(server.pid()) - before;
    assert!(busy < Duration::from_millis(200), "busy for {busy:?} in two seconds");
    assert_eq!(server.rollout("m")["phase"], "baking");
    assert_eq!(server.log().matches("the journal cannot be written").count(), 1);
    server.disk().free();
    let told = server.reaches("m", "completed");
    assert_eq!(told["recorded"], Value::Null);
}

#[test]
fn a_server_that_ends_with_something_unwritten_says_so() {
    let Some(mut server) = server("10m") else { return };
    server.disk().fill();
    server.operate("m", "undo", json!({})).ok();
    assert_eq!(server.stop().code(), Some(0));
    assert!(server.log().contains("the journal does not know of it"), "{}", server.log());
    server.disk().free();
    server.start_again();
    serves_without_a_doubt(&server, "2");
}
