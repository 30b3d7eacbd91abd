//! The recipe of a rollout. It is fixed when the rollout begins.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::analysis::Gates;
use crate::domain::comparison::{Change, OutputRule};
use crate::domain::route::StickyKey;
use crate::domain::sampling::Sample;
use crate::domain::signature::SignatureRule;
use crate::domain::weight::Weight;

/// How a new version comes to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Unload the old one, then load it: nothing answers in between.
    Recreate,
    /// Load it beside the old one, switch at once, keep the old one warm.
    #[default]
    BlueGreen,
    /// Load it beside the old one, run sampled requests on both, and give it traffic in steps.
    Canary,
    /// Load it beside the old one, run sampled requests on both, and wait for an operator.
    Shadow,
}

impl Strategy {
    /// The name in settings and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recreate => "recreate",
            Self::BlueGreen => "blue-green",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

/// A rollout's recipe.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Plan {
    /// How the new version comes to answer.
    pub strategy: Strategy,
    /// How long the new version is watched while it has all traffic.
    pub bake: Duration,
    /// How long after that the old one stays warm for an undo.
    pub keep_previous: Duration,
    /// How its share of the traffic grows, where it does.
    #[serde(default)]
    pub steps: Vec<StepPlan>,
    /// How long a step may wait for evidence.
    #[serde(default = "default_max_time")]
    pub max_time: Duration,
    /// How far the new version's signature may differ.
    #[serde(default = "unchecked")]
    pub signature: SignatureRule,
    /// By what requests stick to a version; none for random per request.
    #[serde(default)]
    pub key: Option<StickyKey>,
    /// Whether the trusted version answers where the candidate has no answer.
    #[serde(default)]
    pub fallback: bool,
    /// Whether failures one after another take the candidate back at once.
    #[serde(default)]
    pub breaker: bool,
    /// Which requests are run on both versions, and what is to come of it.
    #[serde(default)]
    pub pairs: PairPlan,
}

/// One step of a canary.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct StepPlan {
    /// The candidate's share of the traffic.
    pub weight: Weight,
    /// How long the step lasts at least.
    pub min_time: Duration,
    /// How many requests go to the candidate at least.
    pub min_requests: u64,
}

/// The part of a recipe that is about pairs.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct PairPlan {
    /// How many recorded requests are run on both versions before any others; 0 for none.
    #[serde(default)]
    pub rehearse: u64,
    /// The share of requests that become pairs, in every stage.
    pub sample: Sample,
    /// How many pairs the shadow stage needs.
    pub min_pairs: u64,
    /// How long the shadow stage may take.
    pub max_time: Duration,
    /// What happens after that.
    pub on_inconclusive: OnInconclusive,
    /// What to expect of the outputs.
    pub change: Change,
    /// The limits that are judged by.
    pub gates: Gates,
    /// How outputs are compared, where that was said.
    pub outputs: Vec<OutputRule>,
    /// The names of the classes, where the model has none.
    pub classes: Vec<String>,
}

/// What happens when a stage has waited long enough for evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnInconclusive {
    /// It waits for an operator.
    #[default]
    Pause,
    /// The next stage, as if it had passed.
    Promote,
    /// All traffic stays on stable, and the rollout ends.
    Abort,
}

impl Plan {
    /// Whether recorded requests are run on both versions first, where there are any.
    pub fn has_rehearsal(&self) -> bool {
        match self.strategy {
            Strategy::Canary | Strategy::Shadow => self.pairs.rehearse > 0,
            Strategy::Recreate | Strategy::BlueGreen => false,
        }
    }

    /// Whether sampled requests are run on both versions before the candidate has any traffic.
    pub fn has_shadow_stage(&self) -> bool {
        match self.strategy {
            Strategy::Shadow => true,
            Strategy::Canary => self.pairs.min_pairs > 0,
            Strategy::Recreate | Strategy::BlueGreen => false,
        }
    }

    /// The first step that gives the candidate more than `weight`, and its index.
    pub fn step_above(&self, weight: Weight) -> Option<(usize, &StepPlan)> {
        match self.strategy {
            Strategy::Canary => {
                self.steps.iter().enumerate().find(|(_, step)| step.weight > weight)
            }
            Strategy::Recreate | Strategy::BlueGreen | Strategy::Shadow => None,
        }
    }

    /// The last step that gives the candidate no more than `weight`, and its index.
    pub fn step_at(&self, weight: Weight) -> Option<(usize, &StepPlan)> {
        self.steps.iter().enumerate().rfind(|(_, step)| step.weight <= weight)
    }

    /// How long the rollout may last, apart from the time that it waits for an operator.
    pub fn longest(&self) -> Duration {
        let rehearsal = if self.has_rehearsal() { self.pairs.max_time } else { Duration::ZERO };
        let shadow = if self.has_shadow_stage() { self.pairs.max_time } else { Duration::ZERO };
        let steps = match self.strategy {
            Strategy::Canary => self.steps.len() as u32,
            Strategy::Recreate | Strategy::BlueGreen | Strategy::Shadow => 0,
        };
        rehearsal + shadow + self.max_time * steps + self.bake
    }
}

impl Default for Plan {
    fn default() -> Self {
        let step = |per_cent| StepPlan {
            weight: Weight::whole(per_cent),
            min_time: Duration::from_mins(1),
            min_requests: 50,
        };
        Self {
            strategy: Strategy::default(),
            bake: Duration::from_mins(10),
            keep_previous: Duration::from_hours(1),
            steps: [5, 10, 25, 50].map(step).to_vec(),
            max_time: default_max_time(),
            signature: SignatureRule::default(),
            key: None,
            fallback: true,
            breaker: true,
            pairs: PairPlan::default(),
        }
    }
}

/// Also of recipes that were written down before there were steps.
fn default_max_time() -> Duration {
    Duration::from_hours(6)
}

/// Of recipes that were written down before signatures were compared: a rollout keeps what it began with.
fn unchecked() -> SignatureRule {
    SignatureRule::Any
}

impl Default for PairPlan {
    fn default() -> Self {
        Self {
            rehearse: 200,
            sample: Sample::Share(0.1),
            min_pairs: 500,
            max_time: Duration::from_secs(60 * 60),
            on_inconclusive: OnInconclusive::default(),
            change: Change::Retrained,
            gates: Gates::default(),
            outputs: Vec::new(),
            classes: Vec::new(),
        }
    }
}
