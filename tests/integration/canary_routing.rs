//! Routing keeps its word: shares, keys, pins, and who is asked when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Connection, Finally, Models, Request, TestServer, Traffic, adder, row, test_model, within,
};

/// A canary that stays where an operator puts it.
const HELD: &str = r#"
[rollout]
strategy = "canary"
change = "new-task"
shadow = { sample = 0.0, min_pairs = 0 }
steps = [5, 10, 25, 50]
min_time = "1h"
"#;

/// Version 2 of `m` is a canary beside version 1.
fn canary(candidate: Vec<u8>, settings: &str) -> TestServer {
    let models = Models::made().file("m/1.onnx", adder(1.0)).file("m/model.toml", settings);
    let server = TestServer::with_models(models).start();
    server.put("m/2.onnx", candidate);
    server.reaches("m", "canary");
    server
}

#[track_caller]
fn set_weight(server: &TestServer, weight: f64) {
    let told = server.operate("m", "weight", json!({ "weight": weight })).ok();
    assert_eq!(told["weight"].as_f64(), Some(weight));
}

fn role(connection: &mut Connection, request: &Request) -> String {
    let answer = connection.ask(request).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-model-role").unwrap().to_owned()
}

#[test]
fn the_candidate_gets_the_share_that_it_is_given() {
    const REQUESTS: u64 = 20_000;
    const CLIENTS: u64 = 4;
    let server = canary(adder(2.0), HELD);
    for weight in [5.0, 25.0, 50.0] {
        set_weight(&server, weight);
        let of_candidate = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut connection = server.connect();
                    for _ in 0..REQUESTS / CLIENTS {
                        let role = role(&mut connection, &row("m"));
                        of_candidate.fetch_add(u64::from(role == "candidate"), Ordering::Relaxed);
                    }
                });
            }
        });
        let (share, all) = (weight / 100.0, REQUESTS as f64);
        let deviation = (all * share * (1.0 - share)).sqrt();
        let difference = of_candidate.into_inner() as f64 - all * share;
        println!("{weight} %: {:.2} standard errors off", difference / deviation);
        assert!(difference.abs() <= 4.0 * deviation, "{weight} %: {difference}");
    }
    // What went where is told.
    let rollout = server.rollout("m");
    assert_eq!(rollout["step"], 3, "{rollout}");
    set_weight(&server, 0.0);
    let mut connection = server.connect();
    assert!((0..50).all(|_| role(&mut connection, &row("m")) == "stable"));
    set_weight(&server, 100.0);
    assert!((0..50).all(|_| role(&mut connection, &row("m")) == "candidate"));
}

/// Who of a thousand users is on the candidate.
fn on_candidate(server: &TestServer, request: impl Fn(u32) -> Request) -> BTreeSet<u32> {
    let mut connection = server.connect();
    let mut on_candidate = BTreeSet::new();
    for user in 0..1_000 {
        let roles = [(); 2].map(|()| role(&mut connection, &request(user)));
        assert_eq!(roles[0], roles[1], "all requests of a user go the same way");
        if roles[0] == "candidate" {
            on_candidate.insert(user);
        }
    }
    on_candidate
}

#[track_caller]
fn never_flips_back(key: &str, request: impl Fn(u32) -> Request) {
    let settings = format!("{HELD}key = {key}\n");
    let mut server = canary(adder(2.0), &settings);
    let mut before = BTreeSet::new();
    for weight in [5.0, 10.0, 25.0, 50.0] {
        set_weight(&server, weight);
        let now = on_candidate(&server, &request);
        assert!(before.is_subset(&now), "{weight} %: {:?}", before.difference(&now));
        let deviation = (1_000.0 * weight / 100.0 * (1.0 - weight / 100.0)).sqrt();
        let difference = now.len() as f64 - 10.0 * weight;
        assert!(difference.abs() < 4.0 * deviation, "{weight} %: {}", now.len());
        before = now;
    }
    server.kill();
    server.start_again();
    within(Duration::from_secs(60), "a candidate that is warm again", || {
        let mut connection = server.connect();
        let first = before.first().copied().unwrap();
        (role(&mut connection, &request(first)) == "candidate").then_some(())
    });
    assert_eq!(on_candidate(&server, &request), before, "the same after a restart");
}

#[test]
fn a_user_with_a_header_never_goes_back_while_the_share_grows() {
    never_flips_back("{ header = \"x-user-id\" }", |user| {
        row("m").header("x-user-id", &format!("user-{user}"))
    });
}

#[test]
fn a_user_with_a_member_of_the_body_never_goes_back_while_the_share_grows() {
    never_flips_back("{ field = \"user_id\" }", |user| {
        let body = json!({ "user_id": user, "instances": [[0, 1000]] });
        Request::predict("m", body.to_string())
    });
}

#[test]
fn who_pins_a_version_gets_it_and_is_no_evidence() {
    let server = canary(adder(2.0), HELD);
    set_weight(&server, 50.0);
    let asked = |request: Request| {
        let answer = server.ask(&request);
        let header = |name: &str| answer.header(name).unwrap_or("-").to_owned();
        (header("x-model-version"), header("x-model-role"), header("x-rollout-id"))
    };
    let pinned = |version: &str| (version.to_owned(), "pinned".to_owned(), "r-000002".to_owned());
    let body = r#"{"instances": [[0, 1000]]}"#;
    for _ in 0..20 {
        let path = |rest: &str| Request::post(&format!("/v1/models/m/{rest}:predict"), body);
        assert_eq!(asked(path("versions/2")), pinned("2"));
        assert_eq!(asked(path("labels/candidate")), pinned("2"));
        assert_eq!(asked(path("labels/stable")), pinned("1"));
        assert_eq!(asked(row("m").header("x-model-pin", "candidate")), pinned("2"));
        assert_eq!(asked(row("m").header("x-model-pin", "1")), pinned("1"));
    }
    let counts = within(Duration::from_secs(30), "counts", || {
        Some(server.rollout("m")["counts"].clone()).filter(|counts| !counts.is_null())
    });
    let none = json!({ "requests": 0, "errors": 0 });
    assert_eq!(counts, json!({ "stable": none, "candidate": none }));
}

#[test]
fn what_came_of_live_requests_is_counted_for_both_versions() {
    // As many failures are tolerated as there are.
    let gates = "[gates]\nbreaker = false\nerrors = { floor = 0.6 }\n";
    let server = canary(test_model("fails_at_13"), &format!("{HELD}\n{gates}"));
    set_weight(&server, 50.0);
    let traffic = Traffic { thirteen_each: 3, ..Traffic::of(&server, "m") };
    let (counts, answers) = traffic.during(|| {
        within(Duration::from_secs(60), "some hundred requests", || {
            let counts = server.rollout("m")["counts"].clone();
            let requests = |arm: &str| counts[arm]["requests"].as_u64().unwrap_or(0);
            (requests("candidate") > 200 && requests("stable") > 200).then_some(counts)
        })
    });
    assert_eq!(counts["stable"]["errors"], 0, "{counts}");
    let [errors, requests] =
        ["errors", "requests"].map(|of| counts["candidate"][of].as_f64().unwrap());
    assert!((0.2..0.47).contains(&(errors / requests)), "{counts}");
    assert!(answers.count(|kind| kind == "1 stable error") > 0, "{answers:?}");
    let rescued = "greenroom_requests_total{model=\"m\",version=\"2\",role=\"candidate\",outcome=\"rescued\"}";
    assert!(server.metric(rescued) > 0.0);
    assert_eq!(server.metric("greenroom_rollout_weight{model=\"m\"}"), 50.0);
}

#[test]
fn once_a_canary_is_aborted_it_answers_nobody() {
    let server = canary(adder(2.0), HELD);
    set_weight(&server, 50.0);
    let aborted = AtomicBool::new(false);
    let since = AtomicU64::new(0);
    let began = Instant::now();
    let micros = || u64::try_from(began.elapsed().as_micros()).unwrap();
    let last: Vec<u64> = std::thread::scope(|scope| {
        let _over = Finally(|| aborted.store(true, Ordering::SeqCst));
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = server.connect();
                    let (mut last, mut after) = (0, 0);
                    while after < 100 {
                        let was_aborted = aborted.load(Ordering::SeqCst);
                        let role = role(&mut connection, &row("m"));
                        assert!(!(was_aborted && role == "candidate"), "it was asked after that");
                        if role == "candidate" {
                            last = micros();
                        }
                        after += u64::from(was_aborted);
                    }
                    last
                })
            })
            .collect();
        within(Duration::from_secs(30), "a candidate that answers", || {
            let mut connection = server.connect();
            (role(&mut connection, &row("m")) == "candidate").then_some(())
        });
        assert_eq!(server.operate("m", "abort", json!({})).status, 200);
        since.store(micros(), Ordering::SeqCst);
        aborted.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let (since, last) = (since.into_inner(), last.into_iter().max().unwrap());
    println!("the candidate's last answer came {} µs after the abort", last as i64 - since as i64);
}

#[test]
fn who_waits_for_a_canary_that_is_aborted_gets_an_answer_of_stable() {
    // It would take a minute, and is given eighteen seconds.
    let settings = format!("{HELD}\n[scheduler]\ndeadline = \"30s\"\n");
    let server = canary(test_model("patient"), &settings);
    set_weight(&server, 100.0);
    let asked = Instant::now();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| server.ask(&Request::predict("m", r#"{"instances": [[60000, 1]]}"#)))
            })
            .collect();
        within(Duration::from_secs(10), "requests that wait", || {
            let running = "greenroom_requests_total{model=\"m\",version=\"2\",role=\"candidate\",outcome=\"ok\"}";
            assert_eq!(server.metric(running), 0.0);
            (asked.elapsed() > Duration::from_millis(500)).then_some(())
        });
        assert_eq!(server.operate("m", "abort", json!({})).status, 200);
        for waiting in waiting {
            let answer = waiting.join().unwrap();
            assert_eq!(answer.ok(), json!({ "predictions": [[60001.0, 2.0]] }));
            let headers: BTreeMap<&str, Option<&str>> = ["x-model-version", "x-model-fallback"]
                .map(|name| (name, answer.header(name)))
                .into();
            let expected = [("x-model-version", Some("1")), ("x-model-fallback", None)];
            assert_eq!(headers, expected.into());
        }
    });
    assert!(asked.elapsed() < Duration::from_secs(15), "they did not wait until it was given up");
}

#[test]
fn without_fallback_a_canary_fails_its_own_clients() {
    let settings = format!("{HELD}fallback = false\n");
    let server = canary(test_model("fails_at_13"), &settings);
    set_weight(&server, 100.0);
    let answer = server.predict("m", r#"{"instances": [[13, 1]]}"#);
    assert_eq!((answer.status, answer.header("x-model-version")), (500, Some("2")));
    assert_eq!(answer.header("x-model-fallback"), None);
    let told: Value = answer.json();
    assert_eq!(told["code"], "run_failed");
}
