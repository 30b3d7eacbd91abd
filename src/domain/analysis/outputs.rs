//! Outputs on pairs: how often the two versions answer differently.
//!
//! A version that does not always give the same answer differs from itself, and that is no fault of the candidate.
//! The live answer against the run again of the version that gave it tells how much. So there are two fortunes: one
//! bets that the versions differ too often, the other that they differ too much more often than one does from itself.

use serde::{Deserialize, Serialize};

use super::gates::OutputLimits;
use super::mixture::{Bet, less_often_than, log_value, more_often_than, on_fractions, times};
use super::restarts::{Schedule, Starts};

/// Nearly every answer may differ and there is still something to bet on.
const HIGHEST_GUESS: f64 = 0.95;

/// In so many pairs noise would have shown, if there is any.
const CALIBRATION: u64 = 200;

/// How often one output differed. Where only some rows of a pair differ, it counts in part.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Flips {
    pub(super) pairs: u64,
    pub(super) differing: f64,
    /// By how much the versions differed more than one did from itself, over the pairs in which they did.
    above_noise: f64,
    /// And by how much less, over the other pairs.
    below_noise: f64,
    /// Whether a version ever differed from itself.
    pub(super) is_noisy: bool,
    plain: Starts,
    beyond_noise: Starts,
}

/// What a pair showed of one output, as shares of its rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Difference {
    /// Of the versions from each other.
    pub(super) versions: f64,
    /// Of one version from itself.
    pub(super) noise: f64,
}

impl Flips {
    pub(super) fn new(schedule: &Schedule) -> Self {
        Self {
            pairs: 0,
            differing: 0.0,
            above_noise: 0.0,
            below_noise: 0.0,
            is_noisy: false,
            plain: Starts::new(7, schedule),
            beyond_noise: Starts::new(6, schedule),
        }
    }

    pub(super) fn observe(&mut self, difference: Difference) {
        let Difference { versions, noise } = difference;
        self.pairs += 1;
        self.differing += versions;
        self.above_noise += (versions - noise).max(0.0);
        self.below_noise += (noise - versions).max(0.0);
        self.is_noisy |= noise > 0.0;
    }

    pub(super) fn restart(&mut self, stake: f64, limits: &OutputLimits) {
        let (plain, beyond_noise) = (self.plain(limits), self.beyond_noise(limits));
        self.plain.begin(stake, &plain);
        self.beyond_noise.begin(stake, &beyond_noise);
    }

    /// That the versions differ more often than is tolerated, also after noise is taken off where there is noise or
    /// it may not have shown yet.
    pub(super) fn log_fail(&self, limits: &OutputLimits, schedule: &Schedule) -> f64 {
        let plain = self.log_fail_without_noise(limits, schedule);
        if !self.is_noisy && self.pairs > CALIBRATION {
            return plain;
        }
        plain.min(self.beyond_noise.log_evidence(&self.beyond_noise(limits), schedule))
    }

    /// The same of versions that are known to agree with themselves.
    pub(super) fn log_fail_without_noise(&self, limits: &OutputLimits, schedule: &Schedule) -> f64 {
        self.plain.log_evidence(&self.plain(limits), schedule)
    }

    /// That they differ in less than the share to be proven.
    pub(super) fn log_pass(&self, limits: &OutputLimits) -> f64 {
        log_value(&less_often_than(limits.prove, self.pairs as f64, self.differing))
    }

    /// The share by which the versions differ more than one does from itself.
    pub(super) fn excess(&self) -> f64 {
        (self.above_noise - self.below_noise) / self.pairs.max(1) as f64
    }

    fn plain(&self, limits: &OutputLimits) -> [Bet; 7] {
        more_often_than(limits.reject, HIGHEST_GUESS, self.pairs as f64, self.differing)
    }

    /// With Z the difference between the versions less that of one from itself, the factor of a pair is
    /// 1 + λ(Z − tolerated), and λ a fraction of 1/(1+tolerated).
    fn beyond_noise(&self, limits: &OutputLimits) -> [Bet; 6] {
        let equal = self.pairs as f64 - self.above_noise - self.below_noise;
        let tolerated = limits.reject;
        on_fractions(|fraction, lost| {
            let bet = fraction / (1.0 + tolerated);
            times(self.above_noise, (bet * (1.0 - tolerated)).ln_1p())
                + times(self.below_noise, lost)
                + times(equal, (-bet * tolerated).ln_1p())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::analysis::tests::assert_near;

    const LIMITS: OutputLimits = OutputLimits { reject: 0.005, prove: 0.02 };

    fn none() -> Flips {
        Flips::new(&Schedule::new(None))
    }

    #[test]
    fn evidence_with_and_without_noise() {
        let flips = Flips { pairs: 400, differing: 8.0, ..none() };
        assert_near(log_value(&flips.plain(&LIMITS)), 4.202102);
        let flips = Flips { pairs: 1000, above_noise: 40.0, below_noise: 12.0, ..none() };
        assert_near(log_value(&flips.beyond_noise(&LIMITS)), 3.935132);
    }

    #[test]
    fn the_proof_that_few_pairs_differ() {
        let flips = Flips { pairs: 500, differing: 2.0, ..none() };
        assert_near(flips.log_pass(&LIMITS), 3.137156);
        let flips = Flips { pairs: 300, differing: 20.0, ..none() };
        assert_near(flips.log_pass(&OutputLimits { reject: 0.10, prove: 0.15 }), 8.053626);
    }

    #[test]
    fn noise_is_taken_off_while_it_may_not_have_shown_and_once_it_has() {
        let never = Schedule::new(None);
        let mut flips = none();
        let mut differs = |times: u64, versions, noise| {
            for _ in 0..times {
                flips.observe(Difference { versions, noise });
            }
            let plain = log_value(&flips.plain(&LIMITS));
            let beyond_noise = log_value(&flips.beyond_noise(&LIMITS));
            assert!(beyond_noise < plain);
            let evidence = flips.log_fail(&LIMITS, &never);
            assert!(evidence == plain || evidence == beyond_noise);
            evidence == beyond_noise
        };
        assert!(differs(8, 1.0, 0.0));
        assert!(differs(192, 0.0, 0.0));
        assert!(!differs(1, 0.0, 0.0), "noise would have shown");
        assert!(differs(1, 0.0, 0.25), "and now it has");
        assert!(differs(100, 0.0, 0.0), "for good");
    }

    #[test]
    fn differences_that_are_noise_are_no_evidence() {
        let mut flips = none();
        for pair in 0..5000 {
            let (versions, noise) = (f64::from(pair % 25 == 0), f64::from(pair % 25 == 1));
            flips.observe(Difference { versions, noise });
        }
        assert_eq!((flips.differing, flips.excess()), (200.0, 0.0));
        assert!(log_value(&flips.plain(&LIMITS)) > 100.0);
        assert!(flips.log_fail(&LIMITS, &Schedule::new(None)) < 0.0);
    }

    #[test]
    fn a_pair_counts_in_part() {
        let mut flips = none();
        flips.observe(Difference { versions: 0.5, noise: 0.25 });
        flips.observe(Difference { versions: 0.0, noise: 0.125 });
        assert_eq!((flips.differing, flips.above_noise, flips.below_noise), (0.5, 0.25, 0.125));
        assert_eq!(flips.excess(), 0.0625);
    }
}
