//! How many cores the process may use.

use std::fmt;

/// A number of cores, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// At least one.
    pub count: usize,
    /// What limits it.
    pub limit: Limit,
}

/// What limits the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The cores that the process may run on.
    Affinity,
    /// The share of time that the cgroup gives.
    Quota,
}

impl Cores {
    /// Counts. A cgroup's quota (v1 or v2) counts where it is the smaller number.
    pub fn available() -> Self {
        // Takes the quota into account, rounded down; a process with half a core still has one.
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let limit = if count < allowed() { Limit::Quota } else { Limit::Affinity };
        Self { count, limit }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.count == 1 { "core" } else { "cores" };
        match self.limit {
            Limit::Affinity => write!(f, "{} {noun}", self.count),
            Limit::Quota => write!(f, "{} {noun} by the cgroup's quota", self.count),
        }
    }
}

/// The cores that the process may run on, however little time it gets on them.
#[cfg(target_os = "linux")]
fn allowed() -> usize {
    // SAFETY: all zeros is a valid, empty set of cores, and the call writes at most the size that it is told.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        match libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) {
            0 => usize::try_from(libc::CPU_COUNT(&set)).unwrap_or(1),
            _ => 1,
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> usize {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_core() {
        assert!(Cores::available().count >= 1);
    }

    #[test]
    fn the_log_says_when_it_is_the_quota_that_limits() {
        assert_eq!(Cores { count: 2, limit: Limit::Affinity }.to_string(), "2 cores");
        let quota = Cores { count: 1, limit: Limit::Quota };
        assert_eq!(quota.to_string(), "1 core by the cgroup's quota");
    }
}
