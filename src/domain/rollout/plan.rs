//! The recipe of a rollout. It is fixed when the rollout begins.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::analysis::Gates;
use crate::domain::comparison::{Change, OutputRule};
use crate::domain::sampling::Sample;

/// How a new version comes to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Load it beside the old one, switch at once, keep the old one warm.
    #[default]
    BlueGreen,
    /// Load it beside the old one, run sampled requests on both, and wait for an operator.
    Shadow,
}

impl Strategy {
    /// The name in settings and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::BlueGreen => "blue-green",
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
    /// Which requests are run on both versions, and what is to come of it.
    #[serde(default)]
    pub pairs: PairPlan,
}

/// The part of a recipe that is about pairs.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct PairPlan {
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
    /// How long the rollout may last, apart from the time that it waits for an operator.
    pub fn longest(&self) -> Duration {
        match self.strategy {
            Strategy::BlueGreen => self.bake,
            Strategy::Shadow => self.pairs.max_time + self.bake,
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            bake: Duration::from_secs(10 * 60),
            keep_previous: Duration::from_secs(60 * 60),
            pairs: PairPlan::default(),
        }
    }
}

impl Default for PairPlan {
    fn default() -> Self {
        Self {
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
