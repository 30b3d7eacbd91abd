//! Limits, and how far from them a candidate is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::live::LiveCounts;

/// The limits that a rollout is judged by. They are fixed when it begins: evidence means nothing under others.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Gates {
    /// The chance that a candidate within all limits is ever taken back.
    pub alpha: f64,
    /// For each gate, the chance that a candidate beyond its limit ever passes.
    pub beta: f64,
    /// On failed runs.
    pub errors: ErrorLimits,
    /// On the time of a run.
    pub latency: LatencyLimits,
    /// On the share of pairs that answer differently. `None` where outputs are shown and not judged.
    pub outputs: Option<OutputLimits>,
    /// How much larger a share of all requests may fail because of the candidate, with the next share of the traffic.
    #[serde(default = "default_harm_budget")]
    pub harm_budget: f64,
    /// How much is staked on each metric.
    #[serde(default)]
    pub stakes: Stakes,
}

/// How much is staked on each metric, beside the others that a rollout has.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Stakes {
    /// On failed live requests.
    pub live_errors: f64,
    /// On failed runs of pairs.
    pub pair_errors: f64,
    /// On how long the runs of pairs take.
    pub latency: f64,
    /// On what they answer.
    pub outputs: f64,
    /// On failures in a rehearsal, where there is one.
    #[serde(default = "default_rehearsal")]
    pub rehearsal: f64,
}

fn default_rehearsal() -> f64 {
    0.4
}

impl Default for Stakes {
    fn default() -> Self {
        Self {
            live_errors: 0.35,
            pair_errors: 0.15,
            latency: 0.25,
            outputs: 0.25,
            rehearsal: default_rehearsal(),
        }
    }
}

fn default_harm_budget() -> f64 {
    0.01
}

/// Limits on failed runs.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ErrorLimits {
    /// Tolerated: the candidate fails alone this many times as often as stable does.
    pub ratio: f64,
    /// Tolerated: the candidate fails alone in this share of the pairs.
    pub floor: f64,
    /// To be proven: the candidate fails alone in less than this share of the pairs more than stable does.
    pub pair_excess: f64,
}

/// Limits on the time of a run.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct LatencyLimits {
    /// Slower by less than this share is not slower.
    pub margin: f64,
    /// Neither is a difference of less than this.
    pub floor: Duration,
}

/// Limits on the share of pairs that answer differently.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct OutputLimits {
    /// Tolerated.
    pub reject: f64,
    /// To be proven: fewer than this.
    pub prove: f64,
}

impl Default for Gates {
    /// For a model that was trained again.
    fn default() -> Self {
        Self {
            alpha: 0.05,
            beta: 0.05,
            errors: ErrorLimits { ratio: 1.2, floor: 0.001, pair_excess: 0.02 },
            latency: LatencyLimits { margin: 0.25, floor: Duration::from_millis(1) },
            outputs: Some(OutputLimits { reject: 0.10, prove: 0.15 }),
            harm_budget: default_harm_budget(),
            stakes: Stakes::default(),
        }
    }
}

impl Gates {
    /// From this log of the evidence on a candidate is taken back.
    pub(super) fn log_reject(&self) -> f64 {
        -self.alpha.ln()
    }

    /// From this log of the proof on a gate is passed.
    pub(super) fn log_prove(&self) -> f64 {
        -self.beta.ln()
    }
}

/// Where a candidate stands with one limit.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct GateState {
    /// `errors`, `pair-errors`, `latency`, `rehearsal`, or `outputs.` and the name of an output.
    pub name: String,
    /// Whether it has passed.
    pub status: GateStatus,
    /// Pairs that count for it; none where live requests do.
    pub pairs: u64,
    /// In how many of them something was worse: only the candidate failed, it was slower, or it answered
    /// differently. A pair of several rows of which some differ counts in part. Of live requests, how many the
    /// candidate failed.
    pub count: f64,
    /// The share that `count` is; absent without pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<f64>,
    /// The share that is tolerated. For errors it depends on how often only stable failed.
    pub limit: f64,
    /// The share that the true one must be proven to be below, to pass. For errors likewise.
    pub prove: f64,
    /// Where the true share is, with 95 % confidence however often one looks; absent without pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// The log of the proof that the candidate is within the limit.
    pub log_pass: f64,
    /// The log of the evidence that it is beyond what is tolerated.
    pub log_fail: f64,
    /// About how many more pairs, or requests to the candidate, will prove it, if things stay as they are; absent where
    /// that is not yet estimable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<u64>,
    /// What live requests have shown, where they count for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveShares>,
}

impl GateState {
    /// How many pairs or requests to the candidate count for it.
    pub(super) fn cases(&self) -> u64 {
        self.live.as_ref().map_or(self.pairs, |live| live.candidate.requests)
    }
}

/// Which version failed how often while both answered live requests.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct LiveShares {
    /// The candidate.
    pub candidate: LiveCounts,
    /// Stable, over all shares of the traffic: not comparable where these have changed.
    pub stable: LiveCounts,
    /// The candidate's share of failures is proven to be larger than stable's by less than this, at any time.
    pub excess_below: f64,
}

/// Whether a gate has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateStatus {
    /// Neither proven nor refuted.
    Open,
    /// Proven to be within the limit.
    Passed,
    /// The candidate is to be taken back because of it.
    Failed,
}

/// About how many cases are missing in a proof that has grown to `log_pass` over so many.
pub(super) fn needs(log_pass: f64, bar: f64, cases: u64) -> Option<u64> {
    if log_pass >= bar {
        return Some(0);
    }
    (log_pass > 0.0).then(|| (cases as f64 * (bar / log_pass - 1.0)).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_from_before_there_were_live_requests_are_read() {
        let mut written = serde_json::to_value(Gates::default()).unwrap();
        for new in ["harm_budget", "stakes"] {
            assert!(written.as_object_mut().unwrap().remove(new).is_some());
        }
        assert_eq!(serde_json::from_value::<Gates>(written).unwrap(), Gates::default());
    }

    #[test]
    fn what_is_missing_follows_from_how_fast_the_proof_has_grown() {
        let bar = Gates::default().log_prove();
        assert_eq!(needs(bar / 2.0, bar, 300), Some(300));
        assert_eq!(needs(bar, bar, 300), Some(0));
        assert_eq!(needs(0.0, bar, 300), None);
        assert_eq!(needs(-1.0, bar, 300), None);
    }
}
