//! A new version that clients of the stable one could not go on with gets no traffic, and is no harm.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Graph, HeavyAdder, Models, TestServer, adder, assert_said, resident_mib, row, said, within,
};

const PATIENCE: Duration = Duration::from_secs(60);
const ANY: &str = "(allowed with `rollout.signature = \"any\"`)";
const ADDITIVE: &str = "(allowed with `rollout.signature = \"additive\"`)";

/// A graph that adds a number to `x`, and is to say where that comes from.
fn adding(summand: f32) -> Graph {
    let graph = Graph::default().constant("c", &[], &[summand]);
    graph.node("Add", &["x", "c"], "Y").output("Y", "f32[N, 2]")
}

/// An adder that gives its sums twice.
fn twice(summand: f32) -> Graph {
    let graph = adding(summand).input("X", "f32[N, 2]").node("Identity", &["X"], "x");
    graph.node("Identity", &["Y"], "Z").output("Z", "f32[N, 2]")
}

/// An adder whose input has another name.
fn renamed(summand: f32) -> Graph {
    adding(summand).input("features", "f32[N, 2]").node("Identity", &["features"], "x")
}

fn settings(rollout: &str) -> String {
    format!("[rollout]\nkeep_previous = \"0s\"\n{rollout}\n")
}

/// A server whose version 1 of `m` adds 1.
fn server(rollout: &str) -> TestServer {
    let models = Models::made().file("m/1.onnx", adder(1.0));
    TestServer::with_models(models.file("m/model.toml", settings(rollout))).start()
}

/// Waits until a version is refused, and gives the reason, which must be the same wherever it is told.
#[track_caller]
fn refused(server: &TestServer, version: &str) -> String {
    let rollout = within(PATIENCE, &format!("version {version} is refused"), || {
        let rollout = server.rollout("m");
        let is_it = rollout["candidate"] == version && rollout["phase"] == "refused";
        is_it.then_some(rollout)
    });
    let told = within(PATIENCE, "it is not loaded", || {
        let told = known(server, version);
        (told["state"] == "refused").then_some(told)
    });
    assert_eq!(told["reason"], rollout["reason"]);
    assert_eq!(told["role"], Value::Null);
    rollout["reason"].as_str().unwrap().to_owned()
}

/// What operators are told of a version.
#[track_caller]
fn known(server: &TestServer, version: &str) -> Value {
    let told = server.told("m");
    let mut versions = told["versions"].as_array().unwrap().iter();
    versions.find(|known| known["version"] == version).cloned().unwrap_or_default()
}

/// Changes the settings of `m`, and waits until they hold.
#[track_caller]
fn set(server: &TestServer, rollout: &str) {
    server.put("m/model.toml", settings(rollout));
    server.looks_again();
}

#[test]
fn what_clients_rely_on_does_not_change() {
    let server = server("");
    let takes = |spec: &str| adding(9.0).input("X", spec);
    let candidates = [
        (renamed(9.0), "input `features` is new and required: f32[N, 2]; input `X` is gone"),
        (takes("i64[N, 2]").cast("X", "x", "f32"), "input `X`: f32[N, 2] → i64[N, 2]"),
        (takes("f32[N, 2, 1]").node("Flatten", &["X"], "x"), "input `X`: f32[N, 2] → f32[N, 2, 1]"),
        (
            takes("f32[N, 3]").constant("w", &[3, 2], &[1.0; 6]).node("MatMul", &["X", "w"], "x"),
            "input `X`: f32[N, 2] → f32[N, 3]",
        ),
        (
            takes("f32[N, 2]").input("more", "f32[N, 2]").node("Add", &["X", "more"], "x"),
            "input `more` is new and required: f32[N, 2]",
        ),
        (
            Graph::default().input("X", "f32[N, 2]").cast("X", "Y", "i64").output("Y", "i64[N, 2]"),
            "output `Y`: f32[N, 2] → i64[N, 2]",
        ),
        (
            Graph::default()
                .input("X", "f32[N, 2]")
                .node("Identity", &["X"], "sums")
                .output("sums", "f32[N, 2]"),
            "output `Y` is gone; output `sums` is new: f32[N, 2] (with two outputs, answers name them)",
        ),
    ];
    let mut version = 1;
    for (candidate, difference) in candidates {
        let stable = version;
        let bad = (stable + 1).to_string();
        let seen = server.watched("m", || {
            server.put(&format!("m/{bad}.onnx"), candidate.model());
            let expected =
                format!("its signature does not fit version {stable}: {difference} {ANY}");
            assert_eq!(refused(&server, &bad), expected);
        });
        assert_eq!(seen, [(stable.to_string(), f64::from(stable))], "{difference}");
        // The next good one is released.
        version = stable + 2;
        server.put(&format!("m/{version}.onnx"), adder(version as f32));
        server.serves("m", &version.to_string(), f64::from(version));
    }
    assert!(!server.log().contains("quarantined"), "{}", server.log());
}

#[test]
fn an_input_that_the_model_can_do_without_is_none() {
    let server = server("");
    // `c` can be given, and has a value for when it is not.
    let optional = adding(2.0).input("c", "f32[]").input("X", "f32[N, 2]");
    server.put("m/2.onnx", optional.node("Identity", &["X"], "x").model());
    server.serves("m", "2", 2.0);
    let signature = &known(&server, "2")["signature"];
    assert_eq!(signature["inputs"], json!([{ "name": "X", "dtype": "f32", "shape": ["N", 2] }]));
}

#[test]
fn operators_are_told_why_and_may_allow_it() {
    let server = server("");
    server.put("m/2.onnx", renamed(2.0).model());
    let reason = refused(&server, "2");
    assert_said(&said(&server, "rollout status m", 1), &["m 1 → 2: refused", &reason]);
    assert_said(&said(&server, "rollout why m", 0), &["is refused since", &reason]);
    assert_said(&said(&server, "rollout history m", 0), &["1 → 2", "refused"]);
    let shown = "its signature does not fit version 1: input `features` is new";
    assert_said(&said(&server, "models m", 0), &["refused", shown]);
    // Only an operator tries it again, and it fits as little as before.
    server.looks_again();
    let line = "version 2 of `m` is not served: its signature does not fit version 1: input";
    assert_eq!(server.log().matches(line).count(), 1);
    said(&server, "rollout retry m", 0);
    within(PATIENCE, "another refusal", || {
        (server.history("m") == ["- → 1 completed", "1 → 2 refused", "1 → 2 refused"]).then_some(())
    });
    assert_eq!(refused(&server, "2"), reason);
    assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
    set(&server, "signature = \"any\"");
    assert_eq!(server.served("m"), ("1".to_owned(), 1.0), "settings alone release nothing");
    said(&server, "rollout start m --version 2", 0);
    server.serves("m", "2", 2.0);
}

#[test]
fn a_version_that_may_differ_as_it_likes_is_released() {
    let server = server("signature = \"any\"");
    let takes = adding(2.0).input("X", "f32[N, 3]").constant("w", &[3, 2], &[1.0; 6]);
    server.put("m/2.onnx", takes.node("MatMul", &["X", "w"], "x").model());
    within(PATIENCE, "version 2 is stable", || (server.told("m")["stable"] == "2").then_some(()));
    let answer = server.predict("m", r#"{"instances": [[1, 1, 1]]}"#);
    assert_eq!(answer.ok(), json!({ "predictions": [[5.0, 5.0]] }));
    // Going back always works, also when it has to be loaded first and the rule is strict again.
    set(&server, "signature = \"strict\"");
    said(&server, "rollout promote m", 0);
    within(PATIENCE, "version 1 is unloaded", || {
        server.versions("m").contains(&"1 unloaded previous".to_owned()).then_some(())
    });
    said(&server, "rollout undo m", 0);
    server.serves("m", "1", 1.0);
}

#[test]
fn going_back_works_while_the_same_version_is_being_loaded_as_a_candidate() {
    const SIZE_MIB: u64 = 100;
    let server = TestServer::with_models(
        Models::made().file("m/model.toml", settings("signature = \"any\"\nbake = \"0s\"")),
    )
    .start();
    server.put_heavy("m/1.onnx", &HeavyAdder::new(1.0, SIZE_MIB));
    server.serves("m", "1", 1.0);
    server.put("m/2.onnx", renamed(2.0).model());
    server.serves("m", "2", 2.0);
    within(PATIENCE, "version 1 is unloaded", || {
        server.versions("m").contains(&"1 unloaded previous".to_owned()).then_some(())
    });
    set(&server, "signature = \"strict\"\nbake = \"0s\"");
    server.operate("m", "start", json!({ "version": "1" })).ok();
    let _ = server.operate("m", "abort", json!({})); // unless it has been refused meanwhile
    server.operate("m", "undo", json!({})).ok();
    server.serves("m", "1", 1.0);
    let ends = server.history("m").split_off(2);
    let called_off = ["2 → 1 aborted", "2 → 1 completed"].map(str::to_owned);
    let too_late = ["2 → 1 refused", "2 → 1 completed"].map(str::to_owned);
    assert!(ends == called_off || ends == too_late, "{ends:?}");
}

#[test]
fn a_further_output_or_a_wider_input_needs_a_rule_that_allows_it() {
    let models = Models::made().file("m/1.onnx", twice(1.0).model());
    let server = TestServer::with_models(models.file("m/model.toml", settings(""))).start();
    let more = twice(2.0).node("Neg", &["Y"], "W").output("W", "f32[N, 2]");
    server.put("m/2.onnx", more.model());
    assert_eq!(
        refused(&server, "2"),
        format!("its signature does not fit version 1: output `W` is new: f32[N, 2] {ADDITIVE}")
    );
    set(&server, "signature = \"additive\"");
    said(&server, "rollout retry m", 0);
    let answered = |version: &str| {
        within(PATIENCE, &format!("version {version} answers"), || {
            let answer = server.ask(&row("m"));
            (answer.header("x-model-version") == Some(version)).then(|| answer.ok())
        })
    };
    let expected = json!({ "Y": [2.0, 1002.0], "Z": [2.0, 1002.0], "W": [-2.0, -1002.0] });
    assert_eq!(answered("2")["predictions"][0], expected);
    // An output less is no addition.
    server.put("m/3.onnx", twice(3.0).model());
    assert_eq!(
        refused(&server, "3"),
        format!("its signature does not fit version 2: output `W` is gone {ANY}")
    );
    let wide = adding(4.0).input("X", "f32[N, columns]").node("Identity", &["X"], "x");
    let wide = wide.node("Identity", &["Y"], "Z").output("Z", "f32[N, 2]");
    server.put("m/4.onnx", wide.node("Neg", &["Y"], "W").output("W", "f32[N, 2]").model());
    assert_eq!(answered("4")["predictions"][0]["Y"], json!([4.0, 1004.0]));
}

#[test]
fn a_restart_keeps_the_refusal() {
    let mut server = server("");
    server.put("m/2.onnx", renamed(2.0).model());
    let reason = refused(&server, "2");
    let loads = |server: &TestServer| server.log().matches("version 2 of `m`").count();
    let before = loads(&server);
    assert_eq!(server.stop().code(), Some(0));
    for _ in 0..2 {
        server.start_again();
        server.looks_again();
        assert_eq!(refused(&server, "2"), reason);
        assert_eq!(server.served("m"), ("1".to_owned(), 1.0));
        assert_eq!(server.history("m"), ["- → 1 completed", "1 → 2 refused"]);
        assert_eq!(loads(&server), before, "it is not loaded again");
        server.kill();
    }
    server.start_again();
    server.put("m/3.onnx", adder(3.0));
    server.serves("m", "3", 3.0);
}

#[test]
fn a_version_that_was_made_room_for_comes_to_nothing_and_the_old_one_comes_back() {
    let server = server("strategy = \"recreate\"");
    server.put("m/2.onnx", renamed(2.0).model());
    refused(&server, "2");
    server.serves("m", "1", 1.0);
    server.put("m/3.onnx", adder(3.0));
    server.serves("m", "3", 3.0);
    assert_eq!(server.versions("m"), ["1 unloaded previous", "2 refused -", "3 ready stable"]);
}

#[test]
fn what_the_old_version_promised_is_known_after_a_restart_in_between() {
    let mut server = server("strategy = \"recreate\"");
    assert_eq!(server.stop().code(), Some(0));
    server.set_environment("GREENROOM_TEST_DIE_AT", Some("recorded:loading"));
    server.start_again();
    server.put("m/2.onnx", renamed(2.0).model());
    server.ended();
    server.set_environment("GREENROOM_TEST_DIE_AT", None);
    server.start_again();
    let expected = format!(
        "its signature does not fit version 1: input `features` is new and required: f32[N, 2]; input `X` is gone {ANY}"
    );
    assert_eq!(refused(&server, "2"), expected);
    server.serves("m", "1", 1.0);
}

#[test]
fn a_version_that_waits_warm_is_held_to_the_same() {
    let models = Models::made().file("m/1.onnx", renamed(1.0).model()).file("m/2.onnx", adder(2.0));
    let models = models.file("m/model.toml", "versions = \"all\"");
    let server = TestServer::with_models(models).start();
    within(PATIENCE, "both are loaded", || {
        (server.versions("m") == ["1 ready pinned", "2 ready stable"]).then_some(())
    });
    said(&server, "rollout start m --version 1", 0);
    let reason = refused(&server, "1");
    assert!(reason.contains("does not fit version 2: input `features` is new"), "{reason}");
    assert_eq!(server.served("m"), ("2".to_owned(), 2.0));
    server.put("m/model.toml", "versions = \"all\"\nrollout.signature = \"any\"");
    server.looks_again();
    said(&server, "rollout start m --version 1", 0);
    server.serves("m", "1", 1.0);
}

#[cfg(target_os = "linux")]
#[test]
fn the_memory_of_a_refused_version_is_free_again() {
    const SIZE_MIB: u64 = 200;
    let models = Models::made().file("m/1.onnx", twice(1.0).model());
    let server = TestServer::with_models(models).start();
    let before = resident_mib(server.pid(), "VmRSS");
    server.put_heavy("m/2.onnx", &HeavyAdder::new(2.0, SIZE_MIB));
    let reason = refused(&server, "2");
    assert!(reason.contains("output `Z` is gone"), "{reason}");
    let most = resident_mib(server.pid(), "VmHWM");
    assert!(most > before + SIZE_MIB as f64 / 2.0, "it was loaded: {before} MiB, then {most} MiB");
    within(PATIENCE, "as much memory as before", || {
        (resident_mib(server.pid(), "VmRSS") < before + SIZE_MIB as f64 / 4.0).then_some(())
    });
}
