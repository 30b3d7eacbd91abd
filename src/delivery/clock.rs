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
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let wall = WallTime(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        Moment { monotonic: self.0.elapsed(), wall }
    }
}
