//! A server that died finds out of what: a candidate that killed it is not given another chance by itself, and a
//! version that is trusted goes on.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Connection, Models, Request, TestServer, adder, busy, test_model, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server on which version 1 of `m` adds 1, and version 2 is a candidate from the beginning.
fn server(rollout: &str, version_2: impl AsRef<[u8]>) -> TestServer {
    let settings = format!("[scheduler]\ndeadline = \"10m\"\n[rollout]\n{rollout}\n");
    let models = Models::made().file("m/1.onnx", adder(1.0)).file("m/model.toml", settings);
    let server = TestServer::with_models(models).start();
    server.serves("m", "1", 1.0);
    server.put("m/2.onnx", version_2);
    server
}

/// What is told of a version.
fn version(server: &TestServer, label: &str) -> Value {
    let told = server.told("m");
    let versions = told["versions"].as_array().unwrap();
    versions.iter().find(|version| version["version"] == label).unwrap().clone()
}

/// Sends a request that takes a minute on a model that is patient. The connection holds it.
fn occupy(server: &TestServer) -> Connection {
    let mut connection = server.connect();
    let request = Request::predict("m", r#"{"instances": [[60000, 1]]}"#);
    connection.write(&request.bytes()).unwrap();
    connection
}

/// Whether a run of a candidate is under way, as the file has it: a slot for each thread, of 128 bytes, behind a
/// header that is as long; the first number is 1 while it runs.
fn a_candidate_runs(server: &TestServer) -> bool {
    let file = fs::read(server.state().join("breadcrumbs")).unwrap();
    file.chunks_exact(128).skip(1).any(|slot| slot[..4] == 1_u32.to_ne_bytes())
}

#[cfg(target_arch = "x86_64")] // others divide without complaint
mod by_division {
    use super::*;
    use crate::support::adder_with_a_trap;

    /// Sends what the trapped version does not survive, and waits for the end.
    #[track_caller]
    fn kill_by_request(server: &mut TestServer) {
        let body = r#"{"instances": [[-9223372036854775808, 0]]}"#;
        // There may be an answer, when a copy of the request is what kills.
        let _ = server.connect().ask(&Request::predict("m", body));
        assert_eq!(server.ended().signal(), Some(8), "SIGFPE");
    }

    #[test]
    fn a_candidate_that_killed_the_server_in_its_bake_is_quarantined() {
        let mut server = server("bake = \"10m\"", adder_with_a_trap(2.0));
        server.serves("m", "2", 2.0);
        kill_by_request(&mut server);
        server.start_again();
        assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
        let reason = "it crashed the server: SIGFPE during a run";
        let told = version(&server, "2");
        assert_eq!(json!([told["state"], told["reason"]]), json!(["quarantined", reason]));
        let rollout = server.rollout("m");
        assert_eq!(json!([rollout["phase"], rollout["reason"]]), json!(["rolled-back", reason]));
        assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 rolled-back"]);
        let said = format!("version 2 of `m`: {reason}; it was on trial");
        assert!(server.log().contains(&said), "{}", server.log());

        // Neither a look at the folder nor another restart brings it back.
        server.looks_again();
        assert_eq!(server.stop().code(), Some(0));
        server.start_again();
        server.looks_again();
        assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
        assert_eq!(server.versions("m"), ["1 ready stable", "2 quarantined -"]);
        assert_eq!(server.log().matches(&said).count(), 1, "it is told once");

        // An operator does.
        assert_eq!(server.operate("m", "retry", json!({})).status, 409);
        server.operate("m", "retry", json!({ "fresh": true })).ok();
        server.serves("m", "2", 2.0);
        assert_eq!(version(&server, "2")["state"], "ready");
    }

    #[test]
    fn a_canary_that_killed_the_server_is_quarantined() {
        let rollout = "strategy = \"canary\"\nchange = \"new-task\"\nsteps = [50]\n\
                       shadow = { sample = 0.0, min_pairs = 0 }";
        let mut server = server(rollout, adder_with_a_trap(2.0));
        server.reaches("m", "canary");
        // Half of these requests go to it, and the first one that does is the last.
        let body = r#"{"instances": [[-9223372036854775808, 0]]}"#;
        let request = Request::predict("m", body);
        within(PATIENCE, "the end", || {
            let asked = Connection::open(server.http()).and_then(|mut it| it.ask(&request));
            asked.is_err().then_some(())
        });
        assert_eq!(server.ended().signal(), Some(8), "SIGFPE");
        server.start_again();
        assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
        assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 rolled-back"]);
        assert_eq!(version(&server, "2")["state"], "quarantined");
        assert_eq!(server.ask(&request).header("x-model-version"), Some("1"));
    }

    #[test]
    fn a_candidate_that_killed_the_server_in_the_shadow_is_quarantined() {
        let rollout = "strategy = \"shadow\"\nchange = \"new-task\"\nshadow = { sample = 1.0 }";
        let mut server = server(rollout, adder_with_a_trap(2.0));
        server.reaches("m", "shadowing");
        kill_by_request(&mut server);
        server.start_again();
        assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
        assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 rolled-back"]);
        assert_eq!(version(&server, "2")["state"], "quarantined");
    }

    #[test]
    fn a_trusted_version_that_killed_the_server_goes_on() {
        let mut server = server("bake = \"0s\"", adder_with_a_trap(2.0));
        server.serves("m", "2", 2.0);
        for crashes in 1..=3 {
            kill_by_request(&mut server);
            server.start_again();
            assert_eq!(server.served("m"), ("2".to_owned(), 2.0));
            let said =
                "\"level\":\"ERROR\",\"message\":\"version 2 of `m`: it crashed the server: SIGFPE";
            assert_eq!(server.log().matches(said).count(), crashes, "{}", server.log());
        }
        assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 completed"]);
    }
}

#[test]
fn a_candidate_with_which_the_server_died_three_times_is_taken_back_and_not_quarantined() {
    let mut server = server("bake = \"10m\"", test_model("patient"));
    server.reaches("m", "baking");
    for kills in 1..=3 {
        assert_eq!(server.rollout("m")["phase"], "baking", "after {} kills", kills - 1);
        let _held = occupy(&server);
        within(PATIENCE, "a run of the candidate", || a_candidate_runs(&server).then_some(()));
        server.kill();
        server.start_again();
    }
    assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
    let rollout = server.rollout("m");
    let reason = "the server died 3 times within 10m, each time with a run of it under way";
    assert_eq!(json!([rollout["phase"], rollout["reason"]]), json!(["rolled-back", reason]));
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 rolled-back"]);
    server.looks_again();
    assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
    assert_eq!(server.versions("m"), ["1 ready stable", "2 found -"]);
}

#[test]
fn a_trusted_version_with_which_the_server_died_three_times_goes_on() {
    let mut server = server("bake = \"0s\"", test_model("patient"));
    within(PATIENCE, "a trusted version 2", || (server.told("m")["stable"] == "2").then_some(()));
    for _ in 0..3 {
        let before = busy(server.pid());
        let _held = occupy(&server);
        within(PATIENCE, "a busy server", || {
            (busy(server.pid()) > before + Duration::from_millis(100)).then_some(())
        });
        assert!(!a_candidate_runs(&server));
        server.kill();
        server.start_again();
    }
    let told = server.told("m");
    assert_eq!(json!([told["stable"], version(&server, "2")["state"]]), json!(["2", "ready"]));
    assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 completed"]);
}

#[test]
fn an_end_that_was_wanted_is_no_death() {
    let mut server = server("bake = \"10m\"", adder(2.0));
    server.serves("m", "2", 2.0);
    assert_eq!(server.stop().code(), Some(0));
    server.start_again();
    assert!(!server.log().contains("the last process"), "{}", server.log());
    server.kill();
    server.start_again();
    let said = "the last process did not end by itself";
    assert!(server.log().contains(said), "{}", server.log());
    assert_eq!(server.rollout("m")["phase"], "baking");
}
