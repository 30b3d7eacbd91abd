//! A version is tried in a process of its own before it is loaded. What that process dies of is the model's fault or the
//! machine's, and both are told apart.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::hostile::write_loop;
use crate::support::{Finally, HeavyAdder, Models, TestServer, adder, resident_mib, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// So many rounds of a loop take three seconds, more or less.
const ROUNDS: u64 = 6_000_000;

/// How a library dies that has a fault for which no model is known.
const DIES: &str = "GREENROOM_TEST_CHECK_DIES";

/// A server whose trials of version 2 of `m` die in that stage by that signal.
fn server_where_trials_die(stage: &str, signal: &str) -> TestServer {
    TestServer::with_models(Models::made().file("m/1.onnx", adder(1.0)))
        .environment(DIES, &format!("{stage}:{signal}:version 2 of m"))
        .start()
}

#[track_caller]
fn quarantined(server: &TestServer, label: &str) -> Value {
    within(PATIENCE, "the version is quarantined", || {
        server.version("m", label).filter(|version| version["state"] == "quarantined")
    })
}

#[test]
fn the_signal_that_ends_a_trial_is_named_and_the_version_is_not_tried_again() {
    for (signal, stage, reason) in [
        (
            "SIGSEGV",
            "loading",
            "it crashes the process that runs it: SIGSEGV (memory that is not there, or a stack that is full) while it was loaded",
        ),
        (
            "SIGABRT",
            "running",
            "it crashes the process that runs it: SIGABRT (the library gave up) in its first run",
        ),
        (
            "SIGBUS",
            "probing",
            "it crashes the process that runs it: SIGBUS (memory whose file is gone) in its first runs with several rows",
        ),
    ] {
        let mut server = server_where_trials_die(stage, signal);
        server.put("m/2.onnx", adder(2.0));
        assert_eq!(quarantined(&server, "2")["reason"], reason);
        server.serves("m", "1", 1.0);

        // It is known by its content, also after a restart, and nothing more happens to it.
        server.set_environment(DIES, None);
        server.stop();
        server.start_again();
        assert_eq!(quarantined(&server, "2")["reason"], reason);
        server.serves("m", "1", 1.0);
        server.put("m/3.onnx", adder(3.0));
        server.serves("m", "3", 3.0);
    }
}

#[test]
fn models_are_tried_where_folders_are_named_from_where_the_server_stands() {
    let models = Models::made().file("m/1.onnx", adder(1.0));
    let server =
        TestServer::with_models(models).in_its_folder().flags(&["--state", "state"]).start();
    server.serves("m", "1", 1.0);
}

#[test]
fn a_good_content_is_tried_once() {
    let mut server = server_where_trials_die("loading", "SIGSEGV");
    server.set_environment(DIES, Some("loading:SIGSEGV:version 1 of m"));
    server.stop();
    server.start_again();
    server.serves("m", "1", 1.0);
    // The same content by another name was tried already.
    server.set_environment(DIES, Some("loading:SIGSEGV:version 1 of n"));
    server.stop();
    server.start_again();
    server.put("n/1.onnx", adder(1.0));
    server.serves("n", "1", 1.0);
}

#[test]
fn whoever_wants_no_trials_has_none() {
    let server = TestServer::with_models(Models::made().file("m/1.onnx", adder(1.0)))
        .settings("repository.trial = false")
        .environment(DIES, "loading:SIGSEGV:version 1 of m")
        .start();
    server.serves("m", "1", 1.0);
}

#[test]
fn a_good_model_on_a_busy_machine_is_never_quarantined() {
    const TRIES: u16 = 20;
    let server = TestServer::with_models(Models::made().file("m/1.onnx", adder(1.0))).start();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    spin_loop()
                }
            });
        }
        let _until = Finally(|| is_over.store(true, Ordering::Relaxed));
        for label in 2..2 + TRIES {
            server.put(&format!("m/{label}.onnx"), adder(label.into()));
            within(PATIENCE * 2, "the version answers", || {
                let version = server.version("m", &label.to_string())?;
                assert_ne!(version["state"], "quarantined", "{version}");
                (version["role"] == "stable").then_some(())
            });
        }
    });
}

#[test]
fn a_model_of_long_runs_is_not_taken_for_one_without_end() {
    // A fifth of what a trial may spend on the cores, a quarter of the limit, and the trial wants seven runs.
    let models = Models::made();
    let version = models.path().join("m/1");
    std::fs::create_dir_all(&version).unwrap();
    write_loop(&version, Some(ROUNDS));
    let server =
        TestServer::with_models(models).settings("repository.load_timeout = '60s'").start();
    let told = server.version("m", "1").unwrap();
    assert_eq!(told["state"], "ready", "{told}");
    assert!(server.log().contains("its runs take too long"), "or it was no trial");
}

#[test]
fn what_does_not_fit_into_memory_is_refused_with_the_numbers_and_loads_when_there_is_room() {
    const SIZE_MIB: u64 = 100;
    let settings = "[rollout]\nstrategy = 'blue-green'\nbake = '100ms'\nkeep_previous = '10s'";
    let models = Models::made().file("m/model.toml", settings).file("small/1.onnx", adder(1.0));
    // Two large versions and the loading of a third one are more than that.
    let server =
        TestServer::with_models(models).settings("repository.memory_budget = '400MiB'").start();
    for (label, summand) in [("1", 1.0), ("2", 2.0)] {
        server.put_heavy(&format!("m/{label}.onnx"), &HeavyAdder::new(summand, SIZE_MIB));
        server.serves("m", label, summand.into());
    }
    let told = server.version("m", "2").unwrap();
    let memory = told["memory_bytes"].as_u64().unwrap() >> 20;
    assert!((SIZE_MIB..SIZE_MIB * 3 / 2).contains(&memory), "{told}");
    let shown = server.metric(r#"greenroom_version_memory_bytes{model="m",version="2"}"#);
    assert_eq!(shown, told["memory_bytes"].as_f64().unwrap());

    server.put_heavy("large/1.onnx", &HeavyAdder::new(3.0, SIZE_MIB));
    let refused = within(PATIENCE, "the version is refused", || {
        server.version("large", "1").filter(|version| version["state"] == "refused")
    });
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.starts_with("it needs about "), "{reason}");
    assert!(
        reason.contains(
            ", and of the 400.0 MiB that the server may have (`repository.memory_budget`) "
        ),
        "{reason}"
    );
    server.serves("small", "1", 1.0);
    // The previous version of `m` goes, and nobody has to do anything.
    server.serves("large", "1", 3.0);
    assert!(resident_mib(server.pid(), "VmRSS") < 400.0);
}
