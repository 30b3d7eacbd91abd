//! The first runs of a version, so that no client pays for them, and their end when they take too long.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::domain::signature::{Dim, TensorSpec};
use crate::domain::tensor::{Tensor, element_count};
use crate::onnx::{RunError, Session, StopFlag};

/// Time that is spent on runs, at most, unless one alone takes longer.
const ENOUGH_TIME: Duration = Duration::from_millis(500);

/// Runs the model on zeros until it is as fast as it gets, and gives the time of its fastest run; none where nothing
/// is known of an input's shape, or it is huge.
///
/// # Errors
/// [`RunError`], when it fails on zeros, which does not make it a bad model.
pub(super) fn warm_up(session: &Session, stop: &StopFlag) -> Result<Option<Duration>, RunError> {
    let inputs = session.signature().inputs.iter().map(zeros).collect::<Option<Vec<_>>>();
    inputs.map(|inputs| run_until_it_settles(session, &inputs, stop)).transpose()
}

/// Runs the model on requests that it was asked before: each of them once, and the last one until the model is as fast
/// as it gets. Says whether it has answered any.
///
/// # Errors
/// [`RunError::Stopped`]. That it fails on one of them is for others to judge.
pub(super) fn warm_up_on(
    session: &Session,
    requests: &[Vec<Tensor>],
    stop: &StopFlag,
) -> Result<bool, RunError> {
    let outputs: Vec<usize> = (0..session.signature().outputs.len()).collect();
    let begun = Instant::now();
    let mut answered = None;
    for inputs in requests {
        match session.run(inputs, &outputs, stop) {
            Ok(_) => answered = Some(inputs),
            Err(RunError::Stopped) => return Err(RunError::Stopped),
            Err(RunError::Failed { .. }) => {}
        }
        if begun.elapsed() > ENOUGH_TIME {
            break;
        }
    }
    let Some(inputs) = answered else { return Ok(false) };
    run_until_it_settles(session, inputs, stop)?;
    Ok(true)
}

/// Gives the time of the fastest run.
fn run_until_it_settles(
    session: &Session,
    inputs: &[Tensor],
    stop: &StopFlag,
) -> Result<Duration, RunError> {
    const ENOUGH_RUNS: usize = 30;
    let outputs: Vec<usize> = (0..session.signature().outputs.len()).collect();
    let begun = Instant::now();
    let mut best = Duration::MAX;
    for run in 0..ENOUGH_RUNS {
        let started = Instant::now();
        session.run(inputs, &outputs, stop)?;
        let elapsed = started.elapsed();
        let has_settled = run >= 3 && elapsed * 10 >= best * 9;
        best = best.min(elapsed);
        if has_settled || begun.elapsed() > ENOUGH_TIME {
            break;
        }
    }
    Ok(best)
}

/// Does work with a flag that is raised when it takes longer than that.
///
/// # Errors
/// [`RunError`], when there is no flag to be had.
pub(super) fn stopped_after<T>(
    limit: Duration,
    work: impl FnOnce(&StopFlag) -> T,
) -> Result<T, RunError> {
    let stop = StopFlag::new()?;
    let (done, is_done) = channel::<()>();
    Ok(std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            if is_done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                stop.raise();
            }
        });
        let outcome = work(stop);
        drop(done);
        outcome
    }))
}

/// A tensor of zeros that fits the input, with 1 for each open dimension.
fn zeros(spec: &TensorSpec) -> Option<Tensor> {
    const MOST_ELEMENTS: usize = 1 << 24;
    let shape: Vec<usize> = spec
        .shape
        .dims()?
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => *size,
            Dim::Symbol(_) | Dim::Any => 1,
        })
        .collect();
    let count = element_count(&shape).filter(|&count| count <= MOST_ELEMENTS)?;
    Tensor::new(shape, spec.dtype.zeros(count)).ok()
}
