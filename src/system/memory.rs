//! How much memory there is, and how much of it the process has.

use std::path::Path;

use super::cgroup;

/// What the calling process has of the machine's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What is nowhere else: it cannot be taken back to make room. Weights that were loaded are here; files that are
    /// only mapped are not.
    pub anonymous: u64,
    /// All that was there at the same time at the worst moment, since the last [`forget_peak`].
    pub peak: u64,
    /// All that is there now.
    pub resident: u64,
}

impl Usage {
    /// As the system counts it now; none where it does not.
    pub fn now() -> Option<Self> {
        Self::read(&std::fs::read_to_string("/proc/self/status").ok()?)
    }

    fn read(status: &str) -> Option<Self> {
        let bytes = |name: &str| -> Option<u64> {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kibibytes * 1024)
        };
        Some(Self {
            anonymous: bytes("RssAnon")? + bytes("RssShmem")?,
            peak: bytes("VmHWM")?,
            resident: bytes("VmRSS")?,
        })
    }
}

/// Lets [`Usage::peak`] begin anew, where the system can do that.
pub fn forget_peak() {
    // 5 stands for the peak. Best effort: otherwise it is the peak since the process began.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// How much memory the process may have, with everything else in its cgroup: what the cgroup is limited to, or what
/// the machine has. None where neither can be read.
pub fn available() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let memberships = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = cgroup::memory_limit(&memberships, Path::new("/sys/fs/cgroup"));
    [machine, group].into_iter().flatten().min()
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    3000 kB\nVmRSS:\t    2000 kB\nRssAnon:\t     900 kB\nRssFile:\t    1000 kB\nRssShmem:\t     100 kB\n";
        let expected = Usage { anonymous: 1_024_000, peak: 3_072_000, resident: 2_048_000 };
        assert_eq!(Usage::read(status), Some(expected));
        assert_eq!(Usage::read("Name:\tx\n"), None);
        assert_eq!(total("MemTotal:       24000000 kB\nMemFree: 1 kB\n"), Some(24_576_000_000));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_allocated_shows() {
        const SIZE: u64 = 64 << 20;
        let before = Usage::now().unwrap();
        let block = vec![1_u8; SIZE as usize];
        let with = Usage::now().unwrap();
        assert!(with.anonymous >= before.anonymous + SIZE / 2, "{before:?} {with:?}");
        assert!(with.peak >= with.resident);
        assert!(available().unwrap() > SIZE);
        drop(block);
    }
}
