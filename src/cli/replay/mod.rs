//! `greenroom replay`: what a model was asked in production, run on two of its versions and judged as a rollout judges live
//! requests. The state folder is read, beside a server or without one.

mod sample;
mod versions;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use self::versions::Versions;
use super::capture::nothing_recorded;
use super::client::ServerFlags;
use super::compare::{Contest, Manner, RecordedRequests, bar, exit, settings};
use crate::capture::Recordings;
use crate::config::{self, Overrides, ServerConfig};
use crate::delivery::plan;
use crate::domain::model::{ModelName, VersionLabel};
use crate::domain::rollout::Decision;
use crate::onnx::Runtime;
use crate::serving::Naming;

/// The flags of `greenroom replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --sample no server is asked: recorded requests (`[capture] mode = \"on\"`) and versions are in the state folder. \
Where the stable version gave the recorded answer, that shows how much it differs from itself.\n\
With --sample a running server is asked for the example, and the versions are in its state folder.\n\
Exit code: 0 when the version is shown to be as good as the stable one, 1 when it is worse, 3 when neither is shown, 2 when \
they cannot be compared; with --sample 0 when the example was run, else 2.")]
pub(super) struct Flags {
    /// Which model's recorded requests
    #[arg(long, value_name = "MODEL", required_unless_present = "sample")]
    model: Option<ModelName>,
    /// The version to compare with the stable one [default: that of the running rollout, or else the newest]
    #[arg(long, value_name = "VERSION")]
    version: Option<VersionLabel>,
    /// Run one of the worst examples of a report again, such as s-000002-91, and show what comes out
    #[arg(long, value_name = "ID", conflicts_with_all = ["model", "version", "settings", "html"])]
    sample: Option<String>,
    /// The model's settings, `model.toml` [default: those that its last rollout began with]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The server's settings file, which may name its state folder [default: greenroom.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    server: ServerFlags,
}

/// Compares, and shows what came of it; or shows one example.
pub(super) fn run(flags: &Flags) -> ExitCode {
    match (&flags.sample, &flags.model) {
        (Some(id), _) => exit(
            state(flags)
                .and_then(|state| sample::run_again(id, &state, flags).map(|()| Decision::Pass)),
        ),
        (None, Some(model)) => exit(replay(model, flags)),
        (None, None) => exit(Err("name a model: --model MODEL".into())),
    }
}

/// The state folder: as the flag names it, or the environment, or the settings file.
fn state(flags: &Flags) -> Result<PathBuf, Box<dyn Error>> {
    let overrides = Overrides {
        config: flags.config.clone(),
        state: flags.server.state().map(Path::to_path_buf),
        ..Overrides::default()
    };
    let state = ServerConfig::load(&overrides, config::environment())?.state;
    match state.is_dir() {
        true => Ok(state),
        false => {
            Err(format!("there is no state folder `{}`; name it with --state", state.display())
                .into())
        }
    }
}

fn replay(model: &ModelName, flags: &Flags) -> Result<Decision, Box<dyn Error>> {
    let state = state(flags)?;
    let versions = Versions::find(&state, model, flags.version.as_ref())?;
    let in_state = |error: std::io::Error| format!("`{}`: {error}", state.display());
    let recordings = Recordings::open(&state, model).map_err(in_state)?;
    if recordings.newest_first().next().is_none() {
        return Err(nothing_recorded(&state, model).into());
    }
    let plan = match &flags.settings {
        Some(path) => plan(&settings(path)?),
        None => versions.plan.clone(),
    };
    let runtime = Runtime::load(flags.manner.onnxruntime.as_deref())?;
    let contest = Contest {
        name: model.to_string(),
        stable: versions.load(&runtime, &versions.stable)?,
        candidate: versions.load(&runtime, &versions.candidate)?,
        plan,
        naming: Naming::default(),
        command: "greenroom replay",
    };
    let bar = bar();
    let requests = Box::new(RecordedRequests::of(recordings, contest.taken(), &bar));
    let source = format!("recorded requests to `{model}`");
    contest.judge(requests, &source, &bar, &flags.manner)
}
