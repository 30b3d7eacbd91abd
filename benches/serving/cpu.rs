//! What was used: time by kind of thread, by everyone else, and memory. Zero where the system does not tell.

use std::fs;
use std::time::Duration;

use crate::load;

/// Time on a core since the process began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTime {
    /// Of the threads that send requests.
    pub(crate) client: Duration,
    /// Of all others. The server that is not asked sleeps, and so does the main thread.
    pub(crate) server: Duration,
}

impl CpuTime {
    pub(crate) fn now() -> Self {
        let mut total = Self::default();
        for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let folder = thread.path();
            let (Ok(name), Ok(used)) = (
                fs::read_to_string(folder.join("comm")),
                fs::read_to_string(folder.join("schedstat")),
            ) else {
                // It has ended meanwhile.
                continue;
            };
            let nanoseconds = used.split(' ').next().and_then(|text| text.parse().ok());
            let used = Duration::from_nanos(nanoseconds.unwrap_or(0));
            if name.starts_with(load::THREADS) {
                total.client += used;
            } else {
                total.server += used;
            }
        }
        total
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        // A thread that has ended meanwhile is counted no more.
        Self {
            client: self.client.saturating_sub(earlier.client),
            server: self.server.saturating_sub(earlier.server),
        }
    }
}

/// Time of the whole machine, in the kernel's ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MachineTime {
    busy: f64,
    idle: f64,
    cores: f64,
}

impl MachineTime {
    pub(crate) fn now() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let mut lines = text.lines().take_while(|line| line.starts_with("cpu"));
        let total = lines.next().unwrap_or_default().split_whitespace().skip(1);
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in these already.
        let ticks: Vec<f64> = total.take(8).filter_map(|text| text.parse().ok()).collect();
        let idle = ticks.iter().skip(3).take(2).sum();
        Self { busy: ticks.iter().sum::<f64>() - idle, idle, cores: lines.count() as f64 }
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { busy: self.busy - earlier.busy, idle: self.idle - earlier.idle, ..self }
    }

    /// What others took, when this process has `used` so much in so much time.
    pub(crate) fn share_of_others(self, used: Duration, elapsed: Duration) -> f64 {
        let ours = used.as_secs_f64() / (elapsed.as_secs_f64() * self.cores.max(1.0));
        (self.busy / (self.busy + self.idle).max(1.0) - ours).max(0.0)
    }
}

/// Resident memory of the process in KiB.
pub(crate) fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
