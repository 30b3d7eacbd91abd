//! Two models compared on requests from a file, without a server and without traffic.
//!
//! Each request is run on both, one after the other on one thread, as a sampled live request is, and is judged by the same
//! rules. What differs is that there is nobody to give way to, so that as many threads may work as there are cores; and
//! that there may be very many requests. The first thousand run alone, for their times. Where both models answer each row
//! by itself, as the same probe finds out that a server batches by, others run together: what is answered is the same, and
//! takes a fraction of the time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::job::Origin;
use super::report::StudyReport;
use super::run::{Ran, Runs};
use super::standing::{Beside, Standing};
use super::study::{Study, Tried};
use super::subject::{Order, Subject};
use super::together::{Part, Together, stacked};
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
    /// Whether both answer each row by itself.
    have_rows: bool,
    seed: u64,
}

/// A request that both models are asked.
#[derive(Debug)]
pub struct OfflineRequest {
    /// Its number, from 1: what is drawn for it depends on it.
    pub number: u64,
    /// As the trusted model takes them.
    pub inputs: Vec<Tensor>,
    /// What the trusted model answered to it before, where that is known, with all outputs in its order.
    pub answer: Option<Vec<Value>>,
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
    gave: Gave,
}

/// What both models gave.
#[derive(Debug)]
enum Gave {
    /// To the request alone.
    Alone(Runs),
    /// To others as well: that of stable and of the candidate.
    Together([Part; 2]),
}

/// What the trusted model answered to the same request before, with all of its outputs in its order.
#[derive(Debug)]
enum LiveAnswer {
    /// When it was recorded.
    Recorded(Vec<Value>),
    /// Just now.
    Again(Vec<Output>),
}

/// So many requests run alone. Where there is no recorded answer it is found out how much the trusted model differs from
/// itself, by running it once more.
const ALONE: u64 = 1000;
/// So many requests run together, at most.
const TOGETHER: usize = 64;

impl OfflineStudy {
    /// Of which nothing is known yet. The seed decides which of the two runs first, and which examples are kept.
    pub fn new(subject: Subject, stable: Session, candidate: Session, seed: u64) -> Self {
        let has_rows =
            |session: &Session| StopFlag::new().is_ok_and(|stop| session.probe_rows(&stop).is_ok());
        let have_rows = has_rows(&stable) && has_rows(&candidate);
        Self { study: Study::open(subject, None), stable, candidate, have_rows, seed }
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
        match &pair.gave {
            Gave::Alone(runs) => drop(self.study.observe(&tried, runs)),
            Gave::Together([stable, candidate]) => {
                self.study.observe_shown(&tried, &stable.shown(), &candidate.shown());
            }
        }
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
    /// Runs requests on both, on the calling thread, and gives a pair for each, in their order.
    pub fn run(&self, mut requests: Vec<OfflineRequest>) -> Vec<OfflinePair> {
        let is_alone = |request: &OfflineRequest| !self.study.have_rows || request.number <= ALONE;
        let mut pairs = Vec::with_capacity(requests.len());
        while let Some(first) = requests.first() {
            let count = match is_alone(first) {
                true => 1,
                false => {
                    let is_alike = |other: &&OfflineRequest| is_of_form(other, first);
                    requests.iter().take(TOGETHER).take_while(is_alike).count()
                }
            };
            let rest = requests.split_off(count);
            pairs.extend(self.run_together(std::mem::replace(&mut requests, rest)));
        }
        pairs
    }

    /// As rows of one request, where that can be. One that fails is not to make others fail, so then each runs alone.
    fn run_together(&self, requests: Vec<OfflineRequest>) -> Vec<OfflinePair> {
        let together = (requests.len() > 1).then(|| self.together(&requests)).flatten();
        let Some([stable, candidate]) = together else {
            return requests.into_iter().map(|request| self.run_alone(request)).collect();
        };
        let at = WallTime::from(SystemTime::now());
        let pair = |(place, request): (usize, OfflineRequest)| OfflinePair {
            number: request.number,
            at,
            bytes: request.inputs.iter().map(Tensor::bytes).sum(),
            live: request.answer.map(LiveAnswer::Recorded),
            gave: Gave::Together([&stable, &candidate].map(|of| Part { of: of.clone(), place })),
        };
        requests.into_iter().enumerate().map(pair).collect()
    }

    /// What stable and the candidate give to all of them.
    fn together(&self, requests: &[OfflineRequest]) -> Option<[Arc<Together>; 2]> {
        let OfflineStudy { study, stable, candidate, .. } = self.study;
        let orders = study.orders(Arm::Stable);
        let inputs = stacked(requests.iter().map(|request| &request.inputs[..]))?;
        let rows = *requests.first()?.inputs.first()?.shape().first()?;
        let run = |session: &Session, order: &Order| {
            let inputs = order.inputs(&inputs)?;
            let outputs = session.run(&inputs, order.wanted(), &self.stop).ok()?;
            Together::of(outputs, requests.len(), rows)
        };
        Some([run(stable, &orders.stable)?, run(candidate, &orders.candidate)?])
    }

    fn run_alone(&self, request: OfflineRequest) -> OfflinePair {
        let OfflineRequest { number, inputs, answer } = request;
        let inputs = &inputs[..];
        let OfflineStudy { study, stable, candidate, seed, .. } = self.study;
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
            None if number <= ALONE => self.once_more(inputs).map(LiveAnswer::Again),
            None => None,
        };
        OfflinePair {
            number,
            at: WallTime::from(SystemTime::now()),
            bytes: inputs.iter().map(Tensor::bytes).sum(),
            live,
            gave: Gave::Alone(Runs { stable, candidate, busy: Duration::ZERO }),
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
            Ran::Answered(outputs, _) => {
                outputs.iter().map(|output| super::size(&output.view())).sum()
            }
            Ran::Failed | Ran::TooSlow | Ran::Starved => 0,
        };
        let live = self.live.iter().flat_map(LiveAnswer::views);
        let of_live: usize = live.map(|value| super::size(&value)).sum();
        let of_runs = match &self.gave {
            Gave::Alone(Runs { stable, candidate, .. }) => of_run(stable) + of_run(candidate),
            Gave::Together(parts) => parts.iter().map(Part::bytes).sum(),
        };
        of_runs + of_live
    }
}

/// Whether two requests can be rows of one.
fn is_of_form(request: &OfflineRequest, other: &OfflineRequest) -> bool {
    request.inputs.len() == other.inputs.len()
        && request.inputs.iter().zip(&other.inputs).all(|(a, b)| a.shape() == b.shape())
}

impl LiveAnswer {
    fn views(&self) -> Vec<ValueView<'_>> {
        match self {
            Self::Recorded(values) => values.iter().map(Value::view).collect(),
            Self::Again(outputs) => outputs.iter().map(Output::view).collect(),
        }
    }
}
