//! Wakes the one who looks after threads, and nobody before it is time.
//!
//! As long as no run is under way the alarm is not set, and its owner sleeps without a timer. A run that begins makes
//! sure that it rings when the run is due. It mostly finds an earlier time set already, by a run before it: then this
//! costs one look at one number.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// A moment, in nanoseconds since the alarm was made: small enough for one atomic number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u64);

impl Moment {
    /// A moment that does not come.
    pub(super) const NEVER: Self = Self(u64::MAX);

    pub(super) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

/// An alarm with one owner, which anybody may set to an earlier time. Nobody ever waits for a lock here: among those
/// who set it are threads that hardly get a core.
#[derive(Debug)]
pub(super) struct Alarm {
    epoch: Instant,
    /// The moment for which it is set.
    set_for: AtomicU64,
    is_over: AtomicBool,
    owner: OnceLock<Thread>,
}

impl Alarm {
    /// One that is off. Its owner is [named](Self::belongs_to) before anybody sets it.
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            set_for: AtomicU64::new(Moment::NEVER.0),
            is_over: AtomicBool::new(false),
            owner: OnceLock::new(),
        }
    }

    /// The thread that [waits](Self::wait) for it.
    pub(super) fn belongs_to(&self, owner: &Thread) {
        self.owner.get_or_init(|| owner.clone());
    }

    pub(super) fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    pub(super) fn moment(&self, instant: Instant) -> Moment {
        Moment(nanos(instant.saturating_duration_since(self.epoch)))
    }

    /// Makes sure that it rings at this moment or before. What the owner is to see then must have been written under a
    /// lock that the owner takes when it looks. If it looked before, the lock tells this thread that the alarm is off.
    pub(super) fn set(&self, at: Moment) {
        if at.0 < self.set_for.load(Ordering::Relaxed) {
            self.set_surely(at);
        }
    }

    /// As [`set`](Self::set), for what was written without a lock.
    pub(super) fn set_surely(&self, at: Moment) {
        if at.0 < self.set_for.fetch_min(at.0, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// For the owner: waits until it rings, and turns it off. False when it will not ring again.
    pub(super) fn wait(&self) -> bool {
        loop {
            if self.is_over.load(Ordering::Acquire) {
                return false;
            }
            let (now, set_for) = (self.now(), Moment(self.set_for.load(Ordering::Relaxed)));
            if set_for == Moment::NEVER {
                std::thread::park();
            } else if now < set_for {
                std::thread::park_timeout(Duration::from_nanos(set_for.0 - now.0));
            } else {
                // Sees what was written before it was set.
                self.set_for.swap(Moment::NEVER.0, Ordering::AcqRel);
                return true;
            }
        }
    }

    /// Tells the owner to end.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(owner) = self.owner.get() {
            owner.unpark();
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    const SOON: Duration = Duration::from_millis(5);
    const PATIENCE: Duration = Duration::from_secs(60);

    /// An alarm whose owner tells when it rang.
    fn alarm() -> (Arc<Alarm>, Receiver<Moment>) {
        let (alarm, (tell, told)) = (Arc::new(Alarm::new()), channel());
        let owned = alarm.clone();
        let owner = std::thread::spawn(move || {
            while owned.wait() {
                tell.send(owned.now()).unwrap();
            }
        });
        alarm.belongs_to(owner.thread());
        (alarm, told)
    }

    #[test]
    fn it_rings_at_the_earliest_time_that_it_was_set_for_and_once() {
        let (alarm, rang) = alarm();
        let soon = alarm.now().after(SOON);
        for at in [soon.after(PATIENCE), soon, soon.after(SOON)] {
            alarm.set(at);
        }
        assert!(rang.recv_timeout(PATIENCE).unwrap() >= soon);
        alarm.end();
        assert!(rang.recv_timeout(PATIENCE).is_err(), "it does not ring when it ends");
    }

    #[test]
    fn it_can_be_set_again_when_it_has_rung() {
        let (alarm, rang) = alarm();
        for _ in 0..100 {
            alarm.set_surely(Moment(0));
            rang.recv_timeout(PATIENCE).unwrap();
        }
        alarm.end();
    }
}
