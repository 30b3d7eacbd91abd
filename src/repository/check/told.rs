//! What the two processes tell each other.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::batching::Alone;
use crate::onnx::Rejection;
use crate::system::limits::Limits;

/// What the child is to do: its only argument, as JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    /// The model's file.
    pub(crate) model: PathBuf,
    /// The library.
    pub(crate) library: PathBuf,
    /// What it may use.
    pub(crate) limits: Limits,
    /// Whose model it is, in words.
    pub(crate) name: String,
}

/// One line of the child's.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Told {
    /// It is about to do this.
    Stage(Stage),
    /// The library does not take the model, and what it says.
    Rejected {
        /// Why, in our words.
        reason: Rejection,
        /// The library's own words, for the log.
        words: String,
    },
    /// What the model takes and gives.
    Signature(Value),
    /// Why the model fails on zeros, which does not make it a bad one; the library's own words.
    FailsOnZeros(String),
    /// All is well.
    Passed(Facts),
}

/// What the child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// It starts.
    Starting,
    /// The library builds the session.
    Loading,
    /// The first runs, on zeros.
    Running,
    /// Runs with several rows.
    Probing,
}

/// What is known of a content that can be loaded.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Facts {
    /// Whether requests can run together.
    pub(crate) rows: Result<(), Alone>,
    /// Whether it is faster when the library keeps its memory from run to run.
    pub(crate) arena: bool,
    /// Bytes that it keeps once it is loaded and warm.
    pub(crate) memory: u64,
    /// Bytes that it takes at the worst moment until then.
    pub(crate) peak: u64,
    /// How long the library took to load it.
    pub(crate) load_time: Duration,
    /// Its fastest run on zeros; none where it could not be run on them.
    pub(crate) run_time: Option<Duration>,
}
