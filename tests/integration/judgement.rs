//! Whole rollouts over HTTP, judged by what live requests and pairs show: without the breaker, and without an operator.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Models, Request, TestServer, Traffic, adder, test_model, within};

const PATIENCE: Duration = Duration::from_secs(120);

fn settings(steps: &str, sample: f64, rest: &str) -> String {
    format!(
        "[rollout]\nstrategy = \"canary\"\nchange = \"new-task\"\nsteps = {steps}\n\
         shadow = {{ sample = {sample}, min_pairs = 0 }}\nmin_time = \"200ms\"\nmin_requests = 3\n\
         bake = \"1s\"\n[gates]\nbreaker = false\n{rest}\n"
    )
}

fn server(first: Vec<u8>, settings: &str) -> TestServer {
    let models = Models::made().file("m/1.onnx", first).file("m/model.toml", settings);
    let shadow = "[shadow]\nmax_rps = 1000\nmax_busy = 1.0\n";
    TestServer::with_models(models).settings(shadow).start()
}

fn ends(server: &TestServer) -> Value {
    within(PATIENCE, "the end of the rollout", || {
        let rollout = server.rollout("m");
        let is_over = rollout["phase"] == "completed" || rollout["phase"] == "rolled-back";
        (is_over && rollout["candidate"] == "2").then_some(rollout)
    })
}

/// The reason of a rollback, and the metric that tells most.
#[track_caller]
fn rolled_back(rollout: &Value) -> String {
    assert_eq!(rollout["phase"], "rolled-back", "{rollout}");
    assert_eq!(rollout["verdict"]["decision"], "fail", "{rollout}");
    rollout["reason"].as_str().unwrap().to_owned()
}

#[test]
fn a_candidate_that_fails_one_request_in_twenty_is_found_out_by_live_requests() {
    let server = server(adder(1.0), &settings("[25, 50]", 0.0, ""));
    let traffic = Traffic { thirteen_each: 20, ..Traffic::of(&server, "m") };
    let (rollout, answers) = traffic.during(|| {
        server.put("m/2.onnx", test_model("fails_at_13"));
        ends(&server)
    });
    let reason = rolled_back(&rollout);
    assert!(reason.starts_with("errors: the candidate failed in"), "{reason}");
    let failed =
        rollout["gates"].as_array().unwrap().iter().find(|gate| gate["status"] == "failed");
    assert_eq!(failed.unwrap()["name"], "errors", "{rollout}");
    let rescued = answers.count(|kind| kind == "1 stable error");
    assert!(rescued > 0, "{answers:?}");
    println!("found after {rescued} failures: {reason}");
}

#[test]
fn a_candidate_that_takes_three_times_as_long_is_found_out_by_pairs() {
    let server = server(test_model("patient"), &settings("[25, 50]", 1.0, ""));
    server.put("m/2.onnx", test_model("sluggish"));
    server.reaches("m", "canary");
    // Three milliseconds for one of them, nine for the other.
    let request = Request::predict("m", r#"{"instances": [[3, 0]]}"#);
    let mut connection = server.connect();
    let rollout = within(PATIENCE, "the end of the rollout", || {
        let answer = connection.ask(&request).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        Some(server.rollout("m")).filter(|rollout| rollout["phase"] == "rolled-back")
    });
    let reason = rolled_back(&rollout);
    assert!(reason.starts_with("latency: "), "{reason}");
}

#[test]
fn an_identical_candidate_is_not_taken_back_on_a_busy_machine() {
    for weight in [5, 90] {
        let settings = settings(&format!("[{weight}]"), 0.2, "").replace("200ms", "1h");
        let server = server(adder(1.0), &settings);
        // An empty field more: the same model, and another file.
        let same = [adder(1.0), vec![0x2a, 0x00]].concat();
        server.put("m/2.onnx", same);
        server.reaches("m", "canary");
        let request = Request::predict("m", r#"{"instances": [[1, 2]]}"#);
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let mut connection = server.connect();
                    while began.elapsed() < Duration::from_secs(8) {
                        let answer = connection.ask(&request).unwrap();
                        assert_eq!(answer.ok(), json!({ "predictions": [[2.0, 3.0]] }));
                    }
                });
            }
        });
        let rollout = server.rollout("m");
        assert_eq!(rollout["phase"], "canary", "{weight} %: {rollout}");
        assert_ne!(rollout["verdict"]["decision"], "fail", "{weight} %: {rollout}");
        let requests = rollout["counts"]["candidate"]["requests"].as_u64().unwrap();
        assert!(requests > 50, "{weight} %: {rollout}");
        println!("{weight} %: {}", rollout["verdict"]);
    }
}
