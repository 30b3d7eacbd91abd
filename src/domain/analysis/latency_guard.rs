//! Whether stable suffers from the candidate beside it.
//!
//! Both versions share one machine, so a candidate that takes too much of it slows *both* down, and no comparison
//! between the two shows it. That is what an absolute limit is for: stable's p99 over the last minute is not to be above
//! twice that of the hour before the rollout. Above it nothing is proven against the candidate, as traffic may have
//! changed; but it gets no more of it while that lasts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::latencies::{Latencies, Lookback};

/// So many times as long as before.
const TOLERATED: u32 = 2;

/// The share of requests that take longer than a p99.
const BEYOND_P99: f64 = 0.01;

/// Of fewer requests before the rollout a p99 is only the longest.
const ENOUGH: u64 = 100;

/// Fewer slow requests than this in a minute are chance, however few requests there are.
const SEVERAL: f64 = 3.0;

/// Watches stable's latency during a rollout. Written down it is the limit, which holds until the end.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LatencyGuard {
    /// What the p99 is not to be above; none where too little was known before the rollout.
    limit: Option<Duration>,
    #[serde(skip, default = "Lookback::minute")]
    minute: Lookback,
    #[serde(skip)]
    suffers: bool,
}

impl LatencyGuard {
    /// Begins a rollout. `before` is how long stable's requests took in the hour before.
    pub fn new(before: &Latencies) -> Self {
        let p99 = before.quantile(1.0 - BEYOND_P99).filter(|_| before.total() >= ENOUGH);
        let limit = p99.map(|p99| p99 * TOLERATED);
        Self { limit, minute: Lookback::minute(), suffers: false }
    }

    /// So long took all of stable's requests until now, on a monotonic clock; the counts only grow. To be told about once in
    /// a second.
    pub fn observe(&mut self, now: Duration, so_far: &Latencies) {
        let recent = self.minute.observe(now, so_far);
        self.suffers = self.limit.is_some_and(|limit| {
            let slow = recent.above(limit);
            slow >= SEVERAL && slow > BEYOND_P99 * recent.total() as f64
        });
    }

    /// Whether stable's p99 over the last minute is above the limit.
    pub fn stable_suffers(&self) -> bool {
        self.suffers
    }

    /// What the p99 is not to be above.
    pub fn limit(&self) -> Option<Duration> {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::analysis::tests::chance::Chance;

    /// Stable answers, so many times in a second.
    struct Stable {
        chance: Chance,
        second: u64,
        so_far: Latencies,
    }

    impl Stable {
        fn new(run: u64) -> Self {
            Self { chance: Chance::new(801, run), second: 0, so_far: Latencies::NONE }
        }

        /// A second of requests, so many times as long as usual: lognormal around 10 ms.
        fn second(&mut self, requests: u64, slow: f64) {
            self.second += 1;
            for _ in 0..requests {
                let latency = 0.010 * slow * (0.5 * self.chance.normal()).exp();
                self.so_far.add(Duration::from_secs_f64(latency), 1);
            }
        }

        /// A guard that knows an hour of it.
        fn guard(&mut self, requests: u64) -> LatencyGuard {
            let mut hour = Lookback::hour();
            hour.observe(Duration::ZERO, &Latencies::NONE);
            (0..3600).for_each(|_| self.second(requests, 1.0));
            LatencyGuard::new(&hour.observe(Duration::from_secs(self.second), &self.so_far))
        }

        fn tell(&self, guard: &mut LatencyGuard) -> bool {
            guard.observe(Duration::from_secs(self.second), &self.so_far);
            guard.stable_suffers()
        }
    }

    #[test]
    fn the_limit_is_twice_the_p99_of_the_hour_before() {
        let limit = Stable::new(0).guard(5).limit().unwrap().as_secs_f64();
        // The p99 of a lognormal with deviation ½ is e^(2.326/2) of its median.
        assert!((limit / 0.064 - 1.0).abs() < 0.06, "{limit}");
    }

    #[test]
    fn stable_as_before_does_not_suffer() {
        for (run, requests) in [1, 5, 20].into_iter().enumerate() {
            let mut stable = Stable::new(run as u64);
            let mut guard = stable.guard(requests);
            for _ in 0..3600 {
                stable.second(requests, 1.0);
                assert!(!stable.tell(&mut guard), "at {requests} in a second");
            }
        }
    }

    #[test]
    fn stable_that_is_starved_suffers_until_it_is_not() {
        for (run, requests) in [2, 20].into_iter().enumerate() {
            let mut stable = Stable::new(10 + run as u64);
            let mut guard = stable.guard(requests);
            let mut minute = |slow| {
                for _ in 0..61 {
                    stable.second(requests, slow);
                    stable.tell(&mut guard);
                }
                guard.stable_suffers()
            };
            assert!(!minute(1.0), "at {requests} in a second");
            assert!(minute(3.0), "at {requests} in a second");
            assert!(!minute(1.0), "the minute is over");
        }
    }

    #[test]
    fn one_slow_answer_is_chance() {
        let mut stable = Stable::new(20);
        let mut guard = stable.guard(1);
        let mut slow = |guard: &mut LatencyGuard| {
            stable.second(1, 1.0);
            stable.so_far.add(Duration::from_secs(1), 1);
            stable.tell(guard)
        };
        slow(&mut guard);
        assert_eq!([slow(&mut guard), slow(&mut guard), slow(&mut guard)], [false, false, true]);
    }

    #[test]
    fn what_was_not_known_before_is_no_limit() {
        let mut few = Latencies::NONE;
        few.add(Duration::from_millis(10), ENOUGH - 1);
        let mut guard = LatencyGuard::new(&few);
        guard.observe(Duration::ZERO, &few);
        few.add(Duration::from_secs(10), 1000);
        guard.observe(Duration::from_secs(1), &few);
        assert!(!guard.stable_suffers());
        assert_eq!(guard.limit(), None);
    }

    #[test]
    fn the_limit_outlives_the_process() {
        let mut stable = Stable::new(30);
        let guard = stable.guard(5);
        let written = serde_json::to_string(&guard).unwrap();
        let mut read: LatencyGuard = serde_json::from_str(&written).unwrap();
        assert_eq!(read.limit(), guard.limit());
        // Counts begin anew with the process.
        let mut anew = Stable { second: 0, so_far: Latencies::NONE, ..stable };
        anew.tell(&mut read);
        (0..30).for_each(|_| anew.second(20, 3.0));
        assert!(anew.tell(&mut read));
    }
}
