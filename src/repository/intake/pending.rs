//! The wait for stillness.

use std::time::{Duration, Instant};

/// Something that changed, or went away, and has to stay as it is for a while before it counts.
#[derive(Debug)]
pub(super) struct Pending<T> {
    hint: T,
    due: Instant,
    failures: u32,
}

impl<T: PartialEq> Pending<T> {
    /// Goes on waiting; until `due` when this is new, or was touched meanwhile.
    pub(super) fn follow(earlier: Option<Self>, hint: T, due: Instant) -> Self {
        match earlier {
            Some(pending) if pending.hint == hint => pending,
            Some(_) | None => Self { hint, due, failures: 0 },
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due <= now
    }

    /// It changed while it was read, and is waited for as if it had just been found.
    pub(super) fn restart(&mut self, due: Instant) {
        self.due = due;
    }

    /// It could not be read: each time it takes longer until it is tried again.
    pub(super) fn postpone(&mut self, now: Instant) {
        const SHORTEST: Duration = Duration::from_secs(5);
        const LONGEST: Duration = Duration::from_secs(300);
        let wait = SHORTEST.saturating_mul(1 << self.failures.min(8));
        self.failures += 1;
        self.due = now + wait.min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_millis(500);

    #[test]
    fn the_wait_begins_anew_whenever_something_is_touched() {
        let now = Instant::now();
        let later = now + Duration::from_millis(300);
        let pending = Pending::follow(None, "once", now + SETTLE);
        let pending = Pending::follow(Some(pending), "once", later + SETTLE);
        assert_eq!(pending.due(), now + SETTLE);
        let mut pending = Pending::follow(Some(pending), "again", later + SETTLE);
        assert_eq!(pending.due(), later + SETTLE);
        assert!(pending.is_due(later + SETTLE) && !pending.is_due(now + SETTLE));

        pending.restart(later + SETTLE * 2);
        assert_eq!(pending.due(), later + SETTLE * 2);
    }

    #[test]
    fn what_fails_is_tried_again_less_and_less_often() {
        let now = Instant::now();
        let mut pending = Pending::follow(None, (), now);
        for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
            pending.postpone(now);
            assert_eq!(pending.due(), now + Duration::from_secs(seconds));
        }
    }
}
