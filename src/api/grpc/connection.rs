//! Connections over which calls come, many at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tonic::Status;

use super::arriving::{Arrived, Arriving, Hold, MessageLimits};
use super::generated::grpc_inference_service_server::SERVICE_NAME;
use super::outgoing::{Outgoing, Untaken};
use crate::api::connection::ConnectionLimits;
use crate::api::standing::{Phase, Standing};
use crate::domain::wording::printable;

/// How often a connection on which nothing happens is asked whether its client is still there.
const ARE_YOU_THERE: Duration = Duration::from_secs(30);

/// Calls at once on one connection: more than models run at once, and few enough for their messages to fit.
const MOST_CALLS: u32 = 256;

/// How HTTP/2 is spoken, within the limits.
pub(in crate::api) fn settings(limits: &ConnectionLimits) -> http2::Builder<TokioExecutor> {
    let mut settings = http2::Builder::new(TokioExecutor::new());
    settings
        .timer(TokioTimer::new())
        .keep_alive_interval(ARE_YOU_THERE)
        .keep_alive_timeout(limits.header_timeout)
        .max_concurrent_streams(MOST_CALLS)
        .max_header_list_size(u32::try_from(limits.max_header).unwrap_or(u32::MAX));
    settings
}

/// The calls of one connection.
#[derive(Clone, Debug)]
pub(in crate::api) struct Calls {
    open: Arc<Open>,
    limits: MessageLimits,
}

/// How many are under way, which is where the connection stands, and what waits for its client.
#[derive(Debug)]
pub(super) struct Open {
    count: Mutex<usize>,
    standing: Arc<Standing>,
    pub(super) untaken: Untaken,
}

impl Calls {
    /// Of a connection that has just been made.
    pub(in crate::api) fn new(standing: Arc<Standing>, limits: MessageLimits) -> Self {
        let untaken = Untaken::within(&limits.unsent);
        Self { open: Arc::new(Open { count: Mutex::new(0), standing, untaken }), limits }
    }

    /// Ends when the client has not taken any of what waits for it for so long.
    pub(in crate::api) fn keep_waiting(
        &self,
        timeout: Duration,
    ) -> impl Future<Output = ()> + Send + use<> {
        let open = self.open.clone();
        async move { open.untaken.stands_still_for(timeout).await }
    }

    /// One call, which `answer` answers.
    pub(in crate::api) async fn answer(
        &self,
        request: Request<Incoming>,
        answer: impl AsyncFnOnce(Request<Body>) -> Response<Body>,
    ) -> Response<Outgoing> {
        let path = request.uri().path().to_owned();
        let has_many = has_many(&path);
        // A call of many messages is under way while one of them is answered.
        let call = (!has_many).then(|| Call::begin(&self.open));
        let hold = Hold::default();
        let arriving =
            |body| Body::new(Arriving::new(body, self.limits.clone(), hold.clone(), has_many));
        let mut request = request.map(arriving);
        let extensions = request.extensions_mut();
        extensions.insert(Arrived(Instant::now()));
        extensions.insert(self.open.clone());
        // What the message takes counts until the call is done with.
        extensions.insert(hold);
        let response = answer(request).await;
        let response =
            if is_unheard_of(response.headers()) { not_offered(&path) } else { response };
        response.map(|body| Outgoing::new(body, self.open.clone(), call))
    }
}

/// Whether messages of such a call come when they come, and not at its beginning.
fn has_many(path: &str) -> bool {
    path.ends_with("/ModelStreamInfer") || path.ends_with("/ServerReflectionInfo")
}

/// Whether nothing is known of what was called, which is told without a word.
fn is_unheard_of(headers: &HeaderMap) -> bool {
    let is_unimplemented = headers.get(Status::GRPC_STATUS).is_some_and(|code| code == "12");
    is_unimplemented && !headers.contains_key(Status::GRPC_MESSAGE)
}

fn not_offered(path: &str) -> Response<Body> {
    let call = path.strip_prefix(&format!("/{SERVICE_NAME}/")).unwrap_or(path);
    let sentence = format!("`{}` is not offered", printable(call, 200));
    Status::unimplemented(sentence).into_http()
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is under way, until its answer is sent or nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Call(Arc<Open>);

impl Call {
    pub(super) fn begin(open: &Arc<Open>) -> Self {
        let mut count = open.lock();
        *count += 1;
        open.standing.enter(Phase::Working);
        drop(count);
        Self(open.clone())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut count = self.0.lock();
        *count -= 1;
        if *count == 0 {
            self.0.standing.enter(Phase::Resting);
        }
    }
}
