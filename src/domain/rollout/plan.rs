//! The recipe of a rollout. It is fixed when the rollout begins.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a new version comes to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Load it beside the old one, switch at once, keep the old one warm.
    #[default]
    BlueGreen,
}

impl Strategy {
    /// The name in settings and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::BlueGreen => "blue-green",
        }
    }
}

/// A rollout's recipe.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Plan {
    /// How the new version comes to answer.
    pub strategy: Strategy,
    /// How long the new version is watched while it has all traffic.
    pub bake: Duration,
    /// How long after that the old one stays warm for an undo.
    pub keep_previous: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            bake: Duration::from_secs(10 * 60),
            keep_previous: Duration::from_secs(60 * 60),
        }
    }
}
