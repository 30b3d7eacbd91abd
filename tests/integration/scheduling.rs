//! Too much work is refused, late work is stopped, and nobody waits for somebody else's model.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Answer, Connection, Models, Request, TestServer, adder, test_model, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server with `slow`, under the given `[scheduler]` settings, and `adder`.
fn server(settings: &str, flags: &[&str]) -> TestServer {
    let models = Models::made()
        .file("adder.onnx", adder(1.0))
        .file("slow/1.onnx", test_model("slow"))
        .file("slow/model.toml", format!("[scheduler]\n{settings}"));
    TestServer::with_models(models).flags(flags).start()
}

/// A request that runs for about as many milliseconds.
fn slow(loops: u32) -> Request {
    Request::predict("slow", json!({ "inputs": { "X": [[1, 2]], "loops": loops } }).to_string())
}

/// A request that is run at once, and its answer.
fn quick() -> (Request, serde_json::Value) {
    let request = Request::predict("adder", r#"{"instances": [[0, 1]]}"#);
    (request, json!({ "predictions": [[1.0, 2.0]] }))
}

/// How many requests to `slow` ended like this.
fn ended(server: &TestServer, outcome: &str) -> f64 {
    let labels = r#"model="slow",version="1",role="stable""#;
    server.metric(&format!(r#"greenroom_requests_total{{{labels},outcome="{outcome}"}}"#))
}

/// Sends requests that take a minute, until so many of them wait; the connections hold them.
fn fill_queue(server: &TestServer, requests: f64) -> Vec<Connection> {
    let mut held = Vec::new();
    let is_full = || server.metric(r#"greenroom_queue_requests{model="slow"}"#) == requests;
    within(PATIENCE, "a full queue", || {
        // More than once: a request that is about to run counts as waiting until it does.
        if (0..10).all(|_| is_full()) {
            return Some(std::mem::take(&mut held));
        }
        let mut connection = server.connect();
        connection.write(&slow(60_000).bytes()).unwrap();
        held.push(connection);
        None
    })
}

/// Sends a request that takes a minute, and waits until it has the server's only thread.
fn occupy(server: &TestServer) -> Connection {
    let mut connection = server.connect();
    connection.write(&slow(60_000).bytes()).unwrap();
    let (request, _) = quick();
    let request = request.header("x-request-timeout", "100ms");
    within(PATIENCE, "a busy thread", || (server.ask(&request).status == 504).then_some(()));
    connection
}

/// Asks many times at once.
fn ask_at_once(server: &TestServer, requests: &[Request]) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let asked: Vec<_> =
            requests.iter().map(|request| scope.spawn(|| server.ask(request))).collect();
        asked.into_iter().map(|answer| answer.join().unwrap()).collect()
    })
}

#[test]
fn more_than_may_wait_is_refused_with_the_time_to_come_back() {
    let server = server("max_queue = 2\nmax_concurrency = 1\ndeadline = \"10m\"", &[]);
    let answers = ask_at_once(&server, &vec![slow(150); 8]);
    let answered = answers.iter().filter(|answer| answer.status == 200).count();
    // Two may wait, and those who come later find room again.
    assert!((2..8).contains(&answered), "{answered} of 8 were answered");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        let sentence = "2 requests for `slow` are waiting already; try again later";
        assert_eq!(
            (refused.status, refused.json()),
            (429, json!({ "error": sentence, "code": "queue_full" }))
        );
        let retry_after: u32 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&retry_after), "{retry_after}");
    }
    assert_eq!(ended(&server, "rejected"), (8 - answered) as f64);
}

#[test]
fn a_full_queue_of_one_model_does_not_keep_another_from_answering() {
    let settings = "max_queue = 2\nmax_concurrency = 1\ndeadline = \"10m\"";
    let server = server(settings, &["--threads", "2"]);
    let _held = fill_queue(&server, 2.0);
    assert_eq!(server.ask(&slow(1)).status, 429);
    let (request, expected) = quick();
    let started = Instant::now();
    assert_eq!(server.ask(&request).ok(), expected);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn a_request_past_its_deadline_is_answered_504_and_its_run_is_stopped() {
    let server = server("deadline = \"200ms\"", &["--threads", "1"]);
    let started = Instant::now();
    let answer = server.ask(&slow(60_000));
    let elapsed = started.elapsed();
    assert_eq!(
        (answer.status, answer.json()),
        (
            504,
            json!({ "error": "`slow` did not answer within 200ms", "code": "deadline_exceeded" })
        )
    );
    assert!((200..5_000).contains(&elapsed.as_millis()), "{elapsed:?}");
    // The only thread is free long before a minute is over.
    let (request, expected) = quick();
    assert_eq!(server.ask(&request).ok(), expected);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(ended(&server, "timeout"), 1.0);
}

#[test]
fn a_client_may_ask_for_less_time_than_the_settings_give() {
    let server = server("deadline = \"30s\"", &[]);
    let answer = server.ask(&slow(60_000).header("x-request-timeout", "100ms"));
    assert_eq!(
        (answer.status, answer.json()),
        (
            504,
            json!({ "error": "`slow` did not answer within 100ms", "code": "deadline_exceeded" })
        )
    );
}

#[test]
fn a_client_may_not_ask_for_more_time_than_the_settings_give() {
    let server = server("deadline = \"200ms\"", &[]);
    let answer = server.ask(&slow(60_000).header("x-request-timeout", "1h"));
    assert_eq!(answer.json()["error"], "`slow` did not answer within 200ms");
}

#[test]
fn a_request_that_waits_past_its_deadline_is_not_run() {
    let server = server("max_concurrency = 1\ndeadline = \"10m\"", &["--threads", "1"]);
    let running = occupy(&server);
    let answer = server.ask(&slow(1).header("x-request-timeout", "300ms"));
    assert_eq!(answer.status, 504);
    drop(running);
    let (request, expected) = quick();
    assert_eq!(server.ask(&request).ok(), expected);
    let run = server
        .metric(r#"greenroom_run_duration_seconds_count{model="slow",version="1",role="stable"}"#);
    assert_eq!(run, 1.0);
}

#[test]
fn a_client_that_leaves_frees_the_thread_that_ran_its_request() {
    let server = server("deadline = \"10m\"", &["--threads", "1"]);
    let leaving = occupy(&server);
    drop(leaving);
    let left = Instant::now();
    let (request, expected) = quick();
    assert_eq!(server.ask(&request).ok(), expected);
    assert!(left.elapsed() < Duration::from_secs(5), "{:?}", left.elapsed());
    within(PATIENCE, "an abandoned request", || (ended(&server, "abandoned") == 1.0).then_some(()));
}

#[test]
fn those_who_leave_make_room_in_the_queue() {
    let server = server("max_queue = 2\nmax_concurrency = 1\ndeadline = \"10m\"", &[]);
    let mut held = fill_queue(&server, 2.0);
    assert_eq!(server.ask(&slow(1)).status, 429);
    // The first one runs, and stays.
    held.truncate(1);
    within(PATIENCE, "two who left", || (ended(&server, "abandoned") == 2.0).then_some(()));
    let late = server.ask(&slow(1).header("x-request-timeout", "100ms"));
    assert_eq!(late.status, 504, "it waits now, and is not refused: {}", late.text());
}

#[test]
fn requests_are_run_in_the_order_in_which_they_came() {
    let server = server("max_concurrency = 1\ndeadline = \"10m\"", &["--threads", "1"]);
    let first = occupy(&server);
    let (report, done) = mpsc::channel();
    std::thread::scope(|scope| {
        for turn in 1..=4 {
            let (server, report) = (&server, report.clone());
            scope.spawn(move || {
                let answer = server.ask(&slow(100));
                report.send((turn, answer.status)).unwrap();
            });
            within(PATIENCE, "one more who waits", || {
                let waiting = server.metric(r#"greenroom_queue_requests{model="slow"}"#);
                (waiting == f64::from(turn)).then_some(())
            });
        }
        drop(first);
        let order: Vec<(u8, u16)> = done.iter().take(4).collect();
        assert_eq!(order, [(1, 200), (2, 200), (3, 200), (4, 200)]);
    });
}

#[test]
fn requests_wait_for_others_to_run_with_where_the_settings_say_so() {
    let models = Models::made().file("adder/1.onnx", adder(1.0)).file(
        "adder/model.toml",
        "[scheduler]\nmax_batch_size = 8\nmax_queue_delay = '9s'\ndeadline = '1m'",
    );
    let server = TestServer::with_models(models).start();
    assert!(!server.log().contains("does not act on"));
    let (request, expected) = quick();
    let began = Instant::now();
    let answers = ask_at_once(&server, &vec![request.clone(); 8]);
    assert!(answers.iter().all(|answer| answer.json() == expected));
    assert!(began.elapsed() < Duration::from_secs(9), "as many as go together wait for nobody");
    let runs = server.metric(r#"greenroom_batch_rows_count{model="adder"}"#);
    let rows = server.metric(r#"greenroom_batch_rows_sum{model="adder"}"#);
    assert_eq!((runs, rows), (1.0, 8.0));

    let began = Instant::now();
    assert_eq!(server.ask(&request).json(), expected);
    assert!(began.elapsed() >= Duration::from_secs(9), "and one alone waits its time");
}

#[test]
fn a_quick_model_that_takes_long_all_at_once_keeps_nobody_from_the_server() {
    let server = server("deadline = '2s'", &[]);
    let mut connection = server.connect();
    for _ in 0..50 {
        assert_eq!(connection.ask(&slow(0)).unwrap().status, 200);
    }
    // Nobody else asks, so that one thread alone is woken for it.
    connection.write(&slow(60_000).bytes()).unwrap();
    let (request, expected) = quick();
    assert_eq!(server.ask(&request).json(), expected);
    assert_eq!(connection.read_answer(false).unwrap().status, 504);
    assert_eq!(connection.ask(&slow(0)).unwrap().status, 200);
}
