//! How much of the machine pairs may take.

use std::time::{Duration, Instant};

use crate::domain::sampling::{Allowance, rest_after};
use crate::system::cgroup::Quota;

/// How often the cgroup is asked whether it holds the process back.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How long less is done after it did.
const BACK_OFF_FOR: Duration = Duration::from_secs(10);
/// The least share of what may be taken that is left after it did again and again.
const LEAST: f64 = 1.0 / 64.0;

/// What one worker may still take.
#[derive(Debug)]
pub(super) struct Budget {
    allowance: Allowance,
    share: f64,
    quota: Option<Quota>,
    throttled: u64,
    /// Of `share`; less than one after the cgroup has held the process back.
    left: f64,
    asked: Instant,
    begun: Instant,
}

impl Budget {
    /// `per_second` pairs and this share of one core.
    pub(super) fn new(per_second: f64, share: f64, now: Instant) -> Self {
        let quota = Quota::of_this_process();
        // Under a quota every thread's time is taken from the others, however idle it is.
        let scale = quota.as_ref().map_or(1.0, |quota| (quota.cores() / 4.0).min(1.0));
        let throttled = quota.as_ref().and_then(Quota::throttled).unwrap_or(0);
        let allowance = Allowance::new(per_second, Duration::ZERO);
        Self {
            allowance,
            share: share * scale,
            quota,
            throttled,
            left: 1.0,
            asked: now,
            begun: now,
        }
    }

    /// How long to rest before the next pair; none to go on at once.
    pub(super) fn rest_before(&mut self, now: Instant) -> Option<Duration> {
        const UNTIL_THE_NEXT: Duration = Duration::from_millis(5);
        self.ask(now);
        (!self.allowance.take(now.saturating_duration_since(self.begun))).then_some(UNTIL_THE_NEXT)
    }

    /// A pair that might have been run was not.
    pub(super) fn give_back(&mut self) {
        self.allowance.give_back();
    }

    /// How long to rest after a pair that took so much of a core.
    pub(super) fn rest_after(&self, busy: Duration) -> Duration {
        rest_after(busy, self.share * self.left)
    }

    /// Takes half as much each time that the cgroup has held the process back, and slowly more again when it does not.
    fn ask(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.asked);
        if passed < ASK_EVERY {
            return;
        }
        self.asked = now;
        let Some(throttled) = self.quota.as_ref().and_then(Quota::throttled) else { return };
        if throttled > self.throttled {
            self.throttled = throttled;
            self.left = (self.left / 2.0).max(LEAST);
        } else {
            let recovered = passed.as_secs_f64() / BACK_OFF_FOR.as_secs_f64();
            self.left = (self.left * (1.0 + recovered)).min(1.0);
        }
    }
}
