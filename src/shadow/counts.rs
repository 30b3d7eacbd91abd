//! How many requests were sampled and what became of them. Counted by requests, so without locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::serving::Switch;

/// Why a sampled request did not become a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// As many pairs as may wait were waiting.
    QueueFull,
    /// The pairs that waited were as large as they may be together.
    Bytes,
    /// It waited for so long that it says nothing about the present, or no core was free to finish it.
    Stale,
    /// There were more pairs in a second than there may be.
    Budget,
    /// It is larger than all that may wait together.
    Size,
    /// It was to wait on the disk, and there was no room for it.
    Disk,
    /// It was to wait on the disk, and has an input that is never written there.
    Redacted,
}

impl Dropped {
    pub(super) const ALL: [Self; 7] = [
        Self::QueueFull,
        Self::Bytes,
        Self::Stale,
        Self::Budget,
        Self::Size,
        Self::Disk,
        Self::Redacted,
    ];

    /// The name in the report and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Bytes => "bytes",
            Self::Stale => "stale",
            Self::Budget => "budget",
            Self::Size => "size",
            Self::Disk => "disk",
            Self::Redacted => "redacted",
        }
    }

    /// Whether larger requests are more likely to go this way.
    pub(super) fn depends_on_size(self) -> bool {
        match self {
            Self::Bytes | Self::Size => true,
            Self::QueueFull | Self::Stale | Self::Budget | Self::Disk | Self::Redacted => false,
        }
    }
}

/// Upper bounds of the classes of size, in bytes of input; what is larger is in the last class.
pub(super) const SIZES: [u64; 6] = [1 << 10, 1 << 13, 1 << 16, 1 << 19, 1 << 22, u64::MAX];

/// The counts of one rollout.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests of which some are sampled. Shared with whoever counts them.
    requests: Arc<AtomicU64>,
    /// Counts those that would have been sampled while nothing was.
    switch: Arc<Switch>,
    sampled: [AtomicU64; SIZES.len()],
    executed: [AtomicU64; SIZES.len()],
    dropped: [[AtomicU64; Dropped::ALL.len()]; SIZES.len()],
}

/// The counts at one moment. Written down, they are where a restart goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Counted {
    pub(super) requests: u64,
    #[serde(default)]
    pub(super) passed_over: u64,
    pub(super) sampled: [u64; SIZES.len()],
    pub(super) executed: [u64; SIZES.len()],
    pub(super) dropped: [[u64; Dropped::ALL.len()]; SIZES.len()],
}

impl Counts {
    pub(super) fn going_on_from(counted: &Counted) -> Self {
        let loaded = |numbers: [u64; SIZES.len()]| numbers.map(AtomicU64::new);
        Self {
            requests: Arc::new(AtomicU64::new(counted.requests)),
            switch: Arc::new(Switch::after(counted.passed_over)),
            sampled: loaded(counted.sampled),
            executed: loaded(counted.executed),
            dropped: counted.dropped.map(|of_size| of_size.map(AtomicU64::new)),
        }
    }

    /// Counts all requests of the rollout.
    pub fn requests(&self) -> Arc<AtomicU64> {
        self.requests.clone()
    }

    /// Whether requests are sampled.
    pub fn switch(&self) -> Arc<Switch> {
        self.switch.clone()
    }

    /// How many pairs there were.
    pub fn all_executed(&self) -> u64 {
        self.now().all_executed()
    }

    /// How many requests were sampled.
    pub fn all_sampled(&self) -> u64 {
        self.now().all_sampled()
    }

    pub(super) fn sampled(&self, bytes: usize) {
        self.sampled[class_of(bytes)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn executed(&self, bytes: usize) {
        self.executed[class_of(bytes)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, why: Dropped, bytes: usize) {
        self.dropped[class_of(bytes)][why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// So many were dropped, of sizes that nobody knows any more: those that were sampled, in the same shares.
    pub(super) fn dropped_of_any_size(&self, why: Dropped, count: u64) {
        let sampled = self.sampled.each_ref().map(|count| count.load(Ordering::Relaxed));
        let all = sampled.iter().sum::<u64>().max(1);
        let (mut before, mut given) = (0, 0);
        for (class, of_class) in sampled.into_iter().enumerate() {
            before += of_class;
            // The last class with any gets what rounding has left.
            let up_to = (u128::from(count) * u128::from(before) / u128::from(all)) as u64;
            self.dropped[class][why as usize].fetch_add(up_to - given, Ordering::Relaxed);
            given = up_to;
        }
        self.dropped[0][why as usize].fetch_add(count - given, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Counted {
        let read = |numbers: &[AtomicU64; SIZES.len()]| {
            std::array::from_fn(|class| numbers[class].load(Ordering::Relaxed))
        };
        Counted {
            requests: self.requests.load(Ordering::Relaxed),
            passed_over: self.switch.passed_over(),
            sampled: read(&self.sampled),
            executed: read(&self.executed),
            dropped: std::array::from_fn(|class| {
                std::array::from_fn(|why| self.dropped[class][why].load(Ordering::Relaxed))
            }),
        }
    }
}

impl Counted {
    pub(super) fn all_sampled(&self) -> u64 {
        self.sampled.iter().sum()
    }

    pub(super) fn all_executed(&self) -> u64 {
        self.executed.iter().sum()
    }

    pub(super) fn all_dropped(&self) -> u64 {
        self.dropped.iter().flatten().sum()
    }

    pub(super) fn dropped_for(&self, why: Dropped) -> u64 {
        self.dropped.iter().map(|of_size| of_size[why as usize]).sum()
    }

    /// The first class of size of which so many were dropped for their size that the pairs say little about it, by its
    /// upper bound.
    pub(super) fn unseen_size(&self) -> Option<u64> {
        const ENOUGH_TO_TELL: u64 = 20;
        const MOST: f64 = 0.2;
        let is_unseen = |class: &usize| {
            let because_of_size = Dropped::ALL.into_iter().filter(|why| why.depends_on_size());
            let dropped: u64 = because_of_size.map(|why| self.dropped[*class][why as usize]).sum();
            let sampled = self.sampled[*class];
            sampled >= ENOUGH_TO_TELL && dropped as f64 >= MOST * sampled as f64
        };
        (0..SIZES.len()).find(is_unseen).map(|class| SIZES[class])
    }
}

fn class_of(bytes: usize) -> usize {
    SIZES.partition_point(|bound| *bound < bytes as u64).min(SIZES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_size_that_is_mostly_dropped_is_pointed_out() {
        let counts = Counts::default();
        for number in 0..100 {
            counts.sampled(500);
            counts.sampled(5_000_000);
            counts.dropped(Dropped::QueueFull, 500);
            if number < 19 {
                counts.dropped(Dropped::Size, 5_000_000);
            }
        }
        assert_eq!(counts.now().unseen_size(), None, "a full queue does not look at the size");
        counts.dropped(Dropped::Bytes, 5_000_000);
        assert_eq!(counts.now().unseen_size(), Some(u64::MAX));
        assert_eq!(counts.now().dropped_for(Dropped::QueueFull), 100);
        assert_eq!(counts.now().all_dropped(), 120);
    }

    #[test]
    fn what_is_dropped_of_any_size_is_counted_whole() {
        for sizes in [&[][..], &[1], &[1, 2000, 2000], &[1, 1, 5_000_000]] {
            let counts = Counts::default();
            sizes.iter().for_each(|bytes| counts.sampled(*bytes));
            counts.dropped_of_any_size(Dropped::Disk, 100);
            assert_eq!(counts.now().dropped_for(Dropped::Disk), 100, "{sizes:?}");
        }
        let counts = Counts::default();
        [1, 2000, 2000, 2000].iter().for_each(|bytes| counts.sampled(*bytes));
        counts.dropped_of_any_size(Dropped::Disk, 100);
        assert_eq!(counts.now().dropped[0][Dropped::Disk as usize], 25);
    }

    #[test]
    fn a_restart_goes_on_counting() {
        let counts = Counts::default();
        counts.requests().fetch_add(7, Ordering::Relaxed);
        counts.sampled(1024);
        counts.executed(1025);
        counts.dropped(Dropped::Stale, 0);
        let written = serde_json::to_string(&counts.now()).unwrap();
        let read: Counted = serde_json::from_str(&written).unwrap();
        assert_eq!(Counts::going_on_from(&read).now(), counts.now());
    }
}
