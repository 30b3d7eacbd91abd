//! Headers, chunks and trailers without end: refused or closed, and never kept.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::{Good, server};
use crate::support::{Connection, resident_mib};

const PATIENCE: Duration = Duration::from_secs(60);
const SETTINGS: &str = "[http]\nbody_timeout = \"2s\"";

/// Something that is begun, and then goes on with the same again and again.
struct Endless {
    name: &'static str,
    begins: String,
    goes_on: String,
    /// How it is answered.
    status: u16,
}

fn all() -> Vec<Endless> {
    let post = "POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\n";
    let chunked = format!("{post}transfer-encoding: chunked\r\n\r\n");
    let endless = |name, begins: &str, goes_on: &str, status| {
        let (begins, goes_on) = (begins.to_owned(), goes_on.to_owned());
        Endless { name, begins, goes_on, status }
    };
    let long = "a".repeat(1024);
    vec![
        endless("a method", "", &long, 431),
        endless("a path", "GET /", &long, 431),
        endless("a header's name", post, &long, 431),
        endless("a header's value", &format!("{post}x: "), &long, 431),
        endless("headers", post, "x: y\r\n", 431),
        endless("empty lines", "", "\r\n", 431),
        // Zeros before a number mean nothing, so that they are skipped for as long as a body may take.
        endless("a chunk's size", &chunked, &"0".repeat(1024), 408),
        endless("a chunk's extension", &format!("{chunked}1;"), &long, 400),
        endless("extensions of chunks", &chunked, &format!("1;{long}\r\n \r\n"), 400),
        endless("a trailer's value", &format!("{chunked}1\r\n \r\n0\r\nx: "), &long, 400),
        endless("trailers", &format!("{chunked}1\r\n \r\n0\r\n"), "x: y\r\n", 400),
    ]
}

/// Sends it until the server has had enough. Gives the status of its answer, where one has come through.
#[track_caller]
fn send(
    connection: &mut Connection,
    Endless { name, begins, goes_on, .. }: &Endless,
) -> Option<u16> {
    let piece = goes_on.repeat((16 << 10) / goes_on.len());
    let begun = Instant::now();
    let mut written = connection.write(begins.as_bytes());
    let error = loop {
        match written {
            Ok(()) => written = connection.write(piece.as_bytes()),
            Err(error) => break error,
        }
        assert!(begun.elapsed() < PATIENCE, "{name}: it is read for ever");
    };
    assert!(
        [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error.kind()),
        "{name}: {error}"
    );
    // What was sent after the answer may have made the system forget the answer.
    connection.read_answer(false).ok().map(|answer| answer.status)
}

#[test]
fn what_has_no_end_is_cut_off_while_others_are_answered() {
    let server = server(SETTINGS);
    let mut good = Good::of(&server);
    good.ask();
    let before = resident_mib(server.pid(), "VmHWM");
    good.ask_during(1, || {
        for endless in all() {
            let status = send(&mut server.connect(), &endless);
            assert!(
                status.is_none_or(|status| status == endless.status),
                "{}: {status:?}",
                endless.name
            );
        }
    });
    let after = resident_mib(server.pid(), "VmHWM");
    assert!(after < before + 64.0, "{before} MiB and then {after} MiB");
}

#[test]
fn what_is_only_too_long_is_told() {
    let server = server(SETTINGS);
    for Endless { name, begins, goes_on, status } in all() {
        let mut connection = server.connect();
        // Little more than there may be, so that nothing is on its way when the answer is.
        let length = (17 << 10) / goes_on.len() + 1;
        let bytes = format!("{begins}{}", goes_on.repeat(length));
        for piece in bytes.as_bytes().chunks(1024) {
            let _ = connection.write(piece);
        }
        match connection.read_answer(false) {
            Ok(answer) => assert_eq!(answer.status, status, "{name}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{name}: {error}"),
        }
        assert!(connection.is_closed(), "{name}: it can be used no more");
    }
}
