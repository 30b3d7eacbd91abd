//! Clients: threads of their own, whose names begin with `load`, so that their time can be told from the
//! server's.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::call::Calls;
use crate::figures::{Span, Tally, due};
use crate::measure::sleep_until;
use crate::scene::Protocol;
use crate::wire::{self, Answer};

/// What the names of the clients' threads begin with.
pub(crate) const THREADS: &str = "load";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where requests come from.
pub(crate) struct Client {
    runtime: Runtime,
}

/// What is asked for, and the body that must come back, each time.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) protocol: Protocol,
    pub(crate) request: Bytes,
    pub(crate) body: Vec<u8>,
}

impl Exchange {
    /// Over the v1 protocol.
    pub(crate) fn v1(request: impl Into<Bytes>, body: Vec<u8>) -> Self {
        Self { protocol: Protocol::V1Json, request: request.into(), body }
    }
}

/// A connection that is kept, in whatever protocol.
enum Connection {
    Http(wire::Connection),
    Grpc(Calls),
}

impl Connection {
    async fn open(address: SocketAddr, protocol: Protocol) -> io::Result<Self> {
        Ok(match protocol {
            Protocol::V1Json | Protocol::V2Json | Protocol::V2Bytes => {
                Self::Http(wire::Connection::open(address).await?)
            }
            Protocol::Grpc => Self::Grpc(Calls::open(address).await?),
        })
    }

    async fn ask(&mut self, request: &Bytes) -> io::Result<Answer> {
        match self {
            Self::Http(connection) => connection.ask(request).await,
            Self::Grpc(calls) => calls.ask(request).await,
        }
    }

    async fn expect(&mut self, exchange: &Exchange) -> io::Result<()> {
        match self {
            Self::Http(connection) => connection.expect(&exchange.request, &exchange.body).await,
            Self::Grpc(calls) => calls.expect(&exchange.request, &exchange.body).await,
        }
    }
}

impl Client {
    /// One thread is enough to keep a server on as many cores busy as most machines have: a request costs it a
    /// fraction of what the server pays. More would only get in the server's way.
    pub(crate) fn start() -> io::Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.div_ceil(4))
            .thread_name(THREADS)
            .enable_all()
            .build()?;
        Ok(Self { runtime })
    }

    /// Asks once, on a connection of its own.
    pub(crate) fn ask(
        &self,
        address: SocketAddr,
        protocol: Protocol,
        request: &Bytes,
    ) -> io::Result<Answer> {
        let ask = async { Connection::open(address, protocol).await?.ask(request).await };
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, ask).await? })
    }

    /// Asks once over the v1 protocol.
    pub(crate) fn ask_v1(&self, address: SocketAddr, request: &[u8]) -> io::Result<Answer> {
        self.ask(address, Protocol::V1Json, &Bytes::copy_from_slice(request))
    }

    /// Opens connections to one server.
    pub(crate) fn connect(
        &self,
        address: SocketAddr,
        count: usize,
        exchange: Arc<Exchange>,
    ) -> io::Result<Connections<'_>> {
        let idle = self.runtime.block_on(async {
            let mut idle = Vec::with_capacity(count);
            for _ in 0..count {
                idle.push(Connection::open(address, exchange.protocol).await?);
            }
            io::Result::Ok(idle)
        })?;
        Ok(Connections { client: self, idle, exchange })
    }
}

/// Connections to one server, idle between two windows.
pub(crate) struct Connections<'c> {
    client: &'c Client,
    idle: Vec<Connection>,
    exchange: Arc<Exchange>,
}

impl Connections<'_> {
    /// A closed loop: until the span ends, each connection asks again as soon as it has its answer. `meanwhile`
    /// runs on the calling thread.
    pub(crate) fn drive<T>(
        &mut self,
        span: Span,
        meanwhile: impl FnOnce() -> T,
    ) -> io::Result<(Tally, T)> {
        let mut loops = JoinSet::new();
        for connection in self.idle.drain(..) {
            let one = ask_again_and_again(connection, self.exchange.clone(), span);
            loops.spawn_on(one, self.client.runtime.handle());
        }
        let seen = meanwhile();
        let patience = span.until.saturating_duration_since(Instant::now()) + PATIENCE;
        Ok((self.gather(loops, patience)?, seen))
    }

    /// How many requests a second are answered when everybody asks as fast as possible.
    pub(crate) fn fastest(&mut self, during: Duration) -> io::Result<f64> {
        let from = Instant::now();
        let (tally, ()) = self.drive(Span { from, until: from + during }, || {})?;
        Ok(tally.requests / during.as_secs_f64())
    }

    /// An open loop: so many requests a second, by the connections in turn, for as long as `meanwhile` runs on the
    /// calling thread. They are sent whether the ones before are answered or not, and one that is late counts from
    /// when it was due. Those that are due in the span are counted.
    pub(crate) fn stream<T>(
        &mut self,
        per_second: f64,
        span: Span,
        meanwhile: impl FnOnce() -> T,
    ) -> io::Result<(Tally, T)> {
        let mut loops = JoinSet::new();
        let mut turns = Vec::with_capacity(self.idle.len());
        for connection in self.idle.drain(..) {
            let (turn, taken) = unbounded_channel();
            turns.push(turn);
            let one = ask_in_turn(connection, self.exchange.clone(), taken, span);
            loops.spawn_on(one, self.client.runtime.handle());
        }
        let is_over = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let clock = std::thread::Builder::new().name(format!("{THREADS}-clock"));
            clock.spawn_scoped(scope, || give_turns(turns, per_second, &is_over))?;
            let seen = meanwhile();
            is_over.store(true, Ordering::Relaxed);
            io::Result::Ok(seen)
        })?;
        Ok((self.gather(loops, PATIENCE)?, seen))
    }

    fn gather(
        &mut self,
        mut loops: JoinSet<io::Result<(Connection, Tally)>>,
        patience: Duration,
    ) -> io::Result<Tally> {
        let all = async {
            let mut tally = Tally::default();
            while let Some(one) = loops.join_next().await {
                let (connection, of_one) = one??;
                tally.join(of_one);
                self.idle.push(connection);
            }
            io::Result::Ok(tally)
        };
        self.client.runtime.block_on(async { tokio::time::timeout(patience, all).await? })
    }
}

/// Tells each connection when it is its turn, until it is over.
fn give_turns(turns: Vec<UnboundedSender<Instant>>, per_second: f64, is_over: &AtomicBool) {
    let began = Instant::now();
    for (number, turn) in (0_u32..).zip(turns.iter().cycle()) {
        let due = due(began, number, per_second);
        sleep_until(due);
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        // A connection that failed takes no more turns, and says why in the end.
        let _ = turn.send(due);
    }
}

async fn ask_in_turn(
    mut connection: Connection,
    exchange: Arc<Exchange>,
    mut turns: UnboundedReceiver<Instant>,
    span: Span,
) -> io::Result<(Connection, Tally)> {
    let mut tally = Tally::default();
    while let Some(due) = turns.recv().await {
        connection.expect(&exchange).await?;
        tally.add_due(span, due, Instant::now());
    }
    Ok((connection, tally))
}

async fn ask_again_and_again(
    mut connection: Connection,
    exchange: Arc<Exchange>,
    span: Span,
) -> io::Result<(Connection, Tally)> {
    let mut tally = Tally::default();
    let mut asked = Instant::now();
    while asked < span.until {
        connection.expect(&exchange).await?;
        let answered = Instant::now();
        tally.add(span, asked, answered);
        asked = answered;
    }
    Ok((connection, tally))
}
