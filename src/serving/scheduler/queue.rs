//! The requests that wait for one version.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::job::Job;
use super::mean_time::MeanTime;
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
    /// How long a request waits for others to run with, although it could run.
    pub max_queue_delay: Duration,
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
        Self {
            max_queue: 1024,
            max_concurrency: 0,
            deadline: Duration::from_secs(10),
            max_queue_delay: Duration::ZERO,
        }
    }
}

/// A bounded queue, and the count of turns that its version has on the pool.
#[derive(Debug)]
pub(in crate::serving) struct Queue {
    limits: QueueLimits,
    state: Mutex<State>,
    /// The time that a job takes: tells a refused caller when to come back.
    job_time: MeanTime,
    /// The time that a run takes, of however many jobs.
    run_time: MeanTime,
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
    /// Of these, the one at the desk, if there is one.
    at_desk: Option<AtDesk>,
    /// Runs at the desk that have begun.
    desk_runs: u64,
    /// Somebody looks whether the runs at the desk end.
    is_watched: bool,
    /// What waits for others to run with, and has no turn for that long.
    gathering: Option<Gathering>,
    /// How often that was begun.
    gatherings: u64,
}

/// Requests that wait for others to run with.
#[derive(Clone, Copy, Debug)]
struct Gathering {
    number: u64,
    rows: usize,
    /// Jobs that wait before them and belong to no gathering any more.
    ahead: usize,
}

/// A turn at the desk.
#[derive(Clone, Copy, Debug)]
struct AtDesk {
    /// As many waiting jobs are taken along by its next run.
    takes: usize,
    is_running: bool,
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

    fn take(&mut self, max_rows: usize, jobs: &mut Vec<Job>) {
        self.running += 1;
        let Some(first) = self.pop() else { return };
        let mut rows = if max_rows > 1 { first.rows() } else { None };
        jobs.push(first);
        // Nobody overtakes: the first that does not fit ends the batch.
        while let (Some(taken), Some(next)) = (rows, self.waiting.front()) {
            rows = next.rows().map(|more| taken + more).filter(|rows| *rows <= max_rows);
            if rows.is_none() || !next.fits_beside(&jobs[0]) {
                return;
            }
            jobs.extend(self.pop());
        }
    }

    fn pop(&mut self) -> Option<Job> {
        if let Some(gathering) = &mut self.gathering {
            gathering.ahead = gathering.ahead.saturating_sub(1);
        }
        self.waiting.pop_front()
    }

    fn end_turn(&mut self) -> bool {
        self.running -= 1;
        let goes_on = match self.gathering {
            None => !self.waiting.is_empty(),
            Some(gathering) => gathering.ahead > 0 && !self.waiting.is_empty(),
        };
        if !goes_on {
            self.turns -= 1;
        }
        goes_on
    }

    /// True when what was gathered needs a turn, which is then counted already.
    fn end_gathering(&mut self, concurrency: usize) -> bool {
        self.gathering = None;
        let needs_turn = !self.waiting.is_empty() && self.turns < concurrency;
        if needs_turn {
            self.turns += 1;
        }
        needs_turn
    }

    /// What waits in vain: all or nothing. What is gathered will have a turn of its own.
    fn take_if_stuck(&mut self) -> VecDeque<Job> {
        if self.is_stuck() && self.gathering.is_none() {
            std::mem::take(&mut self.waiting)
        } else {
            VecDeque::new()
        }
    }
}

/// What the one who added a job has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// Put the version into the pool's line.
    NeedsTurn,
    /// Nothing: enough turns are out already.
    HasTurns,
    /// See to it that somebody looks whether the run at the desk ends.
    NeedsWatch,
    /// [End the gathering](Queue::end_gathering) of this number at that time.
    NeedsTime(u64, Instant),
}

/// What has to be done for requests that have waited for others.
#[derive(Debug)]
pub(super) enum Gathered {
    /// Put the version into the pool's line.
    NeedsTurn,
    /// Nothing: they run already, or somebody will take them.
    HasTurns,
    /// Refuse them: nobody will ever run them.
    InVain(VecDeque<Job>),
}

/// What the one who looks after the desk has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// Look again later.
    Fine,
    /// Put the version into the pool's line, and look again later.
    NeedsTurn,
    /// Nothing any more.
    Over,
}

impl Queue {
    pub(in crate::serving) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            job_time: MeanTime::default(),
            run_time: MeanTime::default(),
            stranded: AtomicUsize::new(0),
        }
    }

    pub(in crate::serving) fn limits(&self) -> &QueueLimits {
        &self.limits
    }

    /// Adds a job at the end. A run takes up to `max_rows` rows.
    pub(super) fn push(
        &self,
        job: Job,
        threads: usize,
        max_rows: usize,
    ) -> Result<Added, Unanswered> {
        let mut state = self.lock();
        if let Some(desk) = state.at_desk
            && state.waiting.len() < desk.takes.min(self.limits.max_queue)
        {
            state.waiting.push_back(job);
            let needs_watch = desk.is_running && !std::mem::replace(&mut state.is_watched, true);
            return Ok(if needs_watch { Added::NeedsWatch } else { Added::HasTurns });
        }
        let rows = job.rows().unwrap_or(max_rows);
        if let Some(gathering) = &mut state.gathering {
            gathering.rows += rows;
            let has_enough = gathering.rows >= max_rows;
            state.waiting.push_back(job);
            return Ok(if has_enough || state.waiting.len() >= self.limits.max_queue {
                match state.end_gathering(self.limits.concurrency(threads)) {
                    true => Added::NeedsTurn,
                    false => Added::HasTurns,
                }
            } else {
                Added::HasTurns
            });
        }
        if state.turns < self.limits.concurrency(threads) {
            if !self.limits.max_queue_delay.is_zero() && rows < max_rows {
                let due = job.submitted + self.limits.max_queue_delay;
                state.gatherings += 1;
                let (number, ahead) = (state.gatherings, state.waiting.len());
                state.gathering = Some(Gathering { number, rows, ahead });
                state.waiting.push_back(job);
                return Ok(Added::NeedsTime(state.gatherings, due));
            }
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
        self.lock().take(max_rows, jobs);
    }

    /// Ends a turn. True when the version needs another one, which is then counted already.
    pub(super) fn end_turn(&self) -> bool {
        self.lock().end_turn()
    }

    /// The time is over for which requests wait for others, if it is still the gathering of this number.
    pub(super) fn end_gathering(&self, number: u64, threads: usize) -> Gathered {
        let mut state = self.lock();
        if state.gathering.is_none_or(|gathering| gathering.number != number) {
            return Gathered::HasTurns;
        }
        if state.end_gathering(self.limits.concurrency(threads)) {
            return Gathered::NeedsTurn;
        }
        match state.take_if_stuck() {
            jobs if jobs.is_empty() => Gathered::HasTurns,
            jobs => Gathered::InVain(jobs),
        }
    }

    /// A turn that was counted is at the desk, and its runs take so many jobs.
    pub(super) fn come_to_desk(&self, takes: usize) {
        self.lock().at_desk = Some(AtDesk { takes, is_running: false });
    }

    /// The turn at the desk, which runs nothing, goes elsewhere.
    pub(super) fn leave_desk(&self) {
        self.lock().at_desk = None;
    }

    /// As [`take`](Self::take), for the turn at the desk. Followed by [`end_turn_at_desk`](Self::end_turn_at_desk). True
    /// when somebody waits behind this run already, and nobody looks whether it ends.
    pub(super) fn take_at_desk(&self, max_rows: usize, jobs: &mut Vec<Job>) -> bool {
        let mut state = self.lock();
        state.desk_runs += 1;
        state.take(max_rows, jobs);
        let is_waited_for = !state.waiting.is_empty();
        // Where not all went together, the next run does not take more along either.
        let takes = if is_waited_for { jobs.len().max(1) } else { max_rows };
        state.at_desk = Some(AtDesk { takes, is_running: true });
        is_waited_for && !std::mem::replace(&mut state.is_watched, true)
    }

    /// As [`end_turn`](Self::end_turn), for the turn at the desk.
    pub(super) fn end_turn_at_desk(&self) -> bool {
        let mut state = self.lock();
        let goes_on = state.end_turn();
        let at_desk = state.at_desk.filter(|_| goes_on);
        state.at_desk = at_desk.map(|desk| AtDesk { is_running: false, ..desk });
        goes_on
    }

    /// Looks whether a run at the desk goes on that was `seen` there the last time. Then whoever waits behind it needs a
    /// turn elsewhere, which is counted already.
    pub(super) fn look_at_desk(&self, seen: &mut Option<u64>, threads: usize) -> Watched {
        let mut state = self.lock();
        if !state.at_desk.is_some_and(|desk| desk.is_running) {
            state.is_watched = false;
            return Watched::Over;
        }
        let before = seen.replace(state.desk_runs);
        let is_late = before == Some(state.desk_runs) && state.without_turn() > 0;
        if is_late && state.turns < self.limits.concurrency(threads) {
            state.turns += 1;
            return Watched::NeedsTurn;
        }
        Watched::Fine
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
        self.run_time.learn(elapsed);
        self.job_time.learn(elapsed / u32::try_from(jobs.max(1)).unwrap_or(u32::MAX));
    }

    /// How long a run takes of late; none before the first.
    pub(super) fn mean_run(&self) -> Option<Duration> {
        self.run_time.get()
    }

    /// For tests: the turns, and how many of them run and are stranded.
    #[cfg(test)]
    pub(super) fn turns(&self) -> [usize; 3] {
        let state = self.lock();
        [state.turns, state.running, state.stranded.len()]
    }

    /// For tests: how often something was run at the desk.
    #[cfg(test)]
    pub(super) fn desk_runs(&self) -> u64 {
        self.lock().desk_runs
    }

    /// For tests: whether requests wait for others to run with, and have no turn.
    #[cfg(test)]
    pub(super) fn gathering(&self) -> Option<u64> {
        self.lock().gathering.map(|gathering| gathering.number)
    }

    fn time_for(&self, jobs: usize, threads: usize) -> Duration {
        let runs_one_after_another = jobs.div_ceil(self.limits.concurrency(threads).max(1));
        let mean = self.job_time.get().unwrap_or_default();
        mean.saturating_mul(u32::try_from(runs_one_after_another).unwrap_or(u32::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
