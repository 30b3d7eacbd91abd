//! How long requests took, in buckets: bounded, and so plain that many threads can count into it at once.

use std::collections::VecDeque;
use std::time::Duration;

/// How many buckets there are.
pub const BUCKETS: usize = 96;

/// The upper bound of the first bucket. Each one after it reaches further by the fourth root of two, the last one to
/// nearly four minutes and whatever is beyond.
const FIRST: Duration = Duration::from_micros(16);

/// Buckets until the bound has doubled.
const TO_DOUBLE: f64 = 4.0;

/// How many requests took how long, to within a fifth.
///
/// Sums of such counts are such counts: those of several threads or replicas are added up, and those of a time are
/// the counts at its end without those at its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies([u64; BUCKETS]);

impl Latencies {
    /// None.
    pub const NONE: Self = Self([0; BUCKETS]);

    /// Of counts that were made by [`Latencies::bucket`].
    pub const fn of_counts(counts: [u64; BUCKETS]) -> Self {
        Self(counts)
    }

    /// Where a request counts that took so long.
    pub fn bucket(latency: Duration) -> usize {
        let doublings = (latency.as_secs_f64() / FIRST.as_secs_f64()).log2();
        // A number below the range, also that of no time at all, becomes 0.
        ((doublings * TO_DOUBLE).ceil() as usize).min(BUCKETS - 1)
    }

    /// Counts so many requests that took so long.
    pub fn add(&mut self, latency: Duration, requests: u64) {
        self.0[Self::bucket(latency)] += requests;
    }

    /// Adds those of another thread or replica.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, other)| *count += other);
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// What has been added since then.
    pub fn since(&self, before: &Self) -> Self {
        Self(std::array::from_fn(|bucket| self.0[bucket].saturating_sub(before.0[bucket])))
    }

    /// How long so many in one of them take at most: 0.99 for the p99. None of no requests.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let total = self.total();
        let mut rank = (share * total as f64).ceil().max(1.0);
        let count = self.0.iter().position(|count| {
            let is_here = rank <= *count as f64;
            rank -= if is_here { 0.0 } else { *count as f64 };
            is_here
        });
        // Within a bucket they are taken to be spread evenly over the logarithms.
        let bucket = count.filter(|_| total > 0)?;
        Some(bound(bucket as f64 - 1.0 + rank / self.0[bucket] as f64))
    }

    /// How many took longer, with a part of those in the bucket of the limit.
    pub fn above(&self, limit: Duration) -> f64 {
        let bucket = Self::bucket(limit);
        let beyond: u64 = self.0[bucket + 1..].iter().sum();
        let place = (limit.as_secs_f64() / FIRST.as_secs_f64()).log2() * TO_DOUBLE;
        let part = (bucket as f64 - place).clamp(0.0, 1.0);
        beyond as f64 + part * self.0[bucket] as f64
    }
}

/// So many buckets from the first one on.
fn bound(buckets: f64) -> Duration {
    FIRST.mul_f64((buckets / TO_DOUBLE).exp2())
}

/// Counts that only grow, seen now and then: how much they have grown over the last minute or hour.
#[derive(Clone, Debug)]
pub struct Lookback {
    over: Duration,
    /// A mark is kept each time so much of that has passed, so that few are.
    step: Duration,
    marks: VecDeque<(Duration, Latencies)>,
}

impl Lookback {
    /// Over the last hour, to the minute.
    pub fn hour() -> Self {
        Self::over(Duration::from_secs(3600))
    }

    /// Over the last minute, to the second.
    pub fn minute() -> Self {
        Self::over(Duration::from_secs(60))
    }

    fn over(over: Duration) -> Self {
        Self { over, step: over / 60, marks: VecDeque::new() }
    }

    /// There are so many until now, on a monotonic clock: those of the last hour or minute, or since the first call, where
    /// that is not so long ago. Counts that begin anew begin a new time.
    pub fn observe(&mut self, now: Duration, so_far: &Latencies) -> Latencies {
        if self.marks.back().is_some_and(|(_, before)| before.total() > so_far.total()) {
            self.marks.clear();
        }
        let is_old = |at: Duration, age| now.saturating_sub(at) >= age;
        while self.marks.get(1).is_some_and(|(at, _)| is_old(*at, self.over)) {
            self.marks.pop_front();
        }
        if self.marks.back().is_none_or(|(at, _)| is_old(*at, self.step)) {
            self.marks.push_back((now, so_far.clone()));
        }
        so_far.since(&self.marks[0].1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: f64) -> Duration {
        Duration::from_secs_f64(ms / 1e3)
    }

    fn of(latencies: &[f64]) -> Latencies {
        let mut all = Latencies::NONE;
        latencies.iter().for_each(|latency| all.add(ms(*latency), 1));
        all
    }

    fn any_latencies() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec((-3.0..4.0).prop_map(|log: f64| 10f64.powf(log)), 1..200)
    }

    #[test]
    fn the_shortest_and_the_longest_have_a_bucket() {
        assert_eq!(Latencies::bucket(Duration::ZERO), 0);
        assert_eq!(Latencies::bucket(FIRST), 0);
        assert_eq!(Latencies::bucket(FIRST + Duration::from_nanos(1)), 1);
        assert_eq!(Latencies::bucket(Duration::MAX), BUCKETS - 1);
        assert!(bound(94.0) > Duration::from_secs(180));
        assert_eq!(Latencies::NONE.quantile(0.99), None);
        assert_eq!(Latencies::NONE.above(Duration::ZERO), 0.0);
    }

    #[test]
    fn the_last_hour_is_what_came_in_it() {
        let (mut lookback, mut so_far) = (Lookback::hour(), Latencies::NONE);
        for minute in 0..300 {
            let recent = lookback.observe(Duration::from_secs(60 * minute), &so_far);
            assert_eq!(recent.total(), 7 * minute.min(60));
            assert!(lookback.marks.len() <= 62);
            so_far.add(ms(3.0), 7);
        }
        let anew = of(&[3.0]);
        assert_eq!(lookback.observe(Duration::from_secs(18_000), &anew).total(), 0);
        assert_eq!(lookback.observe(Duration::from_secs(18_001), &of(&[3.0, 4.0])).total(), 1);
    }

    proptest! {
        #[test]
        fn quantiles_are_known_to_within_a_fifth(mut latencies in any_latencies(), share in 0.0..=1.0) {
            let seen = of(&latencies).quantile(share).unwrap().as_secs_f64() * 1e3;
            latencies.sort_by(f64::total_cmp);
            let rank = ((share * latencies.len() as f64).ceil() as usize).max(1);
            let exact = latencies[rank - 1].max(0.016);
            prop_assert!((seen / exact).log2().abs() <= 0.2501, "{seen} instead of {exact}");
        }

        #[test]
        fn those_above_a_quantile_are_the_rest(latencies in any_latencies(), share in 0.01..0.99) {
            let all = of(&latencies);
            let above = all.above(all.quantile(share).unwrap());
            let rest = latencies.len() as f64 - (share * latencies.len() as f64).ceil();
            // A duration has no parts of a nanosecond.
            prop_assert!((above - rest).abs() < 0.05, "{above} instead of {rest}");
        }

        #[test]
        fn parts_make_a_whole(a in any_latencies(), b in any_latencies()) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged.since(&of(&b)), of(&a));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }
    }
}
