//! What the evidence of a rollout comes to, at one moment.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::domain::analysis::{GateState, MetricEvidence, PairEvidence, Verdict};
use crate::domain::rollout::{Decision, Judgement};

/// A verdict, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The verdict.
    pub verdict: Verdict,
    /// Where each gate stands.
    pub gates: Vec<GateState>,
    /// How much each metric tells against the candidate.
    pub by_metric: Vec<MetricEvidence>,
    /// The log of the evidence against it, of all metrics together.
    pub log_fail: f64,
    /// The log of the proof of the gate that is furthest from passing.
    pub log_pass: f64,
    /// How many pairs there were.
    pub pairs: u64,
}

impl Standing {
    /// Of pairs that came at this rate in a second. `unseen` is the upper bound in bytes of a class of requests that are
    /// too large to be compared.
    pub(super) fn of(
        evidence: &PairEvidence,
        rate: Option<f64>,
        candidate_is_stuck: bool,
        unseen: Option<u64>,
    ) -> Self {
        let (gates, by_metric) = (evidence.gates(), evidence.by_metric());
        let verdict = match (evidence.judge(rate), unseen) {
            (_, _) if candidate_is_stuck => Verdict::Fail {
                reason: "a run of the candidate did not end, and could not be stopped".to_owned(),
                by_metric: by_metric.clone(),
            },
            (Verdict::Pass { .. }, Some(bytes)) => Verdict::Inconclusive {
                reason: too_large(bytes),
                needs: None,
                needs_requests: None,
            },
            (verdict, Some(_) | None) => verdict,
        };
        Self {
            log_pass: gates.iter().map(|gate| gate.log_pass).fold(f64::INFINITY, f64::min),
            log_fail: evidence.log_fail(),
            pairs: evidence.pairs(),
            verdict,
            gates,
            by_metric,
        }
    }

    /// What follows from it for the rollout.
    pub fn judgement(&self) -> Judgement {
        let decision = match &self.verdict {
            Verdict::Pass { .. } => Decision::Pass,
            Verdict::Fail { .. } => Decision::Fail,
            Verdict::Hold { .. } => Decision::Hold,
            Verdict::Inconclusive { .. } => Decision::Inconclusive,
        };
        let reason = self.verdict.reason().to_owned();
        Judgement { decision, reason, pairs: self.pairs, epoch: 0, requests: 0 }
    }
}

fn too_large(bytes: u64) -> String {
    let size = match bytes {
        u64::MAX => "the largest requests".to_owned(),
        bytes => format!("requests of up to {bytes} bytes"),
    };
    format!(
        "{size} are too large to be compared (`shadow.queue_bytes`), so nothing is known of them"
    )
}

/// How many pairs there are in a second, over the last minute.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    /// There were so many pairs up to now. None before there is anything to compare with.
    pub(super) fn observe(&mut self, now: Instant, pairs: u64) -> Option<f64> {
        const OVER: Duration = Duration::from_secs(60);
        while self.0.len() > 1 && self.0.front().is_some_and(|(at, _)| now - *at > OVER) {
            self.0.pop_front();
        }
        self.0.push_back((now, pairs));
        let (since, before) = *self.0.front()?;
        let passed = now.saturating_duration_since(since).as_secs_f64();
        (passed >= 1.0).then(|| pairs.saturating_sub(before) as f64 / passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_minute() {
        let (mut rate, start) = (Rate::default(), Instant::now());
        assert_eq!(rate.observe(start, 0), None);
        for second in 1..=60 {
            assert_eq!(rate.observe(start + Duration::from_secs(second), second * 5), Some(5.0));
        }
        for second in 61..=130 {
            rate.observe(start + Duration::from_secs(second), 300);
        }
        assert_eq!(rate.observe(start + Duration::from_secs(131), 300), Some(0.0));
    }
}
