//! Connections: taking requests off the wire within the limits, and ending without dropping one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router as Routes;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::patience::{Answering, Patient};
use crate::config::HttpConfig;
use crate::domain::wording::printable;
use crate::telemetry::logs;

/// The header with a request's id: the client's own, else one that is made here.
pub(super) const REQUEST_ID: &str = "x-request-id";

/// What a connection may send.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Bytes of a request's line and headers.
    pub max_header: usize,
    /// Within which they must have arrived.
    pub header_timeout: Duration,
}

impl From<&HttpConfig> for ConnectionLimits {
    fn from(http: &HttpConfig) -> Self {
        Self { max_header: http.max_header, header_timeout: http.header_timeout }
    }
}

/// One listener with its routes and everything that is connected to it.
#[derive(Debug)]
pub struct Connections {
    listener: TcpListener,
    shared: Arc<Shared>,
    limits: ConnectionLimits,
}

/// What all connections of a listener share.
#[derive(Debug)]
struct Shared {
    routes: Routes,
    ids: RequestIds,
    /// Set when the listener ends: each connection is told with its next answer.
    closing: AtomicBool,
}

/// How long clients have, once the listener ends, to learn it from an answer. Connections that stay idle for so
/// long are closed without one.
const LINGER: Duration = Duration::from_millis(250);

impl Connections {
    /// Answers what comes to `listener` with `routes`.
    pub fn new(listener: TcpListener, routes: Routes, limits: ConnectionLimits) -> Self {
        let shared = Shared { routes, ids: RequestIds::new(), closing: AtomicBool::new(false) };
        Self { listener, shared: Arc::new(shared), limits }
    }

    /// Serves until `ending` becomes true, then ends so that every request that was accepted is answered:
    /// answers say `connection: close`, the line of those who wait for a connection is worked off, and only
    /// connections that have nothing under way are closed. What is not done after `grace` is cut off.
    pub async fn serve(self, mut ending: watch::Receiver<bool>, grace: Duration) {
        let open = GracefulShutdown::new();
        let ends = async move {
            // The sender is gone only when the whole server is.
            let _ = ending.wait_for(|ending| *ending).await;
        };
        tokio::pin!(ends);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => self.take(accepted, &open).await,
                () = &mut ends => break,
            }
        }
        self.shared.closing.store(true, Ordering::Release);
        let lingering = tokio::time::sleep(LINGER);
        tokio::pin!(lingering);
        loop {
            tokio::select! {
                biased;
                accepted = self.listener.accept() => self.take(accepted, &open).await,
                () = &mut lingering => break,
            }
        }
        drop(self.listener);
        if tokio::time::timeout(grace, open.shutdown()).await.is_err() {
            tracing::warn!(
                "requests that were not answered within {} are cut off",
                humantime::format_duration(grace)
            );
        }
    }

    async fn take(
        &self,
        accepted: std::io::Result<(TcpStream, SocketAddr)>,
        open: &GracefulShutdown,
    ) {
        match accepted {
            Ok((stream, peer)) => self.connect(stream, peer, open),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // Out of descriptors, most likely: they come back when connections end.
                tracing::warn!("a connection cannot be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    fn connect(&self, stream: TcpStream, peer: SocketAddr, open: &GracefulShutdown) {
        // An answer is written at once; waiting for more to send with it only costs time.
        let _ = stream.set_nodelay(true);
        let shared = self.shared.clone();
        let answering = Answering::default();
        let stream = Patient::new(stream, self.limits.header_timeout, answering.clone());
        let service = service_fn(move |request| {
            let (shared, answering) = (shared.clone(), answering.clone());
            async move {
                answering.begin();
                let response = answer(&shared, peer, request).await;
                answering.end();
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .max_buf_size(self.limits.max_header)
            // How long a client may take is the stream's business.
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(stream), service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(peer = %peer, "a connection ended early: {error}");
            }
        });
    }
}

fn is_about_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One request: an id, the routes, and a line in the access log.
async fn answer(shared: &Shared, peer: SocketAddr, mut request: Request<Incoming>) -> Response {
    let id = shared.ids.of(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let line = tracing::enabled!(target: logs::ACCESS, tracing::Level::INFO)
        .then(|| (Instant::now(), request.method().clone(), request.uri().path().to_owned()));
    let Ok(mut response) = shared.routes.clone().oneshot(request.map(Body::new)).await;
    if let Some((started, method, path)) = line {
        tracing::info!(
            target: logs::ACCESS,
            peer = %peer, request.id = ?id, status = response.status().as_u16(),
            duration_ms = started.elapsed().as_secs_f64() * 1e3,
            "{} {}", printable(method.as_str(), 20), printable(&path, 200)
        );
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    if shared.closing.load(Ordering::Acquire) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Ids that are different for each request, and for each start of the server.
#[derive(Debug)]
struct RequestIds {
    next: AtomicU64,
    seed: u64,
}

impl RequestIds {
    fn new() -> Self {
        // The standard library's hash maps are seeded at random; so are the ids.
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "request ids");
        Self { next: AtomicU64::new(0), seed }
    }

    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(REQUEST_ID) {
            Some(id) if is_plain(id) => id.clone(),
            Some(_) | None => self.make(),
        }
    }

    fn make(&self) -> HeaderValue {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}", xxh3_64_with_seed(&number.to_le_bytes(), self.seed));
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    }
}

/// Short and printable, so that it can stand in a log.
fn is_plain(id: &HeaderValue) -> bool {
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}
