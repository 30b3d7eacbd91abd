//! Errors on pairs: whose run failed alone.
//!
//! What fails on both versions is the input's fault and counts for neither.

use serde::{Deserialize, Serialize};

use super::gates::ErrorLimits;
use super::mixture::{
    Bet, log_value, more_often_than, on_fractions, on_risks, relative_risk, times,
};
use super::restarts::{Schedule, Starts};

/// Nearly every run may fail and there is still something to bet on.
pub(super) const HIGHEST_GUESS: f64 = 0.9;

/// How often only one of the two runs failed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct PairErrors {
    pub(super) pairs: u64,
    pub(super) only_candidate: u64,
    pub(super) only_stable: u64,
    relative: Starts,
    absolute: Starts,
}

/// Whether the runs of a pair failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    pub(super) stable: bool,
    pub(super) candidate: bool,
}

impl PairErrors {
    pub(super) fn new(schedule: &Schedule) -> Self {
        let (relative, absolute) = (Starts::new(7, schedule), Starts::new(7, schedule));
        Self { pairs: 0, only_candidate: 0, only_stable: 0, relative, absolute }
    }

    pub(super) fn observe(&mut self, failed: Failed) {
        self.pairs += 1;
        self.only_candidate += u64::from(failed.candidate && !failed.stable);
        self.only_stable += u64::from(failed.stable && !failed.candidate);
    }

    pub(super) fn restart(&mut self, stake: f64, limits: &ErrorLimits) {
        let (relative, absolute) = (self.relative(limits), self.absolute(limits));
        self.relative.begin(stake, &relative);
        self.absolute.begin(stake, &absolute);
    }

    /// That the candidate fails alone more often than is tolerated, both by the ratio and by the floor: the
    /// smaller fortune is one against "either of them holds".
    pub(super) fn log_fail(&self, limits: &ErrorLimits, schedule: &Schedule) -> f64 {
        let relative = self.relative.log_evidence(&self.relative(limits), schedule);
        if limits.floor <= 0.0 {
            return relative;
        }
        relative.min(self.absolute.log_evidence(&self.absolute(limits), schedule))
    }

    /// That it fails alone in less than the excess more pairs than stable does.
    pub(super) fn log_pass(&self, limits: &ErrorLimits) -> f64 {
        log_value(&self.proof(limits))
    }

    /// The share of the pairs in which it may fail alone, seeing how often stable does.
    pub(super) fn tolerated(&self, limits: &ErrorLimits) -> f64 {
        (limits.ratio * self.share_of_stable()).max(limits.floor)
    }

    /// The share of the pairs in which only stable failed.
    pub(super) fn share_of_stable(&self) -> f64 {
        if self.pairs == 0 { 0.0 } else { self.only_stable as f64 / self.pairs as f64 }
    }

    /// There are as many runs on either side.
    fn relative(&self, limits: &ErrorLimits) -> [Bet; 7] {
        let alone = (self.only_candidate as f64, self.only_stable as f64);
        on_risks(|risk| relative_risk(0.5, limits.ratio, risk, alone))
    }

    fn absolute(&self, limits: &ErrorLimits) -> [Bet; 7] {
        let floor = limits.floor.max(f64::MIN_POSITIVE);
        more_often_than(floor, HIGHEST_GUESS, self.pairs as f64, self.only_candidate as f64)
    }

    /// With D = 1 where only the candidate failed, −1 where only stable did and else 0, the factor of a pair is
    /// 1 + λ(excess − D), and λ a fraction of 1/(1−excess).
    fn proof(&self, limits: &ErrorLimits) -> [Bet; 6] {
        let (candidate, stable) = (self.only_candidate as f64, self.only_stable as f64);
        let neither = (self.pairs - self.only_candidate - self.only_stable) as f64;
        let excess = limits.pair_excess;
        on_fractions(|fraction, lost| {
            let bet = fraction / (1.0 - excess);
            times(candidate, lost)
                + times(stable, (bet * (1.0 + excess)).ln_1p())
                + times(neither, (bet * excess).ln_1p())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::analysis::Gates;
    use crate::domain::analysis::tests::assert_near;

    fn seen(pairs: u64, only_candidate: u64, only_stable: u64) -> PairErrors {
        let new = PairErrors::new(&Schedule::new(None));
        PairErrors { pairs, only_candidate, only_stable, ..new }
    }

    #[test]
    fn evidence_is_the_smaller_of_both_comparisons() {
        let (limits, never) = (Gates::default().errors, Schedule::new(None));
        for (errors, relative, absolute) in
            [(seen(2000, 12, 3), 1.695573, 9.983837), (seen(500, 3, 0), 1.228554, 2.175166)]
        {
            assert_near(log_value(&errors.relative(&limits)), relative);
            assert_near(log_value(&errors.absolute(&limits)), absolute);
            assert_near(errors.log_fail(&limits, &never), relative);
        }
    }

    #[test]
    fn what_fails_on_both_is_the_inputs_fault() {
        let mut errors = seen(0, 0, 0);
        for (stable, candidate) in [(true, true), (false, true), (true, false), (false, false)] {
            errors.observe(Failed { stable, candidate });
        }
        assert_eq!((errors.pairs, errors.only_candidate, errors.only_stable), (4, 1, 1));
    }

    #[test]
    fn the_proof_is_the_mean_fortune_of_bets_on_the_difference() {
        let limits = Gates::default().errors;
        let errors = seen(500, 3, 1);
        let fortune = |fraction: f64| {
            let bet = fraction / 0.98;
            (1.0 - bet * 0.98).powi(3) * (1.0 + bet * 1.02) * (1.0 + bet * 0.02).powi(496)
        };
        let mean = [0.9, 0.5, 0.25, 0.12, 0.06, 0.03].map(fortune).iter().sum::<f64>() / 6.0;
        assert_near(errors.log_pass(&limits), mean.ln());
        assert!(seen(400, 0, 0).log_pass(&limits) > 20f64.ln());
        assert!(seen(400, 8, 0).log_pass(&limits) < 0.0);
    }

    #[test]
    fn without_a_floor_only_the_ratio_counts() {
        let limits = ErrorLimits { ratio: 1.0, floor: 0.0, pair_excess: 0.02 };
        let errors = seen(1_000_000, 30, 2);
        let evidence = errors.log_fail(&limits, &Schedule::new(None));
        assert!(evidence.is_finite() && evidence > 5.0, "{evidence}");
    }
}
