//! How much a child may use.

use std::time::Duration;

use crate::system::limits::Limits;

const MIB: u64 = 1 << 20;

/// For contents of so many bytes. Generous: honest models need a fraction of it, and a loop without an end meets any
/// limit.
///
/// Loading takes some 3 ms of a core for each MiB, and three times the file in memory while that goes on. The library
/// itself, its threads' stacks and the allocator's arenas take a GiB of addresses, most of it never touched.
pub(crate) fn limits_for(bytes: u64, timeout: Duration) -> Limits {
    const CPU: Duration = Duration::from_secs(30);
    const MIB_PER_SECOND: u64 = 8;
    const ADDRESSES: u64 = 3 << 30;
    let of_size = Duration::from_secs(bytes / MIB / MIB_PER_SECOND);
    Limits {
        // A loop must be told from a busy machine, so it has to meet this before the clock on the wall, also where three
        // others want the core.
        cpu: (CPU + of_size).min(timeout / 4).max(Duration::from_secs(1)),
        address_space: ADDRESSES.saturating_add(bytes.saturating_mul(4)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_models_may_use_more_and_a_loop_never_wins_against_the_clock() {
        let five_minutes = Duration::from_secs(300);
        let [small, large] = [26 * 1024, 4000 * MIB].map(|bytes| limits_for(bytes, five_minutes));
        assert_eq!(small.cpu, Duration::from_secs(30));
        assert_eq!(large.cpu, Duration::from_secs(75));
        assert!(large.address_space > 16000 * MIB);
        assert_eq!(limits_for(0, Duration::from_secs(8)).cpu, Duration::from_secs(2));
        assert_eq!(limits_for(u64::MAX, Duration::from_millis(10)).cpu, Duration::from_secs(1));
    }
}
