//! Limits that a process sets for itself, before it does something that it may not survive.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the process may use at most. What goes beyond it fails, or ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Limits {
    /// Time on cores, of all threads together, in whole seconds. Beyond it the process gets SIGXCPU.
    pub cpu: Duration,
    /// Bytes of addresses. Beyond them the system gives no more memory.
    pub address_space: u64,
}

impl Limits {
    /// Sets the limits for the calling process, for good. It also leaves no core file behind.
    ///
    /// # Errors
    /// What the system says when it does not take one of them.
    pub fn impose(self) -> io::Result<()> {
        let seconds = self.cpu.as_secs().max(1);
        // Whoever catches SIGXCPU and goes on gets SIGKILL a little later.
        limit(libc::RLIMIT_CPU, seconds, seconds + 2)?;
        limit(libc::RLIMIT_AS, self.address_space, self.address_space)?;
        limit(libc::RLIMIT_CORE, 0, 0)
    }
}

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the call only reads `limit`, which is alive.
    match unsafe { libc::setrlimit(resource, &raw const limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has the calling process killed when the thread that started it ends, so that nothing goes on that nobody waits
/// for; where the system can do that. The process also becomes the first that the system ends when memory runs out,
/// and gives way to others on the cores.
pub fn live_as_a_child() {
    #[cfg(target_os = "linux")]
    {
        const NICE: libc::c_int = 10;
        // SAFETY: these calls change the calling process alone, and take numbers.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
        }
        // Best effort: where it is not allowed, somebody else may be ended first.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    }
}
