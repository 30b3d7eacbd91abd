//! Bodies that nobody wants, because the answer is known without them.

use super::server;
use crate::support::{Connection, Request, row, whole};

/// The head of a request, and its body.
fn split(request: &Request) -> (Vec<u8>, Vec<u8>) {
    const END: &[u8] = b"\r\n\r\n";
    let bytes = request.bytes();
    let head = bytes.windows(END.len()).position(|bytes| bytes == END).unwrap() + END.len();
    (bytes[..head].to_vec(), bytes[head..].to_vec())
}

#[track_caller]
fn goes_on(connection: &mut Connection) {
    let answer = connection.ask(&row("m")).unwrap();
    assert_eq!(whole(&answer), Ok(("1".to_owned(), 1.0)));
}

#[test]
fn a_connection_goes_on_behind_a_body_that_comes_after_its_head() {
    let server = server("");
    let body = r#"{"instances": [[0, 1000]]}"#;
    let mut connection = server.connect();
    for (request, status) in [
        (Request::predict("nobody", body), 404),
        (Request::post("/nowhere", body), 404),
        (Request::post("/v2", body), 405),
        (Request::predict("m", body).header("content-encoding", "br"), 415),
        (Request::predict("m", body).header("x-request-timeout", "soon"), 400),
        (Request::predict("m", body).header("x-model-pin", "7"), 404),
        (Request::post("/admin/v1/models/m/rollout/undo", body).header("host", "a.example"), 403),
    ] {
        for pauses in [false, true] {
            let (head, body) = split(&request);
            connection.write(&head).unwrap();
            if pauses {
                // The server has read the head by the time that others are answered.
                goes_on(&mut server.connect());
            }
            connection.write(&body).unwrap();
            let answer = connection.read_answer(false).unwrap();
            assert_eq!(answer.status, status, "{}", answer.text());
            assert_eq!(answer.header("connection"), None);
            goes_on(&mut connection);
        }
    }
}

#[test]
fn an_answer_that_ends_its_connection_says_so() {
    let server = server("");
    let large = || Request::predict("nobody", "").header("content-length", "1000000");
    let slow = || Request::predict("nobody", "").header("content-length", "100");
    let asks = || slow().header("expect", "100-continue");
    for request in [large(), slow(), asks()] {
        let mut connection = server.connect();
        connection.write(&split(&request).0).unwrap();
        let answer = connection.read_answer(false).unwrap();
        assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
        assert!(connection.is_closed());
    }
}
