//! Two models compared on requests from a file, without a server and without traffic.
//!
//! Each request is run on both, alone, one after the other on one thread, as a sampled live request is, and is judged by
//! the same rules. What differs is that there is nobody to give way to, so that as many threads may work as there are
//! cores.

use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use super::job::Origin;
use super::report::StudyReport;
use super::run::{Ran, Runs};
use super::standing::{Beside, Standing};
use super::study::{Study, Tried};
use super::subject::{Order, Subject};
use crate::domain::comparison::Arm;
use crate::domain::sampling::{Purpose, bound, draw};
use crate::domain::tensor::Tensor;
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

/// Of so many requests it is found out how much the trusted model differs from itself, by running it once more.
const NOISE_OF: u64 = 1000;

impl OfflineStudy {
    /// Of which nothing is known yet. The seed decides which of the two runs first, and which examples are kept.
    pub fn new(subject: Subject, stable: Session, candidate: Session, seed: u64) -> Self {
        Self { study: Study::open(subject, None), stable, candidate, seed }
    }

    /// Runs one request on both, on the calling thread. Its inputs are as the trusted model takes them.
    ///
    /// # Errors
    /// What the library says when there is no room for a run.
    pub fn compare(&self, number: u64, inputs: &[Tensor]) -> Result<(), RunError> {
        let bytes = inputs.iter().map(Tensor::bytes).sum();
        let counts = self.study.counts();
        counts.requests().fetch_add(1, Ordering::Relaxed);
        counts.sampled(bytes);
        let orders = self.study.orders(Arm::Stable);
        let run = |arm| match arm {
            Arm::Stable => run(&self.stable, &orders.stable, inputs),
            Arm::Candidate => run(&self.candidate, &orders.candidate, inputs),
        };
        let first = match draw(number, self.seed, Purpose::Order) < bound(0.5) {
            true => Arm::Stable,
            false => Arm::Candidate,
        };
        let (stable, candidate) = match first {
            Arm::Stable => {
                let stable = run(Arm::Stable)?;
                (stable, run(Arm::Candidate)?)
            }
            Arm::Candidate => {
                let candidate = run(Arm::Candidate)?;
                (run(Arm::Stable)?, candidate)
            }
        };
        let again = if number <= NOISE_OF { self.once_more(inputs)? } else { None };
        let live =
            again.as_ref().map(|outputs| outputs.iter().map(Output::view).collect::<Vec<_>>());
        let tried = Tried {
            number,
            at: WallTime::from(SystemTime::now()),
            answered: Arm::Stable,
            live: live.as_deref(),
            origin: Origin::Live,
            bytes,
            chance: draw(number, self.seed, Purpose::Keep),
        };
        let runs = Runs { stable, candidate, busy: std::time::Duration::ZERO };
        self.study.observe(&tried, &runs);
        Ok(())
    }

    /// All outputs of the trusted model; none where it fails.
    fn once_more(&self, inputs: &[Tensor]) -> Result<Option<Vec<Output>>, RunError> {
        let all: Vec<usize> = (0..self.stable.signature().outputs.len()).collect();
        let stop = StopFlag::new()?;
        Ok(self.stable.run(inputs, &all, &stop).ok())
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

fn run(session: &Session, order: &Order, inputs: &[Tensor]) -> Result<Ran, RunError> {
    let Some(inputs) = order.inputs(inputs) else { return Ok(Ran::Failed) };
    let stop = StopFlag::new()?;
    let clock = CpuClock::of_this_thread().filter(|_| session.runs_on_one_thread());
    let (begun, started) = (clock.and_then(|clock| clock.now()), Instant::now());
    let outcome = session.run(&inputs, order.wanted(), &stop);
    let on_wall = started.elapsed();
    let on_core = clock.and_then(|clock| clock.now()).zip(begun).map(|(now, begun)| now - begun);
    Ok(match outcome {
        Ok(outputs) => Ran::Answered(outputs, on_core.unwrap_or(on_wall)),
        Err(RunError::Stopped | RunError::Failed { .. }) => Ran::Failed,
    })
}
