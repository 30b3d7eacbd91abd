//! One rollout, told as it goes.
//!
//! A line begins with the time. It says what was seen since the line before, and below it, after `>`, what follows. Where
//! nothing follows for a while, `=` says how it stands.

use std::fmt::Write;
use std::time::Duration;

use super::shown::{plan_in_words, traffic_in_words};
use super::{LOOK, Scene, chance};
use crate::domain::analysis::LiveCounts;
use crate::domain::simulation::{Fate, Told};

/// How long nothing may be said.
const SILENCE: Duration = Duration::from_mins(30);

/// The story of the first rollout with this seed.
pub(super) fn told(scene: &Scene<'_>, seed: u32) -> String {
    let mut story = Story::default();
    let _ = writeln!(story.text, "plan     {}", plan_in_words(scene.plan));
    let _ = writeln!(story.text, "traffic  {}", traffic_in_words(scene.traffic));
    let _ = writeln!(story.text, "seed     {seed}\n");
    let run = scene.tell(&mut chance(seed, 0, 0), |told| story.look(told, scene.horizon));
    let end = match run.fate {
        Fate::RolledBack => "it was rolled back",
        Fate::Promoted => "it is promoted",
        Fate::Undecided => "nothing is decided",
    };
    let _ = write!(
        story.text,
        "{end}; clients got {:.0} bad answers, and {} failures of the candidate were rescued",
        run.bad_answers, run.rescued
    );
    story.text
}

#[derive(Default)]
struct Story {
    text: String,
    /// Up to where it is told.
    at: Duration,
    stable: LiveCounts,
    candidate: LiveCounts,
    pairs: u64,
}

impl Story {
    fn look(&mut self, told: &Told<'_>, horizon: Duration) {
        let is_last = told.at + LOOK > horizon;
        let is_silent = told.at >= self.at + SILENCE || is_last;
        if told.transitions.is_empty() && !is_silent {
            return;
        }
        self.seen(told);
        for transition in told.transitions {
            let phase = transition.rollout.phase.name();
            let _ = writeln!(self.text, "  > {phase}: {}", transition.reason);
        }
        if told.transitions.is_empty() {
            let decision = told.decision.name();
            let _ = writeln!(self.text, "  = {decision}: {}", told.reason);
        }
    }

    /// What was seen since it was last told.
    fn seen(&mut self, told: &Told<'_>) {
        let mut seen: Vec<String> =
            [("stable", told.stable, self.stable), ("candidate", told.candidate, self.candidate)]
                .into_iter()
                .filter(|(_, now, before)| now.requests > before.requests)
                .map(|(name, now, before)| {
                    let (requests, failed) =
                        (now.requests - before.requests, now.failed - before.failed);
                    format!("{name} failed {failed} of {requests}")
                })
                .collect();
        if told.pairs > self.pairs {
            let pairs = told.pairs - self.pairs;
            seen.push(format!("{pairs} {}", if pairs == 1 { "pair" } else { "pairs" }));
        }
        let time = humantime::format_duration(told.at).to_string();
        let _ = writeln!(self.text, "{}", format!("{time:<10}{}", seen.join("; ")).trim_end());
        (self.at, self.pairs) = (told.at, told.pairs);
        (self.stable, self.candidate) = (told.stable, told.candidate);
    }
}
