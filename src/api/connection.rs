//! Connections: taking requests off the wire within the limits, and ending without dropping one.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router as Routes;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout_at;
use tower::ServiceExt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::crowd::{Crowd, Place};
use super::grpc::{self, Calls, MessageLimits};
use super::guard::Guard;
use super::leftover::Leftover;
use super::patience::{Patience, Patient};
use super::problem::Problem;
use super::standing::{self, Answering, Outgoing};
use super::unsent::{Part, Unsent};
use super::{Api, Bodies};
use crate::config::HttpConfig;
use crate::domain::wording::printable;
use crate::telemetry::logs;

/// The header with a request's id: the client's own, else one that is made here.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How many connections there may be, and what each may send.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at once.
    pub most: usize,
    /// Bytes of a request's line and headers.
    pub max_header: usize,
    /// Within which they must have arrived.
    pub header_timeout: Duration,
    /// Within which a client must take more of its answer.
    pub answer_timeout: Duration,
    /// Bytes of all large answers that clients have not taken yet.
    pub max_unsent: usize,
}

impl ConnectionLimits {
    /// There is room for as many answers as of bodies of the largest size, and for twice as many: numbers take more
    /// room when they are written out.
    const UNSENT_OF_THE_LARGEST: usize = 8;

    /// As the settings have it, for a listener with so many connections.
    pub fn new(most: usize, http: &HttpConfig) -> Self {
        Self {
            most,
            max_header: http.max_header,
            header_timeout: http.header_timeout,
            answer_timeout: http.body_timeout,
            max_unsent: http.max_body.saturating_mul(Self::UNSENT_OF_THE_LARGEST),
        }
    }
}

/// One listener with its routes and everything that is connected to it.
#[derive(Debug)]
pub struct Connections {
    listener: TcpListener,
    shared: Arc<Shared>,
    limits: ConnectionLimits,
    protocol: Protocol,
}

/// What is spoken on a listener.
#[derive(Clone, Debug)]
enum Protocol {
    Http1,
    /// HTTP/2 without encryption, as gRPC has it.
    Grpc(MessageLimits),
}

/// What all connections of a listener share.
#[derive(Debug)]
struct Shared {
    routes: Routes,
    ids: RequestIds,
    crowd: Arc<Crowd>,
    unsent: Arc<Unsent>,
    /// Set when the listener ends: each connection is told with its next answer.
    closing: AtomicBool,
}

/// How long clients have, once the listener ends, to learn it from an answer. Connections that stay idle for so
/// long are closed without one.
const LINGER: Duration = Duration::from_millis(250);

impl Connections {
    /// Answers what comes to `listener` with `routes`.
    pub fn new(listener: TcpListener, routes: Routes, limits: ConnectionLimits) -> Self {
        let (ids, closing) = (RequestIds::new(), AtomicBool::new(false));
        let crowd = Arc::new(Crowd::new(limits.most));
        let unsent = Unsent::new(limits.max_unsent);
        let shared = Arc::new(Shared { routes, ids, crowd, unsent, closing });
        Self { listener, shared, limits, protocol: Protocol::Http1 }
    }

    /// Answers the calls that come to `listener`. `guard` stands before those that are not for clients.
    pub fn of_grpc(
        listener: TcpListener,
        api: &Api,
        guard: Guard,
        limits: ConnectionLimits,
    ) -> Self {
        let protocol = Protocol::Grpc(MessageLimits {
            max_message: api.grpc.max_message,
            timeout: api.http.body_timeout,
            bodies: Bodies::new(api.grpc.max_message),
            unsent: Unsent::of_many(limits.max_unsent),
        });
        Self { protocol, ..Self::new(listener, grpc::routes(api, guard), limits) }
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
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut ends => break,
            };
            tokio::select! {
                () = self.take(accepted, &open) => {}
                () = &mut ends => break,
            }
        }
        self.shared.closing.store(true, Ordering::Release);
        let lingers_until = tokio::time::Instant::now() + LINGER;
        while let Ok(accepted) = timeout_at(lingers_until, self.listener.accept()).await {
            if timeout_at(lingers_until, self.take(accepted, &open)).await.is_err() {
                break;
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
            Ok((stream, peer)) => {
                let place = self.shared.crowd.place().await;
                self.connect(stream, peer, place, open);
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // Out of descriptors, most likely: others have used more of them than was thought.
                tracing::warn!("a connection cannot be accepted: {error}");
                self.shared.crowd.send_one_away();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    fn connect(&self, stream: TcpStream, peer: SocketAddr, place: Place, open: &GracefulShutdown) {
        // An answer is written at once; waiting for more to send with it only costs time.
        let _ = stream.set_nodelay(true);
        match &self.protocol {
            Protocol::Http1 => self.connect_http(stream, peer, place, open),
            Protocol::Grpc(limits) => self.connect_grpc(stream, peer, place, open, limits.clone()),
        }
    }

    fn connect_http(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
        open: &GracefulShutdown,
    ) {
        let (shared, standing) = (self.shared.clone(), place.standing().clone());
        let ConnectionLimits { max_header, header_timeout, answer_timeout, .. } = self.limits;
        let patience = Patience { headers: header_timeout, answer: answer_timeout };
        let stream = Patient::new(stream, patience, standing.clone());
        let leftover = Leftover::default();
        let service = service_fn(move |request: Request<Incoming>| {
            let (shared, standing) = (shared.clone(), standing.clone());
            let leftover = leftover.clone();
            async move {
                let answering = Answering::begin(&standing);
                let is_asked_for = !request.headers().contains_key(header::EXPECT);
                let request = request.map(|body| {
                    Body::new(leftover.of(standing::Incoming::new(body, standing.clone())))
                });
                let (mut response, part) = answer(&shared, peer, request).await;
                let ends = response.headers().contains_key(header::CONNECTION)
                    || !leftover.is_gone(is_asked_for).await;
                if ends || shared.closing.load(Ordering::Acquire) {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                Ok::<_, Infallible>(response.map(|body| Outgoing::new(body, answering, part)))
            }
        });
        let connection = http1::Builder::new()
            .max_buf_size(max_header)
            // How long a client may take is the stream's business.
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(stream), service);
        self.attend(open.watch(connection), peer, place);
    }

    fn connect_grpc(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
        open: &GracefulShutdown,
        limits: MessageLimits,
    ) {
        let shared = self.shared.clone();
        let calls = Calls::new(place.standing().clone(), limits);
        let keeps_waiting = calls.keep_waiting(self.limits.answer_timeout);
        let service = service_fn(move |request| {
            let (shared, calls) = (shared.clone(), calls.clone());
            async move {
                // What a call is answered with is counted as its pieces go out.
                let answer = async |request| answer(&shared, peer, request).await.0;
                Ok::<_, Infallible>(calls.answer(request, answer).await)
            }
        });
        let connection =
            grpc::settings(&self.limits).serve_connection(TokioIo::new(stream), service);
        let connection = open.watch(connection);
        let connection = async move {
            tokio::select! {
                ended = connection => ended,
                // Dropped, and with it all that waits to be taken.
                () = keeps_waiting => Ok(()),
            }
        };
        self.attend(connection, peer, place);
    }

    fn attend(
        &self,
        connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
        peer: SocketAddr,
        place: Place,
    ) {
        let number = place.number();
        let task = tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(peer = %peer, "a connection ended early: {error}");
            }
        });
        self.shared.crowd.can_end(number, task.abort_handle());
    }
}

fn is_about_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One request: an id, the routes, and a line in the access log.
async fn answer(
    shared: &Shared,
    peer: SocketAddr,
    mut request: Request<Body>,
) -> (Response, Option<Part>) {
    let id = shared.ids.of(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let line = tracing::enabled!(target: logs::ACCESS, tracing::Level::INFO)
        .then(|| (Instant::now(), request.method().clone(), request.uri().path().to_owned()));
    let Ok(response) = shared.routes.clone().oneshot(request).await;
    let (mut response, part) = with_room(shared, response).await;
    if let Some((started, method, path)) = line {
        tracing::info!(
            target: logs::ACCESS,
            peer = %peer, request.id = ?id, status = response.status().as_u16(),
            grpc.status = response.headers().get("grpc-status").and_then(|code| code.to_str().ok()),
            duration_ms = started.elapsed().as_secs_f64() * 1e3,
            "{} {}", printable(method.as_str(), 20), printable(&path, 200)
        );
    }
    response.headers_mut().insert(REQUEST_ID, id);
    (response, part)
}

/// An answer that there is room for: the one that was made, or else one that says that there is none. Before that, clients
/// who do not take theirs have to go.
async fn with_room(shared: &Shared, response: Response) -> (Response, Option<Part>) {
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    loop {
        if let Some(part) = shared.unsent.take(bytes) {
            return (response, Some(part));
        }
        if !shared.crowd.send_a_stalled_one_away() {
            return (too_many_answers().into_response(), None);
        }
        shared.crowd.somebody_leaves().await;
    }
}

pub(super) fn too_many_answers() -> Problem {
    let sentence = "as many large answers as the server holds wait for their clients to take them; try again later";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_answers", sentence)
        .retry_after(Duration::from_secs(1))
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
        let id = xxh3_64_with_seed(&number.to_le_bytes(), self.seed);
        let mut text = [b'0'; 16];
        let is_written = write!(&mut text[..], "{id:016x}").is_ok();
        // It goes into the request, the answer and the log: shared, and not copied.
        let text = HeaderValue::from_maybe_shared(Bytes::from_owner(text));
        text.ok().filter(|_| is_written).unwrap_or(HeaderValue::from_static("none"))
    }
}

/// Short and printable, so that it can stand in a log.
fn is_plain(id: &HeaderValue) -> bool {
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}
