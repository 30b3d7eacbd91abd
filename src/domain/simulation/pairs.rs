//! Pairs: sampled requests that both versions run again, alone.

use std::time::Duration;

use super::chance::Chance;
use super::traffic::{Slice, Traffic};
use crate::domain::analysis::{OutputOutcome, PairEvidence, PairOutcome, RunOutcome};
use crate::domain::rollout::{Decision, PairPlan};
use crate::domain::sampling::Sample;

/// The name of the one output that is compared.
const OUTPUT: &str = "output";

/// The pairs of one rollout.
#[derive(Debug)]
pub(super) struct Pairs {
    pub(super) evidence: PairEvidence,
    sample: Sample,
    min_pairs: u64,
    has_enough: bool,
    /// The pair before, whose room the next one takes.
    pair: PairOutcome,
}

impl Pairs {
    /// None yet; nothing where no requests are sampled.
    pub(super) fn new(plan: &PairPlan, epoch: Duration) -> Option<Self> {
        if plan.sample == Sample::Share(0.0) {
            return None;
        }
        let nothing = RunOutcome::Failed;
        Some(Self {
            evidence: PairEvidence::new(vec![OUTPUT.to_owned()], plan.gates.clone(), Some(epoch)),
            sample: plan.sample,
            min_pairs: plan.min_pairs,
            has_enough: false,
            pair: PairOutcome {
                stable: nothing,
                candidate: nothing,
                outputs: Vec::new(),
                contract_broken: None,
            },
        })
    }

    /// Runs the pairs of a slice that ends now, after it has lasted so long.
    pub(super) fn run(
        &mut self,
        slice: Slice,
        (now, length): (Duration, Duration),
        traffic: &Traffic,
        chance: &mut Chance,
    ) {
        let most = (traffic.most_pairs * length.as_secs_f64()) as u64;
        let sampled = chance.binomial(slice.requests, self.share());
        for _ in 0..sampled.min(most) {
            self.draw(slice, traffic, chance);
            self.evidence.observe(&self.pair, now);
        }
    }

    /// The share of the requests that become pairs now.
    pub(super) fn share(&self) -> f64 {
        self.sample.share(self.has_enough)
    }

    fn draw(&mut self, slice: Slice, traffic: &Traffic, chance: &mut Chance) {
        let is_hit = chance.happens(slice.failing.outage);
        let [stable, candidate] = traffic.latency.pair(chance);
        let mut run = |errors, time| {
            if is_hit || chance.happens(errors) {
                RunOutcome::Failed
            } else {
                RunOutcome::Answered { time: Some(time) }
            }
        };
        let errors = slice.failing.errors;
        self.pair.stable = run(errors.stable, stable);
        self.pair.candidate = run(errors.candidate, candidate);
        let differs = f64::from(chance.happens(traffic.flips));
        self.pair.outputs.clear();
        if self.pair.stable != RunOutcome::Failed && self.pair.candidate != RunOutcome::Failed {
            self.pair.outputs.push(OutputOutcome { differs, noise: Some(0.0), judged: true });
        }
    }

    /// The evidence was judged: how much is sampled may depend on it.
    pub(super) fn judged(&mut self, decision: Decision) {
        self.has_enough = match decision {
            Decision::Pass => self.evidence.pairs() >= self.min_pairs,
            Decision::Fail | Decision::Inconclusive | Decision::Hold => false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::simulation::Errors;
    use crate::domain::simulation::traffic::Failing;

    fn run(plan: &PairPlan, traffic: &Traffic, requests: u64) -> Option<Pairs> {
        let mut pairs = Pairs::new(plan, Duration::from_mins(1))?;
        let slice = Slice { requests, failing: Failing { outage: 0.0, errors: traffic.errors } };
        let second = Duration::from_secs(1);
        pairs.run(slice, (second, second), traffic, &mut Chance::new(6, 0));
        Some(pairs)
    }

    fn sampled(sample: Sample) -> PairPlan {
        PairPlan { sample, ..PairPlan::default() }
    }

    #[test]
    fn a_share_of_the_requests_becomes_pairs_and_no_more_than_can_be_run() {
        let traffic = Traffic::plain(1.0);
        assert!(run(&sampled(Sample::Share(0.0)), &traffic, 100).is_none());
        let pairs =
            |sample, requests| run(&sampled(sample), &traffic, requests).unwrap().evidence.pairs();
        assert!((60..130).contains(&pairs(Sample::Share(0.1), 950)));
        assert_eq!(pairs(Sample::Adaptive, 99), 99);
        assert_eq!(pairs(Sample::Share(1.0), 500), 100);
    }

    #[test]
    fn an_adaptive_sample_shrinks_when_nothing_more_is_needed() {
        let mut pairs = run(&sampled(Sample::Adaptive), &Traffic::plain(1.0), 99).unwrap();
        pairs.min_pairs = 99;
        pairs.judged(Decision::Inconclusive);
        assert!(!pairs.has_enough);
        pairs.judged(Decision::Pass);
        assert!(pairs.has_enough);
    }

    #[test]
    fn a_candidate_shows_in_its_pairs() {
        let errors = Errors { stable: 0.0, candidate: 0.3 };
        let mut traffic = Traffic { errors, flips: 0.5, ..Traffic::plain(1.0) };
        traffic.latency.slower = 2.0;
        let pairs = run(&sampled(Sample::Share(1.0)), &traffic, 100).unwrap();
        for gate in pairs.evidence.gates() {
            let estimate = gate.estimate.unwrap();
            let expected = match gate.name.as_str() {
                "errors" => 0.15..0.45,
                "latency" => 0.9..1.01,
                _ => 0.3..0.7,
            };
            assert!(expected.contains(&estimate), "{gate:?}");
        }
    }
}
