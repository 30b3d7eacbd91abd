//! `greenroom check-inside`: the child that tries one model. Not for people.

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use crate::api::signature_json;
use crate::onnx::Runtime;
use crate::repository::check::{Order, Speech, Stage, Told, examine};
use crate::system::limits::live_as_a_child;

/// The argument of `greenroom check-inside`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Flags {
    /// What is to be tried, as JSON
    order: String,
}

/// Does what the order says, and tells it line by line on standard output.
pub(in crate::cli) fn run(flags: &Flags) -> ExitCode {
    match try_run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(flags: &Flags) -> Result<(), Box<dyn std::error::Error>> {
    live_as_a_child();
    let order: Order = serde_json::from_str(&flags.order)?;
    tell(&Told::Stage(Stage::Starting));
    // That there is no file says nothing of the model.
    File::open(&order.model)?;
    let runtime = Runtime::load(Some(&order.library))?;
    order.limits.impose()?;
    // On a thread like those that load and run models in a server: what fills its stack would fill theirs.
    let work = std::thread::Builder::new().name("trial".to_owned()).spawn(move || {
        let speech = &mut Speech { tell: &mut |told| tell(&told), signature: signature_json };
        examine(&runtime, &order, speech);
    })?;
    work.join().map_err(|_| "the trial panicked".into())
}

fn tell(told: &Told) {
    let Ok(line) = serde_json::to_string(told) else { return };
    // Whoever listens sees from what is missing that the pipe broke.
    let _ = writeln!(std::io::stdout(), "{line}");
}
