//! Clients that take their time, or leave before they have said everything.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{assert_good, served};
use crate::support::{Answer, Connection, Models, Request, TestServer};

fn server() -> TestServer {
    let settings = "[http]\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"";
    TestServer::with_models(served()).settings(settings).start()
}

/// Sends a byte now and then, until the server has had enough; meanwhile others are answered.
fn drip(server: &TestServer, begins: &[u8], then: u8) -> io::Result<Answer> {
    let mut connection = server.connect();
    connection.write(begins).unwrap();
    let mut writer = connection.another();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && writer.write(&[then]).is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        assert_good(server);
        let answer = connection.read_answer(false);
        done.store(true, Ordering::Relaxed);
        answer
    })
}

#[test]
fn a_body_that_comes_byte_by_byte_is_cut_off_with_408() {
    let server = server();
    let request = Request::predict("iris", "").header("content-length", "1000");
    let started = Instant::now();
    let answer = drip(&server, &request.bytes(), b' ').unwrap();
    let expected = json!({ "error": "the body did not arrive within 1s", "code": "body_timeout" });
    assert_eq!((answer.status, answer.json()), (408, expected));
    assert!((1000..10_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert_good(&server);
}

#[test]
fn headers_that_come_byte_by_byte_are_cut_off() {
    let server = server();
    let started = Instant::now();
    let ended = drip(&server, b"GET /v1/models HTTP/1.1\r\nx: ", b'y').unwrap_err();
    let kinds = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
    assert!(kinds.contains(&ended.kind()), "{ended}");
    assert!((1000..10_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert_good(&server);
}

#[test]
fn a_client_that_says_nothing_is_cut_off() {
    let server = server();
    let mut silent = server.connect();
    assert!(silent.is_at_end());
    assert_good(&server);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_hurts_nobody() {
    let server = TestServer::with_models(Models::of_the_repository()).start();
    for _ in 0..20 {
        let mut leaving: Connection = server.connect();
        let request =
            Request::predict("iris", r#"{"instances": [["#).header("content-length", "99");
        leaving.write(&request.bytes()).unwrap();
    }
    assert_good(&server);
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}

#[test]
fn requests_may_be_sent_before_the_last_one_is_answered() {
    let server = TestServer::with_models(served()).start();
    let mut connection = server.connect();
    let good = Request::predict("iris", r#"{"instances": [[5.1, 3.5, 1.4, 0.2]]}"#);
    let requests = [&good, &Request::get("/v1/models/nope"), &good];
    connection.write(&requests.map(Request::bytes).concat()).unwrap();
    let statuses = requests.map(|_| connection.read_answer(false).unwrap().status);
    assert_eq!(statuses, [200, 404, 200]);
}
