//! A server that is told to end answers everything that it was asked before it does.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Connection, Models, Request, TestServer, adder, test_model, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server with `adder`, which adds one, and `slow`.
fn server(settings: &str) -> TestServer {
    let models = Models::made()
        .file("adder.onnx", adder(1.0))
        .file("slow/1.onnx", test_model("slow"))
        .file("slow/model.toml", "scheduler.deadline = \"10m\"");
    TestServer::with_models(models).settings(settings).start()
}

/// A request to `adder`, and its answer.
fn addition(k: u16) -> (Request, Value) {
    let body = json!({ "instances": [[k, 0]] }).to_string();
    (Request::predict("adder", body), json!({ "predictions": [[f32::from(k) + 1.0, 1.0]] }))
}

/// A request that runs for about as many milliseconds.
fn slow(loops: u32) -> Request {
    Request::predict("slow", json!({ "inputs": { "X": [[1, 2]], "loops": loops } }).to_string())
}

#[test]
fn under_load_no_request_is_lost_when_the_server_ends() {
    for _ in 0..5 {
        let mut server = server("");
        let answered = AtomicUsize::new(0);
        let (running, answered) = (&server, &answered);
        std::thread::scope(|scope| {
            let clients: Vec<_> =
                (0..16).map(|k| scope.spawn(move || load(running, k, answered))).collect();
            within(PATIENCE, "load", || (answered.load(Ordering::Relaxed) > 400).then_some(()));
            server.terminate();
            for client in clients {
                client.join().unwrap().unwrap();
            }
        });
        assert_eq!(server.ended().code(), Some(0));
        assert!(!server.server_file().exists());
        let refused = Connection::open(server.http()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}

/// Asks on one connection, again and again, until an answer says that it was the last.
fn load(server: &TestServer, k: u16, answered: &AtomicUsize) -> io::Result<()> {
    let (request, expected) = addition(k);
    let mut connection = server.connect();
    loop {
        let answer = connection.ask(&request)?;
        assert_eq!(answer.ok(), expected);
        answered.fetch_add(1, Ordering::Relaxed);
        if answer.closes() {
            assert!(connection.is_at_end(), "bytes after the last answer");
            return Ok(());
        }
    }
}

#[test]
fn a_request_that_was_just_accepted_is_answered() {
    let mut server = server("");
    let mut connection = server.connect();
    connection.write(&slow(300).bytes()).unwrap();
    server.terminate();
    let answer = connection.read_answer(false).unwrap();
    assert_eq!(answer.ok(), json!({ "outputs": [[301.0, 302.0]] }));
    assert!(answer.closes(), "{}", answer.head);
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn while_it_drains_it_is_not_ready_and_still_answers() {
    let mut server = server("[shutdown]\ndrain = \"500ms\"");
    server.terminate();
    let told = Instant::now();
    within(PATIENCE, "a server that is not ready", || {
        let answer = server.get("/v2/health/ready");
        let is_ready = answer.json() == json!({ "ready": true, "live": true });
        assert_eq!(answer.status, if is_ready { 200 } else { 503 });
        (!is_ready).then_some(())
    });
    assert_eq!(server.get("/v2/health/live").status, 200);
    let (request, expected) = addition(7);
    assert_eq!(server.ask(&request).ok(), expected);
    assert_eq!(server.ended().code(), Some(0));
    assert!(told.elapsed() >= Duration::from_millis(500), "{:?}", told.elapsed());
}

#[test]
fn an_idle_connection_does_not_hold_the_server_up() {
    let mut server = server("");
    let mut idle = server.connect();
    let (request, expected) = addition(7);
    assert_eq!(idle.ask(&request).unwrap().ok(), expected);
    let told = Instant::now();
    assert_eq!(server.stop().code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
    assert!(idle.is_at_end());
}

#[test]
fn a_run_longer_than_the_grace_does_not_hold_the_server_up() {
    let mut server = server("[shutdown]\ngrace = \"300ms\"\n[scheduler]\nthreads = 1");
    let mut connection = server.connect();
    connection.write(&slow(60_000).bytes()).unwrap();
    let (request, _) = addition(0);
    let request = request.header("x-request-timeout", "100ms");
    within(PATIENCE, "a busy thread", || (server.ask(&request).status == 504).then_some(()));
    let told = Instant::now();
    assert_eq!(server.stop().code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
    assert!(server.log().contains("are cut off"), "{}", server.log());
}

#[test]
fn a_server_that_is_told_to_end_while_it_loads_ends_well() {
    for _ in 0..6 {
        let models = (0..300).fold(Models::made(), |models, k: u16| {
            models.file(&format!("adder-{k}.onnx"), adder(f32::from(k)))
        });
        let mut server = TestServer::with_models(models).launch();
        within(PATIENCE, "a loaded model", || server.log().contains("is ready").then_some(()));
        assert_eq!(server.stop().code(), Some(0));
        assert!(!server.log().contains("quarantined"), "{}", server.log());
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = server("[shutdown]\ndrain = \"10m\"");
    server.terminate();
    within(PATIENCE, "a server that is not ready", || {
        (server.get("/v2/health/ready").status == 503).then_some(())
    });
    assert_eq!(server.stop().code(), Some(1));
}
