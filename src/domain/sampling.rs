//! Which requests become pairs, and how many.
//!
//! The choice depends on the request's number and the rollout's seed alone: never on the content, the time or an id
//! that a client can choose, so that pairs are a fair sample. Made again for the same number it is the same.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The share of requests that become pairs.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sample {
    /// This share of them, from 0 to 1.
    Share(f64),
    /// All of them until the gates have what they need, few afterwards.
    Adaptive,
}

impl Sample {
    /// What an adaptive sample takes once nothing more is needed.
    const AFTERWARDS: f64 = 0.01;

    /// The share for now.
    pub fn share(self, has_enough: bool) -> f64 {
        match self {
            Self::Share(share) => share,
            Self::Adaptive if has_enough => Self::AFTERWARDS,
            Self::Adaptive => 1.0,
        }
    }
}

/// The same for a key that a client sends, where all requests with that key are to meet the same fate.
pub fn draw_for_key(key: &[u8], seed: u64, purpose: Purpose) -> u64 {
    xxh3_64_with_seed(key, seed ^ purpose.constant())
}

/// Of what a draw decides. Each purpose has numbers of its own, so that a request that is sampled is not more likely to
/// be run in one order than in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Which of two versions a request goes to.
    Arm,
    /// Whether a request becomes a pair.
    Sample,
    /// Which version of a pair runs first.
    Order,
    /// Which examples are kept.
    Keep,
    /// In which blocks of time there are no pairs, to see what they cost.
    Block,
    /// Whether a request is recorded, and what is left of the records when there is no room for all.
    Capture,
}

impl Purpose {
    /// Made of the words' letters: any different constants do.
    const fn constant(self) -> u64 {
        match self {
            Self::Arm => u64::from_be_bytes(*b"assigned"),
            Self::Sample => u64::from_be_bytes(*b"sampled."),
            Self::Order => u64::from_be_bytes(*b"ordered."),
            Self::Keep => u64::from_be_bytes(*b"retained"),
            Self::Block => u64::from_be_bytes(*b"switched"),
            Self::Capture => u64::from_be_bytes(*b"captured"),
        }
    }
}

/// A number that is as good as random, the same for the same request of the same rollout.
pub fn draw(request_number: u64, seed: u64, purpose: Purpose) -> u64 {
    xxh3_64_with_seed(&request_number.to_le_bytes(), seed ^ purpose.constant())
}

/// A share as the bound that a [`draw`] is held against: sampled are the draws below it.
pub fn bound(share: f64) -> u64 {
    // As a cast saturates, a share of 1 takes all draws but one in 2⁶⁴.
    (share.clamp(0.0, 1.0) * 2f64.powi(64)) as u64
}

/// So many in a second and no more: a bucket of tokens that fills up evenly and holds those of one second.
#[derive(Clone, Debug)]
pub struct Allowance {
    per_second: f64,
    tokens: f64,
    counted_to: Duration,
}

impl Allowance {
    /// A full bucket. `now` is on a clock that only goes forward.
    pub fn new(per_second: f64, now: Duration) -> Self {
        Self { per_second, tokens: per_second.max(1.0), counted_to: now }
    }

    /// Takes one, where there is one.
    pub fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.counted_to).as_secs_f64();
        self.counted_to = self.counted_to.max(now);
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second.max(1.0));
        let has_one = self.tokens >= 1.0;
        if has_one {
            self.tokens -= 1.0;
        }
        has_one
    }

    /// Gives one back that was not used.
    pub fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.per_second.max(1.0));
    }
}

/// How long a worker rests after it was busy for a while, so that over time it takes no more than `share` of a core.
pub fn rest_after(busy: Duration, share: f64) -> Duration {
    if share >= 1.0 {
        return Duration::ZERO;
    }
    busy.mul_f64((1.0 - share) / share.max(0.001))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_the_size_that_was_asked_for_and_is_the_same_each_time() {
        for share in [0.0, 0.01, 0.3, 1.0] {
            let sampled = |seed| {
                (0..100_000u64).filter(move |&n| draw(n, seed, Purpose::Sample) < bound(share))
            };
            let count = sampled(7).count() as f64;
            let deviation = (100_000.0 * share * (1.0 - share)).sqrt();
            assert!((count - 100_000.0 * share).abs() <= 4.0 * deviation, "{share}: {count}");
            assert!(sampled(7).eq(sampled(7)));
        }
        let first = |seed| draw(0, seed, Purpose::Sample);
        assert_ne!(first(1), first(2), "another rollout samples other requests");
    }

    #[test]
    fn the_purposes_know_nothing_of_each_other() {
        let sampled = (0..100_000u64).filter(|&n| draw(n, 3, Purpose::Sample) < bound(0.1));
        let (mut first, mut all) = (0.0, 0.0);
        for number in sampled {
            first += f64::from(u8::from(draw(number, 3, Purpose::Order) < bound(0.5)));
            all += 1.0f64;
        }
        assert!((first - all / 2.0).abs() < 2.0 * all.sqrt(), "{first} of {all}");
    }

    #[test]
    fn an_allowance_gives_so_many_in_a_second() {
        let mut allowance = Allowance::new(10.0, Duration::ZERO);
        let taken = |allowance: &mut Allowance, millis| {
            (0..1000).filter(|_| allowance.take(Duration::from_millis(millis))).count()
        };
        assert_eq!(taken(&mut allowance, 0), 10);
        assert_eq!(taken(&mut allowance, 500), 5);
        allowance.give_back();
        assert_eq!(taken(&mut allowance, 500), 1);
        assert_eq!(taken(&mut allowance, 60_000), 10, "a bucket holds no more than a second");
        assert_eq!(taken(&mut allowance, 30_000), 0, "time that goes back gives nothing");
    }

    #[test]
    fn a_worker_rests_as_long_as_its_share_asks_for() {
        let busy = Duration::from_millis(10);
        assert_eq!(rest_after(busy, 0.5), busy);
        assert_eq!(rest_after(busy, 0.1), Duration::from_millis(90));
        assert_eq!(rest_after(busy, 1.0), Duration::ZERO);
    }

    #[test]
    fn an_adaptive_sample_takes_all_until_it_has_enough() {
        assert_eq!(Sample::Adaptive.share(false), 1.0);
        assert_eq!(Sample::Adaptive.share(true), 0.01);
        assert_eq!(Sample::Share(0.2).share(true), 0.2);
    }
}
