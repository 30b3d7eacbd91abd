//! The child's work. Whatever the model does, it does it here.

use std::path::Path;
use std::time::{Duration, Instant};

use super::told::{Facts, Order, Spread, Stage, Told};
use crate::domain::batching::Alone;
use crate::domain::signature::Signature;
use crate::onnx::{LoadError, Rejection, RunError, Runtime, Session, SessionOptions, StopFlag};
use crate::repository::warm_up::{stopped_after, warm_up};
use crate::system::cores::Cores;
use crate::system::memory::{self, Usage};
use crate::system::process;
use crate::system::rehearsal::CheckDies;
use crate::system::thread;

/// What the child says, and how signatures are shown.
pub(crate) struct Speech<'s> {
    /// Takes each line.
    pub(crate) tell: &'s mut dyn FnMut(Told),
    /// As the admin API shows them.
    pub(crate) signature: fn(&Signature) -> serde_json::Value,
}

/// Loads the model of the order, runs it for the first time, and tells what it is like.
pub(crate) fn examine(runtime: &Runtime, order: &Order, speech: &mut Speech<'_>) {
    let began = Instant::now();
    let dies = CheckDies::appointed();
    let outcome = load_and_run(runtime, order, &dies, speech).map(|facts| Facts {
        spread: faster_on_more_threads(runtime, order, &facts, began, speech),
        ..facts
    });
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
    let rows = probe(&session, order).map_err(refused)?;
    let after = Usage::now();
    let grown = |bytes: fn(&Usage) -> u64, after: Option<Usage>, from: fn(&Usage) -> u64| {
        let (Some(after), Some(before)) = (after, before) else { return 0 };
        bytes(&after).saturating_sub(from(&before))
    };
    let mut facts = Facts {
        rows,
        arena: false,
        memory: grown(|now| now.anonymous, after, |then| then.anonymous),
        peak: grown(|now| now.peak, after, |then| then.resident),
        load_time,
        run_time,
        spread: None,
    };
    drop(session);
    if let Some(without) = run_time.filter(|_| faults >= MANY_FAULTS)
        && let Some(with) = faster_with_arena(runtime, &order.model, without)
    {
        facts.arena = true;
        facts.run_time = Some(with.run_time);
        // What it keeps from run to run belongs to what it takes.
        facts.memory = grown(|now| now.anonymous, with.usage, |then| then.anonymous);
        facts.peak = grown(|now| now.peak, with.usage, |then| then.resident);
    }
    Ok(facts)
}

/// Whether requests can run together. Long runs are no endless ones, so it must not be this that meets the limit on time:
/// half of what is left of it is for the rest.
fn probe(session: &Session, order: &Order) -> Result<Result<(), Alone>, RunError> {
    let left = order.limits.cpu.saturating_sub(process::cpu_time()) / 2;
    stopped_after(left, |stop| {
        let rows = session.probe_rows(stop);
        if stop.is_raised() {
            let reason =
                "its runs take too long for it to be found out whether they can be put together";
            return Err(Alone::NotProbed { reason: reason.to_owned() });
        }
        rows
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

/// A model whose session keeps its memory.
struct WithArena {
    run_time: Duration,
    /// While it is loaded.
    usage: Option<Usage>,
}

/// What comes of it when the library keeps what it took for the last run; none where runs are not clearly faster then.
fn faster_with_arena(runtime: &Runtime, model: &Path, without: Duration) -> Option<WithArena> {
    let options = SessionOptions { keeps_memory: true, ..SessionOptions::default() };
    let session = Session::load(runtime, model, options).ok()?;
    let run_time = warm_up(&session, &StopFlag::new().ok()?).ok()??;
    let is_faster = run_time.as_secs_f64() < 0.9 * without.as_secs_f64();
    is_faster.then(|| WithArena { run_time, usage: Usage::now() })
}

/// From where on it is worth something to a client that a run is shorter.
const LONG_RUN: Duration = Duration::from_millis(5);

/// More are not tried: each costs address space, of which the child has not much.
const MOST_THREADS: usize = 8;

/// How fast runs are that may use several cores; none where that gains little. Nothing is decided by it: all
/// versions of a model have to run on as many threads, since they are compared. Nor does it matter what happens meanwhile:
/// all else that is known is told before.
fn faster_on_more_threads(
    runtime: &Runtime,
    order: &Order,
    facts: &Facts,
    began: Instant,
    speech: &mut Speech<'_>,
) -> Option<Spread> {
    let on_one = facts.run_time.filter(|&run_time| run_time >= LONG_RUN)?;
    let threads = Cores::available().count.min(MOST_THREADS);
    // It costs about what was spent until now. Where the cores are busy it would only keep the version waiting.
    let spent = process::cpu_time();
    let is_busy = 2 * spent < began.elapsed();
    if threads < 2 || is_busy || order.limits.cpu.saturating_sub(spent) < 2 * spent {
        return None;
    }
    // Requests are being answered on those cores. The threads of the library are as this one.
    thread::let_others_go_first();
    (speech.tell)(Told::Passed(facts.clone()));
    (speech.tell)(Told::Stage(Stage::Spreading));
    let run_time = on_threads(runtime, order, facts, threads);
    (speech.tell)(Told::Stage(Stage::Probing));
    Spread { threads, run_time: run_time? }.if_worth(on_one)
}

/// Its fastest run on so many threads.
fn on_threads(runtime: &Runtime, order: &Order, facts: &Facts, threads: usize) -> Option<Duration> {
    let options = SessionOptions {
        intra_op_threads: threads,
        keeps_memory: facts.arena,
        ..SessionOptions::default()
    };
    let session = Session::load(runtime, &order.model, options).ok()?;
    let left = order.limits.cpu.saturating_sub(process::cpu_time());
    // All of them may be busy as long as that.
    let at_most = left / 4 / u32::try_from(threads).ok()?;
    stopped_after(at_most, |stop| warm_up(&session, stop)).ok()?.ok()?
}
