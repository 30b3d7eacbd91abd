//! More clients than there may be connections, of whom most keep the server waiting.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use greenroom::system::descriptors::raise_limit;

use super::{Good, connections, server};
use crate::support::{Finally, Request, TestServer, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// Clients who begin a request, and go on with a byte each second; who is closed comes again.
struct Slow {
    address: SocketAddr,
    is_over: AtomicBool,
    /// How many have come, and how many of them came again.
    came: AtomicUsize,
    came_again: AtomicUsize,
}

impl Slow {
    fn to(server: &TestServer) -> Self {
        let (came, came_again) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { address: server.http(), is_over: AtomicBool::new(false), came, came_again }
    }

    /// So many of them, half of whom are slow with their headers, and half with their body. Ends when it is over.
    fn besiege(&self, clients: usize) {
        let begun = Request::predict("m", "").header("content-length", "100000").bytes();
        let beginnings: [&[u8]; 2] = [b"POST /v1/models/m:predict HTTP/1.1\r\nx: ", &begun];
        let mut all: Vec<Option<TcpStream>> = (0..clients).map(|_| None).collect();
        while !self.is_over.load(Ordering::Relaxed) {
            let round = Instant::now();
            for (number, client) in all.iter_mut().enumerate() {
                // One after the other, since those who ask properly live on the same machine and want to be quicker.
                std::thread::sleep(Duration::from_micros(200));
                if client.as_mut().is_some_and(|client| client.write_all(b" ").is_ok()) {
                    continue;
                }
                let before = client.take();
                let Ok(stream) = TcpStream::connect_timeout(&self.address, PATIENCE) else {
                    continue;
                };
                let begun = client.insert(stream).write_all(beginnings[number % 2]);
                let count = if before.is_some() { &self.came_again } else { &self.came };
                count.fetch_add(usize::from(begun.is_ok()), Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_secs(1).saturating_sub(round.elapsed()));
        }
    }

    /// Does something while they are there.
    #[track_caller]
    fn during(&self, clients: usize, act: impl FnOnce()) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.besiege(clients));
            let _over = Finally(|| self.is_over.store(true, Ordering::Relaxed));
            within(PATIENCE, "all slow clients", || {
                (self.came.load(Ordering::Relaxed) == clients).then_some(())
            });
            act();
        });
    }
}

#[test]
fn two_thousand_slow_clients_keep_nobody_out() {
    assert!(raise_limit() > 4000, "the limit on open files is too low for this test");
    // They are there to stay.
    let server = server("[http]\nheader_timeout = \"1h\"\nbody_timeout = \"1h\"");
    let before = connections(&server);
    let mut good = Good::of(&server);
    Slow::to(&server).during(2000, || {
        assert!(connections(&server) > before + 1900, "they are there");
        for _ in 0..100 {
            good.ask();
        }
    });
    within(PATIENCE, "an end of them", || (connections(&server) < before + 10).then_some(()));
}

#[test]
fn more_slow_clients_than_there_may_be_connections_keep_nobody_out() {
    let server = server("[http]\nmax_connections = 200");
    let before = connections(&server);
    let mut good = Good::of(&server);
    good.ask();
    let slow = Slow::to(&server);
    slow.during(2000, || {
        let again = slow.came_again.load(Ordering::Relaxed);
        let mut most = 0;
        for _ in 0..100 {
            good.ask();
            most = most.max(connections(&server));
        }
        within(PATIENCE, "slow clients that come again", || {
            good.ask();
            (slow.came_again.load(Ordering::Relaxed) > again + 500).then_some(())
        });
        assert!((before + 150..before + 220).contains(&most), "{before} and then {most}");
    });
    let told = "connections that kept the server waiting were closed for others: there are 200";
    assert!(server.log().contains(told), "{}", server.log());
}

#[test]
fn clients_who_keep_connections_for_later_find_them_open_although_newcomers_come_in_crowds() {
    let server = server("[http]\nmax_connections = 100");
    let mut good = Good::of(&server);
    good.ask();
    // Newcomers who say nothing are as many as those who rest could never be.
    for _ in 0..20 {
        let crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(server.http()).unwrap()).collect();
        good.ask();
        drop(crowd);
    }
}
