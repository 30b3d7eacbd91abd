//! What Linux tells of a process from outside.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// The time that each thread of a process has spent on a core so far, by the thread's number and name.
pub(crate) fn busy_threads(pid: u32) -> BTreeMap<(String, String), Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let number = entry.file_name().into_string().unwrap();
        // One that has just ended has nothing to tell.
        let read = |file| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let used = read("schedstat").split(' ').next().and_then(|text| text.parse().ok());
        let name = read("comm").trim_end().to_owned();
        ((number, name), Duration::from_nanos(used.unwrap_or(0)))
    });
    threads.collect()
}

/// The time that a process has spent on cores so far, of the threads that it still has.
pub(crate) fn busy(pid: u32) -> Duration {
    busy_threads(pid).into_values().sum()
}

/// A process's resident memory in MiB, of the lines `VmRSS` and so on of its status.
pub(crate) fn resident_mib(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let told = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kib: f64 = told.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    kib / 1024.0
}
