//! What Linux tells of a process from outside.

use std::fs;
use std::time::Duration;

/// The time that each thread of a process has spent on a core so far, with the thread's name.
pub(crate) fn busy_threads(pid: u32) -> Vec<(String, Duration)> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|entry| {
        let folder = entry.unwrap().path();
        // One that has just ended has nothing to tell.
        let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
        let used = fs::read_to_string(folder.join("schedstat")).unwrap_or_default();
        let nanoseconds = used.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        (name.trim_end().to_owned(), Duration::from_nanos(nanoseconds))
    });
    threads.collect()
}

/// The time that a process has spent on cores so far, of the threads that it still has.
pub(crate) fn busy(pid: u32) -> Duration {
    busy_threads(pid).into_iter().map(|(_, used)| used).sum()
}

/// A process's resident memory in MiB, of the lines `VmRSS` and so on of its status.
pub(crate) fn resident_mib(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let told = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kib: f64 = told.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    kib / 1024.0
}
