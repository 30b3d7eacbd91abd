//! Counts how slow the live requests of a version are, while somebody wants to know it exactly.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::analysis::{Marks, QUANTILES, SLOWDOWNS, Tally};

/// Many threads count into it at once: two relaxed additions for a request, and a few comparisons.
#[derive(Debug)]
pub struct Stopwatch {
    marks: Marks,
    bins: [[AtomicU64; SLOWDOWNS.len() + 1]; QUANTILES.len()],
}

impl Stopwatch {
    /// Has counted nothing yet.
    pub fn new(marks: Marks) -> Self {
        let bins = [const { [const { AtomicU64::new(0) }; SLOWDOWNS.len() + 1] }; QUANTILES.len()];
        Self { marks, bins }
    }

    /// What requests are held against.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// All requests until now.
    pub fn tally(&self) -> Tally {
        let load = |bin: &AtomicU64| bin.load(Ordering::Relaxed);
        Tally::of_counts(self.bins.each_ref().map(|bins| bins.each_ref().map(load)))
    }

    pub(super) fn count(&self, latency: Duration) {
        for (bins, place) in self.bins.iter().zip(self.marks.places(latency)) {
            bins[place].fetch_add(1, Ordering::Relaxed);
        }
    }
}
