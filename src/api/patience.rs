//! How long a connection may keep the server waiting.
//!
//! A request's line and headers must arrive within a time of their first byte. Between two requests a connection
//! may rest for much longer: clients keep connections for later, and one that is closed under their hands is a
//! request that fails. A client that does not take its answer is given up as well.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::standing::{Phase, Standing};

/// How long a connection may rest between two requests.
const REST: Duration = Duration::from_secs(75);

/// A connection that gives up on a client who keeps it waiting.
#[derive(Debug)]
pub(super) struct Patient {
    stream: TcpStream,
    limits: Patience,
    standing: Arc<Standing>,
    /// How many answers had been begun and ended when `waiting` was decided on.
    answers: u64,
    waiting: Waiting,
    /// Whether nobody has looked yet what has arrived.
    is_new: bool,
    /// When the wait is given up. Set off later than asked for, it is put off again.
    timer: Pin<Box<Sleep>>,
    /// When a client who takes nothing is given up, while it takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a request's line and headers.
    pub(super) headers: Duration,
    /// For a client to take more of its answer.
    pub(super) answer: Duration,
}

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

impl Patient {
    pub(super) fn new(stream: TcpStream, limits: Patience, standing: Arc<Standing>) -> Self {
        let deadline = Instant::now() + limits.headers;
        // A new connection has a request to make, so its first byte is waited for as for headers.
        let waiting = Waiting::ForHeaders(deadline);
        let timer = Box::pin(sleep_until(deadline));
        let (answers, is_new, stalled) = (0, true, None);
        Self { stream, limits, standing, answers, waiting, is_new, timer, stalled }
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
                self.standing.enter(Phase::Arriving);
                Waiting::ForHeaders(Instant::now() + self.limits.headers)
            }
        };
    }

    /// What is waited for by what is known now; none when a request has been answered since and nothing is decided
    /// on yet. An answer may take no time at all, so that nothing is read while it is made.
    fn catch_up(&mut self) -> Option<Waiting> {
        let answers = self.standing.answers();
        if self.standing.is_answering() {
            return Some(Waiting::No);
        }
        if answers != std::mem::replace(&mut self.answers, answers) {
            return None;
        }
        Some(self.waiting).filter(|waiting| !matches!(waiting, Waiting::No))
    }
}

impl Patient {
    /// Gives up when nothing could be written for too long.
    fn note_written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if self.stalled.take().is_some() {
                let is_answering = self.standing.is_answering();
                self.standing.enter(if is_answering { Phase::Working } else { Phase::Resting });
            }
            return written;
        }
        let patience = self.limits.answer;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        self.standing.enter(Phase::Stalled);
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if std::mem::take(&mut self.is_new) {
            self.standing.enter(Phase::Arriving);
        }
        match read {
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
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.note_written(context, written)
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

    use super::super::standing::Answering;
    use super::*;

    const LIMITS: Patience =
        Patience { headers: Duration::from_secs(10), answer: Duration::from_secs(30) };

    fn standing() -> Arc<Standing> {
        Arc::new(Standing::new(Instant::now()))
    }

    async fn connection(standing: &Arc<Standing>) -> (Patient, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (Patient::new(server, LIMITS, standing.clone()), client)
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
        let (mut connection, mut client) = connection(&standing()).await;
        let slowly = tokio::spawn(async move {
            while client.write_all(b"G").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let waited = how_long(&mut connection).await;
        assert!(
            (LIMITS.headers..LIMITS.headers + Duration::from_secs(2)).contains(&waited),
            "{waited:?}"
        );
        slowly.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_waited_for_from_the_first_look_on() {
        let standing = standing();
        let (mut connection, _client) = connection(&standing).await;
        assert_eq!(standing.seen().phase, Phase::New);
        let mut byte = [0];
        let moment = Duration::from_millis(1);
        let read = tokio::time::timeout(moment, connection.read_exact(&mut byte)).await;
        assert!(read.is_err(), "nothing has arrived");
        assert_eq!(standing.seen().phase, Phase::Arriving);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_in_use_is_kept_however_fast_the_answers_are() {
        let standing = standing();
        let (mut connection, mut client) = connection(&standing).await;
        let mut byte = [0];
        for _ in 0..100 {
            client.write_all(b"G").await.unwrap();
            connection.read_exact(&mut byte).await.unwrap();
            drop(Answering::begin(&standing));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_may_rest_between_two_requests_and_a_slow_answer_is_waited_for() {
        let standing = standing();
        let (mut connection, _client) = connection(&standing).await;
        let answering = Answering::begin(&standing);
        let mut byte = [0];
        let long = Duration::from_secs(3600);
        let read = tokio::time::timeout(long, connection.read_exact(&mut byte)).await;
        assert!(read.is_err(), "nobody is given up while a request is answered");
        drop(answering);
        let waited = how_long(&mut connection).await;
        assert!((REST..REST + Duration::from_secs(2)).contains(&waited), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_who_does_not_take_its_answer_is_given_up() {
        let standing = standing();
        let (mut connection, client) = connection(&standing).await;
        let begun = Instant::now();
        let error = loop {
            if let Err(error) = connection.write_all(&[0; 1 << 16]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(standing.seen().phase, Phase::Stalled);
        let waited = begun.elapsed();
        assert!((LIMITS.answer..LIMITS.answer * 2).contains(&waited), "{waited:?}");
        drop(client);
    }
}
