//! What goes into a comparison, one pair at a time, and what it says about it at once.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::analysis::OutputOutcome;
use super::super::tensor::ValueView;
use super::super::time::WallTime;

/// A sampled request, run again on both versions.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The number that the server gave the request.
    pub number: u64,
    /// When the pair ran.
    pub at: WallTime,
    /// The run on stable.
    pub stable: Run<'a>,
    /// The run on the candidate.
    pub candidate: Run<'a>,
    /// The answer that the client got, where it is known: compared with the run of the version that gave it, it
    /// shows how much a version differs from itself.
    pub live: Option<Live<'a>>,
    /// The size of the request's inputs.
    pub input_bytes: usize,
}

/// Outputs by the order of the rules; `None` for one that is not there.
pub type Outputs<'a> = &'a [Option<ValueView<'a>>];

/// One of the two runs of a pair.
#[derive(Clone, Copy, Debug)]
pub enum Run<'a> {
    /// It answered.
    Answered {
        /// What it answered.
        outputs: Outputs<'a>,
        /// How long it took; none where that says nothing about it alone.
        time: Option<Duration>,
    },
    /// It failed.
    Failed,
    /// It was cut off.
    TimedOut,
}

impl<'a> Run<'a> {
    /// What it answered and how long that took.
    pub(super) fn answer(&self) -> Option<(Outputs<'a>, Option<Duration>)> {
        match self {
            Self::Answered { outputs, time } => Some((outputs, *time)),
            Self::Failed | Self::TimedOut => None,
        }
    }

    pub(super) fn was_cut_off(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Answered { .. } | Self::Failed => false,
        }
    }
}

/// The answer that a client got.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    /// What was answered; outputs that the client did not ask for are missing.
    pub outputs: Outputs<'a>,
    /// Who answered.
    pub by: Arm,
}

/// One of the two versions of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// The trusted version.
    Stable,
    /// The version on trial.
    Candidate,
}

/// What one pair showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// For each output, in the order of the rules; empty if a run failed.
    pub outputs: Vec<OutputOutcome>,
    /// Whether both runs answered, and nothing worth telling differed.
    pub agreed: bool,
    /// Differences that are now among the worst examples: the inputs of this pair are worth keeping.
    pub beyond_tolerance: Vec<Difference>,
    /// What no candidate may do.
    pub contract: Vec<ContractViolation>,
}

/// An example of how outputs differ.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Difference {
    /// The output's name.
    pub output: String,
    /// How it differs.
    pub metric: Metric,
    /// How much; larger is worse, comparable within one metric of one output.
    pub score: f64,
    /// How many rows of the pair differ.
    pub rows: u64,
    /// Stable's answer in the worst row, in short.
    pub stable: String,
    /// The candidate's.
    pub candidate: String,
}

/// By what an example is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Another class; the score is stable's lead over its second class, or 1 where there are only labels.
    Flip,
    /// The largest absolute difference of a number.
    Abs,
    /// The distance of two directions, `(1 − cos) / 2`.
    Cosine,
    /// NaN or infinity where stable has a number; the score is the share of such numbers.
    Nan,
}

/// What no candidate may do, seen in one output of one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractViolation {
    /// Which rule was broken.
    pub kind: ContractKind,
    /// The output's name.
    pub output: String,
    /// What stable and the candidate gave.
    pub detail: String,
}

/// What callers rely on, whatever a model was trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ContractKind {
    /// Numbers are numbers where stable's are.
    Nan,
    /// Outputs have stable's dimensions.
    Shape,
    /// Outputs have stable's element type.
    Dtype,
    /// Every output of stable is there.
    Missing,
    /// Scores are given for the same classes.
    Classes,
}

impl fmt::Display for ContractViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "output `{}`: {}", self.output, self.detail)
    }
}
