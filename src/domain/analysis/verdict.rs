//! The verdict: take the candidate back, let it pass, or wait.

use serde::{Deserialize, Serialize};

use super::evidence::PairEvidence;
use super::gates::GateStatus;
use super::mixture::{log_value, normalised};
use super::reasons::{accusation, what_is_missing, what_is_proven};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Verdict {
    /// The candidate is proven to be within all limits.
    Pass {
        /// Which limits, and by how many pairs.
        reason: String,
    },
    /// The candidate is to be taken back.
    Fail {
        /// What was seen, and what is tolerated.
        reason: String,
        /// How much each metric tells.
        by_metric: Vec<MetricEvidence>,
    },
    /// It is not known yet.
    Inconclusive {
        /// What is missing.
        reason: String,
        /// About how many pairs; none where that is not yet estimable.
        needs: Option<u64>,
    },
}

impl Verdict {
    /// The name in the API.
    pub fn decision(&self) -> &'static str {
        match self {
            Self::Pass { .. } => "pass",
            Self::Fail { .. } => "fail",
            Self::Inconclusive { .. } => "inconclusive",
        }
    }

    /// Why, in words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Pass { reason }
            | Self::Fail { reason, .. }
            | Self::Inconclusive { reason, .. } => reason,
        }
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Runs that failed.
    Errors,
    /// How long runs take.
    Latency,
    /// What they answer.
    Outputs,
}

impl Metric {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Latency => "latency",
            Self::Outputs => "outputs",
        }
    }

    /// How much is staked on it, beside the others.
    pub(super) fn weight(self) -> f64 {
        match self {
            Self::Errors => 0.15,
            Self::Latency | Self::Outputs => 0.25,
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

impl PairEvidence {
    /// What is to be done, as far as pairs can tell. `rate` is how many pairs there are in a second.
    pub fn judge(&self, rate: Option<f64>) -> Verdict {
        if let Some(broken) = &self.contract_broken {
            let reason = format!("contract: {broken}");
            return Verdict::Fail { reason, by_metric: self.by_metric() };
        }
        if let Some(culprit) = self.culprit() {
            let reason = accusation(culprit);
            return Verdict::Fail { reason, by_metric: self.by_metric() };
        }
        let gates = self.gates();
        if gates.iter().all(|gate| gate.status == GateStatus::Passed) {
            return Verdict::Pass { reason: what_is_proven(&gates, self.pairs()) };
        }
        let needs = gates.iter().try_fold(0, |most, gate| Some(gate.needs?.max(most)));
        Verdict::Inconclusive { reason: what_is_missing(&gates, needs, rate), needs }
    }

    /// How much each metric tells.
    pub fn by_metric(&self) -> Vec<MetricEvidence> {
        let stakes = self.stakes();
        let of = |metric: Metric| {
            let its = stakes.iter().filter(|(subject, _)| subject.metric() == metric);
            let bets = normalised(its.map(|(_, bet)| *bet).collect());
            let log_evidence = log_value(&bets);
            (!bets.is_empty()).then_some(MetricEvidence { metric, log_evidence })
        };
        [Metric::Errors, Metric::Latency, Metric::Outputs].into_iter().filter_map(of).collect()
    }
}
