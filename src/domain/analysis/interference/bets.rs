//! The bets on one quantile of stable's latency: "pairs slow it down by at most so much", and "by so much or more".
//!
//! In block b the share X(r) of requests is slower than 1 + r times the mark τ. With pairs that slow stable down by at
//! most r, no more requests of a block are slower than τ(1 + r) than would be slower than τ without pairs; with pairs that
//! slow it down by r or more, no fewer. Either way the two stay in that order in whatever grows with the share, and so
//! does their mean. With Z = X(r) in blocks with pairs and X(0) in those without,
//!
//! ```text
//! Y = (Z − m) / 2h, cut off at ±½          D = Y · (1{pairs}/w − 1{no pairs}/(1 − w))
//! ```
//!
//! has a mean of at most 0 in the first case and at least 0 in the second, whatever m and h the past suggests and
//! however the shares drift, since w, the chance of pairs, is known and nothing else decides about them. So 1 ± λD are
//! factors of a gambler's fortune, for λ up to 2·min(w, 1 − w). Of m, h and τ only depends how soon there is a result: m is
//! what the last blocks let expect, so that a drift that outlives a block is no noise, and h about twice by how much it is
//! missed.

use serde::{Deserialize, Serialize};

use super::marks::SLOWDOWNS;
use crate::domain::analysis::mixture::{Bet, evenly, log_value, on_fractions};
use crate::domain::analysis::restarts::{Schedule, Starts};

/// By how much pairs may slow stable down: 2 %.
const TOLERATED: usize = 4;

/// So many blocks are looked at before the first bet.
const LOOKED_AT: u32 = 4;

/// How much the newest block counts in what is expected of the next.
const NEWEST: f64 = 0.15;

/// How many times as far as the last blocks were off an expectation a block may be, before it is cut off.
const REACH: f64 = 2.0;

/// Nothing is expected more exactly than this.
const EXACT: f64 = 1e-3;

/// A mark tells most while about half of the requests are slower; beyond these shares it tells little.
const IN_SIGHT: std::ops::RangeInclusive<f64> = 0.2..=0.8;

/// After so many blocks it is known that a mark is out of sight.
const KNOWN: u32 = 20;

/// Logs of what the bets of a mixture have grown to.
type Growth = [f64; 6];

/// One block, as it looks from one quantile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The share that is slower than each mark.
    pub(super) slower: [f64; SLOWDOWNS.len()],
    pub(super) has_pairs: bool,
    /// The chance that it had pairs.
    pub(super) chance: f64,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Bets {
    seen: u32,
    /// The share above each mark that is expected with pairs.
    expected: [f64; SLOWDOWNS.len()],
    /// By how much that is missed.
    missed: f64,
    /// By how much more of them are above the first mark with pairs than without, and of how many blocks without that is
    /// known.
    gap: f64,
    without: u32,
    /// Against "by at most what is tolerated".
    slower: Growth,
    starts: Starts,
    /// Against "by so much or more", for each slowdown.
    faster: [Growth; SLOWDOWNS.len()],
}

impl Bets {
    pub(super) fn new(schedule: &Schedule) -> Self {
        Self {
            seen: 0,
            expected: [0.0; SLOWDOWNS.len()],
            missed: 0.0,
            gap: 0.0,
            without: 0,
            slower: Growth::default(),
            starts: Starts::new(Growth::default().len(), schedule),
            faster: [Growth::default(); SLOWDOWNS.len()],
        }
    }

    /// Bets on a block, and learns from it.
    pub(super) fn observe(&mut self, seen: &Seen) {
        if self.seen >= LOOKED_AT {
            for slowdown in 0..SLOWDOWNS.len() {
                let outcome = self.outcome(seen, slowdown);
                add(&mut self.faster[slowdown], -outcome);
                if slowdown == TOLERATED {
                    add(&mut self.slower, outcome);
                }
            }
        }
        self.learn(seen);
    }

    /// D as a part of the largest that there can be.
    fn outcome(&self, seen: &Seen, slowdown: usize) -> f64 {
        let Seen { slower, has_pairs, chance } = *seen;
        let (with, without) = (self.expected[slowdown], self.expected[0] - self.gap);
        let (share, weight) = match has_pairs {
            true => (slower[slowdown], 1.0 / chance),
            false => (slower[0], -1.0 / (1.0 - chance)),
        };
        let reach = REACH * self.missed.max(EXACT);
        let off = (share - f64::midpoint(with, without)) / (2.0 * reach);
        off.clamp(-0.5, 0.5) * weight * 2.0 * chance.min(1.0 - chance)
    }

    fn learn(&mut self, seen: &Seen) {
        let rate = |seen: u32| NEWEST.max(1.0 / f64::from(seen + 1));
        // What it would have been with pairs, as far as is known.
        let with_pairs = if seen.has_pairs { 0.0 } else { self.gap };
        let off = seen.slower[0] + with_pairs - self.expected[0];
        if self.seen > 0 {
            self.missed += rate(self.seen - 1) * (off.abs() - self.missed);
        }
        if !seen.has_pairs && self.seen > 0 {
            // The first of them counts half: little is known of what few show.
            self.without = self.without.saturating_add(1);
            self.gap -= rate(self.without) * off;
        }
        for (expected, share) in self.expected.iter_mut().zip(seen.slower) {
            *expected += rate(self.seen) * (share + with_pairs - *expected);
        }
        self.seen = self.seen.saturating_add(1);
    }

    /// Whether requests have become so slow, or so fast, that other marks would tell more.
    pub(super) fn are_out_of_sight(&self) -> bool {
        self.seen >= KNOWN && !IN_SIGHT.contains(&self.expected[0])
    }

    /// From now on there are other marks. The bets go on, and what is expected is learned anew.
    pub(super) fn look_anew(&mut self) {
        (self.seen, self.without) = (0, 0);
        (self.gap, self.missed) = (0.0, 0.0);
    }

    /// Bets this much anew.
    pub(super) fn restart(&mut self, stake: f64) {
        self.starts.begin(stake, &mixture(self.slower));
    }

    /// The log of the evidence that pairs slow stable down by more than is tolerated.
    pub(super) fn log_slower(&self, schedule: &Schedule) -> f64 {
        self.starts.log_evidence(&mixture(self.slower), schedule)
    }

    /// The log of the evidence that they slow it down by less than this, by its place among the slowdowns.
    fn log_faster(&self, slowdown: usize) -> f64 {
        log_value(&mixture(self.faster[slowdown]))
    }

    /// The log of the evidence that they slow it down by less than what is tolerated.
    pub(super) fn log_tolerable(&self) -> f64 {
        self.log_faster(TOLERATED)
    }

    /// The smallest slowdown that is refuted together with all larger ones: whatever the true one is, the first step that
    /// would be wrong has the chance of one test.
    pub(super) fn less_than(&self, bar: f64) -> Option<f64> {
        let slowdowns = (1..SLOWDOWNS.len()).rev();
        slowdowns
            .take_while(|slowdown| self.log_faster(*slowdown) >= bar)
            .last()
            .map(|slowdown| SLOWDOWNS[slowdown])
    }
}

fn mixture(growth: Growth) -> [Bet; 6] {
    evenly(growth, |growth| growth)
}

fn add(growth: &mut Growth, outcome: f64) {
    let steps = on_fractions(|fraction, _| (fraction * outcome).ln_1p());
    growth.iter_mut().zip(steps).for_each(|(growth, step)| *growth += step.growth);
}
