//! `greenroom rollout`

mod progress;
mod show;
mod watch;
pub(super) mod why;

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use self::show::{Rollout, history_table, status_text};
use super::client::{AskError, Client, ServerFlags};
use super::table::say;
use super::wish::Wish;
use crate::domain::model::{ModelName, VersionLabel};
use crate::domain::weight::{InvalidWeight, Weight};

const EXIT_CODES: &str = "\
Exit codes of `status` and `watch`:
  0    healthy: the rollout is completed
  1    rolled back, aborted, superseded or refused
  2    paused, or waiting for `promote`
  3    in progress
  4    no answer: no server, no such model, or no rollout yet
  124  `watch` was still waiting after --timeout
The other commands exit 0 when it was done, 1 when it does not fit the state, and 4 without an answer.";

/// The flags of `greenroom rollout`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Flags {
    #[command(subcommand)]
    command: Command,
    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show where the rollout stands, or how the last one ended
    #[command(after_help = EXIT_CODES)]
    Status {
        /// Which model's
        model: ModelName,
    },
    /// Follow the rollout until it ends, a line for each change; on a terminal another one says how far it is
    #[command(after_help = EXIT_CODES)]
    Watch {
        /// Which model's
        model: ModelName,
        /// How long to wait at most, such as 60s or 2h
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        timeout: Option<Duration>,
    },
    /// Show the rollouts of the past, the newest first
    History {
        /// Which model's
        model: ModelName,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Release a version that is there: the newest, or the one that is named
    Start {
        #[command(flatten)]
        why: Why,
        /// The version
        #[arg(long)]
        version: Option<VersionLabel>,
        /// How, where that is not what the settings say: `recreate`, `blue-green`, `canary` or `shadow`
        #[arg(long)]
        strategy: Option<String>,
    },
    /// Skip what is left of the present stage or step; in the bake keep the new version
    Promote {
        #[command(flatten)]
        why: Why,
        /// Skip every stage that is left, not only the present one
        #[arg(long)]
        full: bool,
    },
    /// Hold the rollout where it stands; evidence against the new version still ends it
    Pause(Why),
    /// Let a rollout that is held go on
    Resume(Why),
    /// Give a canary another share of the traffic; its steps go on from there
    SetWeight {
        #[command(flatten)]
        why: Why,
        /// The new version's share, in per cent, such as 12.5
        #[arg(value_name = "PERCENT", value_parser = weight)]
        weight: Weight,
    },
    /// Take the new version back
    Abort(Why),
    /// Go back to the version that was stable before, or to the one that is named
    Undo {
        #[command(flatten)]
        why: Why,
        /// The version
        #[arg(long, value_name = "VERSION")]
        to: Option<VersionLabel>,
    },
    /// Try the version again that was taken back or refused
    Retry {
        #[command(flatten)]
        why: Why,
        /// Forget the evidence that was against it
        #[arg(long)]
        fresh: bool,
    },
    /// Explain what the rollout's verdict rests on
    Why {
        /// Which model's
        model: ModelName,
    },
}

/// Whose rollout, and who wants what and why.
#[derive(Debug, Args)]
struct Why {
    /// Of which model
    model: ModelName,
    #[command(flatten)]
    wish: Wish,
}

/// Asks, shows, and gives the exit code.
pub(super) fn run(flags: &Flags) -> ExitCode {
    match ask(flags) {
        Ok(code) => ExitCode::from(code),
        Err(error) => error.report(),
    }
}

fn ask(flags: &Flags) -> Result<u8, AskError> {
    let client = Client::find(&flags.server)?;
    let (verb, why, extra) = match &flags.command {
        Command::Status { model } => return status(&client, model, flags.json),
        Command::Watch { model, timeout } => {
            return watch::follow(&client, model, *timeout, flags.json);
        }
        Command::History { model, limit } => {
            return history(&client, model, *limit, flags.json).map(|()| 0);
        }
        Command::Why { model } => return why::explain(&client, model, flags.json).map(|()| 0),
        Command::Start { why, version, strategy } => {
            ("start", why, vec![("version", json!(version)), ("strategy", json!(strategy))])
        }
        Command::Promote { why, full } => {
            ("promote", why, vec![("full", json!(full.then_some(true)))])
        }
        Command::Pause(why) => ("pause", why, Vec::new()),
        Command::Resume(why) => ("resume", why, Vec::new()),
        Command::SetWeight { why, weight } => {
            ("weight", why, vec![("weight", json!(weight.per_cent()))])
        }
        Command::Abort(why) => ("abort", why, Vec::new()),
        Command::Undo { why, to } => ("undo", why, vec![("to", json!(to))]),
        Command::Retry { why, fresh } => {
            ("retry", why, vec![("fresh", json!(fresh.then_some(true)))])
        }
    };
    let path = format!("{}/{verb}", path(&why.model));
    let told = client.post(&path, &why.wish.body(extra), why.wish.if_match)?;
    show(&told, flags.json);
    Ok(0)
}

/// A share as people write it, with or without its sign.
fn weight(text: &str) -> Result<Weight, InvalidWeight> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    number.parse().map_err(|_| InvalidWeight).and_then(Weight::from_per_cent)
}

fn status(client: &Client, model: &ModelName, json: bool) -> Result<u8, AskError> {
    let told = client.get(&path(model))?;
    show(&told, json);
    Ok(Standing::of(&told).code())
}

fn history(client: &Client, model: &ModelName, limit: u16, json: bool) -> Result<(), AskError> {
    let told = client.get(&format!("{}s?limit={limit}", path(model)))?;
    let rollouts: Result<Vec<Rollout>, _> = Vec::deserialize(&told["rollouts"]);
    match rollouts {
        Ok(rollouts) if !json => say(&history_table(&rollouts, SystemTime::now())),
        Ok(_) | Err(_) => say(&format!("{told:#}")),
    }
    Ok(())
}

/// Shows a rollout; as it was told where there is no better way.
fn show(told: &Value, json: bool) {
    match Rollout::deserialize(told) {
        Ok(rollout) if !json => say(&status_text(&rollout, SystemTime::now())),
        Ok(_) | Err(_) => say(&format!("{told:#}")),
    }
}

fn path(model: &ModelName) -> String {
    format!("/admin/v1/models/{model}/rollout")
}

/// What a phase means to a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Healthy,
    NotReleased,
    Held,
    InProgress,
}

impl Standing {
    fn of(rollout: &Value) -> Self {
        match rollout["phase"].as_str() {
            Some("completed") => Self::Healthy,
            Some("rolled-back" | "aborted" | "superseded" | "refused") => Self::NotReleased,
            Some("paused" | "waiting") => Self::Held,
            // A phase that a newer server knows is none of those that it ends in: these are fixed.
            Some(_) | None => Self::InProgress,
        }
    }

    fn is_final(self) -> bool {
        match self {
            Self::Healthy | Self::NotReleased => true,
            Self::Held | Self::InProgress => false,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::NotReleased => 1,
            Self::Held => 2,
            Self::InProgress => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::domain::rollout::Phase;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    fn body_of(line: &[&str]) -> Value {
        let line = Line::try_parse_from([&["rollout"], line].concat()).unwrap();
        match &line.flags.command {
            Command::Start { why, version, .. } => why.wish.body(vec![("version", json!(version))]),
            Command::Undo { why, to } => why.wish.body(vec![("to", json!(to))]),
            Command::Abort(why) => why.wish.body(Vec::new()),
            Command::SetWeight { why, weight } => {
                why.wish.body(vec![("weight", json!(weight.per_cent()))])
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_exit_code_says_how_it_stands() {
        let code = |phase: &str| Standing::of(&json!({ "phase": phase })).code();
        assert_eq!(code("completed"), 0);
        for phase in ["rolled-back", "aborted", "superseded", "refused"] {
            assert_eq!(code(phase), 1, "{phase}");
        }
        assert_eq!((code("paused"), code("waiting")), (2, 2));
        for phase in ["loading", "rehearsing", "shadowing", "canary", "baking"] {
            assert_eq!(code(phase), 3, "{phase}");
        }
    }

    #[test]
    fn every_phase_in_which_a_rollout_ends_is_known() {
        let is_final = |phase: &&str| Standing::of(&json!({ "phase": phase })).is_final();
        let ends: Vec<&str> = Phase::NAMES.into_iter().filter(|phase| is_final(phase)).collect();
        assert_eq!(ends, ["completed", "aborted", "rolled-back", "superseded", "refused"]);
    }

    #[test]
    fn only_what_was_said_is_sent() {
        let said = ["undo", "iris", "--to", "1", "--reason", "it drifts", "--actor", "ada"];
        let expected = json!({ "reason": "it drifts", "actor": "ada", "to": "1" });
        assert_eq!(body_of(&said), expected);
        let expected = json!({ "actor": "ada" });
        assert_eq!(body_of(&["start", "iris", "--actor", "ada"]), expected);
        assert_eq!(body_of(&["abort", "--actor", "ada", "iris"]), expected);
    }

    #[test]
    fn a_weight_is_a_share_in_per_cent() {
        let expected = json!({ "actor": "ada", "weight": 12.5 });
        assert_eq!(body_of(&["set-weight", "iris", "12.5", "--actor", "ada"]), expected);
        assert_eq!(weight("12.5 %"), Ok(Weight::from_per_cent(12.5).unwrap()));
        for wrong in ["101", "-1", "half", "", "%", "NaN"] {
            assert_eq!(weight(wrong), Err(InvalidWeight), "{wrong}");
        }
    }

    #[test]
    fn every_verb_can_insist_on_the_state_that_was_seen() {
        for verb in ["start", "promote", "pause", "resume", "set-weight", "abort", "undo", "retry"]
        {
            let weight = (verb == "set-weight").then_some("5");
            let line = ["rollout", verb, "iris", "--if-match", "41"].into_iter().chain(weight);
            Line::try_parse_from(line).unwrap();
        }
        for verb in ["status", "watch", "history", "why"] {
            assert!(Line::try_parse_from(["rollout", verb, "iris", "--if-match", "41"]).is_err());
        }
    }

    #[test]
    fn the_server_may_be_named_before_and_after_the_command() {
        for line in [
            ["rollout", "--server", "http://here", "status", "iris"],
            ["rollout", "status", "iris", "--server", "http://here"],
        ] {
            Line::try_parse_from(line).unwrap();
        }
        assert!(Line::try_parse_from(["rollout", "status", "../iris"]).is_err());
    }
}
