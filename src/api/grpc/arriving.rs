//! Messages on their way in: none is larger than one may be, all together are within the limits of bodies, and a client
//! who sends one too slowly is given up.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::status;
use crate::api::bodies::{Bodies, Full, Held};
use crate::api::body;
use crate::api::unsent::Unsent;

/// When a call came, before its message was there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived(pub(super) Instant);

/// How large a message may be, and how long it may take.
#[derive(Clone, Debug)]
pub(in crate::api) struct MessageLimits {
    /// Bytes of one message.
    pub(in crate::api) max_message: usize,
    /// Within which all of it must have arrived.
    pub(in crate::api) timeout: Duration,
    /// What all of them together may take while they arrive and until they are answered.
    pub(in crate::api) bodies: Arc<Bodies>,
    /// What all answers together may take until they are taken.
    pub(in crate::api) unsent: Arc<Unsent>,
}

/// What the message that came last takes, for as long as somebody has this.
#[derive(Clone, Debug, Default)]
pub(super) struct Hold(Arc<Mutex<Option<Held>>>);

impl Hold {
    fn take_over(&self, held: Option<Held>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }
}

/// The body of a call, which is one message after another, each behind a flag and its length.
pub(super) struct Arriving<B> {
    body: B,
    limits: MessageLimits,
    hold: Hold,
    /// The flag and length of the next message, as far as they have come.
    header: Vec<u8>,
    /// How much of the message has come, and how much is missing.
    come: usize,
    missing: usize,
    /// Whether a message has to come, of which nothing is there yet.
    has_to_come: bool,
    /// What the message takes, if it comes in more than one piece.
    held: Option<Held>,
    /// A piece that there is no room for yet.
    without_room: Option<(Bytes, MakesRoom)>,
    /// Ends when the message stands still, and others need its room.
    has_to_go: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// When the client is given up, while a message is waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

type MakesRoom = Pin<Box<dyn Future<Output = (Held, Result<(), Full>)> + Send>>;

const HEADER: usize = 5;

impl<B> Arriving<B> {
    /// Of a call with one message, which is waited for from now on, or of one with many, which come when they come.
    pub(super) fn new(body: B, limits: MessageLimits, hold: Hold, has_many: bool) -> Self {
        let timer = (!has_many).then(|| Box::pin(sleep(limits.timeout)));
        Self {
            body,
            limits,
            hold,
            header: Vec::with_capacity(HEADER),
            come: 0,
            missing: 0,
            has_to_come: !has_many,
            held: None,
            without_room: None,
            has_to_go: None,
            timer,
        }
    }

    /// Notes what has come.
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        while let Some(first) = bytes.first() {
            if self.missing > 0 {
                let taken = self.missing.min(bytes.len());
                self.come += taken;
                self.missing -= taken;
                bytes = &bytes[taken..];
            } else {
                self.header.push(*first);
                bytes = &bytes[1..];
                if self.header.len() == HEADER {
                    self.begin(bytes.len())?;
                }
            }
        }
        let is_awaited = self.has_to_come || self.missing > 0 || !self.header.is_empty();
        self.timer = match is_awaited {
            false => None,
            true => Some(self.timer.take().unwrap_or_else(|| Box::pin(sleep(self.limits.timeout)))),
        };
        Ok(())
    }

    fn begin(&mut self, at_hand: usize) -> Result<(), Status> {
        let length =
            self.header[1..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        self.header.clear();
        let most = self.limits.max_message;
        if length > most {
            let sentence = format!(
                "the message has {length} bytes, and the most that is taken are {most} (`grpc.max_message`)"
            );
            return Err(Status::resource_exhausted(sentence));
        }
        self.has_to_come = false;
        (self.come, self.missing) = (0, length);
        self.hold.take_over(None);
        self.held = (length > at_hand).then(|| Held::of_one_among_many(&self.limits.bodies));
        Ok(())
    }

    /// Makes room for what has come of the message; false where others have to go first, which `room` then waits for.
    fn has_room(&mut self, piece: &Bytes) -> bool {
        let Some(mut held) = self.held.take() else { return true };
        let come = self.come;
        if held.try_cover(come) {
            self.is_covered(held);
            return true;
        }
        let makes_room = async move {
            let made = held.cover(come).await;
            (held, made)
        };
        self.without_room = Some((piece.clone(), Box::pin(makes_room)));
        false
    }

    fn is_covered(&mut self, mut held: Held) {
        if self.missing > 0 {
            self.has_to_go.get_or_insert_with(|| Box::pin(held.has_to_go()));
            self.held = Some(held);
        } else {
            // Now it is the server who is waited for.
            held.is_whole();
            self.has_to_go = None;
            self.hold.take_over(Some(held));
        }
    }

    fn too_slow(&self) -> Status {
        let timeout = humantime::format_duration(self.limits.timeout);
        Status::deadline_exceeded(format!("the message did not arrive within {timeout}"))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Arriving<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some((piece, mut makes_room)) = self.without_room.take() {
            let Poll::Ready((held, made)) = makes_room.as_mut().poll(context) else {
                self.without_room = Some((piece, makes_room));
                return Poll::Pending;
            };
            let covered = made.map(|()| self.is_covered(held));
            let covered = covered.map_err(|Full| status::of(&body::too_many()));
            return Poll::Ready(Some(covered.map(|()| Frame::data(piece))));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let Some(piece) = frame.data_ref().cloned() else {
                    return Poll::Ready(Some(Ok(frame)));
                };
                if let Err(status) = self.take(&piece) {
                    return Poll::Ready(Some(Err(status)));
                }
                match self.has_room(&piece) {
                    true => Poll::Ready(Some(Ok(frame))),
                    false => self.poll_frame(context),
                }
            }
            Poll::Ready(Some(Err(_))) => {
                let status = Status::cancelled("the connection ended in the middle of the message");
                Poll::Ready(Some(Err(status)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let has_to_go = self.has_to_go.as_mut();
                if has_to_go.is_some_and(|told| told.as_mut().poll(context).is_ready()) {
                    return Poll::Ready(Some(Err(status::of(&body::stood_still()))));
                }
                let Some(timer) = &mut self.timer else { return Poll::Pending };
                ready!(timer.as_mut().poll(context));
                Poll::Ready(Some(Err(self.too_slow())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.without_room.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use tonic::Code;

    use super::*;

    fn limits(bodies: &Arc<Bodies>) -> MessageLimits {
        let timeout = Duration::from_secs(30);
        let unsent = Unsent::of_many(10);
        MessageLimits { max_message: 10, timeout, bodies: bodies.clone(), unsent }
    }

    fn message(length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0, length];
        bytes.resize(HEADER + usize::from(length), 7);
        bytes
    }

    /// All of what these pieces are, or why not.
    async fn receive(pieces: Vec<Vec<u8>>, hold: &Hold, bodies: &Arc<Bodies>) -> Result<(), Code> {
        let pieces = pieces.into_iter().map(|piece| Ok::<_, Status>(Frame::data(piece.into())));
        let body = StreamBody::new(stream::iter(pieces));
        let arriving = Arriving::new(body, limits(bodies), hold.clone(), false);
        arriving.collect().await.map(drop).map_err(|status| status.code())
    }

    #[tokio::test]
    async fn messages_are_no_larger_than_they_may_be_in_whatever_pieces_they_come() {
        let bodies = Bodies::new(10);
        let hold = Hold::default();
        let whole = [message(10), message(0), message(3)].concat();
        for size in 1..whole.len() {
            let pieces = whole.chunks(size).map(<[u8]>::to_vec).collect();
            assert_eq!(receive(pieces, &hold, &bodies).await, Ok(()), "{size}");
        }
        let large = receive(vec![message(11)], &hold, &bodies).await;
        assert_eq!(large, Err(Code::ResourceExhausted));
        let large = receive(vec![vec![0, 255], vec![255, 255, 255]], &hold, &bodies).await;
        assert_eq!(large, Err(Code::ResourceExhausted));
    }

    #[tokio::test]
    async fn messages_in_pieces_count_together_until_their_calls_are_done() {
        let bodies = Bodies::new(5);
        let in_pieces = || vec![message(10)[..7].to_vec(), message(10)[7..].to_vec()];
        let holds: Vec<Hold> = (0..3).map(|_| Hold::default()).collect();
        assert_eq!(receive(in_pieces(), &holds[0], &bodies).await, Ok(()));
        assert_eq!(receive(in_pieces(), &holds[1], &bodies).await, Ok(()));
        assert_eq!(receive(in_pieces(), &holds[2], &bodies).await, Err(Code::Unavailable));
        assert_eq!(receive(vec![message(10)], &holds[2], &bodies).await, Ok(()));
        drop(holds);
        assert_eq!(receive(in_pieces(), &Hold::default(), &bodies).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_who_does_not_send_its_message_is_given_up() {
        let bodies = Bodies::new(10);
        for (first, has_many, expected) in [
            (Vec::new(), false, Some(Code::DeadlineExceeded)),
            (message(5)[..7].to_vec(), true, Some(Code::DeadlineExceeded)),
            (message(5), true, None),
        ] {
            let first = stream::iter([Ok::<_, Status>(Frame::data(first.into()))]);
            let body = StreamBody::new(first.chain(stream::pending()));
            let hold = Hold::default();
            let mut arriving = Arriving::new(body, limits(&bodies), hold, has_many);
            assert!(arriving.frame().await.unwrap().is_ok());
            let next = tokio::time::timeout(Duration::from_secs(3600), arriving.frame()).await;
            let code = next.ok().map(|next| next.unwrap().unwrap_err().code());
            assert_eq!(code, expected);
        }
    }
}
