//! Clients who ask for much and read nothing of it.

use std::time::Duration;

use super::{Good, server};
use crate::support::{Connection, Request, TestServer, resident_mib, within};

const PATIENCE: Duration = Duration::from_secs(60);
/// What all answers may take that nobody has read is eight times the largest body.
const SETTINGS: &str = "[http]\nmax_body = \"8MiB\"\nbody_timeout = \"1h\"";
const ROOM_MIB: f64 = 64.0;
const CLIENTS: usize = 20;

/// A request of 6 MiB, with numbers of which the answer is almost twice as long. A system keeps a few MiB of it.
fn large() -> Request {
    let row = "[1e-7,1e-7]";
    let rows = vec![row; (6 << 20) / (row.len() + 1)].join(",");
    Request::predict("m", format!("{{\"instances\": [{rows}]}}"))
}

/// A client who has asked, and of whose answer only the first line is read.
fn unread(server: &TestServer, request: &Request) -> Option<Connection> {
    let mut connection = server.connect();
    connection.write(&request.bytes()).ok()?;
    connection.has_begun_to_answer().then_some(connection)
}

#[test]
fn answers_that_nobody_reads_take_bounded_memory_and_those_who_keep_them_waiting_go() {
    let server = server(SETTINGS);
    let mut good = Good::of(&server);
    let request = large();
    let answer = server.ask(&request);
    assert_eq!(answer.status, 200);
    let answer_mib = answer.body.len() as f64 / f64::from(1 << 20);
    let before = resident_mib(server.pid(), "VmHWM");
    let mut held = Vec::new();
    good.ask_during(1, || {
        while held.len() < CLIENTS {
            held.extend(unread(&server, &request));
        }
    });
    let after = resident_mib(server.pid(), "VmHWM");
    println!("{answer_mib} each; {before} MiB and then {after} MiB");
    assert!(CLIENTS as f64 * answer_mib > 3.0 * ROOM_MIB, "they would take {answer_mib} MiB each");
    assert!(after < before + 1.5 * ROOM_MIB, "{before} MiB and then {after} MiB");
    // Who reads gets a large answer even now.
    within(PATIENCE, "room for a large answer", || {
        (server.ask(&request).status == 200).then_some(())
    });
}

/// Whether the server's side of a connection is open, as the system has it: the client's own side knows nothing of an end
/// that comes after what it has not read.
fn is_open(server: &TestServer, connection: &Connection) -> bool {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let sides = [server.http().port(), connection.port()].map(|port| format!(":{port:04X}"));
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        matches!(fields[..], [_, local, remote, ESTABLISHED, ..]
            if local.ends_with(&sides[0]) && remote.ends_with(&sides[1]))
    })
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_who_takes_nothing_is_closed() {
    // Long enough for its request to arrive on a busy machine.
    let server = server("[http]\nbody_timeout = \"5s\"");
    let mut good = Good::of(&server);
    let request = large();
    good.ask();
    let mut held: Vec<Connection> = Vec::new();
    while held.len() < 4 {
        held.extend(unread(&server, &request));
    }
    within(PATIENCE, "an end of them", || {
        good.ask();
        held.iter().all(|connection| !is_open(&server, connection)).then_some(())
    });
    for connection in &mut held {
        assert!(connection.is_closed(), "before the end of its answer");
    }
}
