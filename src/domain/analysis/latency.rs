//! Latency on pairs: which of the two runs of a request was slower.
//!
//! A pair shares its input, so how hard the input is cancels out. Two things are looked at: whether the candidate is
//! slower by more than the margin in most pairs (all of it is slower), and whether of the pairs that differ by a
//! large factor it is mostly the slow one (it is slow now and then). Spikes that hit either run alike favour nobody.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::gates::LatencyLimits;
use super::mixture::{Bet, evenly, likelihood_ratio, log_value};
use super::restarts::{Schedule, Starts};

/// Guesses of the share of pairs in which a slower candidate is slower.
const MOST: [f64; 5] = [0.53, 0.56, 0.60, 0.70, 0.85];

/// Pairs that differ by these factors are looked at by themselves.
pub(super) const FACTORS: [f64; 3] = [1.5, 2.0, 4.0];

/// Guesses of the share of them in which it is the slow one.
const MOSTLY: [f64; 4] = [0.60, 0.75, 0.90, 0.97];

const BETS: usize = MOST.len() + FACTORS.len() * MOSTLY.len();

/// Which run was slower, in the pairs that both versions answered.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Latency {
    pub(super) pairs: u64,
    /// Pairs in which the candidate was slower by more than the margin and the floor.
    pub(super) slower: u64,
    /// For each of the factors.
    pub(super) apart: [Apart; FACTORS.len()],
    starts: Starts,
}

/// Pairs whose times are a factor apart after the margin is taken off the candidate's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Apart {
    pub(super) candidate_slow: u64,
    pub(super) stable_slow: u64,
}

/// The times of a pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) stable: Duration,
    pub(super) candidate: Duration,
}

impl Latency {
    pub(super) fn new(schedule: &Schedule) -> Self {
        let starts = Starts::new(BETS, schedule);
        Self { pairs: 0, slower: 0, apart: [Apart::default(); FACTORS.len()], starts }
    }

    pub(super) fn observe(&mut self, times: Times, limits: &LatencyLimits) {
        self.pairs += 1;
        if times.stable.abs_diff(times.candidate) <= limits.floor {
            return;
        }
        let stable = times.stable.as_secs_f64();
        let candidate = times.candidate.as_secs_f64() / (1.0 + limits.margin);
        self.slower += u64::from(candidate > stable);
        for (apart, factor) in self.apart.iter_mut().zip(FACTORS) {
            apart.candidate_slow += u64::from(candidate > factor * stable);
            apart.stable_slow += u64::from(stable > factor * candidate);
        }
    }

    pub(super) fn restart(&mut self, stake: f64) {
        let bets = self.bets();
        self.starts.begin(stake, &bets);
    }

    /// That the candidate is slower, by more than the margin in most pairs or mostly the slow one of those far apart.
    pub(super) fn log_fail(&self, schedule: &Schedule) -> f64 {
        self.starts.log_evidence(&self.bets(), schedule)
    }

    /// That it is slower by more than the margin in fewer than half of the pairs.
    pub(super) fn log_pass(&self) -> f64 {
        log_value(&sign(self.pairs - self.slower, self.slower))
    }

    /// Of the factors, the smallest of those whose pairs tell most; none where all pairs together tell more.
    pub(super) fn telling_factor(&self) -> Option<(f64, Apart)> {
        let tell = |apart: Apart| log_value(&tail(apart)) - (FACTORS.len() as f64).ln();
        let factors = FACTORS.into_iter().zip(self.apart).rev();
        let (factor, apart) = factors.max_by(|(_, a), (_, b)| tell(*a).total_cmp(&tell(*b)))?;
        let all = log_value(&sign(self.slower, self.pairs - self.slower));
        (tell(apart) > all).then_some((factor, apart))
    }

    /// Half of the stake on all pairs, half on those far apart.
    fn bets(&self) -> [Bet; BETS] {
        let mut bets = [Bet { weight: 0.0, growth: 0.0 }; BETS];
        let all = sign(self.slower, self.pairs - self.slower).map(|bet| bet.scaled(0.5));
        let far = self.apart.into_iter().flat_map(tail);
        let far = far.map(|bet| bet.scaled(0.5 / FACTORS.len() as f64));
        for (place, bet) in bets.iter_mut().zip(all.into_iter().chain(far)) {
            *place = bet;
        }
        bets
    }
}

/// Against "at most half of them are hits".
fn sign(hits: u64, misses: u64) -> [Bet; MOST.len()] {
    evenly(MOST, |share| likelihood_ratio(hits as f64, misses as f64, share, 0.5))
}

/// Against "of those far apart, the candidate is the slow one in at most half".
fn tail(apart: Apart) -> [Bet; MOSTLY.len()] {
    let (candidate, stable) = (apart.candidate_slow as f64, apart.stable_slow as f64);
    evenly(MOSTLY, |share| likelihood_ratio(candidate, stable, share, 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::analysis::Gates;
    use crate::domain::analysis::tests::assert_near;

    fn seen(pairs: u64, slower: u64, apart: [(u64, u64); 3]) -> Latency {
        let apart =
            apart.map(|(candidate_slow, stable_slow)| Apart { candidate_slow, stable_slow });
        Latency { pairs, slower, apart, ..Latency::new(&Schedule::new(None)) }
    }

    fn observed(pairs: &[(u64, u64)]) -> (u64, [(u64, u64); 3]) {
        let mut latency = Latency::new(&Schedule::new(None));
        for &(stable, candidate) in pairs {
            let (stable, candidate) =
                (Duration::from_micros(stable), Duration::from_micros(candidate));
            latency.observe(Times { stable, candidate }, &Gates::default().latency);
        }
        assert_eq!(latency.pairs, pairs.len() as u64);
        (latency.slower, latency.apart.map(|apart| (apart.candidate_slow, apart.stable_slow)))
    }

    #[test]
    fn evidence_of_all_pairs_and_of_those_far_apart() {
        assert_near(log_value(&sign(130, 70)), 7.172912);
        assert_near(log_value(&sign(90, 110)), -3.074718);
        assert_near(seen(100, 20, [(0, 0); 3]).log_pass(), 16.934145);
        // With nothing else seen, half of the stake lies idle.
        let tail = (2.0
            * seen(0, 0, [(12, 2), (6, 1), (0, 0)]).log_fail(&Schedule::new(None)).exp()
            - 1.0)
            .ln();
        assert_near(tail, 2.274978);
        let both = seen(300, 150, [(14, 3), (5, 0), (1, 0)]);
        assert_near(both.log_fail(&Schedule::new(None)), 1.763106);
    }

    #[test]
    fn slower_is_by_more_than_the_margin_and_the_floor() {
        assert_eq!(observed(&[(10_000, 12_400)]), (0, [(0, 0); 3]), "within the margin");
        assert_eq!(observed(&[(10_000, 12_600)]), (1, [(0, 0); 3]));
        assert_eq!(observed(&[(100, 1_100)]), (0, [(0, 0); 3]), "a millisecond is nothing");
        assert_eq!(observed(&[(100, 1_101)]), (1, [(1, 0), (1, 0), (1, 0)]));
    }

    #[test]
    fn far_apart_is_by_a_factor_beyond_the_margin() {
        assert_eq!(observed(&[(10_000, 25_100)]), (1, [(1, 0), (1, 0), (0, 0)]));
        assert_eq!(observed(&[(10_000, 7_900)]), (0, [(0, 1), (0, 0), (0, 0)]));
        assert_eq!(observed(&[(10_000, 3_000)]), (0, [(0, 1), (0, 1), (0, 1)]));
        assert_eq!(observed(&[(0, 0), (0, 2_000)]), (1, [(1, 0), (1, 0), (1, 0)]));
    }

    #[test]
    fn what_tells_most_is_known() {
        assert_eq!(seen(200, 130, [(5, 4), (0, 0), (0, 0)]).telling_factor(), None);
        let (factor, apart) =
            seen(2000, 200, [(30, 20), (25, 1), (2, 0)]).telling_factor().unwrap();
        assert_eq!((factor, apart.candidate_slow), (2.0, 25));
    }
}
