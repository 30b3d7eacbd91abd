//! `greenroom compare`: two models on requests from a file, judged as a rollout judges live ones. No server is asked.

mod contest;
mod data;
mod progress;
mod work;

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use sha2::{Digest as _, Sha256};

use crate::config::ModelConfig;
use crate::delivery::plan;
use crate::domain::model::{Digest, VersionLabel};
use crate::domain::rollout::Decision;
use crate::onnx::{Runtime, Session, SessionOptions};
use crate::repository::contract::{self, ContractLimits};
use crate::serving::Naming;

pub(super) use contest::{Contest, Contestant, Manner, exit};
pub(super) use data::RecordedRequests;
pub(super) use progress::bar;

/// The flags of `greenroom compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
A line of NDJSON is a request, {\"instances\": …} or {\"inputs\": …}, or a row of one. The columns of a CSV or Parquet file \
are found by the names of the model's inputs, or of the features in its settings; others are passed over. An NPZ file has \
an array for each input, by its name, with a request in each row. A folder STATE/captures/MODEL is what a server has \
recorded; where A is the version that answered, these answers show how much it differs from itself.\n\
Exit code: 0 when B is shown to be as good as A, 1 when it is worse, 3 when neither is shown, 2 when they cannot be \
compared.")]
pub(super) struct Flags {
    /// The model that is trusted
    #[arg(value_name = "A")]
    stable: PathBuf,
    /// The model that is to take its place
    #[arg(value_name = "B")]
    candidate: PathBuf,
    /// Requests: `.ndjson`, `.jsonl`, `.csv`, `.npz`, `.parquet`, or a folder of recorded ones
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The model's settings, `model.toml`: features, labels, [gates], [outputs] and what change to expect
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    #[command(flatten)]
    manner: Manner,
}

/// Compares, and shows what came of it.
pub(super) fn run(flags: &Flags) -> ExitCode {
    exit(compare(flags))
}

fn compare(flags: &Flags) -> Result<Decision, Box<dyn Error>> {
    let config = match &flags.settings {
        Some(path) => settings(path)?,
        None => ModelConfig::default(),
    };
    let runtime = Runtime::load(flags.manner.onnxruntime.as_deref())?;
    let [a, b] = labels(&flags.stable, &flags.candidate)?;
    let contest = Contest {
        name: flags.candidate.display().to_string(),
        stable: load(&runtime, &flags.stable, a)?,
        candidate: load(&runtime, &flags.candidate, b)?,
        plan: plan(&config),
        naming: Naming { features: config.features.clone(), classes: config.labels.clone() },
        command: "greenroom compare",
    };
    let (bar, source) = (bar(), format!("`{}`", flags.data.display()));
    let requests = data::open(&flags.data, contest.taken(), &bar);
    let requests = requests.map_err(|sentence| format!("{source}: {sentence}"))?;
    contest.judge(requests, &source, &bar, &flags.manner)
}

/// Reads a model's settings.
pub(super) fn settings(path: &Path) -> Result<ModelConfig, Box<dyn Error>> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| format!("`{name}`: {error}"))?;
    Ok(ModelConfig::parse(&text, &name)?)
}

fn load(runtime: &Runtime, path: &Path, label: VersionLabel) -> Result<Contestant, Box<dyn Error>> {
    let name = path.display();
    let in_file = |error: &dyn std::fmt::Display| format!("`{name}`: {error}");
    let mut file = File::open(path).map_err(|error| in_file(&error))?;
    let bytes = file.metadata().map_err(|error| in_file(&error))?.len();
    let whole = fs::canonicalize(path).map_err(|error| in_file(&error))?;
    let folder = whole.parent().unwrap_or(Path::new("/"));
    let opened = File::open(path).map_err(|error| in_file(&error))?;
    contract::check_file(opened, bytes, folder, &ContractLimits::default())
        .map_err(|error| in_file(&error))?;
    let digest = digest(&mut file).map_err(|error| in_file(&error))?;
    let session = Session::load(runtime, &whole, SessionOptions::default())
        .map_err(|error| in_file(&error))?;
    Ok(Contestant { title: format!("`{name}`"), label, digest, session })
}

fn digest(file: &mut impl Read) -> io::Result<Digest> {
    let (mut sum, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest::from_bytes(sum.finalize().into())),
            read => sum.update(&buffer[..read]),
        }
    }
}

/// The names of the files, where they are labels and tell the two apart.
fn labels(stable: &Path, candidate: &Path) -> Result<[VersionLabel; 2], Box<dyn Error>> {
    let label = |path: &Path| path.file_stem()?.to_str()?.parse::<VersionLabel>().ok();
    match (label(stable), label(candidate)) {
        (Some(a), Some(b)) if a != b => Ok([a, b]),
        _ => Ok(["A".parse()?, "B".parse()?]),
    }
}
