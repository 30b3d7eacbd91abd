//! When a request runs, and on which thread.
//!
//! Each version has a queue, and the versions share a fixed pool of threads, like actors: a version with
//! waiting requests is given *turns* on the pool, at most `max_concurrency` at once, and a thread that has a
//! turn runs what waits first. So a thousand models need no thread each, and a busy one cannot shut out
//! the others: after each run it goes to the back of the line.
//!
//! ```text
//! submit ─▶ Queue (bounded) ─▶ Pool: line of turns ─▶ worker: take → run → answer
//!              │ full: refused      one per version      deadline passed or client gone: not run
//! ```
//!
//! Two seams for what is to come: [`Queue::take`] is where several waiting requests become one batch, and
//! [`Scheduler::pool_of`] is where versions on trial get threads of their own.

mod job;
mod pool;
mod queue;

use std::sync::Arc;
use std::time::Instant;

pub use job::{Answer, InferRequest};
pub(super) use queue::Queue;
pub use queue::QueueLimits;

use self::job::{Job, Ticket};
use self::pool::Pool;
use super::error::InferError;
use super::servable::Servable;

/// The threads that run models.
#[derive(Debug)]
pub struct Scheduler {
    stable: Pool,
}

impl Scheduler {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        Ok(Self { stable: Pool::start("run", threads.max(1))? })
    }

    /// How many runs there can be at once.
    pub fn threads(&self) -> usize {
        self.stable.threads()
    }

    /// Runs a request on a version and waits for the answer.
    ///
    /// Dropping the future tells the server that nobody waits any more: a waiting request is not run then,
    /// and a running one is told to stop.
    ///
    /// # Errors
    /// [`InferError`]: too many wait, the deadline passed, or the model failed.
    pub async fn infer(
        &self,
        servable: &Arc<Servable>,
        request: InferRequest,
    ) -> Result<Answer, InferError> {
        self.submit(servable, request)?.answer().await
    }

    fn submit(
        &self,
        servable: &Arc<Servable>,
        request: InferRequest,
    ) -> Result<Ticket, InferError> {
        let (job, ticket) = Job::new(request, Instant::now());
        let pool = self.pool_of(servable);
        if servable.queue().push(job, pool.threads())?.needs_turn() {
            pool.add_turn(servable.clone());
        }
        Ok(ticket)
    }

    /// The threads on which a version runs.
    fn pool_of(&self, _servable: &Servable) -> &Pool {
        &self.stable
    }

    /// Ends the threads when everything that waits has been run.
    pub fn shut_down(&self) {
        self.stable.shut_down();
    }
}
