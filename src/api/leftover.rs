//! What is left of a request's body when it was answered without it: because its model is not there, say.
//!
//! A connection can only go on where the next request begins, behind that body. Many clients send the head of a request
//! and its body one after the other, so that the body is often still on its way. A small one is waited for and thrown
//! away. Where it is large, or does not come, the answer says that it is the last one: a connection that ends without a
//! word takes the client's next request with it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};

/// Up to here the rest of a body is small.
const SMALL: usize = 256 << 10;
/// For how long it is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the rest of a body is found, once nobody reads it any more.
#[derive(Debug)]
pub(super) struct Leftover<B>(Arc<Mutex<Option<Rest<B>>>>);

/// What there may be.
#[derive(Debug)]
enum Rest<B> {
    /// All of it: nobody has looked at it.
    Unread(B),
    /// Whoever read it gave up, and so does the connection.
    GivenUp,
}

impl<B> Clone for Leftover<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B> Default for Leftover<B> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<B: Body<Data = Bytes> + Unpin> Leftover<B> {
    /// The body, of which the rest is left here.
    pub(super) fn of(&self, body: B) -> Leaving<B> {
        self.take();
        Leaving { body: Some(body), was_read: false, leftover: self.clone() }
    }

    /// Throws away what is left, if that is little. False where something remains.
    pub(super) async fn is_gone(&self, is_asked_for: bool) -> bool {
        let mut rest = match self.take() {
            None => return true,
            Some(Rest::Unread(rest)) => rest,
            Some(Rest::GivenUp) => return false,
        };
        // A client that wants to be asked for its body is not, since nobody wants it.
        if !is_asked_for || rest.size_hint().lower() > SMALL as u64 {
            return false;
        }
        let all = async {
            let mut come = 0;
            while let Some(frame) = rest.frame().await {
                let Ok(frame) = frame else { return false };
                come += frame.data_ref().map_or(0, Bytes::len);
                if come > SMALL {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(PATIENCE, all).await.unwrap_or(false)
    }

    fn take(&self) -> Option<Rest<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The body of a request, which leaves its rest behind when nobody reads it any more.
#[derive(Debug)]
pub(super) struct Leaving<B: Body> {
    /// There until the end.
    body: Option<B>,
    was_read: bool,
    leftover: Leftover<B>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Leaving<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.was_read = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        if frame.is_none() {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}

impl<B: Body> Drop for Leaving<B> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            let mut leftover = self.leftover.0.lock().unwrap_or_else(PoisonError::into_inner);
            *leftover = Some(if self.was_read { Rest::GivenUp } else { Rest::Unread(body) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body_util::StreamBody;

    use super::*;

    type Pieces =
        StreamBody<Pin<Box<dyn stream::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

    /// So many pieces of a kibibyte, and then the end or nothing.
    fn pieces(count: usize, ends: bool) -> Pieces {
        let piece = || Ok(Frame::data(Bytes::from_static(&[7; 1024])));
        let pieces = stream::iter(std::iter::repeat_with(piece).take(count));
        match ends {
            true => StreamBody::new(Box::pin(pieces)),
            false => StreamBody::new(Box::pin(pieces.chain(stream::pending()))),
        }
    }

    #[tokio::test]
    async fn what_was_read_to_its_end_leaves_nothing() {
        let leftover = Leftover::default();
        leftover.of(pieces(3, true)).collect().await.unwrap();
        assert!(leftover.take().is_none());
        assert!(leftover.is_gone(true).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_body_is_thrown_away_and_a_large_one_or_a_slow_one_is_not() {
        for (count, ends, is_asked_for, expected) in [
            (3, true, true, true),
            (SMALL / 1024, true, true, true),
            (SMALL / 1024 + 1, true, true, false),
            (3, false, true, false),
            (3, true, false, false),
        ] {
            let leftover = Leftover::default();
            drop(leftover.of(pieces(count, ends)));
            assert_eq!(leftover.is_gone(is_asked_for).await, expected, "{count} {ends}");
            assert!(leftover.is_gone(true).await, "there is nothing any more");
        }
    }

    #[tokio::test]
    async fn one_that_was_given_up_is_not_waited_for() {
        let leftover = Leftover::default();
        let mut body = leftover.of(pieces(2, true));
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert!(!leftover.is_gone(true).await);
    }
}
