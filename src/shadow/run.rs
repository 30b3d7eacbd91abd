//! Runs a request on both versions of a pair.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::Job;
use super::study::Study;
use super::watch::{Cut, Watch};
use crate::domain::comparison::Arm;
use crate::domain::sampling::{Purpose, bound};
use crate::onnx::{Output, RunError, StopFlag};
use crate::serving::Servable;
use crate::system::thread::CpuClock;

/// What the two runs of a pair gave.
#[derive(Debug)]
pub(super) struct Runs {
    pub(super) stable: Ran,
    pub(super) candidate: Ran,
    /// What both have spent on a core.
    pub(super) busy: Duration,
}

/// What one run gave.
#[derive(Debug)]
pub(super) enum Ran {
    /// Outputs, and the time that it took: on a core where one thread does all the work, else on the wall.
    Answered(Vec<Output>, Duration),
    /// A failure.
    Failed,
    /// Nothing: it took too much time on a core.
    TooSlow,
    /// Nothing, for no fault of its own.
    Starved,
}

/// Runs both versions on the same inputs, alone, one after the other on the calling thread. Which is first is drawn:
/// the second finds the caches warm.
pub(super) fn run(job: &Job, study: &Arc<Study>, watch: &Watch) -> Runs {
    let pairing = &job.sampled.pairing;
    let draw = pairing.draw(job.sampled.number, Purpose::Order);
    let run_arm = |arm| run_one(pairing.servable(arm), arm, job, study, watch);
    let clock = CpuClock::of_this_thread();
    let begun = clock.and_then(|clock| clock.now());
    let (stable, candidate) = if draw < bound(0.5) {
        let stable = run_arm(Arm::Stable);
        (stable, run_arm(Arm::Candidate))
    } else {
        let candidate = run_arm(Arm::Candidate);
        (run_arm(Arm::Stable), candidate)
    };
    let ended = clock.and_then(|clock| clock.now());
    let busy = begun.zip(ended).map_or(Duration::ZERO, |(begun, ended)| ended - begun);
    Runs { stable, candidate, busy }
}

fn run_one(
    servable: &Arc<Servable>,
    arm: Arm,
    job: &Job,
    study: &Arc<Study>,
    watch: &Watch,
) -> Ran {
    let order = study.orders(job.sampled.answered).of(arm);
    let Some(inputs) = order.inputs(&job.inputs) else { return Ran::Failed };
    // A flag of its own: one that was raised too late must not stop the next run.
    let Ok(stop) = StopFlag::new().map(Arc::new) else { return Ran::Starved };
    let stuck = study.clone();
    let on_stuck = Box::new(move || stuck.is_stuck(arm));
    let watched = watch.over(&stop, servable.limits().deadline, on_stuck);
    let clock = CpuClock::of_this_thread().filter(|_| servable.runs_on_one_thread());
    let (begun, started) = (clock.and_then(|clock| clock.now()), Instant::now());
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        servable.run(&inputs, order.wanted(), &stop)
    }));
    let on_wall = started.elapsed();
    let on_core = clock.and_then(|clock| clock.now()).zip(begun).map(|(now, begun)| now - begun);
    match (watched.end(), outcome) {
        // It came too late to stop anything.
        (_, Ok(Ok(outputs))) => Ran::Answered(outputs, on_core.unwrap_or(on_wall)),
        (Some(Cut::TooSlow), _) => Ran::TooSlow,
        (Some(Cut::Starved), _) => Ran::Starved,
        (None, Ok(Err(RunError::Stopped | RunError::Failed { .. })) | Err(_)) => Ran::Failed,
    }
}
