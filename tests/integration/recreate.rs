//! The strategy `recreate`: for models of which there is no room for two.

use std::time::Duration;

use serde_json::json;

use crate::support::{Models, TestServer, adder, within};

const PATIENCE: Duration = Duration::from_secs(60);

fn server() -> TestServer {
    let models = Models::made()
        .file("m/1.onnx", adder(1.0))
        .file("m/model.toml", "[rollout]\nstrategy = \"recreate\"\n");
    TestServer::with_models(models).start()
}

/// Where a sentence stands in the log.
#[track_caller]
fn place(server: &TestServer, sentence: &str) -> usize {
    let log = server.log();
    log.rfind(sentence).unwrap_or_else(|| panic!("`{sentence}` is not in the log"))
}

#[test]
fn the_old_version_is_gone_before_the_new_one_is_loaded() {
    let server = server();
    server.put("m/2.onnx", adder(2.0));
    server.serves("m", "2", 2.0);
    let rollout = server.rollout("m");
    assert_eq!((&rollout["phase"], &rollout["proven"]), (&json!("completed"), &json!(false)));
    assert!(place(&server, "is loading: version 2") < place(&server, "version 2 of `m` is ready"));
    assert_eq!(server.versions("m"), ["1 unloaded previous", "2 ready stable"]);
    // An undo goes the same way.
    server.operate("m", "undo", json!({})).ok();
    server.serves("m", "1", 1.0);
    within(PATIENCE, "the other one unloaded", || {
        (server.versions("m") == ["1 ready stable", "2 unloaded previous"]).then_some(())
    });
}

#[test]
fn the_old_version_comes_back_when_the_new_one_cannot_be_loaded() {
    let server = server();
    server.put("m/2.onnx", "this is not a model");
    let rollout = server.reaches("m", "refused");
    assert_eq!(rollout["candidate"], "2");
    server.serves("m", "1", 1.0);
}
