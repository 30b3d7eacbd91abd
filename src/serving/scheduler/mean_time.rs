//! How long something takes of late.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A running mean of times, of which the latest weighs an eighth.
#[derive(Debug, Default)]
pub(super) struct MeanTime {
    /// 0: nothing is known.
    nanoseconds: AtomicU64,
}

impl MeanTime {
    pub(super) fn learn(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        let next = match self.nanoseconds.load(Ordering::Relaxed) {
            0 => time,
            mean => mean - mean / 8 + time / 8,
        };
        // An update that another thread overwrites is lost, which a mean can bear.
        self.nanoseconds.store(next, Ordering::Relaxed);
    }

    /// None before the first one.
    pub(super) fn get(&self) -> Option<Duration> {
        match self.nanoseconds.load(Ordering::Relaxed) {
            0 => None,
            mean => Some(Duration::from_nanos(mean)),
        }
    }
}
