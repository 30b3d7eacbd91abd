//! Two models compared on requests from a file, without a server and without traffic.
//!
//! Each request is run on both, alone, one after the other on one thread, as a sampled live request is, and is judged by
//! the same rules. What differs is that there is nobody to give way to, so that as many threads may work as there are
//! cores.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::job::Origin;
use super::report::StudyReport;
use super::run::{Ran, Runs};
use super::standing::{Beside, Standing};
use super::study::{Study, Tried};
use super::subject::{Order, Subject};
use crate::domain::comparison::Arm;
use crate::domain::sampling::{Purpose, bound, draw};
use crate::domain::tensor::{Tensor, Value, ValueView};
use crate::domain::time::WallTime;
use crate::onnx::{Output, RunError, Session, StopFlag};
use crate::system::thread::CpuClock;

/// What is known of two models.
#[derive(Debug)]
pub struct OfflineStudy {
    study: Study,
    stable: Session,
    candidate: Session,
    seed: u64,
}

/// One of the threads that run requests on both models.
#[derive(Debug)]
pub struct OfflineRunner<'s> {
    study: &'s OfflineStudy,
    /// Never raised: nobody is in a hurry.
    stop: StopFlag,
}

/// A request that was run on both, and is still to be added to what is known.
#[derive(Debug)]
pub struct OfflinePair {
    number: u64,
    at: WallTime,
    bytes: usize,
    live: Option<LiveAnswer>,
    runs: Runs,
}

/// What the trusted model answered to the same request before, with all of its outputs in its order.
#[derive(Debug)]
enum LiveAnswer {
    /// When it was recorded.
    Recorded(Vec<Value>),
    /// Just now.
    Again(Vec<Output>),
}

/// Of so many requests without a recorded answer it is found out how much the trusted model differs from itself, by
/// running it once more.
const NOISE_OF: u64 = 1000;

impl OfflineStudy {
    /// Of which nothing is known yet. The seed decides which of the two runs first, and which examples are kept.
    pub fn new(subject: Subject, stable: Session, candidate: Session, seed: u64) -> Self {
        Self { study: Study::open(subject, None), stable, candidate, seed }
    }

    /// For one thread.
    ///
    /// # Errors
    /// What the library says when there is no room for it.
    pub fn runner(&self) -> Result<OfflineRunner<'_>, RunError> {
        Ok(OfflineRunner { study: self, stop: StopFlag::new()? })
    }

    /// Adds a pair to what is known.
    pub fn add(&self, pair: &OfflinePair) {
        let counts = self.study.counts();
        counts.requests().fetch_add(1, Ordering::Relaxed);
        counts.sampled(pair.bytes);
        let live = pair.live.as_ref().map(LiveAnswer::views);
        let tried = Tried {
            number: pair.number,
            at: pair.at,
            answered: Arm::Stable,
            live: live.as_deref(),
            origin: Origin::Live,
            bytes: pair.bytes,
            chance: draw(pair.number, self.seed, Purpose::Keep),
        };
        self.study.observe(&tried, &pair.runs);
    }

    /// What all requests so far come to. Waits for threads that are adding to it.
    pub fn standing(&self) -> Standing {
        loop {
            let now = WallTime::from(SystemTime::now());
            if let Some(standing) = self.study.judge(now, Beside::default()) {
                return Standing::clone(&standing);
            }
            std::thread::yield_now();
        }
    }

    /// All that was found out.
    pub fn report(&self) -> StudyReport {
        StudyReport::of(&self.study, WallTime::from(SystemTime::now()))
    }
}

impl OfflineRunner<'_> {
    /// Runs one request on both, on the calling thread. Its inputs are as the trusted model takes them; `answer` is what
    /// that model answered to it before, where that is known, with all outputs in its order.
    pub fn run(&self, number: u64, inputs: &[Tensor], answer: Option<Vec<Value>>) -> OfflinePair {
        let OfflineStudy { study, stable, candidate, seed } = self.study;
        let orders = study.orders(Arm::Stable);
        let is_stable_first = draw(number, *seed, Purpose::Order) < bound(0.5);
        let begun = Lap::now();
        let (stable, candidate) = match is_stable_first {
            true => {
                let (stable, between) = self.run_one(stable, &orders.stable, inputs, begun);
                (stable, self.run_one(candidate, &orders.candidate, inputs, between).0)
            }
            false => {
                let (candidate, between) =
                    self.run_one(candidate, &orders.candidate, inputs, begun);
                (self.run_one(stable, &orders.stable, inputs, between).0, candidate)
            }
        };
        let live = match answer {
            Some(recorded) => Some(LiveAnswer::Recorded(recorded)),
            None if number <= NOISE_OF => self.once_more(inputs).map(LiveAnswer::Again),
            None => None,
        };
        OfflinePair {
            number,
            at: WallTime::from(SystemTime::now()),
            bytes: inputs.iter().map(Tensor::bytes).sum(),
            live,
            runs: Runs { stable, candidate, busy: Duration::ZERO },
        }
    }

    /// What one run gives, and when it was over.
    fn run_one(
        &self,
        session: &Session,
        order: &Order,
        inputs: &[Tensor],
        begun: Lap,
    ) -> (Ran, Lap) {
        let Some(inputs) = order.inputs(inputs) else { return (Ran::Failed, begun) };
        let outcome = session.run(&inputs, order.wanted(), &self.stop);
        let ended = Lap::now();
        let ran = match outcome {
            Ok(outputs) => Ran::Answered(outputs, ended.since(&begun, session)),
            Err(RunError::Stopped | RunError::Failed { .. }) => Ran::Failed,
        };
        (ran, ended)
    }

    /// All outputs of the trusted model; none where it fails.
    fn once_more(&self, inputs: &[Tensor]) -> Option<Vec<Output>> {
        let stable = &self.study.stable;
        let all: Vec<usize> = (0..stable.signature().outputs.len()).collect();
        stable.run(inputs, &all, &self.stop).ok()
    }
}

/// A moment, by the clocks of the wall and of the thread. To look at the latter is a call of the system, which is not
/// made more often than need be.
struct Lap {
    on_wall: Instant,
    on_core: Option<Duration>,
}

impl Lap {
    fn now() -> Self {
        let on_core = CpuClock::of_this_thread().and_then(|clock| clock.now());
        Self { on_wall: Instant::now(), on_core }
    }

    /// The time since then: on a core where the run has one thread.
    fn since(&self, begun: &Self, session: &Session) -> Duration {
        let on_core = self.on_core.zip(begun.on_core).filter(|_| session.runs_on_one_thread());
        on_core.map_or(self.on_wall - begun.on_wall, |(ended, begun)| ended - begun)
    }
}

impl OfflinePair {
    /// About how much memory the answers take.
    pub fn bytes(&self) -> usize {
        let of_run = |ran: &Ran| match ran {
            Ran::Answered(outputs, _) => outputs.iter().map(|output| size(&output.view())).sum(),
            Ran::Failed | Ran::TooSlow | Ran::Starved => 0,
        };
        let live = self.live.iter().flat_map(LiveAnswer::views);
        let of_live: usize = live.map(|value| size(&value)).sum();
        of_run(&self.runs.stable) + of_run(&self.runs.candidate) + of_live
    }
}

fn size(value: &ValueView<'_>) -> usize {
    match value {
        ValueView::Tensor(tensor) => tensor.elements.bytes(),
        ValueView::ClassScores(scores) => size_of_val(scores.scores),
    }
}

impl LiveAnswer {
    fn views(&self) -> Vec<ValueView<'_>> {
        match self {
            Self::Recorded(values) => values.iter().map(Value::view).collect(),
            Self::Again(outputs) => outputs.iter().map(Output::view).collect(),
        }
    }
}
