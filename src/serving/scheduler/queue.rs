//! The requests that wait for one version.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::job::Job;
use super::stranded::{Overdue, Stranded};
use crate::serving::error::{InferError, Unanswered};

/// How much may wait and run for one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Waiting requests; one more is refused.
    pub max_queue: usize,
    /// Runs at once; 0: as many as there are threads.
    pub max_concurrency: usize,
    /// How long a request may take when it does not ask for less.
    pub deadline: Duration,
}

impl QueueLimits {
    /// Runs at once, where there are so many threads.
    pub fn concurrency(&self, threads: usize) -> usize {
        match self.max_concurrency {
            0 => threads,
            most => most.min(threads),
        }
    }
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { max_queue: 1024, max_concurrency: 0, deadline: Duration::from_secs(10) }
    }
}

/// A bounded queue, and the count of turns that its version has on the pool.
#[derive(Debug)]
pub(in crate::serving) struct Queue {
    limits: QueueLimits,
    state: Mutex<State>,
    /// A running mean of the time that a job takes in nanoseconds: tells a refused caller when to come back.
    mean_run_ns: AtomicU64,
    /// How many runs are stranded, for those who ask often.
    stranded: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Turns in a pool's line or running. Never more than may run at once, and none without a reason: each
    /// has a waiting job to begin with.
    turns: usize,
    /// Of these, the ones that have taken their job.
    running: usize,
    /// Of these, the ones whose run does not end.
    stranded: Vec<Stranded>,
}

impl State {
    /// The waiting jobs beyond those that a turn in the line is about to take.
    fn without_turn(&self) -> usize {
        self.waiting.len().saturating_sub(self.turns - self.running)
    }

    /// Whether no turn is left that could come to an end.
    fn is_stuck(&self) -> bool {
        self.turns == self.stranded.len()
    }

    /// What waits in vain: all or nothing.
    fn take_if_stuck(&mut self) -> VecDeque<Job> {
        if self.is_stuck() { std::mem::take(&mut self.waiting) } else { VecDeque::new() }
    }
}

/// What the one who added a job has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// Put the version into the pool's line.
    NeedsTurn,
    /// Nothing: enough turns are out already.
    HasTurns,
}

impl Added {
    pub(super) fn needs_turn(self) -> bool {
        self == Self::NeedsTurn
    }
}

impl Queue {
    pub(in crate::serving) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            mean_run_ns: AtomicU64::new(0),
            stranded: AtomicUsize::new(0),
        }
    }

    pub(in crate::serving) fn limits(&self) -> &QueueLimits {
        &self.limits
    }

    /// Adds a job at the end.
    pub(super) fn push(&self, job: Job, threads: usize) -> Result<Added, Unanswered> {
        let mut state = self.lock();
        if state.turns < self.limits.concurrency(threads) {
            state.turns += 1;
            state.waiting.push_back(job);
            return Ok(Added::NeedsTurn);
        }
        if state.is_stuck() {
            return Err(job.refused(InferError::Stuck));
        }
        if state.without_turn() >= self.limits.max_queue {
            // Callers who left must not keep others out.
            state.waiting.retain(|job| !job.is_called_off());
        }
        let waiting = state.without_turn();
        if waiting >= self.limits.max_queue {
            let retry_after = self.time_for(waiting, threads);
            return Err(job.refused(InferError::QueueFull { waiting, retry_after }));
        }
        state.waiting.push_back(job);
        Ok(Added::HasTurns)
    }

    /// Takes what one run is made of: the job that waits longest, and those right behind it that fit beside it, up
    /// to `max_rows` rows. Followed by [`end_turn`](Self::end_turn).
    pub(super) fn take(&self, max_rows: usize, jobs: &mut Vec<Job>) {
        let mut state = self.lock();
        state.running += 1;
        let Some(first) = state.waiting.pop_front() else { return };
        let mut rows = if max_rows > 1 { first.rows() } else { None };
        jobs.push(first);
        // Nobody overtakes: the first that does not fit ends the batch.
        while let (Some(taken), Some(next)) = (rows, state.waiting.front()) {
            rows = next.rows().map(|more| taken + more).filter(|rows| *rows <= max_rows);
            if rows.is_none() || !next.fits_beside(&jobs[0]) {
                return;
            }
            jobs.extend(state.waiting.pop_front());
        }
    }

    /// Ends a turn. True when the version needs another one, which is then counted already.
    pub(super) fn end_turn(&self) -> bool {
        let mut state = self.lock();
        state.running -= 1;
        let goes_on = !state.waiting.is_empty();
        if !goes_on {
            state.turns -= 1;
        }
        goes_on
    }

    /// Gives back a turn that no thread will ever take. What nobody else will run is handed out, to be refused.
    pub(super) fn give_back_turn(&self) -> VecDeque<Job> {
        let mut state = self.lock();
        state.turns -= 1;
        state.take_if_stuck()
    }

    /// The run of a turn does not end. It still counts as one of those that the version may run at once: its memory and
    /// its work are as real as before, and one version cannot use up the threads of all others. When it was the last
    /// turn that could have ended, what waits is handed out, to be refused.
    ///
    /// Followed by [`end_stranded`](Self::end_stranded) instead of [`end_turn`](Self::end_turn).
    pub(super) fn strand(&self, run: Stranded) -> VecDeque<Job> {
        let mut state = self.lock();
        state.stranded.push(run);
        self.stranded.store(state.stranded.len(), Ordering::Relaxed);
        state.take_if_stuck()
    }

    /// Ends the turn of a stranded run after all. True when the version needs another one, which is then counted
    /// already.
    pub(super) fn end_stranded(&self, seat: usize) -> bool {
        let mut state = self.lock();
        state.stranded.retain(|run| run.seat != seat);
        self.stranded.store(state.stranded.len(), Ordering::Relaxed);
        drop(state);
        self.end_turn()
    }

    /// How many runs are stranded.
    pub(in crate::serving) fn stranded(&self) -> usize {
        self.stranded.load(Ordering::Relaxed)
    }

    /// What is known of the stranded run that began first.
    pub(in crate::serving) fn longest_overdue(&self, now: Instant) -> Option<Overdue> {
        if self.stranded() == 0 {
            return None;
        }
        self.lock().stranded.iter().min_by_key(|run| run.began).map(|run| run.overdue(now))
    }

    /// How many requests wait.
    pub(in crate::serving) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Learns how long a run took that answered so many jobs.
    pub(super) fn observe_run(&self, elapsed: Duration, jobs: usize) {
        let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX) / jobs.max(1) as u64;
        let mean = self.mean_run_ns.load(Ordering::Relaxed);
        // An update that another thread overwrites is lost, which a mean can bear.
        self.mean_run_ns.store(mean - mean / 8 + elapsed / 8, Ordering::Relaxed);
    }

    /// For tests: the turns, and how many of them run and are stranded.
    #[cfg(test)]
    pub(super) fn turns(&self) -> [usize; 3] {
        let state = self.lock();
        [state.turns, state.running, state.stranded.len()]
    }

    fn time_for(&self, jobs: usize, threads: usize) -> Duration {
        let runs_one_after_another = jobs.div_ceil(self.limits.concurrency(threads).max(1)) as u64;
        let mean = self.mean_run_ns.load(Ordering::Relaxed);
        Duration::from_nanos(mean.saturating_mul(runs_one_after_another))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
