//! `greenroom check`: what a server does with every version before it loads it, for whoever makes models.

pub(super) mod inside;
mod show;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::table::say;
use crate::onnx::Runtime;
use crate::repository::check::{
    Ended, Facts, Fault, Order, limits_for, run as try_in_child, verdict,
};
use crate::repository::contract::{self, ContractLimits};
use crate::system::process;

/// The flags of `greenroom check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 when all are good, 1 when one is not, 2 when they cannot be tried."
)]
pub(super) struct Flags {
    /// Models: files, or folders that have some
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
    /// The library of ONNX Runtime [default: searched for]
    #[arg(long, value_name = "PATH")]
    onnxruntime: Option<PathBuf>,
    /// How long one may take
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    timeout: humantime::Duration,
}

/// One of them is no good.
const BAD: u8 = 1;
/// They cannot be tried.
const NOT_TRIED: u8 = 2;

/// What is known of one model now.
struct Checked {
    /// As it was named.
    path: PathBuf,
    bytes: u64,
    signature: Option<Value>,
    /// In the library's own words.
    fails_on_zeros: Option<String>,
    outcome: Result<Facts, Fault>,
}

/// Tries one after the other, and shows what was found.
pub(super) fn run(flags: &Flags) -> ExitCode {
    match check_all(flags) {
        Ok(checked) => {
            say(&if flags.json { show::as_json(&checked) } else { show::for_people(&checked) });
            let is_good = checked.iter().all(|one| one.outcome.is_ok());
            if is_good { ExitCode::SUCCESS } else { ExitCode::from(BAD) }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(NOT_TRIED)
        }
    }
}

fn check_all(flags: &Flags) -> Result<Vec<Checked>, Box<dyn std::error::Error>> {
    let mut models = Vec::new();
    for path in &flags.paths {
        models.extend(models_at(path)?);
    }
    let runtime = Runtime::load(flags.onnxruntime.as_deref())?;
    let timeout = Duration::from(flags.timeout);
    let try_one = |model: PathBuf| {
        let name = model.display().to_string();
        check(model, &runtime, timeout)
            .map_err(|error| format!("`{name}` cannot be tried: {error}").into())
    };
    models.into_iter().map(try_one).collect()
}

/// The models that a path stands for: a file, or all in a folder, be it that of a version, of a model or of all models.
fn models_at(path: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error| format!("`{}` cannot be read: {error}", path.display());
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    collect(path, 0, &mut found).map_err(unreadable)?;
    found.sort();
    match found[..] {
        [] => Err(format!("`{}` has no `.onnx` file", path.display())),
        [..] => Ok(found),
    }
}

fn collect(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) -> io::Result<()> {
    /// A folder of models, a model, a version.
    const DEEPEST: u32 = 2;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        if is_hidden {
            continue;
        }
        // A link that leads nowhere is not a folder.
        let is_folder = path.is_dir();
        if is_folder && depth < DEEPEST {
            collect(&path, depth + 1, found)?;
        } else if !is_folder && path.extension().is_some_and(|ending| ending == "onnx") {
            found.push(path);
        }
    }
    Ok(())
}

fn check(path: PathBuf, runtime: &Runtime, timeout: Duration) -> io::Result<Checked> {
    let file = File::open(&path)?;
    let bytes = file.metadata()?.len();
    let model = fs::canonicalize(&path)?;
    let folder = model.parent().unwrap_or(Path::new("/"));
    let mut checked = Checked {
        path,
        bytes,
        signature: None,
        fails_on_zeros: None,
        outcome: Err(Fault::passing(String::new())),
    };
    match contract::check_file(file, bytes, folder, &ContractLimits::default()) {
        Ok(contract) => checked.bytes = contract.bytes(),
        Err(error) => {
            checked.outcome = Err(Fault::from(error));
            return Ok(checked);
        }
    }
    let order = Order {
        limits: limits_for(checked.bytes, timeout),
        library: runtime.library().to_path_buf(),
        name: checked.path.display().to_string(),
        model,
    };
    let mut ended = try_in_child(&process::program(), &order, timeout)?;
    let Ended { signature, fails_on_zeros, .. } = &mut ended;
    (checked.signature, checked.fails_on_zeros) = (signature.take(), fails_on_zeros.take());
    checked.outcome = verdict(ended, &order, timeout);
    Ok(checked)
}
