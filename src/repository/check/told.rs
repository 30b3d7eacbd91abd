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
    /// Runs on several threads, on which nothing depends.
    Spreading,
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
    /// What it gains when one run may use several cores; none where that is not much, or runs are short anyway.
    pub(crate) spread: Option<Spread>,
}

/// A model whose runs are clearly faster on several threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Spread {
    /// How many.
    pub(crate) threads: usize,
    /// Its fastest run on zeros then.
    pub(crate) run_time: Duration,
}

impl Spread {
    /// A run gains at least a third of its time, or it is not worth the cores that it takes from others.
    pub(super) fn if_worth(self, on_one: Duration) -> Option<Self> {
        (3 * self.run_time <= 2 * on_one).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_threads_are_worth_a_third_of_the_time_of_a_run() {
        let on_two = |millis| Spread { threads: 2, run_time: Duration::from_millis(millis) };
        let on_one = Duration::from_millis(30);
        assert_eq!(on_two(20).if_worth(on_one), Some(on_two(20)));
        assert_eq!(on_two(21).if_worth(on_one), None);
    }
}
