//! Clients: threads of their own, whose names begin with `load`, so that their time can be told from the
//! server's.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::wire::{Answer, Connection};

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
    pub(crate) request: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// The time in which requests are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

/// How long each request took, in nanoseconds, of those answered within the span.
pub(crate) type Latencies = Vec<u32>;

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
    pub(crate) fn ask(&self, address: SocketAddr, request: &[u8]) -> io::Result<Answer> {
        let ask = async { Connection::open(address).await?.ask(request).await };
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, ask).await? })
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
                idle.push(Connection::open(address).await?);
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
    ) -> io::Result<(Latencies, T)> {
        let mut loops = JoinSet::new();
        for connection in self.idle.drain(..) {
            let one = ask_again_and_again(connection, self.exchange.clone(), span);
            loops.spawn_on(one, self.client.runtime.handle());
        }
        let seen = meanwhile();
        let all = async {
            let mut latencies = Vec::new();
            while let Some(one) = loops.join_next().await {
                let (connection, of_one) = one??;
                latencies.extend(of_one);
                self.idle.push(connection);
            }
            io::Result::Ok(latencies)
        };
        let patience = span.until.saturating_duration_since(Instant::now()) + PATIENCE;
        let latencies =
            self.client.runtime.block_on(async { tokio::time::timeout(patience, all).await? })?;
        Ok((latencies, seen))
    }
}

async fn ask_again_and_again(
    mut connection: Connection,
    exchange: Arc<Exchange>,
    span: Span,
) -> io::Result<(Connection, Latencies)> {
    let mut latencies = Vec::with_capacity(4096);
    let mut asked = Instant::now();
    loop {
        connection.expect(&exchange.request, &exchange.body).await?;
        let answered = Instant::now();
        if answered >= span.until {
            return Ok((connection, latencies));
        }
        if answered >= span.from {
            let elapsed = answered.duration_since(asked).as_nanos();
            latencies.push(u32::try_from(elapsed).unwrap_or(u32::MAX));
        }
        asked = answered;
    }
}
