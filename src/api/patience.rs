//! How long a connection may keep the server waiting.
//!
//! A request's line and headers must arrive within a time of their first byte. Between two requests a connection
//! may rest for much longer: clients keep connections for later, and one that is closed under their hands is a
//! request that fails.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a connection may rest between two requests.
const REST: Duration = Duration::from_secs(75);

/// A connection that gives up on a client who keeps it waiting.
#[derive(Debug)]
pub(super) struct Patient {
    stream: TcpStream,
    header_timeout: Duration,
    answering: Answering,
    /// How many requests had been begun when `waiting` was decided on.
    begun: u64,
    waiting: Waiting,
    /// When the wait is given up. Set off later than asked for, it is put off again.
    timer: Pin<Box<Sleep>>,
}

/// Told while a request is being answered: then it is the server who is waited for. Counts up at each beginning and
/// each end, so that it is odd meanwhile.
#[derive(Clone, Debug, Default)]
pub(super) struct Answering(Arc<AtomicU64>);

/// What the connection waits for, and until when.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    /// For the first byte of a request.
    ForRequest(Instant),
    /// For the rest of its line and headers.
    ForHeaders(Instant),
    /// For nothing: a request is being answered.
    No,
}

impl Answering {
    pub(super) fn begin(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn end(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

impl Patient {
    pub(super) fn new(stream: TcpStream, header_timeout: Duration, answering: Answering) -> Self {
        let deadline = Instant::now() + header_timeout;
        // A new connection has a request to make, so its first byte is waited for as for headers.
        let waiting = Waiting::ForHeaders(deadline);
        let timer = Box::pin(sleep_until(deadline));
        Self { stream, header_timeout, answering, begun: 0, waiting, timer }
    }

    /// Nothing has arrived. Gives up when that has been so for too long.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.waiting = match self.catch_up() {
            Some(waiting) => waiting,
            None => Waiting::ForRequest(Instant::now() + REST),
        };
        let (Waiting::ForRequest(deadline) | Waiting::ForHeaders(deadline)) = self.waiting else {
            return Poll::Pending;
        };
        if self.timer.deadline() > deadline || self.timer.is_elapsed() {
            self.timer.as_mut().reset(deadline);
        }
        ready!(self.timer.as_mut().poll(context));
        if Instant::now() < deadline {
            self.timer.as_mut().reset(deadline);
            ready!(self.timer.as_mut().poll(context));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Something has arrived.
    fn note_arrival(&mut self) {
        self.waiting = match self.catch_up() {
            Some(waiting @ (Waiting::No | Waiting::ForHeaders(_))) => waiting,
            Some(Waiting::ForRequest(_)) | None => {
                Waiting::ForHeaders(Instant::now() + self.header_timeout)
            }
        };
    }

    /// What is waited for by what is known now; none when a request has been answered since and nothing is decided
    /// on yet. An answer may take no time at all, so that nothing is read while it is made.
    fn catch_up(&mut self) -> Option<Waiting> {
        let count = self.answering.count();
        if count % 2 == 1 {
            return Some(Waiting::No);
        }
        if count != std::mem::replace(&mut self.begun, count) {
            return None;
        }
        Some(self.waiting).filter(|waiting| !matches!(waiting, Waiting::No))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                self.note_arrival();
                Poll::Ready(read)
            }
            Poll::Pending => self.wait(context),
        }
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const HEADERS: Duration = Duration::from_secs(10);

    async fn connection(answering: &Answering) -> (Patient, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (Patient::new(server, HEADERS, answering.clone()), client)
    }

    async fn how_long(connection: &mut Patient) -> Duration {
        let begun = Instant::now();
        let mut byte = [0];
        loop {
            if let Err(error) = connection.read_exact(&mut byte).await {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                return begun.elapsed();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_who_sends_headers_too_slowly_is_given_up() {
        let (mut connection, mut client) = connection(&Answering::default()).await;
        let slowly = tokio::spawn(async move {
            while client.write_all(b"G").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let waited = how_long(&mut connection).await;
        assert!((HEADERS..HEADERS + Duration::from_secs(2)).contains(&waited), "{waited:?}");
        slowly.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_in_use_is_kept_however_fast_the_answers_are() {
        let answering = Answering::default();
        let (mut connection, mut client) = connection(&answering).await;
        let mut byte = [0];
        for _ in 0..100 {
            client.write_all(b"G").await.unwrap();
            connection.read_exact(&mut byte).await.unwrap();
            answering.begin();
            answering.end();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_may_rest_between_two_requests_and_a_slow_answer_is_waited_for() {
        let answering = Answering::default();
        let (mut connection, _client) = connection(&answering).await;
        answering.begin();
        let mut byte = [0];
        let long = Duration::from_secs(3600);
        let read = tokio::time::timeout(long, connection.read_exact(&mut byte)).await;
        assert!(read.is_err(), "nobody is given up while a request is answered");
        answering.end();
        let waited = how_long(&mut connection).await;
        assert!((REST..REST + Duration::from_secs(2)).contains(&waited), "{waited:?}");
    }
}
