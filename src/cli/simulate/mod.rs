//! `greenroom simulate`: plays a model's recipe against described traffic, many times, before anybody depends on it.

mod many;
mod shown;
mod story;
mod values;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;

use self::shown::{Simulated, Simulation};
use self::values::{positive, sentence, share, whole_looks};
use super::table::say;
use crate::config::{ConfigError, ModelConfig};
use crate::delivery::plan;
use crate::domain::rollout::Plan;
use crate::domain::simulation::{
    Chance, Errors, LOOK, Latency, Outage, Rule, Scene, Sticky, Summary, Traffic,
};

/// The flags of `greenroom simulate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Shares are written as 0.02 or as 2%. Nothing is asked of a server: the rollouts are played on a clock that is only \
counted, with the server's own rules.\n\
Exit code: 0, or 2 when the plan or a flag cannot be used.")]
pub(super) struct Flags {
    /// The model's settings, `model.toml`: its [rollout] and [gates]
    plan: PathBuf,
    /// Requests in a second, in the mean
    #[arg(long, value_name = "N", value_parser = positive)]
    rps: f64,
    /// How much of the traffic each hour has beside the others, from the beginning of the rollout on: 1,1,4,4
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = hour)]
    hours: Vec<f64>,
    /// The share of requests that stable and the candidate fail
    #[arg(long, value_name = "STABLE:CANDIDATE", default_value = "0.5%:0.5%", value_parser = values::errors)]
    errors: Errors,
    /// How many times as long the candidate takes
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = positive)]
    slower: f64,
    /// How long a run of stable takes, in the median
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// The share of requests that the candidate answers differently
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    flips: f64,
    /// A time in which requests fail on both versions, such as 20m,5m,30%; may be said more than once
    #[arg(long, value_name = "START,LENGTH,ERRORS", value_parser = values::outage)]
    outage: Vec<Outage>,
    /// Requests stick to a version by a key, and each key sends so many in the mean
    #[arg(long, value_name = "REQUESTS_PER_KEY", value_parser = values::at_least_one)]
    sticky: Option<f64>,
    /// How many rollouts
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: u32,
    /// How long each is watched
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = whole_looks)]
    horizon: Duration,
    /// The same seed gives the same rollouts [default: any]
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// Rules of other tools, on the same traffic: argo, argo-tuned, flagger, flagger-tuned, kayenta
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    compare: Vec<Rule>,
    /// Print it all as JSON
    #[arg(long)]
    json: bool,
    /// Tell the story of one rollout instead
    #[arg(long, conflicts_with_all = ["json", "compare", "runs"])]
    tell: bool,
}

/// A mean of hours needs one that has any traffic, which is checked with all of them.
fn hour(text: &str) -> Result<f64, String> {
    values::number(text, 0.0.., "a number of at least 0")
}

/// Why nothing is simulated.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("cannot read the plan `{0}`")]
    Unreadable(PathBuf, #[source] std::io::Error),
    #[error(transparent)]
    Settings(#[from] ConfigError),
    #[error("`--hours` must have an hour with traffic")]
    NoTraffic,
}

/// Plays, and shows what came of it.
pub(super) fn run(flags: &Flags) -> ExitCode {
    match simulate(flags) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", sentence(&error));
            ExitCode::from(2)
        }
    }
}

fn simulate(flags: &Flags) -> Result<String, Unusable> {
    let plan = read_plan(flags)?;
    let traffic = flags.traffic()?;
    let seed = flags.seed.unwrap_or_else(any_seed);
    let scene = Scene::new(&plan, &traffic, flags.horizon);
    if flags.tell {
        return Ok(story::told(&scene, seed));
    }
    let simulated = play(&scene, flags, seed);
    let simulation = Simulation { scene: &scene, seed, simulated };
    Ok(if flags.json { simulation.as_json() } else { simulation.as_table() })
}

fn read_plan(flags: &Flags) -> Result<Plan, Unusable> {
    let text = std::fs::read_to_string(&flags.plan)
        .map_err(|error| Unusable::Unreadable(flags.plan.clone(), error))?;
    let config = ModelConfig::parse(&text, &flags.plan.display().to_string())?;
    for warning in &config.inactive {
        eprintln!("warning: {warning}");
    }
    let mut plan = plan(&config);
    // What is played is live traffic.
    plan.pairs.rehearse = 0;
    if plan.key.is_some() && flags.sticky.is_none() {
        eprintln!(
            "warning: the plan has a `rollout.key`; without `--sticky` each request is taken to have a key of its own"
        );
    }
    Ok(plan)
}

fn play(scene: &Scene<'_>, flags: &Flags, seed: u32) -> Vec<Simulated> {
    let (runs, rules) = (flags.runs, &flags.compare);
    let progress = many::progress(u64::from(runs) * (1 + rules.len() as u64));
    let ours = many::play(runs, &progress, |run| scene.play(&mut chance(seed, 0, run)));
    let mut simulated = vec![Simulated { name: "greenroom", summary: Summary::of(&ours) }];
    for (rule, number) in rules.iter().zip(1..) {
        let play = |run| rule.play(scene.traffic, scene.horizon, &mut chance(seed, number, run));
        let runs = many::play(runs, &progress, play);
        simulated.push(Simulated { name: rule.name(), summary: Summary::of(&runs) });
    }
    progress.finish_and_clear();
    simulated
}

/// Each rule has a chance of its own; there are at most a million runs.
fn chance(seed: u32, rule: u64, run: u32) -> Chance {
    Chance::new(seed.into(), rule << 24 | u64::from(run))
}

/// Any number will do, as long as it is told.
fn any_seed() -> u32 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.subsec_nanos() ^ now.as_secs() as u32
}

impl Flags {
    fn traffic(&self) -> Result<Traffic, Unusable> {
        if !self.hours.is_empty() && self.hours.iter().all(|hour| *hour == 0.0) {
            return Err(Unusable::NoTraffic);
        }
        let latency =
            Latency { median: self.latency, slower: self.slower, ..Traffic::plain(1.0).latency };
        Ok(Traffic {
            hours: self.hours.clone(),
            errors: self.errors,
            outages: self.outage.clone(),
            latency,
            flips: self.flips,
            sticky: self.sticky.map(|requests_per_key| Sticky { requests_per_key }),
            most_pairs: values::most_pairs(latency),
            ..Traffic::plain(self.rps)
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    fn flags(line: &str) -> Result<Flags, String> {
        let words = std::iter::once("simulate").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.flags).map_err(|error| error.to_string())
    }

    #[test]
    fn traffic_is_described_by_flags() {
        let line = "m.toml --rps 10 --errors 0.5%:0.02 --flips 3% --outage 20m,5m,30% --sticky 8 --hours 1,3";
        let traffic = flags(line).unwrap().traffic().unwrap();
        let minutes = Duration::from_mins;
        assert_eq!(traffic.errors, Errors { stable: 0.005, candidate: 0.02 });
        assert_eq!((traffic.per_second, traffic.flips), (10.0, 0.03));
        assert_eq!(
            traffic.outages,
            [Outage { start: minutes(20), length: minutes(5), errors: 0.3 }]
        );
        assert_eq!(traffic.sticky, Some(Sticky { requests_per_key: 8.0 }));
        assert_eq!(traffic.hours, [1.0, 3.0]);
        assert!((traffic.most_pairs - 22.06).abs() < 0.01, "{}", traffic.most_pairs);
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_was_expected() {
        for (line, expected) in [
            ("m.toml --rps 0", "expected a number above 0"),
            ("m.toml --rps 1 --errors 2", "expected STABLE:CANDIDATE"),
            ("m.toml --rps 1 --errors 2:1%", "expected a share from 0 to 1"),
            ("m.toml --rps 1 --flips 101%", "expected a share from 0 to 1"),
            ("m.toml --rps 1 --outage 5m,30%", "expected START,LENGTH,ERRORS"),
            ("m.toml --rps 1 --sticky 0.5", "expected a number of at least 1"),
            ("m.toml --rps 1 --horizon 7s", "expected a multiple of 5 s, from 5 s to 30 days"),
            ("m.toml --rps 1 --compare spinnaker", "the rules are `argo`"),
            ("m.toml --rps 1 --runs 0", "0 is not in 1..=1000000"),
        ] {
            let error = flags(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
        assert!(matches!(
            flags("m.toml --rps 1 --hours 0,0").unwrap().traffic(),
            Err(Unusable::NoTraffic)
        ));
    }
}
