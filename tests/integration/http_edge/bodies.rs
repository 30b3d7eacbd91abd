//! Many large bodies at once.

use std::io::ErrorKind;
use std::time::Duration;

use super::{Good, server};
use crate::support::{Connection, Request, TestServer, resident_mib, within};

const PATIENCE: Duration = Duration::from_secs(60);
const SETTINGS: &str = "[http]\nmax_body = \"8MiB\"\nbody_timeout = \"1h\"";
/// What all bodies may take is four times the largest.
const ROOM_MIB: f64 = 32.0;

/// A client who has sent all of a body of 8 MiB but its end. None where the server would not have it.
fn almost_whole(server: &TestServer) -> Option<Connection> {
    let body = vec![b' '; (8 << 20) - 1];
    let length = (body.len() + 1).to_string();
    let request = Request::predict("m", body).header("content-length", &length);
    let mut connection = server.connect();
    match connection.write(&request.bytes()) {
        Ok(()) => Some(connection),
        Err(error) => {
            let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            assert!(kinds.contains(&error.kind()), "{error}");
            None
        }
    }
}

/// A good request of 4 MiB.
fn large() -> Request {
    let rows = vec!["[0,1000]"; 1000].join(",");
    Request::predict("m", format!("{{\"instances\": [{rows}]}}{}", " ".repeat(4 << 20)))
}

#[test]
fn large_bodies_that_do_not_end_take_bounded_memory_and_give_way() {
    let server = server(SETTINGS);
    let mut good = Good::of(&server);
    assert_eq!(server.ask(&large()).status, 200);
    let before = resident_mib(server.pid(), "VmHWM");
    let held: Vec<Connection> = (0..40).filter_map(|_| almost_whole(&server)).collect();
    good.ask();
    let after = resident_mib(server.pid(), "VmHWM");
    // A buffer that grows is twice as large for a moment.
    assert!(after < before + 3.0 * ROOM_MIB, "{before} MiB and then {after} MiB");
    // They stand still, so that one that comes on gets their room.
    within(PATIENCE, "room for a large body", || {
        good.ask();
        server.connect().ask(&large()).is_ok_and(|answer| answer.status == 200).then_some(())
    });
    drop(held);
}

#[test]
fn large_bodies_keep_out_no_small_one_however_many_pieces_it_comes_in() {
    let server = server(SETTINGS);
    let mut held: Vec<Connection> = (0..8).filter_map(|_| almost_whole(&server)).collect();
    let request = Request::predict("m", r#"{"instances": [[0, 1000]]}"#).bytes();
    let mut connection = server.connect();
    for piece in request.chunks(20) {
        connection.write(piece).unwrap();
        // The server has read the piece before once others are answered.
        Good::of(&server).ask();
    }
    let answer = connection.read_answer(false).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    held.clear();
}
