//! What live requests have shown: who failed while both versions answered.
//!
//! The router draws a version for each request, with a chance that is known: the *weight*. So a failure comes from the
//! candidate with a chance that follows from the weight and from how much worse the candidate is, and from nothing
//! else: a shared outage makes many failures in the right proportion, and no evidence.
//!
//! As long as the weight stays, four counts hold all that there is to know, in whatever order the requests came. So
//! there is one [`LiveCell`] for each weight, and what the cells tell is multiplied; their counts are never added
//! up for a judgement (added over weights, equal versions look different when both fail more at times).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::gates::Gates;
use super::interval::Way;
use super::mixture::{
    Bet, log_value, more_often_than, on_fractions, on_risks, relative_risk, times,
};
use super::restarts::{Schedule, Starts};
use super::sample_ratio;
use crate::domain::weight::Weight;

/// Nearly every request may fail and there is still something to bet on.
const HIGHEST_GUESS: f64 = 0.9;

/// No larger excess is asked for as the limit of a gate, however small the next weight.
const LARGEST_EXCESS: f64 = 0.5;

/// Requests of one version that are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct LiveCounts {
    /// How many.
    pub requests: u64,
    /// How many of them failed.
    pub failed: u64,
}

/// Requests that had the same chance to go to the candidate.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct LiveCell {
    /// That chance, from 0 to 1. At either end there is nothing to compare with, and the cell does not count.
    pub weight: f64,
    /// Those that went to the candidate.
    pub candidate: LiveCounts,
    /// Those that went to stable.
    pub stable: LiveCounts,
}

/// All that the live requests of a rollout have shown: counts, and what restarts need to know.
///
/// It is written down as it is and read back after a restart of the server. It does not grow but with the
/// number of weights.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct LiveEvidence {
    gates: Gates,
    schedule: Schedule,
    /// One for each weight at which both versions answer.
    cells: Vec<LiveCell>,
    relative: Starts,
    absolute: Starts,
}

impl LiveEvidence {
    /// None yet. `epoch` is how long until betting begins anew ([`restart_epoch`](super::restart_epoch)); without one
    /// everything is bet at the start.
    pub fn new(gates: Gates, epoch: Option<Duration>) -> Self {
        let schedule = Schedule::new(epoch);
        let (relative, absolute) = (Starts::new(7, &schedule), Starts::new(7, &schedule));
        Self { gates, schedule, cells: Vec::new(), relative, absolute }
    }

    /// Time has passed: betting begins anew where an epoch is over. `now` is any monotonic clock's; it may be another
    /// one after a restart of the server.
    pub fn advance(&mut self, now: Duration) {
        let Some(stake) = self.schedule.advance(now) else { return };
        let (relative, absolute) = (self.relative(), self.absolute());
        self.relative.begin(stake, &relative);
        self.absolute.begin(stake, &absolute);
    }

    /// All requests of the rollout until now. Counts only grow from one call to the next.
    pub fn set(&mut self, cells: &[LiveCell]) {
        self.cells.clear();
        for cell in cells.iter().filter(|cell| cell.weight > 0.0 && cell.weight < 1.0) {
            match self.cells.iter_mut().find(|known| known.weight == cell.weight) {
                Some(known) => known.add(cell),
                None => self.cells.push(cell.clone()),
            }
        }
    }

    /// How many requests went to the candidate, and how many failed, while both versions answered.
    pub fn candidate(&self) -> LiveCounts {
        self.cells.iter().fold(LiveCounts::default(), |sum, cell| sum.plus(cell.candidate))
    }

    /// The same of stable.
    pub fn stable(&self) -> LiveCounts {
        self.cells.iter().fold(LiveCounts::default(), |sum, cell| sum.plus(cell.stable))
    }

    /// The limits that it is gathered for.
    pub fn limits(&self) -> &Gates {
        &self.gates
    }

    /// The log of the evidence that the candidate fails more often than is tolerated, both by the ratio and by the floor:
    /// the smaller fortune is one against "either of them holds".
    pub fn log_fail(&self) -> f64 {
        let relative = self.relative.log_evidence(&self.relative(), &self.schedule);
        if self.gates.errors.floor <= 0.0 {
            return relative;
        }
        relative.min(self.absolute.log_evidence(&self.absolute(), &self.schedule))
    }

    /// The log of the proof that the candidate may have this share of the traffic: that its excess of failures, times
    /// the share, is within the harm budget. It rests on everything since the first request.
    pub fn log_pass(&self, next: Weight) -> f64 {
        log_value(&self.proof(self.largest_excess(next)))
    }

    /// By how much larger a share of the candidate's requests than of stable's may fail at this weight, so that the harm
    /// done to all requests is within the budget.
    pub fn largest_excess(&self, next: Weight) -> f64 {
        (self.gates.harm_budget / next.fraction()).min(LARGEST_EXCESS)
    }

    /// The excess that the true one is proven to be below, from −1 to 1: with the chance 1 − β it is below all that
    /// will ever be shown.
    pub fn excess_below(&self) -> f64 {
        let bar = self.gates.log_prove();
        // The fortune grows with the excess that is bet against. Without requests nothing is refuted.
        let way = Way { from: -1.0, stride: 1.05, end: 1.0 };
        way.first_refuted(|excess| log_value(&self.proof(excess)) - bar)
    }

    /// The log of the evidence that something else than the router's chance decides who asks the candidate.
    pub fn sample_ratio(&self) -> f64 {
        sample_ratio::log_evidence(&self.cells)
    }

    /// How many requests the candidate should have had, by chance.
    pub(super) fn expected(&self) -> f64 {
        self.cells.iter().map(|cell| cell.weight * cell.requests() as f64).sum()
    }

    /// The share of stable's requests that failed, as if it had had the candidate's part at each weight. None before
    /// there is anything to compare.
    pub(super) fn share_of_stable(&self) -> Option<f64> {
        let compared = self.cells.iter().filter(|cell| cell.stable.requests > 0);
        let (failed, requests) = compared.fold((0.0, 0.0), |(failed, requests), cell| {
            let part = cell.candidate.requests as f64;
            let share = cell.stable.failed as f64 / cell.stable.requests as f64;
            (failed + part * share, requests + part)
        });
        (requests > 0.0).then(|| failed / requests)
    }

    /// The share of the candidate's requests that may fail, seeing how often stable does.
    pub(super) fn tolerated(&self) -> f64 {
        let limits = &self.gates.errors;
        (limits.ratio * self.share_of_stable().unwrap_or(0.0)).max(limits.floor)
    }

    fn relative(&self) -> [Bet; 7] {
        let tolerated = self.gates.errors.ratio;
        on_risks(|risk| {
            let cells = self.cells.iter().map(|cell| {
                let (candidate, stable) = (cell.candidate.failed as f64, cell.stable.failed as f64);
                relative_risk(cell.weight, tolerated, risk, (candidate, stable))
            });
            cells.sum()
        })
    }

    fn absolute(&self) -> [Bet; 7] {
        let LiveCounts { requests, failed } = self.candidate();
        let floor = self.gates.errors.floor.max(f64::MIN_POSITIVE);
        more_often_than(floor, HIGHEST_GUESS, requests as f64, failed as f64)
    }

    /// With D = X/w where the candidate answered and −X/(1−w) where stable did, X being 1 for a failure, the mean of D is
    /// the excess at every moment. The factor of a request is 1 + λ(excess − D), and λ a fraction of 1/(1/w − excess).
    fn proof(&self, excess: f64) -> [Bet; 6] {
        let failed = self.candidate().failed as f64;
        on_fractions(|fraction, lost| {
            let cells = self.cells.iter().map(|cell| {
                let (candidate, stable) = (cell.candidate.failed as f64, cell.stable.failed as f64);
                let bet = fraction / (1.0 / cell.weight - excess);
                times(stable, (bet * (1.0 / (1.0 - cell.weight) + excess)).ln_1p())
                    + times(cell.requests() as f64 - candidate - stable, (bet * excess).ln_1p())
            });
            times(failed, lost) + cells.sum::<f64>()
        })
    }
}

impl LiveCell {
    fn requests(&self) -> u64 {
        self.candidate.requests + self.stable.requests
    }

    fn add(&mut self, other: &Self) {
        self.candidate = self.candidate.plus(other.candidate);
        self.stable = self.stable.plus(other.stable);
    }
}

impl LiveCounts {
    fn plus(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, failed: self.failed + other.failed }
    }

    /// The share that failed. None without requests.
    pub fn share(self) -> Option<f64> {
        (self.requests > 0).then(|| self.failed as f64 / self.requests as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::analysis::tests::{assert_near, cell};

    fn seen(cells: &[LiveCell]) -> LiveEvidence {
        let mut evidence = LiveEvidence::new(Gates::default(), None);
        evidence.set(cells);
        evidence
    }

    fn logs(evidence: &LiveEvidence) -> [f64; 2] {
        [log_value(&evidence.relative()), log_value(&evidence.absolute())]
    }

    #[test]
    fn evidence_is_the_smaller_of_both_comparisons() {
        for (candidate, relative, absolute) in
            [((500, 15), 3.064756, 34.074196), ((500, 5), -2.662851, 5.647734)]
        {
            let evidence = seen(&[cell(0.10, candidate, (4500, 45))]);
            let [of_ratio, of_floor] = logs(&evidence);
            assert_near(of_ratio, relative);
            assert_near(of_floor, absolute);
            assert_near(evidence.log_fail(), relative);
        }
    }

    #[test]
    fn weights_tell_one_by_one() {
        let cells = [cell(0.05, (200, 2), (3800, 38)), cell(0.25, (1000, 30), (3000, 30))];
        let [relative, absolute] = logs(&seen(&cells));
        assert_near(relative, 3.617914);
        assert_near(absolute, 71.771312);
        let split = [cell(0.25, (400, 9), (1000, 25)), cell(0.25, (600, 21), (2000, 5))];
        let split = seen(&[split[0].clone(), cells[0].clone(), split[1].clone()]);
        assert_eq!(split.cells.len(), 2);
        assert_near(log_value(&split.relative()), 3.617914);
    }

    #[test]
    fn betting_anew_forgets_the_good_time_before() {
        let mut evidence = LiveEvidence::new(Gates::default(), Some(Duration::from_secs(60)));
        evidence.advance(Duration::ZERO);
        evidence.set(&[cell(0.10, (2000, 20), (18_000, 180))]);
        evidence.advance(Duration::from_secs(60));
        evidence.set(&[cell(0.10, (2500, 35), (22_500, 225))]);
        let LiveEvidence { relative, absolute, schedule, .. } = &evidence;
        assert_near(relative.log_evidence(&evidence.relative(), schedule), -0.361286);
        assert_near(absolute.log_evidence(&evidence.absolute(), schedule), 55.692379);
        assert_near(evidence.log_fail(), -0.361286);
    }

    #[test]
    fn the_proof_is_against_an_excess_that_follows_from_the_next_weight() {
        let evidence = seen(&[cell(0.25, (500, 3), (1500, 8))]);
        assert_near(log_value(&evidence.proof(0.02)), 3.202500);
        assert_near(evidence.log_pass(Weight::whole(50)), 3.202500);
        for (next, excess) in [(10, 0.10), (25, 0.04), (50, 0.02), (100, 0.01)] {
            assert_near(evidence.largest_excess(Weight::whole(next)), excess);
        }
        assert_eq!(evidence.largest_excess(Weight::whole(1)), 0.5, "half of them are too many");
        assert_eq!(evidence.largest_excess(Weight::NONE), 0.5);
    }

    #[test]
    fn where_only_one_version_answers_nothing_is_compared() {
        let both = cell(0.10, (500, 15), (4500, 45));
        let alone = [cell(0.0, (0, 0), (9000, 900)), cell(1.0, (9000, 4000), (0, 0))];
        let evidence = seen(&[both.clone(), alone[0].clone(), alone[1].clone()]);
        assert_eq!(evidence, seen(&[both]));
        let none = seen(&alone);
        for log in [none.log_fail(), none.log_pass(Weight::ALL), none.sample_ratio()] {
            assert_near(log, 0.0);
        }
        assert_eq!(none.excess_below(), 1.0);
    }

    #[test]
    fn the_bound_of_the_excess_is_where_the_proof_is_complete() {
        let evidence = seen(&[cell(0.05, (200, 2), (3800, 19)), cell(0.25, (500, 3), (1500, 8))]);
        let bound = evidence.excess_below();
        assert!((log_value(&evidence.proof(bound)) - 20f64.ln()).abs() < 1e-9, "{bound}");
        assert!(bound > 0.01 && bound < 0.04, "{bound}");
        let more = seen(&[cell(0.50, (100_000, 100), (100_000, 5000))]);
        assert!(more.excess_below() < -0.03, "a better candidate is known to be better");
    }

    #[test]
    fn without_a_floor_only_the_ratio_counts() {
        let mut gates = Gates::default();
        (gates.errors.ratio, gates.errors.floor) = (1.0, 0.0);
        let mut evidence = LiveEvidence::new(gates, None);
        evidence.set(&[cell(0.10, (1_000_000, 30), (9_000_000, 20))]);
        let log = evidence.log_fail();
        assert!(log.is_finite() && log > 5.0, "{log}");
    }

    #[test]
    fn stable_is_compared_at_the_weights_of_the_candidate() {
        let quiet = cell(0.01, (100, 0), (9900, 0));
        let outage = cell(0.50, (900, 90), (900, 90));
        let evidence = seen(&[quiet, outage]);
        assert_eq!(evidence.share_of_stable(), Some(0.09));
        assert_eq!(evidence.candidate().share(), Some(0.09));
        assert_eq!((seen(&[]).share_of_stable(), LiveCounts::default().share()), (None, None));
        assert_near(evidence.tolerated(), 0.108);
    }
}
