//! Where a connection stands: told by those who have a part in it, and read by whoever must choose the one that has to go.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::unsent::Part;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody has looked yet what has arrived.
    New,
    /// A request is waited for, of which a part has arrived or, on a new connection, nothing yet.
    Arriving,
    /// It has answered, and waits for the next request.
    Resting,
    /// A whole request has arrived: now it is the server who is waited for.
    Working,
    /// The client does not take its answer.
    Stalled,
    /// It has to go. This is the end of it.
    Leaving,
}

/// Where one connection stands. Only its own task moves it on, until somebody else tells it to go.
#[derive(Debug)]
pub(super) struct Standing {
    epoch: Instant,
    /// The phase, and since when.
    word: AtomicU64,
    /// Counts up at the beginning and at the end of each answer, so that it is odd meanwhile.
    answers: AtomicU64,
}

/// A standing as it was at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    word: u64,
    pub(super) phase: Phase,
    /// Since when, from the epoch on.
    pub(super) since: Duration,
}

const PHASES: [Phase; 6] =
    [Phase::New, Phase::Arriving, Phase::Resting, Phase::Working, Phase::Stalled, Phase::Leaving];
const PHASE_BITS: u32 = 3;

impl Standing {
    /// Of a connection that has just been made.
    pub(super) fn new(epoch: Instant) -> Self {
        let word = AtomicU64::new(word(Phase::New, epoch.elapsed()));
        Self { epoch, word, answers: AtomicU64::new(0) }
    }

    pub(super) fn seen(&self) -> Seen {
        let word = self.word.load(Ordering::Acquire);
        let phase = PHASES[(word & ((1 << PHASE_BITS) - 1)) as usize % PHASES.len()];
        Seen { word, phase, since: Duration::from_millis(word >> PHASE_BITS) }
    }

    /// Comes into a phase; nothing happens to one that is in it already, or has to go.
    pub(super) fn enter(&self, phase: Phase) {
        let seen = self.seen();
        if seen.phase != phase && seen.phase != Phase::Leaving {
            let now = word(phase, self.epoch.elapsed());
            // Somebody may just have told it to go, which is the last word.
            let _ = self.word.compare_exchange(seen.word, now, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// Tells it to go, unless it has moved on meanwhile.
    pub(super) fn send_away(&self, seen: Seen) -> bool {
        let leaving = word(Phase::Leaving, seen.since);
        self.word.compare_exchange(seen.word, leaving, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// How many answers were begun and ended; odd while one is made or sent.
    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Acquire)
    }

    pub(super) fn is_answering(&self) -> bool {
        self.answers() % 2 == 1
    }
}

fn word(phase: Phase, since: Duration) -> u64 {
    (since.as_millis() as u64) << PHASE_BITS | phase as u64
}

/// Held while an answer is made and sent, so that it ends also when nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Answering(Arc<Standing>);

impl Answering {
    pub(super) fn begin(standing: &Arc<Standing>) -> Self {
        standing.answers.fetch_add(1, Ordering::AcqRel);
        Self(standing.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answers.fetch_add(1, Ordering::AcqRel);
        self.0.enter(Phase::Resting);
    }
}

/// The body of a request, which tells when all of it is there.
#[derive(Debug)]
pub(super) struct Incoming<B> {
    body: B,
    standing: Arc<Standing>,
}

impl<B: Body> Incoming<B> {
    pub(super) fn new(body: B, standing: Arc<Standing>) -> Self {
        let incoming = Self { body, standing };
        incoming.look();
        incoming
    }

    fn look(&self) {
        if self.body.is_end_stream() {
            self.standing.enter(Phase::Working);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Incoming<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            None => self.standing.enter(Phase::Working),
            Some(_) => self.look(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, which tells when all of it was handed over to be sent.
#[derive(Debug)]
pub(super) struct Outgoing<B> {
    body: B,
    /// What it takes until it is sent, and not only handed over.
    part: Option<Arc<Part>>,
    _until_handed_over: Answering,
}

impl<B> Outgoing<B> {
    pub(super) fn new(body: B, answering: Answering, part: Option<Part>) -> Self {
        let part = part.filter(Part::counts).map(Arc::new);
        Self { body, part, _until_handed_over: answering }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let Some(part) = &self.part else { return Poll::Ready(frame) };
        let with_part = |bytes| part.clone().with(bytes);
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(with_part))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn standing() -> Arc<Standing> {
        Arc::new(Standing::new(Instant::now()))
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_known_what_is_waited_for_and_since_when() {
        let standing = standing();
        tokio::time::advance(Duration::from_secs(2)).await;
        standing.enter(Phase::New);
        let seen = standing.seen();
        assert_eq!((seen.phase, seen.since), (Phase::New, Duration::ZERO));
        standing.enter(Phase::Arriving);
        let seen = standing.seen();
        assert_eq!((seen.phase, seen.since), (Phase::Arriving, Duration::from_secs(2)));
    }

    #[tokio::test]
    async fn whoever_has_moved_on_is_not_sent_away_and_who_is_sent_away_does_not_move_on() {
        let standing = standing();
        let before = standing.seen();
        standing.enter(Phase::Arriving);
        assert!(!standing.send_away(before));
        assert!(standing.send_away(standing.seen()));
        standing.enter(Phase::Resting);
        assert_eq!(standing.seen().phase, Phase::Leaving);
    }

    #[tokio::test]
    async fn a_request_has_arrived_with_the_end_of_its_body() {
        let standing = standing();
        standing.enter(Phase::Arriving);
        let body = Incoming::new(Full::new(Bytes::from_static(b"all")), standing.clone());
        assert_eq!(standing.seen().phase, Phase::Arriving);
        body.collect().await.unwrap();
        assert_eq!(standing.seen().phase, Phase::Working);
    }

    #[tokio::test]
    async fn a_request_without_a_body_has_arrived_at_once() {
        let standing = standing();
        standing.enter(Phase::Arriving);
        drop(Incoming::new(Full::new(Bytes::new()), standing.clone()));
        assert_eq!(standing.seen().phase, Phase::Working);
    }

    #[tokio::test]
    async fn an_answer_lasts_until_its_body_is_gone() {
        let standing = standing();
        let answering = Answering::begin(&standing);
        let body = Outgoing::new(Full::new(Bytes::from_static(b"all")), answering, None);
        assert!(standing.is_answering());
        drop(body);
        assert!(!standing.is_answering());
        assert_eq!(standing.seen().phase, Phase::Resting);
    }
}
