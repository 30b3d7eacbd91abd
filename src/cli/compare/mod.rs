//! `greenroom compare`: two models on requests from a file, judged as a rollout judges live ones. No server is asked.

mod data;
mod work;

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use self::data::Requests;
use self::work::{Reading, compare_all};
use super::rollout::why::of_report;
use super::table::say;
use crate::api::{PageLinks, shadow_page};
use crate::config::{LimitsConfig, ModelConfig};
use crate::delivery::plan;
use crate::domain::model::{Digest, ModelName, VersionLabel};
use crate::domain::rollout::{
    Actor, Decision, Outcome, Phase, Plan, Revision, Rollout, RolloutId, Strategy,
};
use crate::domain::sampling::Sample;
use crate::domain::signature::{SignatureRule, differences};
use crate::domain::time::WallTime;
use crate::onnx::{Runtime, Session, SessionOptions};
use crate::repository::contract::{self, ContractLimits};
use crate::serving::Naming;
use crate::shadow::{OfflineStudy, Standing, Subject};
use crate::system::cores::Cores;

/// The flags of `greenroom compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
A line of NDJSON is a request, {\"instances\": …} or {\"inputs\": …}, or a row of one. The columns of a CSV file are \
found by the names of the model's inputs, or of the features in its settings; others are passed over.\n\
Exit code: 0 when B is shown to be as good as A, 1 when it is worse, 3 when neither is shown, 2 when they cannot be \
compared.")]
pub(super) struct Flags {
    /// The model that is trusted
    #[arg(value_name = "A")]
    stable: PathBuf,
    /// The model that is to take its place
    #[arg(value_name = "B")]
    candidate: PathBuf,
    /// Requests: `.ndjson`, `.jsonl` or `.csv`
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The model's settings, `model.toml`: features, labels, [gates], [outputs] and what change to expect
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Print the report as JSON, as `/shadow/report` has it
    #[arg(long)]
    json: bool,
    /// Write the report's page to this file as well
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Threads that compare [default: the cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// The library of ONNX Runtime [default: searched for]
    #[arg(long, value_name = "PATH")]
    onnxruntime: Option<PathBuf>,
    /// Which of the two runs first is drawn with this
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

const WORSE: u8 = 1;
const NOT_COMPARED: u8 = 2;
const NOT_SHOWN: u8 = 3;

/// Compares, and shows what came of it.
pub(super) fn run(flags: &Flags) -> ExitCode {
    match compare(flags) {
        Ok(Decision::Pass) => ExitCode::SUCCESS,
        Ok(Decision::Fail) => ExitCode::from(WORSE),
        Ok(Decision::Inconclusive | Decision::Hold) => ExitCode::from(NOT_SHOWN),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(NOT_COMPARED)
        }
    }
}

/// A model's file, read for the first time.
struct Model {
    session: Session,
    digest: Digest,
}

fn compare(flags: &Flags) -> Result<Decision, Box<dyn Error>> {
    let config = settings(flags)?;
    let mut plan = plan(&config);
    // Of the strategies, what happens here is that one, with every request.
    (plan.strategy, plan.pairs.sample) = (Strategy::Shadow, Sample::Share(1.0));
    let naming = Naming { features: config.features.clone(), classes: config.labels.clone() };
    let runtime = Runtime::load(flags.onnxruntime.as_deref())?;
    let [stable, candidate] = [&flags.stable, &flags.candidate].map(|path| load(&runtime, path));
    let (stable, candidate) = (stable?, candidate?);
    tell_differences(&stable.session, &candidate.session, plan.signature);
    let rollout = rollout(flags, plan, [&stable, &candidate])?;
    let signature = stable.session.signature().clone();
    let study = OfflineStudy::new(
        subject(&rollout, &stable.session, &candidate.session)?,
        stable.session,
        candidate.session,
        flags.seed,
    );
    let bar = bar();
    let in_file = |sentence: String| format!("`{}`: {sentence}", flags.data.display());
    let file = data::open(&flags.data, &bar).map_err(|error| in_file(error.to_string()))?;
    let requests = Requests::of(file, &flags.data, &signature, &naming).map_err(in_file)?;
    let limits = LimitsConfig::default();
    let reading = Reading { signature: &signature, naming: &naming, limits: &limits };
    let threads = flags.threads.map_or_else(|| Cores::available().count, usize::from);
    let compared = compare_all(&study, requests, &reading, threads).map_err(in_file)?;
    bar.finish_and_clear();
    if compared == 0 {
        return Err(in_file("there are no requests".to_owned()).into());
    }
    show(flags, &study, rollout)
}

fn settings(flags: &Flags) -> Result<ModelConfig, Box<dyn Error>> {
    let Some(path) = &flags.settings else { return Ok(ModelConfig::default()) };
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| format!("`{name}`: {error}"))?;
    Ok(ModelConfig::parse(&text, &name)?)
}

fn load(runtime: &Runtime, path: &Path) -> Result<Model, Box<dyn Error>> {
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
    Ok(Model { session, digest })
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

/// What clients of the one could not do with the other. It shows in the verdict where it matters to these requests.
fn tell_differences(stable: &Session, candidate: &Session, rule: SignatureRule) {
    for difference in differences(stable.signature(), candidate.signature()) {
        if difference.breaks(rule) {
            eprintln!("warning: a server would refuse B: {difference}");
        }
    }
}

fn subject(
    rollout: &Rollout,
    stable: &Session,
    candidate: &Session,
) -> Result<Subject, Box<dyn Error>> {
    let pairs = &rollout.plan.pairs;
    Ok(Subject {
        model: MODEL.parse::<ModelName>()?,
        rollout: rollout.id,
        change: pairs.change,
        gates: pairs.gates.clone(),
        rules: pairs.outputs.clone(),
        classes: pairs.classes.clone(),
        longest: rollout.plan.longest(),
        is_rehearsed: false,
        stable: stable.signature().clone(),
        candidate: candidate.signature().clone(),
    })
}

/// A report is of a model.
const MODEL: &str = "compared";

/// A report is of a rollout, so this is one: of B in A's place.
fn rollout(
    flags: &Flags,
    plan: Plan,
    [stable, candidate]: [&Model; 2],
) -> Result<Rollout, Box<dyn Error>> {
    let [a, b] = labels(&flags.stable, &flags.candidate)?;
    let now = WallTime::from(SystemTime::now());
    Ok(Rollout {
        id: RolloutId(0),
        parent: None,
        is_undo: false,
        is_fresh: false,
        stable: Some(Revision { label: a, digest: stable.digest }),
        candidate: Revision { label: b, digest: candidate.digest },
        plan,
        phase: Phase::Waiting,
        epoch: 0,
        proven: false,
        actor: Actor::Operator("greenroom compare".to_owned()),
        reason: String::new(),
        started: now,
        since: now,
    })
}

/// The names of the files, where they are labels and tell the two apart.
fn labels(stable: &Path, candidate: &Path) -> Result<[VersionLabel; 2], Box<dyn Error>> {
    let label = |path: &Path| path.file_stem()?.to_str()?.parse::<VersionLabel>().ok();
    match (label(stable), label(candidate)) {
        (Some(a), Some(b)) if a != b => Ok([a, b]),
        _ => Ok(["A".parse()?, "B".parse()?]),
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{bar:40} {percent:>3} % of {total_bytes}, {bytes_per_sec}, {eta} left",
    );
    let bar =
        ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show(
    flags: &Flags,
    study: &OfflineStudy,
    mut rollout: Rollout,
) -> Result<Decision, Box<dyn Error>> {
    let standing = study.standing();
    let decision = standing.decision();
    rollout.since = WallTime::from(SystemTime::now());
    rollout.phase = phase(decision);
    rollout.reason = standing.verdict.reason().to_owned();
    let mut report = study.report().json(MODEL, &rollout);
    report["model"] = Value::from(flags.candidate.display().to_string());
    let answer = json!({ "schema": "shadow.report/1", "reports": [report] });
    if let Some(path) = &flags.html {
        let nowhere =
            PageLinks { inference: String::new(), admin: String::new(), admin_wants_token: false };
        fs::write(path, shadow_page(&answer, &nowhere))
            .map_err(|error| format!("`{}`: {error}", path.display()))?;
    }
    match flags.json {
        true => say(&format!("{answer:#}")),
        false => say(&sentences(flags, &standing, &answer["reports"][0])),
    }
    Ok(decision)
}

/// Where a rollout with this verdict would be now.
fn phase(decision: Decision) -> Phase {
    match decision {
        Decision::Pass => Phase::Waiting,
        Decision::Fail => Phase::Ended(Outcome::RolledBack),
        Decision::Inconclusive | Decision::Hold => Phase::Paused(Box::new(Phase::Waiting)),
    }
}

fn sentences(flags: &Flags, standing: &Standing, report: &Value) -> String {
    let (a, b) = (flags.stable.display(), flags.candidate.display());
    let verdict = match standing.decision() {
        Decision::Pass => format!("`{b}` can take the place of `{a}`"),
        Decision::Fail => format!("`{b}` is worse than `{a}`"),
        Decision::Inconclusive | Decision::Hold => {
            format!("it is not shown that `{b}` can take the place of `{a}`, nor that it cannot")
        }
    };
    format!("{verdict}: {}.{}", standing.verdict.reason(), of_report(report))
}
