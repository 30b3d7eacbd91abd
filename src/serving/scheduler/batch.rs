//! Runs what was taken from a queue: one request, or several as one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::{RunTime, Share, SharedRows};
use super::job::{Job, Run};
use super::seat::Seat;
use crate::domain::tensor::Tensor;
use crate::onnx::{Output, RunError};
use crate::serving::error::InferError;
use crate::serving::servable::Servable;
use crate::telemetry::statistics::Execution;

/// What a thread keeps from one run to the next.
#[derive(Debug)]
pub(super) struct Kept {
    seat: Option<Arc<Seat>>,
    run: Option<Arc<Run>>,
}

impl Kept {
    /// Of a thread that is watched from its seat, or not at all.
    pub(super) fn new(seat: Option<Arc<Seat>>) -> Self {
        Self { seat, run: None }
    }

    fn run(&mut self) -> Result<Arc<Run>, RunError> {
        match &self.run {
            Some(run) => Ok(run.clone()),
            None => Ok(self.run.insert(Arc::new(Run::new(self.seat.clone())?)).clone()),
        }
    }
}

/// Runs jobs that fit together, unless nobody wants them any more.
///
/// When a run of several fails, each is run by itself: no request fails for a neighbour's sake.
pub(super) fn run(servable: &Servable, jobs: &mut Vec<Job>, kept: &mut Kept) {
    let run = match kept.run() {
        Ok(run) => run,
        Err(error) => {
            let error = run_failed(error);
            return jobs.drain(..).for_each(|job| job.finish(Err(error.clone())));
        }
    };
    drop_unwanted(jobs, &run);
    if let [_, _, ..] = jobs[..]
        && let Some((rows, time)) = run_together(servable, jobs, &run)
    {
        for (job, rows) in jobs.drain(..).zip(rows) {
            job.finish(Ok((Share::Rows(rows), time)));
        }
    }
    for job in jobs.drain(..) {
        // Raised by the others' leaving, it would stop this one too.
        run.stop().lower();
        if !job.is_called_off() {
            let outcome = attempt(servable, &[&job], &job.request.inputs, Duration::ZERO, &run);
            let outcome = outcome.map(|(outputs, time)| (Share::Whole(outputs), time));
            job.finish(outcome.map_err(run_failed));
        }
    }
    run.stop().lower();
}

/// Answers those whose time is up, and forgets those whose callers have left.
fn drop_unwanted(jobs: &mut Vec<Job>, run: &Arc<Run>) {
    let now = Instant::now();
    for late in jobs.extract_if(.., |job| job.is_late(now)) {
        let timeout = late.request.timeout;
        late.finish(Err(InferError::DeadlineExceeded(timeout)));
    }
    jobs.retain(|job| job.begin(run));
}

/// The rows of each job, and when they ran; none when they must be run one by one.
fn run_together(
    servable: &Servable,
    jobs: &[Job],
    run: &Run,
) -> Option<(Vec<SharedRows>, RunTime)> {
    let began = Instant::now();
    let inputs = gathered(jobs)?;
    let members: Vec<&Job> = jobs.iter().collect();
    let gathering = began.elapsed();
    let (outputs, time) = attempt(servable, &members, &inputs, gathering, run).ok()?;
    let outputs: Arc<[Output]> = outputs.into();
    let total = jobs.iter().filter_map(Job::rows).sum();
    let mut end = 0;
    let shares = jobs.iter().map(|job| {
        let start = end;
        end += job.rows()?;
        SharedRows::new(outputs.clone(), start..end, total)
    });
    let shares: Option<Vec<SharedRows>> = shares.collect();
    if shares.is_none() {
        servable.run_one_by_one("an output had not as many rows as the requests together");
    }
    shares.map(|shares| (shares, time))
}

/// One tensor for each input, with the rows of all jobs.
fn gathered(jobs: &[Job]) -> Option<Vec<Tensor>> {
    let inputs = jobs.first()?.request.inputs.len();
    (0..inputs)
        .map(|index| Tensor::stack(jobs.iter().map(|job| &job.request.inputs[index])))
        .collect()
}

/// One run of inputs that took so long to put together, and when it was. Whatever happens in it, the thread goes on.
fn attempt(
    servable: &Servable,
    jobs: &[&Job],
    inputs: &[Tensor],
    gathering: Duration,
    run: &Run,
) -> Result<(Vec<Output>, RunTime), RunError> {
    let began = Instant::now();
    let Some(first) = jobs.first() else {
        return Ok((Vec::new(), RunTime { began, took: Duration::ZERO }));
    };
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
        servable.run(inputs, &first.request.outputs, run.stop())
    }));
    let running = began.elapsed();
    servable.queue().observe_run(running, jobs.len());
    let meter = servable.meter();
    let rows = jobs.iter().map(|job| job.rows().unwrap_or(1)).sum();
    let inferences = if servable.max_batch_size() == 0 { jobs.len() } else { rows };
    let execution = Execution { rows, inferences, gathering, running };
    meter.ran(first.request.role, &execution);
    for job in jobs {
        meter.waited(began.duration_since(job.submitted));
    }
    let outcome = outcome
        .unwrap_or_else(|_| Err(RunError::Failed { message: "the run panicked".to_owned() }));
    outcome.map(|outputs| (outputs, RunTime { began, took: running }))
}

fn run_failed(error: RunError) -> InferError {
    match error {
        // Nobody reads this: a run is stopped when its caller has left.
        RunError::Stopped => InferError::RunFailed("the run was stopped".to_owned()),
        RunError::Failed { message } => InferError::RunFailed(message),
    }
}
