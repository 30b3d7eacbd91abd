//! What recorded requests tell before the first live one.
//!
//! They are few, so what they show of failures is bet on with more courage than in the long run of a rollout: at once,
//! and on a candidate that fails many times as often as is tolerated. A candidate that fails on one recorded request in
//! twenty is found out by 200 of them; one that fails a little more often than stable is left to the stages to come.

use serde::{Deserialize, Serialize};

use super::gates::ErrorLimits;
use super::mixture::{log_value, more_often_than, relative_risk};
use super::pair_errors::{Failed, HIGHEST_GUESS};

/// How many times as often as is tolerated it is bet that the candidate fails.
const RISK: f64 = 100.0;

/// Which version failed on recorded requests.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Rehearsal {
    pub(super) pairs: u64,
    pub(super) only_candidate: u64,
    pub(super) only_stable: u64,
}

impl Rehearsal {
    pub(super) fn observe(&mut self, failed: Failed) {
        self.pairs += 1;
        self.only_candidate += u64::from(failed.candidate && !failed.stable);
        self.only_stable += u64::from(failed.stable && !failed.candidate);
    }

    /// That the candidate fails alone more often than is tolerated, both by the ratio and by the floor.
    pub(super) fn log_fail(&self, limits: &ErrorLimits) -> f64 {
        let alone = (self.only_candidate as f64, self.only_stable as f64);
        let relative = relative_risk(0.5, limits.ratio, RISK, alone);
        if limits.floor <= 0.0 {
            return relative;
        }
        let absolute = more_often_than(limits.floor, HIGHEST_GUESS, self.pairs as f64, alone.0);
        relative.min(log_value(&absolute))
    }

    /// The share of the pairs in which the candidate may fail alone, seeing how often stable does.
    pub(super) fn tolerated(&self, limits: &ErrorLimits) -> f64 {
        let of_stable =
            if self.pairs == 0 { 0.0 } else { self.only_stable as f64 / self.pairs as f64 };
        (limits.ratio * of_stable).max(limits.floor)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::analysis::tests::{answered, pair};
    use crate::domain::analysis::{
        Gates, LiveEvidence, PairEvidence, Rates, RunOutcome, Trial, judge,
    };

    /// A candidate that was rehearsed on so many requests, of which it failed some, and stable others.
    fn rehearsed(requests: u64, candidate: u64, stable: u64) -> PairEvidence {
        let epoch = Some(Duration::from_secs(60));
        let outputs = vec!["label".to_owned()];
        let mut evidence = PairEvidence::new(outputs, Gates::default(), epoch).rehearsing();
        for number in 0..requests {
            let outcome = match number {
                number if number < candidate => pair(answered(10), RunOutcome::Failed),
                number if number < candidate + stable => pair(RunOutcome::Failed, answered(10)),
                _ => pair(answered(10), answered(10)),
            };
            evidence.observe_rehearsed(&outcome, Duration::ZERO);
        }
        evidence
    }

    fn reason(pairs: &PairEvidence) -> (String, String) {
        // In a canary, where live requests are judged from the beginning.
        let live = LiveEvidence::new(Gates::default(), Some(Duration::from_secs(60)));
        let judged = judge(&Trial {
            gates: pairs.limits(),
            live: Some(&live),
            pairs: Some(pairs),
            next: None,
            alarm: None,
            stable_suffers: false,
            rates: Rates::default(),
        });
        (judged.verdict.decision().to_owned(), judged.verdict.reason().to_owned())
    }

    #[test]
    fn a_candidate_that_fails_on_one_request_in_twenty_is_found_out() {
        let (decision, reason) = reason(&rehearsed(200, 10, 0));
        assert_eq!(decision, "fail");
        assert_eq!(
            reason,
            "rehearsal: only the candidate failed in 10 of 200 recorded requests (5 %), only \
             stable in 0, more than the 0.1 % that are tolerated"
        );
    }

    #[test]
    fn one_that_fails_as_often_as_stable_is_not() {
        for (candidate, stable) in [(0, 0), (3, 0), (10, 8), (60, 60)] {
            let (decision, reason) = reason(&rehearsed(200, candidate, stable));
            assert_eq!(decision, "inconclusive", "{candidate}, {stable}: {reason}");
        }
    }

    #[test]
    fn what_is_rehearsed_counts_among_all_pairs_too() {
        let evidence = rehearsed(200, 1, 0);
        assert_eq!(evidence.pairs(), 200);
        let metrics = evidence.by_metric();
        let names: Vec<_> = metrics.iter().map(|of| of.metric.name()).collect();
        assert_eq!(names, ["errors", "latency", "outputs", "rehearsal"]);
        let without = PairEvidence::new(vec![], Gates::default(), None);
        assert!(without.by_metric().iter().all(|of| of.metric.name() != "rehearsal"));
    }

    proptest! {
        /// The mean of what a stake of 1 becomes with one more pair, where the candidate fails as often as is
        /// tolerated, is at most 1: so it is fair however long it goes on.
        #[test]
        fn it_is_a_fair_bet(
            share in 0.0..0.5f64,
            (pairs, candidate, stable) in (0..500u64, 0..30u64, 0..30u64),
        ) {
            let limits = Gates::default().errors;
            // In this share of the pairs only stable fails, and in as many times that only the candidate.
            let candidate_share = share * limits.ratio;
            let growth = |candidate: u64, stable: u64| {
                relative_risk(0.5, limits.ratio, RISK, (candidate as f64, stable as f64))
            };
            let now = growth(candidate, stable);
            let mean = candidate_share * (growth(candidate + 1, stable) - now).exp()
                + share * (growth(candidate, stable + 1) - now).exp()
                + (1.0 - share - candidate_share);
            prop_assert!(mean <= 1.0 + 1e-9, "{}", mean);
            let floor = |pairs: u64, hits: u64| {
                log_value(&more_often_than(limits.floor, HIGHEST_GUESS, pairs as f64, hits as f64))
            };
            let hits = candidate.min(pairs);
            let mean = limits.floor * (floor(pairs + 1, hits + 1) - floor(pairs, hits)).exp()
                + (1.0 - limits.floor) * (floor(pairs + 1, hits) - floor(pairs, hits)).exp();
            prop_assert!(mean <= 1.0 + 1e-9, "{}", mean);
        }
    }
}
