//! How many requests are under way.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the requests that wait for a run or are being run, of all models. Takes no lock.
#[derive(Debug, Default)]
pub struct InFlight(AtomicUsize);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay<'c>(&'c InFlight);

impl InFlight {
    /// How many there are now.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        UnderWay(self)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
