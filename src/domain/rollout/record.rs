//! What is written down of a rollout.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::domain::model::{Digest, VersionLabel};
use crate::domain::time::{Countdown, WallTime};
use crate::domain::weight::Weight;

/// One content under the label that it was found by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Revision {
    /// What it is called.
    pub label: VersionLabel,
    /// What it is.
    pub digest: Digest,
}

/// The number of a rollout, shown as `r-000042`. Grows over all models of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct RolloutId(pub u64);

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r-{:06}", self.0)
    }
}

/// A text that is not `r-` and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the id of a rollout, such as `r-000042`")]
pub struct InvalidRolloutId;

impl FromStr for RolloutId {
    type Err = InvalidRolloutId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix("r-").ok_or(InvalidRolloutId)?;
        number.parse().map(Self).map_err(|_| InvalidRolloutId)
    }
}

/// Where a rollout stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Phase {
    /// The candidate is being loaded and warmed up; it has no traffic.
    Loading,
    /// The candidate has no traffic of its own: recorded requests are run on both versions. It lasts no longer than the
    /// countdown.
    Rehearsing(Countdown),
    /// The candidate has no traffic of its own: sampled requests are run on both versions. It lasts no longer than
    /// the countdown.
    Shadowing(Countdown),
    /// The candidate has a share of the traffic.
    Canary(CanaryStep),
    /// It is held, in the phase that is named, with the traffic that it has there; its time does not run.
    Paused(Box<Phase>),
    /// Everything that was asked for is shown, and an operator has the last word.
    Waiting,
    /// The candidate has all traffic and is watched; the version before is warm.
    Baking(Countdown),
    /// It is over, and how.
    Ended(Outcome),
}

/// A step of a canary, while it lasts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct CanaryStep {
    /// The candidate's share of the traffic.
    pub weight: Weight,
    /// Runs out when the step has lasted long enough.
    pub least: Countdown,
    /// Runs out when it has waited long enough for evidence.
    pub most: Countdown,
    /// How many requests go to the candidate at least.
    pub min_requests: u64,
}

/// How a rollout ended. Final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Outcome {
    /// The candidate is the stable version.
    Completed {
        /// Whether there was evidence that it is as good; `false` when only time passed.
        proven: bool,
    },
    /// An operator, or a file, took it back.
    Aborted,
    /// The evidence was against it.
    RolledBack,
    /// A newer version came.
    Superseded,
    /// It could not be loaded, or clients of the stable version could not go on with it.
    Refused,
}

impl Phase {
    /// Every phase's name, for metrics that must say 0 as well.
    pub const NAMES: [&'static str; 12] = [
        "loading",
        "rehearsing",
        "shadowing",
        "canary",
        "paused",
        "waiting",
        "baking",
        "completed",
        "aborted",
        "rolled-back",
        "superseded",
        "refused",
    ];

    /// The name in the API, in metrics and in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Rehearsing(_) => "rehearsing",
            Self::Shadowing(_) => "shadowing",
            Self::Canary(_) => "canary",
            Self::Paused(_) => "paused",
            Self::Waiting => "waiting",
            Self::Baking(_) => "baking",
            Self::Ended(Outcome::Completed { .. }) => "completed",
            Self::Ended(Outcome::Aborted) => "aborted",
            Self::Ended(Outcome::RolledBack) => "rolled-back",
            Self::Ended(Outcome::Superseded) => "superseded",
            Self::Ended(Outcome::Refused) => "refused",
        }
    }

    /// The phase that is held, or else the phase itself.
    pub fn stage(&self) -> &Self {
        match self {
            Self::Paused(held) => held.stage(),
            Self::Loading
            | Self::Rehearsing(_)
            | Self::Shadowing(_)
            | Self::Canary(_)
            | Self::Waiting
            | Self::Baking(_)
            | Self::Ended(_) => self,
        }
    }

    /// The candidate's share of the traffic.
    pub fn weight(&self) -> Weight {
        match self.stage() {
            Self::Canary(step) => step.weight,
            Self::Baking(_) | Self::Ended(Outcome::Completed { .. }) => Weight::ALL,
            Self::Loading
            | Self::Rehearsing(_)
            | Self::Shadowing(_)
            | Self::Paused(_)
            | Self::Waiting
            | Self::Ended(
                Outcome::Aborted | Outcome::RolledBack | Outcome::Superseded | Outcome::Refused,
            ) => Weight::NONE,
        }
    }

    /// Whether anything is still to happen.
    pub fn is_live(&self) -> bool {
        match self {
            Self::Loading
            | Self::Rehearsing(_)
            | Self::Shadowing(_)
            | Self::Canary(_)
            | Self::Paused(_)
            | Self::Waiting
            | Self::Baking(_) => true,
            Self::Ended(_) => false,
        }
    }

    /// Whether the candidate is loaded beside the stable version, and on trial.
    pub fn is_on_trial(&self) -> bool {
        match self.stage() {
            Self::Rehearsing(_) | Self::Shadowing(_) | Self::Canary(_) | Self::Waiting => true,
            Self::Loading | Self::Paused(_) | Self::Baking(_) | Self::Ended(_) => false,
        }
    }

    /// What is left until it gives up, where its time runs.
    pub fn countdown(&self) -> Option<&Countdown> {
        match self {
            Self::Rehearsing(left) | Self::Shadowing(left) | Self::Baking(left) => Some(left),
            Self::Canary(step) => Some(&step.most),
            Self::Loading | Self::Paused(_) | Self::Waiting | Self::Ended(_) => None,
        }
    }

    /// All of its time that runs.
    pub(super) fn countdowns_mut(&mut self) -> impl Iterator<Item = &mut Countdown> {
        let countdowns = match self {
            Self::Rehearsing(left) | Self::Shadowing(left) | Self::Baking(left) => {
                [Some(left), None]
            }
            Self::Canary(step) => [Some(&mut step.least), Some(&mut step.most)],
            Self::Loading | Self::Paused(_) | Self::Waiting | Self::Ended(_) => [None, None],
        };
        countdowns.into_iter().flatten()
    }
}

/// One release of one version.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Rollout {
    /// Its number.
    pub id: RolloutId,
    /// The rollout that this one goes back to or tries again.
    pub parent: Option<RolloutId>,
    /// Whether an operator asked to go back to a version that was stable before: then it needs no watching.
    pub is_undo: bool,
    /// Whether it begins without the evidence of its parent.
    #[serde(default)]
    pub is_fresh: bool,
    /// What was stable when it began; none with the first version of a model.
    pub stable: Option<Revision>,
    /// What is being released.
    pub candidate: Revision,
    /// Its recipe.
    pub plan: Plan,
    /// Where it stands.
    pub phase: Phase,
    /// Grows with each change of the candidate's share: what is counted under one is not mixed with what is counted
    /// under another.
    #[serde(default)]
    pub epoch: u32,
    /// Whether every gate has passed since the candidate has all traffic.
    #[serde(default)]
    pub proven: bool,
    /// Who began it.
    pub actor: Actor,
    /// Why it stands where it stands.
    pub reason: String,
    /// When it began.
    pub started: WallTime,
    /// Since when it stands where it stands.
    pub since: WallTime,
}

impl Rollout {
    /// The share of the traffic that the candidate gets when it passes, while both versions answer.
    pub fn next_weight(&self) -> Option<Weight> {
        match self.phase.stage() {
            Phase::Canary(step) => {
                let next = self.plan.step_above(step.weight);
                Some(next.map_or(Weight::ALL, |(_, step)| step.weight))
            }
            Phase::Loading
            | Phase::Rehearsing(_)
            | Phase::Shadowing(_)
            | Phase::Paused(_)
            | Phase::Waiting
            | Phase::Baking(_)
            | Phase::Ended(_) => None,
        }
    }
}

/// Who made something happen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Actor {
    /// The server itself.
    Server,
    /// A change in the models' folder.
    File,
    /// An operator, by the name that was given.
    Operator(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("server"),
            Self::File => f.write_str("file"),
            Self::Operator(name) => f.write_str(name),
        }
    }
}

/// One change of a rollout, as it is kept and told.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Transition {
    /// When.
    pub at: WallTime,
    /// Who.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// The phase that was left; none when the rollout began.
    pub from: Option<String>,
    /// The rollout as it is after the change.
    pub rollout: Rollout,
}

impl Transition {
    /// Whether it brings the traffic back to a version that was trusted before, or leaves it there: what has to happen
    /// even when nothing can be written down.
    pub fn is_towards_stable(&self) -> bool {
        match self.rollout.phase {
            Phase::Ended(Outcome::Aborted | Outcome::RolledBack) => true,
            Phase::Loading
            | Phase::Rehearsing(_)
            | Phase::Shadowing(_)
            | Phase::Canary(_)
            | Phase::Paused(_)
            | Phase::Waiting
            | Phase::Baking(_)
            | Phase::Ended(Outcome::Completed { .. } | Outcome::Superseded | Outcome::Refused) => {
                self.rollout.is_undo
            }
        }
    }
}

/// What operators can do to a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Begin one.
    Start,
    /// Skip what is left of its stage.
    Promote,
    /// Hold it.
    Pause,
    /// Let it go on.
    Resume,
    /// Give the candidate another share of the traffic.
    Weight,
    /// Take it back.
    Abort,
    /// Go back to the version before.
    Undo,
    /// Try again what was taken back.
    Retry,
}

impl Verb {
    /// The word in the API and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Weight => "weight",
            Self::Abort => "abort",
            Self::Undo => "undo",
            Self::Retry => "retry",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_shown_so_that_it_sorts() {
        assert_eq!(RolloutId(42).to_string(), "r-000042");
        assert_eq!("r-000042".parse(), Ok(RolloutId(42)));
        assert_eq!("r-12345678".parse(), Ok(RolloutId(12_345_678)));
        assert!("42".parse::<RolloutId>().is_err());
    }
}
