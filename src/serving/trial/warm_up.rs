//! The first requests of a version say little: its caches are cold. They are left out, of both versions alike.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So many of the candidate's requests are left out.
const REQUESTS: u32 = 20;
/// Or those of so much time, if that is over earlier.
const AT_MOST: Duration = Duration::from_secs(5);

/// Whether requests count yet.
#[derive(Debug)]
pub(super) struct WarmUp {
    is_over: AtomicBool,
    answered: AtomicU32,
    created: Instant,
    /// When the candidate's first request came, in nanoseconds after `created`; 0 before it.
    first: AtomicU64,
}

impl WarmUp {
    pub(super) fn new(now: Instant) -> Self {
        let (answered, first) = (AtomicU32::new(0), AtomicU64::new(0));
        Self { is_over: AtomicBool::new(false), answered, created: now, first }
    }

    /// Whether a request that begins now counts.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        if self.is_over.load(Ordering::Relaxed) {
            return true;
        }
        let first = self.first.load(Ordering::Relaxed);
        let is_over = first != 0 && self.since(now) >= first + AT_MOST.as_nanos() as u64;
        if is_over {
            self.is_over.store(true, Ordering::Relaxed);
        }
        is_over
    }

    /// A request goes to the candidate.
    pub(super) fn candidate_begins(&self, now: Instant) {
        if self.first.load(Ordering::Relaxed) == 0 {
            let now = self.since(now).max(1);
            let _ = self.first.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// It has ended.
    pub(super) fn candidate_ended(&self) {
        if !self.is_over.load(Ordering::Relaxed)
            && self.answered.fetch_add(1, Ordering::Relaxed) + 1 >= REQUESTS
        {
            self.is_over.store(true, Ordering::Relaxed);
        }
    }

    fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.created).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_after_so_many_requests_or_so_much_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let warm_up = WarmUp::new(start);
        assert!(!warm_up.is_over(at(3600)), "not before there was a request");
        warm_up.candidate_begins(at(3600));
        assert!(!warm_up.is_over(at(3604)));
        assert!(warm_up.is_over(at(3605)));

        let warm_up = WarmUp::new(start);
        for _ in 0..20 {
            assert!(!warm_up.is_over(at(1)));
            warm_up.candidate_begins(at(1));
            warm_up.candidate_ended();
        }
        assert!(warm_up.is_over(at(1)));
    }
}
