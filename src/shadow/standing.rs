//! What the evidence of a rollout comes to, at one moment.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::domain::analysis::{
    Alarm, GateState, Gates, Judged, LiveEvidence, Metric, MetricEvidence, PairEvidence, Rates,
    Trial, Verdict, judge,
};
use crate::domain::rollout::Decision;
use crate::domain::weight::Weight;

/// A verdict, and what it rests on.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Standing {
    /// The verdict.
    pub verdict: Verdict,
    /// Where each gate stands.
    pub gates: Vec<GateState>,
    /// How much each metric tells against the candidate.
    pub by_metric: Vec<MetricEvidence>,
    /// The log of the evidence against it, of all metrics together.
    pub log_fail: f64,
    /// The log of the proof of the gate that is furthest from passing; none where there is no gate.
    pub log_pass: Option<f64>,
    /// How many pairs there were.
    pub pairs: u64,
}

/// What is known of a candidate besides pairs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'e> {
    /// What live requests have shown, in a rollout with shares of the traffic.
    pub live: Option<&'e LiveEvidence>,
    /// The share that the candidate gets when it passes, while both versions answer.
    pub next: Option<Weight>,
    /// What takes it back whatever the evidence.
    pub alarm: Option<Alarm<'e>>,
    /// Whether the trusted version answers much more slowly than before the rollout.
    pub stable_suffers: bool,
    /// How many requests go to the candidate in a second, where that is known.
    pub requests: Option<f64>,
}

impl Standing {
    /// What all of it comes to. Pairs come at this rate in a second; `unseen` is the upper bound in bytes of a class of
    /// requests that are too large to be compared.
    pub fn of(
        gates: &Gates,
        pairs: Option<(&PairEvidence, Option<f64>)>,
        unseen: Option<u64>,
        beside: Beside<'_>,
    ) -> Self {
        let Beside { live, next, alarm, stable_suffers, requests } = beside;
        let rates = Rates { requests, pairs: pairs.and_then(|(_, rate)| rate) };
        let pairs = pairs.map(|(pairs, _)| pairs);
        let trial = Trial { gates, live, pairs, next, alarm, stable_suffers, rates };
        let Judged { verdict, gates, by_metric, log_fail, log_pass } = judge(&trial);
        let verdict = match (verdict, unseen) {
            (Verdict::Pass { .. }, Some(bytes)) => Verdict::Inconclusive {
                reason: too_large(bytes),
                needs: None,
                needs_requests: None,
            },
            (verdict, Some(_) | None) => verdict,
        };
        let log_pass = Some(log_pass).filter(|log_pass| log_pass.is_finite());
        let pairs = pairs.map_or(0, PairEvidence::pairs);
        Self { verdict, gates, by_metric, log_fail, log_pass, pairs }
    }

    /// Whether live requests have a part in it: then the errors of pairs are a metric of their own.
    pub(super) fn is_with_live(&self) -> bool {
        self.by_metric.iter().any(|evidence| evidence.metric == Metric::PairErrors)
    }

    /// What follows from it for the rollout.
    pub fn decision(&self) -> Decision {
        match &self.verdict {
            Verdict::Pass { .. } => Decision::Pass,
            Verdict::Fail { .. } => Decision::Fail,
            Verdict::Hold { .. } => Decision::Hold,
            Verdict::Inconclusive { .. } => Decision::Inconclusive,
        }
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

/// How many of something there are in a second, over the last minute.
#[derive(Debug, Default)]
pub struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    /// There were so many up to now. None before there is anything to compare with.
    pub fn observe(&mut self, now: Instant, count: u64) -> Option<f64> {
        const OVER: Duration = Duration::from_secs(60);
        while self.0.len() > 1 && self.0.front().is_some_and(|(at, _)| now - *at > OVER) {
            self.0.pop_front();
        }
        self.0.push_back((now, count));
        let (since, before) = *self.0.front()?;
        let passed = now.saturating_duration_since(since).as_secs_f64();
        (passed >= 1.0).then(|| count.saturating_sub(before) as f64 / passed)
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
