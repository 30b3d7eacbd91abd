//! The child's work. Whatever the model does, it does it here.

use std::path::Path;
use std::time::{Duration, Instant};

use super::told::{Facts, Order, Stage, Told};
use crate::domain::signature::Signature;
use crate::onnx::{LoadError, Rejection, RunError, Runtime, Session, SessionOptions, StopFlag};
use crate::repository::warm_up::warm_up;
use crate::system::memory::{self, Usage};
use crate::system::process;
use crate::system::rehearsal::CheckDies;

/// What the child says, and how signatures are shown.
pub(crate) struct Speech<'s> {
    /// Takes each line.
    pub(crate) tell: &'s mut dyn FnMut(Told),
    /// As the admin API shows them.
    pub(crate) signature: fn(&Signature) -> serde_json::Value,
}

/// Loads the model of the order, runs it for the first time, and tells what it is like.
pub(crate) fn examine(runtime: &Runtime, order: &Order, speech: &mut Speech<'_>) {
    let dies = CheckDies::appointed();
    let outcome = load_and_run(runtime, order, &dies, speech);
    (speech.tell)(match outcome {
        Ok(facts) => Told::Passed(facts),
        Err((reason, words)) => Told::Rejected { reason, words },
    });
}

type Refused = (Rejection, String);

fn load_and_run(
    runtime: &Runtime,
    order: &Order,
    dies: &CheckDies,
    speech: &mut Speech<'_>,
) -> Result<Facts, Refused> {
    (speech.tell)(Told::Stage(Stage::Loading));
    dies.may_come(&order.name, "loading");
    memory::forget_peak();
    let before = Usage::now();
    let started = Instant::now();
    let session = load(runtime, &order.model, SessionOptions::default())?;
    let load_time = started.elapsed();
    (speech.tell)(Told::Signature((speech.signature)(session.signature())));

    (speech.tell)(Told::Stage(Stage::Running));
    dies.may_come(&order.name, "running");
    let stop = StopFlag::new().map_err(refused)?;
    let faults = process::page_faults();
    let run_time = first_runs(&session, &stop, speech)?;
    let faults = process::page_faults().saturating_sub(faults);

    (speech.tell)(Told::Stage(Stage::Probing));
    dies.may_come(&order.name, "probing");
    let rows = session.probe_rows(&stop);
    let after = Usage::now();
    let grown = |of: fn(&Usage) -> u64, from: fn(&Usage) -> u64| {
        Some(of(&after?).saturating_sub(from(&before?))).filter(|&bytes| bytes > 0)
    };
    let arena = match run_time {
        Some(run_time) if faults >= MANY_FAULTS => {
            drop(session);
            is_faster_with_arena(runtime, &order.model, run_time)
        }
        Some(_) | None => false,
    };
    Ok(Facts {
        rows,
        arena,
        memory: grown(|now| now.anonymous, |then| then.anonymous).unwrap_or_default(),
        peak: grown(|now| now.peak, |then| then.resident).unwrap_or_default(),
        load_time,
        run_time,
    })
}

/// New pages that the system has to give during the first runs, from which on it may pay to keep them: 8 MiB.
const MANY_FAULTS: u64 = 2048;

fn load(runtime: &Runtime, model: &Path, options: SessionOptions) -> Result<Session, Refused> {
    Session::load(runtime, model, options).map_err(|error| match error {
        LoadError::Rejected { reason, message } => (reason, message),
        LoadError::Unsupported { .. } | LoadError::Unreadable => {
            let sentence = error.to_string();
            (Rejection::Unfit(sentence.clone()), sentence)
        }
    })
}

fn refused(error: RunError) -> Refused {
    match error {
        RunError::Failed { message } => (Rejection::of(&message), message),
        RunError::Stopped => (Rejection::Other, String::new()),
    }
}

/// A model that fails on zeros is not bad for that: zeros may be what it must not be given. One that asks for memory
/// without end is.
fn first_runs(
    session: &Session,
    stop: &StopFlag,
    speech: &mut Speech<'_>,
) -> Result<Option<Duration>, Refused> {
    match warm_up(session, stop) {
        Ok(run_time) => Ok(run_time),
        Err(RunError::Stopped) => Ok(None),
        Err(RunError::Failed { message }) => match Rejection::of(&message) {
            Rejection::OutOfMemory => Err((Rejection::OutOfMemory, message)),
            _ => {
                (speech.tell)(Told::FailsOnZeros(message));
                Ok(None)
            }
        },
    }
}

/// Whether runs are clearly faster when the library keeps what it took for the last one.
fn is_faster_with_arena(runtime: &Runtime, model: &Path, without: Duration) -> bool {
    let options = SessionOptions { keeps_memory: true, ..SessionOptions::default() };
    let with = Session::load(runtime, model, options).ok().and_then(|session| {
        let stop = StopFlag::new().ok()?;
        warm_up(&session, &stop).ok()?
    });
    with.is_some_and(|with| with.as_secs_f64() < 0.9 * without.as_secs_f64())
}
