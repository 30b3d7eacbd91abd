//! Whether pairs slow stable down: an experiment, in which chance decides when there are pairs.
//!
//! Pairs are switched off in blocks of time that are drawn with a known chance. Whatever else changes with time, be it
//! traffic or neighbours, does not know which blocks those are; so if stable is slower where there are pairs, it is
//! slower because of them. Blocks are the units, see [`bets`]; they may be looked at after every one of them.
//!
//! Once it is shown that pairs slow stable down by more than 2 % there are fewer of them, and the question is asked
//! anew about these. How much they slow it down at most is told at any time.

mod bets;
mod marks;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::bets::{Bets, Seen};
pub use self::marks::{Bins, Marks, QUANTILES, SLOWDOWNS, Tally};
use super::mixture::{Bet, log_value};
use super::restarts::Schedule;

/// The chance that pairs are ever blamed for what they do not do, and that a bound is ever wrong.
const MISS: f64 = 0.05;

/// A block of time that is over.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Whether there were pairs.
    pub has_pairs: bool,
    /// The chance with which it was drawn that there are, between 0 and 1.
    pub chance: f64,
    /// The requests that stable answered.
    pub tally: Tally,
}

/// How many pairs there may be, after what they did to stable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// As many as the settings allow.
    #[default]
    Full,
    /// Half of that.
    Halved,
    /// Only when the server has little else to do.
    OffPeakOnly,
}

impl Pace {
    /// How often there were to be fewer of them.
    pub fn times_backed_off(self) -> u32 {
        match self {
            Self::Full => 0,
            Self::Halved => 1,
            Self::OffPeakOnly => 2,
        }
    }

    fn slower(self) -> Self {
        match self {
            Self::Full => Self::Halved,
            Self::Halved | Self::OffPeakOnly => Self::OffPeakOnly,
        }
    }
}

/// What the blocks of one rollout have shown, and what followed from it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Interference {
    pace: Pace,
    epoch: Option<Duration>,
    /// Since there were to be fewer pairs the last time.
    blocks: u64,
    schedule: Schedule,
    quantiles: [Bets; QUANTILES.len()],
}

/// How much stable is slowed down at one quantile of its latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slowdown {
    /// The quantile: 0.99 for the p99.
    pub quantile: f64,
    /// It is slowed down by less than this share, with 95 % confidence that holds at all times together.
    pub upper: Option<f64>,
    /// About how many more blocks it takes until that is less than 2 %, if they go on like those before.
    pub needs: Option<u64>,
}

impl Interference {
    /// Nothing is known yet. Betting begins anew in each epoch.
    pub fn new(epoch: Option<Duration>) -> Self {
        Self::at(Pace::Full, epoch)
    }

    fn at(pace: Pace, epoch: Option<Duration>) -> Self {
        let schedule = Schedule::new(epoch);
        let quantiles = QUANTILES.map(|_| Bets::new(&schedule));
        Self { pace, epoch, blocks: 0, schedule, quantiles }
    }

    /// Counts a block, unless nothing was answered in it. Gives the new pace when there are to be fewer pairs from now on;
    /// then everything is asked anew. `now` is any monotonic clock's.
    pub fn observe(&mut self, block: &Block, now: Duration) -> Option<Pace> {
        if let Some(stake) = self.schedule.advance(now) {
            self.quantiles.iter_mut().for_each(|bets| bets.restart(stake));
        }
        let Block { has_pairs, chance, tally } = *block;
        for (quantile, bets) in self.quantiles.iter_mut().enumerate() {
            let slower = tally.slower(quantile)?;
            bets.observe(&Seen { slower, has_pairs, chance });
        }
        self.blocks += 1;
        let backs_off = self.log_evidence() >= bar() && self.pace != self.pace.slower();
        backs_off.then(|| {
            *self = Self::at(self.pace.slower(), self.epoch);
            self.pace
        })
    }

    /// Whether other marks would tell more than those that blocks are counted by: requests do not take as long as they did.
    pub fn needs_other_marks(&self) -> bool {
        self.quantiles[0].are_out_of_sight()
    }

    /// From the next block on requests are held against other marks.
    pub fn has_other_marks(&mut self) {
        self.quantiles.iter_mut().for_each(Bets::look_anew);
    }

    /// How many pairs there may be.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// How many blocks were counted, since there were to be fewer pairs the last time.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The log of the evidence that pairs slow stable down by more than 2 %.
    pub fn log_evidence(&self) -> f64 {
        let weight = 1.0 / QUANTILES.len() as f64;
        let growth = |bets: &Bets| Bet { weight, growth: bets.log_slower(&self.schedule) };
        log_value(&self.quantiles.each_ref().map(growth))
    }

    /// How much stable is slowed down, at each quantile.
    pub fn slowdowns(&self) -> [Slowdown; QUANTILES.len()] {
        std::array::from_fn(|quantile| {
            let bets = &self.quantiles[quantile];
            let log = bets.log_tolerable();
            let per_block = log / self.blocks as f64;
            let needs = ((bar() - log) / per_block).ceil();
            Slowdown {
                quantile: QUANTILES[quantile],
                upper: bets.less_than(bar()),
                needs: (log > 0.0 && needs > 0.0).then_some(needs as u64),
            }
        })
    }
}

fn bar() -> f64 {
    (1.0 / MISS).ln()
}
