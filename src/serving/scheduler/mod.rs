//! When a request runs, and on which thread.
//!
//! Each version has a queue, and the versions share a fixed number of threads, like actors: a version with
//! waiting requests is given *turns* on the threads, at most `max_concurrency` at once, and a thread that has a
//! turn runs what waits first. So a thousand models need no thread each, and a busy one cannot shut out
//! the others: after each run it goes to the back of the line.
//!
//! Where a model's rows are independent, a thread takes everything that waits as one batch. Batches form by
//! themselves while the threads are busy: nobody waits for one to fill up, unless the model's settings ask for that
//! (`delay`).
//!
//! ```text
//! submit ─▶ Queue (bounded) ─▶ Line of turns ─▶ worker: take → gather → run → split → answer
//!              │ full: refused     one per pool      deadline passed or client gone: not run
//! ```
//!
//! A trusted version whose runs are quick has its turn at the `desk`, if that is free: on a thread that speaks HTTP, once
//! everybody there has been heard.
//!
//! Versions on trial run on as many threads of their own (`crew`), where somebody looks whether their runs end. When
//! a version comes on trial, or its trial is over, its turns move to the other line with what waits; what runs,
//! ends where it began.

mod alarm;
mod answer;
mod batch;
mod crew;
mod delay;
mod desk;
mod job;
mod line;
mod mean_time;
mod pool;
mod queue;
mod seat;
mod stranded;

use std::sync::Arc;
use std::time::Instant;

pub use answer::{Answer, Outputs};
pub use job::InferRequest;
pub(super) use queue::Queue;
pub use queue::QueueLimits;
pub use stranded::Overdue;

use self::crew::Crew;
use self::delay::Delays;
use self::desk::Desk;
use self::job::{Job, Ticket};
use self::line::Lines;
use self::pool::Pool;
use self::queue::Added;
use super::error::Unanswered;
use super::in_flight::InFlight;
use super::servable::Servable;

/// The threads that run models.
#[derive(Debug)]
pub struct Scheduler {
    threads: usize,
    lines: Arc<Lines>,
    stable: Pool,
    desk: Arc<Desk>,
    trial: Crew,
    delays: Delays,
    in_flight: Arc<InFlight>,
}

impl Scheduler {
    /// Starts `threads` threads, at least one, and as many for versions on trial.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (threads, lines) = (threads.max(1), Arc::new(Lines::default()));
        let (stable, trial) = (Pool::start(threads, &lines)?, Crew::start(threads, &lines)?);
        let desk = Desk::new(&lines, threads);
        let delays = Delays::new(&lines, threads);
        let in_flight = Arc::default();
        Ok(Self { threads, lines, stable, desk, trial, delays, in_flight })
    }

    /// How many runs of trusted versions there can be at once, and how many of versions on trial.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// How many requests are under way.
    pub fn in_flight(&self) -> Arc<InFlight> {
        self.in_flight.clone()
    }

    /// Runs a request on a version and waits for the answer.
    ///
    /// Dropping the future tells the server that nobody waits any more: a waiting request is not run then,
    /// and a running one is told to stop.
    ///
    /// # Errors
    /// [`Unanswered`]: too many wait, the deadline passed, or the model failed.
    pub async fn infer(
        &self,
        servable: &Arc<Servable>,
        request: InferRequest,
    ) -> Result<Answer, Unanswered> {
        let _under_way = self.in_flight.begin();
        self.submit(servable, request)?.answer().await
    }

    fn submit(
        &self,
        servable: &Arc<Servable>,
        request: InferRequest,
    ) -> Result<Ticket, Unanswered> {
        let (job, ticket) = Job::new(request, Instant::now());
        match servable.queue().push(job, self.threads, servable.max_batch_rows())? {
            Added::NeedsTurn => {
                if let Err(servable) = self.desk.take(servable.clone()) {
                    self.lines.add(servable);
                }
            }
            Added::HasTurns => {}
            Added::NeedsWatch => self.desk.watch(servable),
            Added::NeedsTime(number, due) => self.delays.until(due, servable.clone(), number),
        }
        Ok(ticket)
    }

    /// Ends the threads when everything that waits has been run. Those that are stranded are left behind.
    pub fn shut_down(&self) {
        self.delays.shut_down();
        self.stable.shut_down();
        self.trial.shut_down();
    }
}

#[cfg(test)]
mod tests;
