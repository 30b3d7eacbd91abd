//! The verdict: take the candidate back, let it pass, hold, or wait.

use serde::{Deserialize, Serialize};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Verdict {
    /// The candidate is proven to be within all limits.
    Pass {
        /// Which limits, and by how much evidence.
        reason: String,
    },
    /// The candidate is to be taken back.
    Fail {
        /// What was seen, and what is tolerated.
        reason: String,
        /// How much each metric tells.
        by_metric: Vec<MetricEvidence>,
    },
    /// Something is wrong that is not known to be the candidate's fault: it gets no more traffic while that lasts.
    Hold {
        /// What was seen.
        reason: String,
        /// What is in doubt.
        doubt: Doubt,
    },
    /// It is not known yet.
    Inconclusive {
        /// What is missing.
        reason: String,
        /// About how many pairs; none where that is not yet estimable.
        needs: Option<u64>,
        /// About how many requests to the candidate; likewise.
        needs_requests: Option<u64>,
    },
}

impl Verdict {
    /// The name in the API.
    pub fn decision(&self) -> &'static str {
        match self {
            Self::Pass { .. } => "pass",
            Self::Fail { .. } => "fail",
            Self::Hold { .. } => "hold",
            Self::Inconclusive { .. } => "inconclusive",
        }
    }

    /// Why, in words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Pass { reason }
            | Self::Fail { reason, .. }
            | Self::Hold { reason, .. }
            | Self::Inconclusive { reason, .. } => reason,
        }
    }
}

/// What is in doubt while a candidate is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// The candidate does not have the requests that chance would give it.
    SampleRatio,
    /// Stable answers much more slowly than before the rollout, maybe because both share a machine.
    StableSuffers,
}

/// What takes a candidate back whatever the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm<'a> {
    /// It failed in so many requests one after another that stable then answered.
    Breaker {
        /// How many.
        failures: u32,
    },
    /// A run of it does not end.
    Stuck,
    /// What it answered breaks the contract, in words.
    Contract(&'a str),
}

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Live requests that failed; where none are judged, runs of pairs.
    Errors,
    /// Runs of pairs that failed, where live requests are judged as well.
    PairErrors,
    /// How long runs take.
    Latency,
    /// What they answer.
    Outputs,
    /// Runs of recorded requests that failed, where the candidate was rehearsed.
    Rehearsal,
}

impl Metric {
    pub(super) const ALL: [Self; 5] =
        [Self::Errors, Self::PairErrors, Self::Latency, Self::Outputs, Self::Rehearsal];

    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::PairErrors => "pair-errors",
            Self::Latency => "latency",
            Self::Outputs => "outputs",
            Self::Rehearsal => "rehearsal",
        }
    }
}

/// How much one metric tells against the candidate.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct MetricEvidence {
    /// Which.
    pub metric: Metric,
    /// The log of its evidence.
    pub log_evidence: f64,
}
