//! Time as data: moments that are handed in, and durations that survive a restart.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A moment, by both clocks.
///
/// Durations are counted by the monotonic clock, which never jumps; the clock on the wall is for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since an arbitrary origin that holds for one run of the process.
    pub monotonic: Duration,
    /// What people read.
    pub wall: WallTime,
}

/// Milliseconds since the beginning of 1970, UTC. Shown as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct WallTime(pub u64);

impl From<SystemTime> for WallTime {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = std::time::UNIX_EPOCH + Duration::from_millis(self.0);
        write!(f, "{}", humantime::format_rfc3339_millis(time))
    }
}

/// A duration that is running out. Written down it is what is left, so that the time in which the server is
/// down does not count.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Countdown {
    left: Duration,
    /// Up to when on the monotonic clock it was counted; none after a restart, until it is resumed.
    #[serde(skip)]
    counted_to: Option<Duration>,
}

impl Countdown {
    /// Starts to count.
    pub fn start(duration: Duration, now: Moment) -> Self {
        Self { left: duration, counted_to: Some(now.monotonic) }
    }

    /// Counts on after a restart.
    pub fn resume(&mut self, now: Moment) {
        self.counted_to = Some(now.monotonic);
    }

    /// Takes the time that has passed off what is left.
    pub fn count_to(&mut self, now: Moment) {
        self.left = self.left_at(now);
        self.counted_to = Some(now.monotonic);
    }

    /// What is left.
    pub fn left_at(&self, now: Moment) -> Duration {
        let passed = self.counted_to.map_or(Duration::ZERO, |to| now.monotonic.saturating_sub(to));
        self.left.saturating_sub(passed)
    }

    /// Whether nothing is left.
    pub fn is_over(&self, now: Moment) -> bool {
        self.left_at(now).is_zero()
    }

    /// When on the monotonic clock nothing will be left.
    pub fn ends(&self) -> Option<Duration> {
        self.counted_to.map(|to| to.saturating_add(self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment { monotonic: Duration::from_secs(seconds), wall: WallTime(0) }
    }

    #[test]
    fn the_time_in_which_the_server_is_down_does_not_count() {
        let mut bake = Countdown::start(Duration::from_secs(600), at(1000));
        bake.count_to(at(1100));
        let written = serde_json::to_string(&bake).unwrap();
        let mut read: Countdown = serde_json::from_str(&written).unwrap();
        assert!(!read.is_over(at(99_999)), "not before it is resumed");
        read.resume(at(5));
        assert_eq!(read.left_at(at(105)), Duration::from_secs(400));
        assert_eq!(read.ends(), Some(Duration::from_secs(505)));
        assert!(read.is_over(at(505)));
    }

    #[test]
    fn wall_time_is_shown_as_people_write_it() {
        assert_eq!(WallTime(1_790_000_000_123).to_string(), "2026-09-21T14:13:20.123Z");
    }
}
