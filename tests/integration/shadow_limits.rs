//! Whatever happens to the pairs, no request fails or waits for them: with a candidate that does not end, with far
//! more requests than can be run again, and with a disk that is full.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Models, Request, TestServer, adder, test_model, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server on which version 1 of `m` adds nothing and version 2 takes a millisecond for each whole number up to the
/// largest of a request. Every request becomes a pair.
fn shadowing(shadow: &str) -> TestServer {
    started(TestServer::with_models(models()), shadow)
}

fn models() -> Models {
    let settings = "[scheduler]\ndeadline = \"300ms\"\n\
                    [rollout]\nstrategy = \"shadow\"\nchange = \"new-task\"\n\
                    shadow = { sample = 1.0, min_pairs = 1000 }\n\
                    [gates]\nlatency = { margin = 1000.0, floor = \"10s\" }\n";
    Models::made().file("m/1.onnx", adder(0.0)).file("m/model.toml", settings)
}

fn started(plan: crate::support::Plan, shadow: &str) -> TestServer {
    let server = plan.settings(&format!("[shadow]\n{shadow}")).start();
    server.put("m/2.onnx", test_model("patient"));
    server.reaches("m", "shadowing");
    server
}

/// Asks so often for this number, and holds every answer to version 1. Gives the longest time that an answer took.
#[track_caller]
fn ask(server: &TestServer, number: u32, times: usize) -> Duration {
    let mut connection = server.connect();
    let request = Request::predict("m", format!(r#"{{"instances": [[{number}, 1]]}}"#));
    let times = (0..times).map(|_| {
        let asked = Instant::now();
        let answer = connection.ask(&request).unwrap();
        assert_eq!(answer.header("x-model-version"), Some("1"));
        assert_eq!(answer.ok(), json!({ "predictions": [[f64::from(number), 1.0]] }));
        asked.elapsed()
    });
    times.max().unwrap()
}

fn report(server: &TestServer) -> Value {
    server.admin_get("/shadow/report?model=m").ok()["reports"][0].clone()
}

#[test]
fn a_candidate_that_does_not_end_is_cut_off_and_rolled_back() {
    let server = shadowing("max_busy = 1.0");
    let rollout = within(PATIENCE, "a rollback", || {
        // Version 2 would take a minute for each.
        let longest = ask(&server, 60_000, 5);
        assert!(longest < Duration::from_secs(5), "{longest:?}");
        Some(server.rollout("m")).filter(|rollout| rollout["phase"] == "rolled-back")
    });
    assert!(rollout["reason"].as_str().unwrap().starts_with("errors: "), "{rollout}");
    let errors = &report(&server)["errors"];
    assert_eq!(errors["stable_only"], 0);
    assert_eq!(errors["timeouts"], errors["candidate_only"]);
    ask(&server, 60_000, 1);
}

#[test]
fn what_does_not_fit_into_the_queue_is_dropped_and_counted() {
    let server = shadowing("queue_jobs = 4\nmax_busy = 0.1\nmax_rps = 20");
    ask(&server, 20, 500);
    let dropped = |report: &Value| -> u64 {
        let dropped = report["sampling"]["dropped"].as_object().unwrap();
        dropped.values().map(|count| count.as_u64().unwrap()).sum()
    };
    let report = within(PATIENCE, "pairs that were run or dropped", || {
        let report = report(&server);
        let executed = report["sampling"]["executed"].as_u64().unwrap();
        (executed + dropped(&report) == 500).then_some(report)
    });
    assert_eq!(report["sampling"]["sampled"], 500);
    assert!(dropped(&report) > 100, "{}", report["sampling"]);
    assert!(server.metric("greenroom_shadow_pairs_total{model=\"m\",outcome=\"agreed\"}") >= 0.0);
}

#[test]
fn a_request_that_is_larger_than_the_queue_is_answered_and_not_run_again() {
    let server = shadowing("queue_bytes = \"1KiB\"");
    let rows = vec![[0.0, 0.0]; 200];
    let answer = server.predict("m", &json!({ "instances": rows }).to_string());
    assert_eq!(answer.status, 200);
    within(PATIENCE, "a drop for its size", || {
        (report(&server)["sampling"]["dropped"]["size"] == 1).then_some(())
    });
}

#[test]
fn a_full_disk_costs_no_request() {
    let Some(plan) = TestServer::with_models(models()).on_small_disk("4m") else { return };
    let server = started(plan, "max_rps = 1000");
    ask(&server, 0, 20);
    server.disk().fill();
    ask(&server, 0, 200);
    let told = within(PATIENCE, "pairs in spite of it", || {
        let report = report(&server);
        (report["sampling"]["executed"] == 220).then_some(report)
    });
    assert_eq!(told["phase"], "shadowing");
    server.disk().free();
    ask(&server, 0, 5);
}
