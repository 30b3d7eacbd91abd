//! Two models, the requests that both are asked, and what is said of it: all that `compare` and `replay` have in common.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::data::{Requests, Taken};
use super::work::compare_all;
use crate::api::{PageLinks, shadow_page};
use crate::cli::rollout::why::of_report;
use crate::cli::table::say;
use crate::domain::model::{Digest, ModelName, VersionLabel};
use crate::domain::rollout::{
    Actor, Decision, Outcome, Phase, Plan, Revision, Rollout, RolloutId, Strategy,
};
use crate::domain::sampling::Sample;
use crate::domain::signature::differences;
use crate::domain::time::WallTime;
use crate::onnx::Session;
use crate::serving::Naming;
use crate::shadow::{OfflineStudy, Standing, Subject};
use crate::system::cores::Cores;

/// How it is done, and how it is shown.
#[derive(Debug, Args)]
pub(in crate::cli) struct Manner {
    /// Print the report as JSON, as `/shadow/report` has it
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Write the report's page to this file as well
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Threads that compare [default: the cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// The library of ONNX Runtime [default: searched for]
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) onnxruntime: Option<PathBuf>,
    /// Which of the two runs first is drawn with this
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// The two, and by what they are judged.
pub(in crate::cli) struct Contest {
    /// The name in the report.
    pub(in crate::cli) name: String,
    pub(in crate::cli) stable: Contestant,
    pub(in crate::cli) candidate: Contestant,
    pub(in crate::cli) plan: Plan,
    pub(in crate::cli) naming: Naming,
    /// Who compares.
    pub(in crate::cli) command: &'static str,
}

/// One of them.
pub(in crate::cli) struct Contestant {
    /// The name in sentences.
    pub(in crate::cli) title: String,
    pub(in crate::cli) label: VersionLabel,
    pub(in crate::cli) digest: Digest,
    pub(in crate::cli) session: Session,
}

const WORSE: u8 = 1;
const NOT_COMPARED: u8 = 2;
const NOT_SHOWN: u8 = 3;

/// The exit code, and the words where there was no contest.
pub(in crate::cli) fn exit(decided: Result<Decision, Box<dyn Error>>) -> ExitCode {
    match decided {
        Ok(Decision::Pass) => ExitCode::SUCCESS,
        Ok(Decision::Fail) => ExitCode::from(WORSE),
        Ok(Decision::Inconclusive | Decision::Hold) => ExitCode::from(NOT_SHOWN),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(NOT_COMPARED)
        }
    }
}

impl Contest {
    /// What the trusted model takes.
    pub(in crate::cli) fn taken(&self) -> Taken<'_> {
        let Contestant { session, digest, .. } = &self.stable;
        Taken { signature: session.signature(), naming: &self.naming, digest: *digest }
    }

    /// Asks both, and shows what came of it. `source` is where the requests come from, as it is named in sentences.
    pub(in crate::cli) fn judge(
        mut self,
        mut requests: Box<dyn Requests>,
        source: &str,
        bar: &ProgressBar,
        manner: &Manner,
    ) -> Result<Decision, Box<dyn Error>> {
        // Of the strategies, what happens here is that one, with every request.
        (self.plan.strategy, self.plan.pairs.sample) = (Strategy::Shadow, Sample::Share(1.0));
        self.tell_differences();
        let rollout = self.rollout();
        let subject = self.subject(&rollout)?;
        let Self { name, stable, candidate, naming, .. } = self;
        let signature = stable.session.signature().clone();
        let taken = Taken { signature: &signature, naming: &naming, digest: stable.digest };
        let titles = Titles { name, stable: stable.title, candidate: candidate.title };
        let study = OfflineStudy::new(subject, stable.session, candidate.session, manner.seed);
        let threads = manner.threads.map_or_else(|| Cores::available().count, usize::from);
        let in_source = |sentence: String| format!("{source}: {sentence}");
        let compared = compare_all(&study, requests.as_mut(), taken, threads).map_err(in_source)?;
        bar.finish_and_clear();
        let left_out = requests.left_out();
        if compared == 0 {
            let sentence = left_out.unwrap_or_else(|| "there are no requests".to_owned());
            return Err(in_source(sentence).into());
        }
        if let Some(sentence) = left_out {
            eprintln!("{sentence}");
        }
        titles.show(&study, rollout, manner)
    }

    /// What clients of the one could not do with the other. It shows in the verdict where it matters to these requests.
    fn tell_differences(&self) {
        let [stable, candidate] =
            [&self.stable, &self.candidate].map(|model| model.session.signature());
        for difference in differences(stable, candidate) {
            if difference.breaks(self.plan.signature) {
                eprintln!("warning: a server would refuse {}: {difference}", self.candidate.title);
            }
        }
    }

    fn subject(&self, rollout: &Rollout) -> Result<Subject, Box<dyn Error>> {
        let pairs = &rollout.plan.pairs;
        Ok(Subject {
            model: self.name.parse::<ModelName>().or_else(|_| COMPARED.parse())?,
            rollout: rollout.id,
            change: pairs.change,
            gates: pairs.gates.clone(),
            rules: pairs.outputs.clone(),
            classes: pairs.classes.clone(),
            longest: rollout.plan.longest(),
            is_rehearsed: false,
            stable: self.stable.session.signature().clone(),
            candidate: self.candidate.session.signature().clone(),
        })
    }

    /// A report is of a rollout, so this is one: of the candidate in the other's place.
    fn rollout(&self) -> Rollout {
        let [stable, candidate] = [&self.stable, &self.candidate]
            .map(|model| Revision { label: model.label.clone(), digest: model.digest });
        let now = WallTime::from(SystemTime::now());
        Rollout {
            id: RolloutId(0),
            parent: None,
            is_undo: false,
            is_fresh: false,
            stable: Some(stable),
            candidate,
            plan: self.plan.clone(),
            phase: Phase::Waiting,
            epoch: 0,
            proven: false,
            actor: Actor::Operator(self.command.to_owned()),
            reason: String::new(),
            started: now,
            since: now,
        }
    }
}

/// A report is of a model.
const COMPARED: &str = "compared";

/// How they are called.
struct Titles {
    name: String,
    stable: String,
    candidate: String,
}

impl Titles {
    fn show(
        &self,
        study: &OfflineStudy,
        mut rollout: Rollout,
        manner: &Manner,
    ) -> Result<Decision, Box<dyn Error>> {
        let standing = study.standing();
        let decision = standing.decision();
        rollout.since = WallTime::from(SystemTime::now());
        rollout.phase = phase(decision);
        rollout.reason = standing.verdict.reason().to_owned();
        let report = study.report().json(&self.name, &rollout);
        let answer = json!({ "schema": "shadow.report/1", "reports": [report] });
        if let Some(path) = &manner.html {
            let nowhere = PageLinks {
                inference: String::new(),
                admin: String::new(),
                admin_wants_token: false,
            };
            fs::write(path, shadow_page(&answer, &nowhere))
                .map_err(|error| format!("`{}`: {error}", path.display()))?;
        }
        match manner.json {
            true => say(&format!("{answer:#}")),
            false => say(&self.sentences(&standing, &answer["reports"][0])),
        }
        Ok(decision)
    }

    fn sentences(&self, standing: &Standing, report: &Value) -> String {
        let (a, b) = (&self.stable, &self.candidate);
        let verdict = match standing.decision() {
            Decision::Pass => format!("{b} can take the place of {a}"),
            Decision::Fail => format!("{b} is worse than {a}"),
            Decision::Inconclusive | Decision::Hold => {
                format!("it is not shown that {b} can take the place of {a}, nor that it cannot")
            }
        };
        format!("{verdict}: {}.{}", standing.verdict.reason(), of_report(report))
    }
}

/// Where a rollout with this verdict would be now.
fn phase(decision: Decision) -> Phase {
    match decision {
        Decision::Pass => Phase::Waiting,
        Decision::Fail => Phase::Ended(Outcome::RolledBack),
        Decision::Inconclusive | Decision::Hold => Phase::Paused(Box::new(Phase::Waiting)),
    }
}
