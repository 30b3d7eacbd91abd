//! The clock of the controller.

use std::time::{Instant, SystemTime};

use crate::domain::time::{Moment, WallTime};

/// Both clocks, from one origin.
#[derive(Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(&self) -> Moment {
        Moment { monotonic: self.0.elapsed(), wall: WallTime::from(SystemTime::now()) }
    }
}
