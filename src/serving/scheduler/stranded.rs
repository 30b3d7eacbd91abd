//! What is known of a run that does not end.

use std::time::{Duration, Instant};

use crate::system::thread::CpuClock;

/// A run that goes on although nobody waits for it and it was told to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stranded {
    /// The number of the seat that its thread had.
    pub(super) seat: usize,
    pub(super) began: Instant,
    /// Its thread's clock, and what it showed when the run was found.
    pub(super) clock: Option<(CpuClock, Duration)>,
}

/// How long a stranded run has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Since it began, on the wall.
    pub elapsed: Duration,
    /// What its thread has spent on a core since it was found to be overdue; none where threads have no clocks. The
    /// thread only gets what no other wants: little of it in a long time says that the machine is busy, and not that
    /// the run hangs.
    pub worked: Option<Duration>,
}

impl Stranded {
    pub(super) fn overdue(&self, now: Instant) -> Overdue {
        let worked = self.clock.and_then(|(clock, then)| Some(clock.now()?.saturating_sub(then)));
        Overdue { elapsed: now.saturating_duration_since(self.began), worked }
    }
}
