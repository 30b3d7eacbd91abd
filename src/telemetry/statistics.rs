//! What a version has done since it was loaded, in the terms of the Open Inference Protocol's statistics extension.
//!
//! A request passes through four parts, each of which is counted with the time that it took: it is read (`compute_input`),
//! it waits (`queue`), it runs (`compute_infer`), and its answer is written (`compute_output`). Requests that run
//! together share one execution. Those that do not fit the model are not counted, since they never came to it.
//!
//! The parts are counted once the request is answered, all at once: `perf_analyzer` reads them while requests are
//! under way, and gives up when there are more of one part than of another.
//!
//! Source: `docs/protocol/extension_statistics.md` of Triton.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::metrics::Outcome;

/// Counted by many threads at once.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    answered: Mutex<Answered>,
    /// How often, and for how long, by what became of the request.
    failures: [Times; Failure::ALL.len()],
    inferences: AtomicU64,
    executions: AtomicU64,
    /// In milliseconds of Unix time; 0: never.
    last: AtomicU64,
    batches: Mutex<BTreeMap<usize, Batches>>,
}

/// Requests that were answered, and their parts.
#[derive(Clone, Copy, Debug, Default)]
struct Answered {
    success: Tally,
    queue: Tally,
    reading: Tally,
    running: Tally,
    writing: Tally,
}

/// How long the parts of a request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handling {
    /// From its body to tensors.
    pub reading: Duration,
    /// Until its run began.
    pub waiting: Duration,
    /// The run, which others may have shared.
    pub running: Duration,
    /// From tensors to its answer.
    pub writing: Duration,
}

/// One execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution {
    /// How many rows they had together; 1 for a request that has no rows.
    pub rows: usize,
    /// The same, and 1 for a request that is one whole as well, whatever its first dimension.
    pub inferences: usize,
    /// How long it took to put their rows together.
    pub gathering: Duration,
    /// How long it took.
    pub running: Duration,
}

/// A count, and the sum of its times.
#[derive(Debug, Default)]
struct Times {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Times {
    fn add(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    fn told(&self) -> Tally {
        Tally {
            count: self.count.load(Ordering::Relaxed),
            nanoseconds: self.nanoseconds.load(Ordering::Relaxed),
        }
    }
}

/// A count, and the sum of its times, as they were at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub count: u64,
    /// How long all of them together.
    pub nanoseconds: u64,
}

impl Tally {
    fn add(&mut self, duration: Duration) {
        self.count += 1;
        self.nanoseconds += u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    }

    fn with(self, other: Self) -> Self {
        Self { count: self.count + other.count, nanoseconds: self.nanoseconds + other.nanoseconds }
    }
}

/// Executions with the same number of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batches {
    /// Putting the rows together.
    pub gathering: Tally,
    /// Running them.
    pub running: Tally,
}

impl Batches {
    /// Giving each request its own rows, which takes no time: they are lent to it where they lie.
    pub fn sharing(&self) -> Tally {
        Tally { nanoseconds: 0, ..self.running }
    }
}

/// Why a request that came to a version got no answer from it, in Triton's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It could not wait, or waited for too long.
    Rejected,
    /// Its client left.
    Canceled,
    /// The version failed.
    Backend,
}

impl Failure {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Rejected, Self::Canceled, Self::Backend];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "REJECTED",
            Self::Canceled => "CANCELED",
            Self::Backend => "BACKEND",
        }
    }
}

/// What a version has done, as it was at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Requests that were answered, from their arrival on.
    pub success: Tally,
    /// Those that were not, in the order of [`Failure::ALL`].
    pub failures: [Tally; Failure::ALL.len()],
    /// Waiting.
    pub queue: Tally,
    /// Reading.
    pub reading: Tally,
    /// Running.
    pub running: Tally,
    /// Writing.
    pub writing: Tally,
    /// How many rows have run.
    pub inferences: u64,
    /// In how many executions.
    pub executions: u64,
    /// When the last of them ended, in milliseconds of Unix time; 0: there was none.
    pub last: u64,
    /// The executions by the number of their rows.
    pub batches: Vec<(usize, Batches)>,
}

impl Told {
    /// All requests that were not answered.
    pub fn failure(&self) -> Tally {
        self.failures.into_iter().fold(Tally::default(), Tally::with)
    }
}

impl Statistics {
    /// A request has ended, so long after its arrival.
    pub(super) fn ended(&self, outcome: Outcome, elapsed: Duration, handling: Handling) {
        let failure = match outcome {
            Outcome::Ok => {
                let Handling { reading, waiting, running, writing } = handling;
                let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
                answered.success.add(elapsed);
                answered.reading.add(reading);
                answered.queue.add(waiting);
                answered.running.add(running);
                answered.writing.add(writing);
                return;
            }
            Outcome::BadRequest => return,
            Outcome::Rejected | Outcome::Timeout => Failure::Rejected,
            Outcome::Abandoned => Failure::Canceled,
            Outcome::Rescued | Outcome::Failed => Failure::Backend,
        };
        self.failures[failure as usize].add(elapsed);
    }

    /// An execution is over.
    pub(super) fn ran(&self, execution: &Execution) {
        let Execution { rows: _, inferences, gathering, running } = *execution;
        self.inferences.fetch_add(inferences as u64, Ordering::Relaxed);
        self.executions.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let of_size = batches.entry(inferences).or_default();
        of_size.gathering.add(gathering);
        of_size.running.add(running);
    }

    /// How it is now.
    pub(super) fn told(&self) -> Told {
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        Told {
            success: answered.success,
            failures: self.failures.each_ref().map(Times::told),
            queue: answered.queue,
            reading: answered.reading,
            running: answered.running,
            writing: answered.writing,
            inferences: self.inferences.load(Ordering::Relaxed),
            executions: self.executions.load(Ordering::Relaxed),
            last: self.last.load(Ordering::Relaxed),
            batches: batches.iter().map(|(rows, batches)| (*rows, *batches)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn tally(count: u64, milliseconds: u64) -> Tally {
        Tally { count, nanoseconds: milliseconds * 1_000_000 }
    }

    #[test]
    fn requests_that_run_together_share_an_execution() {
        let statistics = Statistics::default();
        let together = Execution { rows: 5, inferences: 5, gathering: MS, running: 4 * MS };
        statistics.ran(&together);
        statistics.ran(&Execution { gathering: Duration::ZERO, ..together });
        for waiting in [MS, 2 * MS, 3 * MS] {
            let handling = Handling { waiting, running: 4 * MS, ..Handling::default() };
            statistics.ended(Outcome::Ok, 10 * MS, handling);
        }
        let told = statistics.told();
        assert_eq!((told.inferences, told.executions), (10, 2));
        assert_eq!((told.running, told.queue), (tally(3, 12), tally(3, 6)));
        let batches = Batches { gathering: tally(2, 1), running: tally(2, 8) };
        assert_eq!(told.batches, [(5, batches)]);
        assert!(told.last > 0);
    }

    #[test]
    fn a_run_whose_request_is_not_answered_yet_is_counted_in_no_part() {
        let statistics = Statistics::default();
        statistics.ran(&Execution {
            rows: 7,
            inferences: 1,
            gathering: Duration::ZERO,
            running: MS,
        });
        let told = statistics.told();
        assert_eq!((told.executions, told.running.count, told.writing.count), (1, 0, 0));
    }

    #[test]
    fn each_request_that_came_to_the_version_ends_once() {
        let statistics = Statistics::default();
        let handling = Handling { reading: MS, writing: 2 * MS, ..Handling::default() };
        for outcome in Outcome::ALL {
            statistics.ended(outcome, 10 * MS, handling);
        }
        let told = statistics.told();
        assert_eq!(
            (told.success, told.reading, told.writing),
            (tally(1, 10), tally(1, 1), tally(1, 2))
        );
        assert_eq!(told.failures, [tally(2, 20), tally(1, 10), tally(2, 20)]);
        assert_eq!(told.failure(), tally(5, 50));
    }
}
