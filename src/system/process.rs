//! Settings of the whole process, made before anything else runs in it.

use std::path::PathBuf;
use std::time::Duration;

/// Prepares the process. Call it first thing in `main`, while there is one thread.
pub fn prepare() {
    silence_telemetry();
    give_memory_back();
}

/// Ends the process at once, without running what libraries do at their end.
///
/// ONNX Runtime takes its global state apart in destructors; a load or a run that is under way on another thread
/// would crash in the middle of it. Nothing of ours waits for the end of the process to be written.
pub fn end(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}

/// The program that this process runs, also when its file was replaced since.
pub fn program() -> PathBuf {
    #[cfg(target_os = "linux")]
    let program = PathBuf::from("/proc/self/exe");
    #[cfg(not(target_os = "linux"))]
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("greenroom"));
    program
}

/// How often the system had to give the process a page of memory that it had not had before.
pub fn page_faults() -> u64 {
    u64::try_from(usage().ru_minflt).unwrap_or_default()
}

/// The time that all threads of the process have spent on cores so far, in the system as well.
pub fn cpu_time() -> Duration {
    let of = |time: libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        Duration::from_secs(seconds)
            + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or_default())
    };
    let usage = usage();
    of(usage.ru_utime) + of(usage.ru_stime)
}

fn usage() -> libc::rusage {
    // SAFETY: all zeros is a valid `rusage`, and the call writes one.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    }
}

/// The official builds of ONNX Runtime send usage data unless this is set before the library starts.
fn silence_telemetry() {
    // SAFETY: there is one thread, so nobody reads the environment meanwhile.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}

/// Lets large blocks be mapped and unmapped one by one. glibc otherwise moves the threshold up with the first
/// large block that is freed, and keeps an unloaded model's weights in fragmented arenas for ever.
fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const THRESHOLD: libc::c_int = 256 * 1024;
        // SAFETY: `mallopt` only changes the allocator's own settings, and there is one thread.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, THRESHOLD) };
    }
}
