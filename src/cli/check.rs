//! `greenroom check`: the trial that a server gives every version, for whoever makes models.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use serde_json::{Value, json};

use super::table::{named, say};
use crate::onnx::Runtime;
use crate::repository::check::{
    Ended, Facts, Fault, Order, limits_for, run as try_in_child, verdict,
};

/// The flags of `greenroom check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 when all are good, 1 when one is not, 2 when they cannot be tried."
)]
pub(super) struct Flags {
    /// Models: files, or folders with a `model.onnx`
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
    path: PathBuf,
    bytes: u64,
    signature: Option<Value>,
    fails_on_zeros: Option<String>,
    /// In the library's own words.
    words: Option<String>,
    outcome: Result<Facts, Fault>,
}

/// Tries one after the other, and shows what was found.
pub(super) fn run(flags: &Flags) -> ExitCode {
    match check_all(flags) {
        Ok(checked) => {
            say(&if flags.json { as_json(&checked) } else { for_people(&checked) });
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
    let runtime = Runtime::load(flags.onnxruntime.as_deref())?;
    let program = std::env::current_exe()?;
    let timeout = Duration::from(flags.timeout);
    let models = flags.paths.iter().map(|path| model_at(path)).collect::<Result<Vec<_>, _>>()?;
    models.into_iter().map(|model| check(model, &runtime, &program, timeout)).collect()
}

/// The file that a path stands for.
fn model_at(path: &Path) -> Result<PathBuf, String> {
    let model = if path.is_dir() { path.join("model.onnx") } else { path.to_path_buf() };
    let found = std::fs::canonicalize(&model);
    let file = found.map_err(|error| format!("`{}` cannot be read: {error}", model.display()))?;
    if file.is_file() { Ok(file) } else { Err(format!("`{}` is not a file", model.display())) }
}

fn check(
    path: PathBuf,
    runtime: &Runtime,
    program: &Path,
    timeout: Duration,
) -> Result<Checked, Box<dyn std::error::Error>> {
    let bytes = std::fs::metadata(&path)?.len();
    let order = Order {
        model: path.clone(),
        library: runtime.library().to_path_buf(),
        limits: limits_for(bytes, timeout),
        name: path.display().to_string(),
    };
    let mut ended = try_in_child(program, &order, timeout)?;
    let Ended { signature, fails_on_zeros, words, .. } = &mut ended;
    let (signature, fails_on_zeros, words) =
        (signature.take(), fails_on_zeros.take(), words.take());
    let outcome = verdict(ended, &order, timeout);
    Ok(Checked { path, bytes, signature, fails_on_zeros, words, outcome })
}

fn as_json(checked: &[Checked]) -> String {
    let one = |checked: &Checked| {
        let facts = checked.outcome.as_ref().ok();
        json!({
            "path": checked.path,
            "good": facts.is_some(),
            "reason": checked.outcome.as_ref().err().map(|fault| &fault.reason),
            "detail": checked.words,
            "bytes": checked.bytes,
            "signature": checked.signature,
            "batching": facts.map(|facts| facts.rows.is_ok()),
            "batching_reason": facts.and_then(|facts| facts.rows.as_ref().err()).map(ToString::to_string),
            "fails_on_zeros": checked.fails_on_zeros,
            "load_ms": facts.map(|facts| facts.load_time.as_secs_f64() * 1e3),
            "run_ms": facts.and_then(|facts| facts.run_time).map(|time| time.as_secs_f64() * 1e3),
            "memory_bytes": facts.map(|facts| facts.memory),
            "peak_bytes": facts.map(|facts| facts.peak),
        })
    };
    format!("{:#}", json!({ "checks": checked.iter().map(one).collect::<Vec<_>>() }))
}

fn for_people(checked: &[Checked]) -> String {
    let tables = checked.iter().map(|one| {
        let mut rows = vec![("model", one.path.display().to_string())];
        match &one.outcome {
            Ok(facts) => {
                rows.push(("verdict", "good".to_owned()));
                rows.extend(ports(one.signature.as_ref()));
                let batching = match &facts.rows {
                    Ok(()) => "requests can run together".to_owned(),
                    Err(alone) => format!("requests run one by one: {alone}"),
                };
                rows.push(("batching", batching));
                let run = match facts.run_time {
                    Some(time) => format!(", one run on zeros {time:.1?}"),
                    None => String::new(),
                };
                rows.push(("time", format!("loads in {:.1?}{run}", facts.load_time)));
                let [keeps, peak] = [facts.memory, facts.peak].map(ByteSize);
                let memory = format!("{keeps} once it is loaded, {peak} meanwhile");
                rows.push(("memory", memory));
                if let Some(words) = &one.fails_on_zeros {
                    rows.push(("note", format!("it fails on zeros: {words}")));
                }
            }
            Err(fault) => {
                let verdict = if fault.is_for_good { "bad" } else { "not known" };
                rows.push(("verdict", format!("{verdict}: {}", fault.reason)));
                rows.extend(one.words.clone().map(|words| ("detail", words)));
            }
        }
        named(rows)
    });
    tables.collect::<Vec<_>>().join("\n\n")
}

/// `X f32[N, 4]` for each input and output.
fn ports(signature: Option<&Value>) -> Vec<(&'static str, String)> {
    let of = |key: &str| signature.and_then(|it| it[key].as_array()).into_iter().flatten();
    let line = |port: &Value| {
        let text = |key: &str| port[key].as_str().unwrap_or("?").to_owned();
        let shape = match &port["shape"] {
            Value::Array(dims) => {
                let dim = |dim: &Value| dim.as_str().map_or_else(|| dim.to_string(), str::to_owned);
                dims.iter().map(dim).collect::<Vec<_>>().join(", ")
            }
            _ => "…".to_owned(),
        };
        format!("{} {}[{shape}]", text("name"), text("dtype"))
    };
    let inputs = of("inputs").map(|port| ("input", line(port)));
    inputs.chain(of("outputs").map(|port| ("output", line(port)))).collect()
}
