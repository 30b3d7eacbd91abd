//! `greenroom capture`: what a server has recorded, for people and their tools. The state folder is read, beside a server
//! or without one; no server is asked.

mod archive;
mod ndjson;
mod npy;
mod npz;

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::capture::{Content, Recorded, Recording, Recordings};
use crate::domain::model::ModelName;
use crate::domain::tensor::DType;

/// The flags of `greenroom capture`.
#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a model's recorded requests, with what was answered, to a file
    Export(Export),
}

/// The flags of `greenroom capture export`.
#[derive(Debug, Args)]
#[command(after_help = "\
npz: an array for each input and output by its name, for `numpy.load`, with the rows of all requests one after another, \
the oldest first; where they are not rows of one table, requests are stacked, and those of different shapes refused. \
Only requests with the names and types of the newest are taken.\n\
ndjson: a request a line, {\"inputs\": …, \"outputs\": …} and where they come from. `greenroom compare A B --data FILE` \
reads it.\n\
Exit code: 0 when there is a file, 2 when there is none.")]
struct Export {
    /// The model
    #[arg(long, value_name = "MODEL")]
    model: ModelName,
    /// What to write
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// The state folder of the server that has recorded [default: .greenroom]
    #[arg(long, value_name = "DIR", env = "GREENROOM_STATE")]
    state: Option<PathBuf>,
    /// Where to write it [default for ndjson: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Npz,
    Ndjson,
}

/// The exit code when nothing was exported.
const NOT_EXPORTED: u8 = 2;

/// Does what the flags say.
pub(super) fn run(flags: &Flags) -> ExitCode {
    let Verb::Export(flags) = &flags.verb;
    match export(flags) {
        Ok(told) => {
            eprintln!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(NOT_EXPORTED)
        }
    }
}

/// Gives a sentence about what was exported.
fn export(flags: &Export) -> Result<String, Box<dyn Error>> {
    let state = flags.state.as_deref().unwrap_or(Path::new(".greenroom"));
    let in_state = |error: io::Error| format!("`{}`: {error}", state.display());
    if !state.is_dir() {
        return Err(format!(
            "there is no state folder `{}`; name it with --state",
            state.display()
        )
        .into());
    }
    let recordings = Recordings::open(state, &flags.model).map_err(in_state)?;
    if recordings.newest_first().next().is_none() {
        return Err(nothing_recorded(state, &flags.model).into());
    }
    let exported = match (flags.format, &flags.output) {
        (Format::Npz, Some(path)) => to_file(path, |file| npz::write(&recordings, file))?,
        (Format::Npz, None) => return Err("an npz file needs a name: --output FILE".into()),
        (Format::Ndjson, Some(path)) => {
            to_file(path, |file| ndjson::write(&recordings, &flags.model, BufWriter::new(file)))?
        }
        (Format::Ndjson, None) => {
            ndjson::write(&recordings, &flags.model, BufWriter::new(io::stdout().lock()))?
        }
    };
    Ok(exported.sentences(&flags.model))
}

/// A sentence where there is nothing: how there comes to be something, or what else there is.
pub(super) fn nothing_recorded(state: &Path, model: &ModelName) -> String {
    let state_name = state.display();
    let others = Recordings::models(state).unwrap_or_default();
    let others: Vec<String> = others.iter().map(|other| format!("`{other}`")).collect();
    match others.is_empty() {
        true => format!(
            "no requests are recorded in `{state_name}`; a server records some with `[capture] mode = \"on\"` in its settings"
        ),
        false => format!(
            "no requests to `{model}` are recorded in `{state_name}`; there are some to {}",
            others.join(", ")
        ),
    }
}

/// Writes a file that is there when it is whole.
fn to_file(
    path: &Path,
    write: impl FnOnce(File) -> Result<Exported, Box<dyn Error>>,
) -> Result<Exported, Box<dyn Error>> {
    let in_file = |error: io::Error| format!("`{}`: {error}", path.display());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let file = File::create(&part).map_err(in_file)?;
    let written = write(file).and_then(|exported| {
        fs::rename(&part, path).map_err(in_file)?;
        Ok(exported)
    });
    if written.is_err() {
        // There is an error to tell already.
        let _ = fs::remove_file(&part);
    }
    written
}

/// What was exported, and what was not.
#[derive(Debug, Default)]
struct Exported {
    requests: u64,
    /// Of other names and types than the newest.
    others: u64,
    /// Of which there are only digests.
    digests: u64,
    /// Inputs and outputs that were never written.
    redacted: Vec<String>,
}

impl Exported {
    fn is_without(&mut self, recording: &Recording) {
        for part in recording.inputs.iter().chain(&recording.outputs) {
            if part.content == Content::Redacted && !self.redacted.contains(&part.name) {
                self.redacted.push(part.name.clone());
            }
        }
    }

    fn sentences(&self, model: &ModelName) -> String {
        let mut text = format!("{} requests to `{model}`", self.requests);
        if self.others > 0 {
            text += &format!("; {} of another signature are left out", self.others);
        }
        if self.digests > 0 {
            text += &format!("; {} of which there are only digests are left out", self.digests);
        }
        if !self.redacted.is_empty() {
            text += &format!("; without `{}`, never recorded", self.redacted.join("`, `"));
        }
        text
    }

    /// Whether there is anything, or why not.
    fn checked(self) -> Result<Self, Box<dyn Error>> {
        match self.requests {
            0 if self.digests > 0 => Err(
                "there are only digests: to export requests, record them with `[capture] mode = \"on\"`"
                    .into(),
            ),
            0 => Err("there are no requests that can be exported".into()),
            _ => Ok(self),
        }
    }
}

/// Whether something of a request is there as a digest alone.
fn has_digests(recording: &Recording) -> bool {
    let mut parts = recording.inputs.iter().chain(&recording.outputs);
    parts.any(|part| matches!(part.content, Content::Digest(_)))
}

/// What two requests must have in common to be rows of the same arrays.
fn form(part: &Recorded) -> (&str, DType, usize, std::mem::Discriminant<Content>) {
    (&part.name, part.dtype, part.shape.len(), std::mem::discriminant(&part.content))
}

fn flush(mut to: impl Write) -> io::Result<()> {
    to.flush()
}
