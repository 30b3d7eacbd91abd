//! Answers on their way out: in pieces, so that it shows whether a client takes them, and within what all answers together
//! may take that nobody has taken yet.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;

use super::connection::{Call, Open};
use crate::api::unsent::{Part, Unsent};

/// How much is handed over at a time.
const PIECE: usize = 64 << 10;

/// The answers of one connection that its client has not taken yet.
#[derive(Debug)]
pub(super) struct Untaken {
    unsent: Arc<Unsent>,
    answers: Mutex<Vec<Weak<Answer>>>,
}

/// One of them, for as long as there is a piece of it.
#[derive(Debug)]
struct Answer {
    _part: Part,
    /// When its client last came to want another piece.
    moved: Mutex<Instant>,
}

impl Untaken {
    /// Within what all of them together may take.
    pub(super) fn within(unsent: &Arc<Unsent>) -> Self {
        Self { unsent: unsent.clone(), answers: Mutex::default() }
    }

    /// Ends when the client has taken nothing of one of them for so long.
    pub(super) async fn stands_still_for(&self, timeout: Duration) {
        loop {
            match self.slowest() {
                Some(moved) if moved.elapsed() >= timeout => return,
                Some(moved) => sleep_until(moved + timeout).await,
                None => sleep(timeout).await,
            }
        }
    }

    fn slowest(&self) -> Option<Instant> {
        let mut answers = lock(&self.answers);
        answers.retain(|answer| answer.strong_count() > 0);
        answers.iter().filter_map(|answer| Some(*lock(&answer.upgrade()?.moved))).min()
    }

    /// None where there is no room for so many bytes.
    fn begin(&self, bytes: usize) -> Option<Arc<Answer>> {
        let answer = Answer { _part: self.unsent.take(bytes)?, moved: Mutex::new(Instant::now()) };
        let answer = Arc::new(answer);
        let mut answers = lock(&self.answers);
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Arc::downgrade(&answer));
        Some(answer)
    }
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that keep the answer which they are a part of.
struct Piece {
    bytes: Bytes,
    _of: Arc<Answer>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The body of an answer, with which its call ends.
#[derive(Debug)]
pub(in crate::api) struct Outgoing {
    body: Body,
    /// What is left of a message of which pieces were handed over.
    rest: Option<(Bytes, Arc<Answer>)>,
    open: Arc<Open>,
    _call: Option<Call>,
}

impl Outgoing {
    pub(super) fn new(body: Body, open: Arc<Open>, call: Option<Call>) -> Self {
        Self { body, rest: None, open, _call: call }
    }

    /// The next piece of the message that is on its way.
    fn piece(&mut self) -> Option<Bytes> {
        let (mut rest, of) = self.rest.take()?;
        *lock(&of.moved) = Instant::now();
        let bytes = rest.split_to(rest.len().min(PIECE));
        let piece = Bytes::from_owner(Piece { bytes, _of: of.clone() });
        self.rest = Some((rest, of)).filter(|(rest, _)| !rest.is_empty());
        Some(piece)
    }
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(piece) = self.piece() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)?) else {
            return Poll::Ready(None);
        };
        let frame = match frame.into_data() {
            Ok(bytes) => bytes,
            Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
        };
        let Some(answer) = self.open.untaken.begin(frame.len()) else {
            self.body = Body::empty();
            return Poll::Ready(Some(Ok(Frame::trailers(no_room()))));
        };
        self.rest = Some((frame, answer));
        Poll::Ready(self.piece().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// What an answer ends with that there is no room for.
fn no_room() -> HeaderMap {
    let problem = crate::api::connection::too_many_answers();
    let mut trailers = HeaderMap::new();
    // It is made of printable text.
    let _ = Status::unavailable(problem.sentence()).add_header(&mut trailers);
    trailers
}
