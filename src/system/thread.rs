//! Settings and clocks of threads.

use std::fmt;
use std::time::Duration;

/// Makes the calling thread one that works through what waits instead of hurrying to each single thing.
///
/// The kernel lets a thread that is woken interrupt another one on the same core. A thread that runs models is
/// woken with each request, and on a busy machine it would take the core from the very thread that is about to
/// hand it more. Marked as a batch thread it waits for that one to pause; on a core that is free it still
/// starts at once. Where the system does not allow it, all stays as it is.
pub fn let_work_gather() {
    #[cfg(target_os = "linux")]
    set_policy(CALLING_THREAD, libc::SCHED_BATCH);
}

/// Makes the calling thread one that runs when no other wants the core. It can never be taken back, and threads that
/// it starts are the same: it is for threads that are made for it. Where the system does not allow it, the thread
/// is at least as nice as it can be.
pub fn give_way_to_all() {
    #[cfg(target_os = "linux")]
    give_way(CALLING_THREAD);
}

/// Makes the calling thread one that others go before, but that gets something of a core that is never free: about a
/// tenth of what another thread gets.
pub fn let_others_go_first() {
    #[cfg(target_os = "linux")]
    {
        const NICER: libc::c_int = 10;
        // SAFETY: the call changes the priority of the calling thread alone, which the kernel takes for a process here.
        unsafe { libc::nice(NICER) };
    }
}

/// Makes another thread one that runs when no other wants the core, as [`give_way_to_all`] does with the calling one.
/// The caller makes sure that the thread has not ended: its number may belong to another one by then.
pub fn demote(thread: ThreadId) {
    #[cfg(target_os = "linux")]
    give_way(thread.0);
    #[cfg(not(target_os = "linux"))]
    let _ = thread;
}

/// A thread, by the number that the kernel knows it under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadId(libc::pid_t);

impl ThreadId {
    /// The calling thread's.
    pub fn of_this_thread() -> Self {
        #[cfg(target_os = "linux")]
        // SAFETY: `gettid` has no preconditions.
        let number = unsafe { libc::gettid() };
        #[cfg(not(target_os = "linux"))]
        let number = 0;
        Self(number)
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kernel's word for the thread that calls.
#[cfg(target_os = "linux")]
const CALLING_THREAD: libc::pid_t = 0;

#[cfg(target_os = "linux")]
fn give_way(thread: libc::pid_t) {
    const NICEST: libc::c_int = 19;
    if !set_policy(thread, libc::SCHED_IDLE) {
        // The kernel takes threads for processes here, and none of them has a negative number.
        let thread = thread.unsigned_abs();
        // SAFETY: the call changes the priority of one thread alone, and is an error when there is none of the number.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, thread, NICEST) };
    }
}

#[cfg(target_os = "linux")]
fn set_policy(thread: libc::pid_t, policy: libc::c_int) -> bool {
    // SAFETY: the call changes one thread alone, and only reads `parameters`. That there is no thread of the number is
    // an error and nothing worse.
    unsafe {
        let parameters: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(thread, policy, &raw const parameters) == 0
    }
}

/// The time that one thread has spent on a core. Other threads can read it as well.
#[derive(Clone, Copy, Debug)]
pub struct CpuClock(libc::clockid_t);

impl CpuClock {
    /// The clock of the calling thread; none where the system has no such clocks.
    pub fn of_this_thread() -> Option<Self> {
        let mut clock: libc::clockid_t = 0;
        // SAFETY: the calling thread is alive, and the call writes one clock id into `clock`.
        let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        (failed == 0).then_some(Self(clock))
    }

    /// What it shows; none when its thread has ended.
    pub fn now(&self) -> Option<Duration> {
        // SAFETY: all zeros is a valid `timespec`, and the call writes one. The id of a thread that has ended is an
        // error and nothing worse.
        unsafe {
            let mut time: libc::timespec = std::mem::zeroed();
            let failed = libc::clock_gettime(self.0, &raw mut time);
            let seconds = u64::try_from(time.tv_sec).ok()?;
            let nanos = u32::try_from(time.tv_nsec).ok()?;
            (failed == 0).then(|| Duration::new(seconds, nanos))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_threads_clock_runs_while_it_works_and_stops_with_it() {
        let (clock, worked) = std::thread::spawn(|| {
            let clock = CpuClock::of_this_thread().unwrap();
            let (started, begun) = (Instant::now(), clock.now().unwrap());
            while clock.now().unwrap() < begun + Duration::from_millis(5) {}
            (clock, started.elapsed())
        })
        .join()
        .unwrap();
        assert!(worked >= Duration::from_millis(4), "no faster than the clock on the wall");
        assert_eq!(clock.now(), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_gives_way_still_runs() {
        let policy = std::thread::spawn(|| {
            give_way_to_all();
            // SAFETY: 0 means the calling thread; the call only reads.
            unsafe { libc::sched_getscheduler(0) }
        });
        assert_eq!(policy.join().unwrap(), libc::SCHED_IDLE);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_lets_others_go_first_does_so_alone() {
        // SAFETY: 0 means the calling thread; the call only reads.
        let nice = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = nice();
        let other = std::thread::spawn(move || {
            let_others_go_first();
            nice()
        });
        assert_eq!((other.join().unwrap(), nice()), ((before + 10).min(19), before));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_demoted_from_outside() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, until) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            tell.send(ThreadId::of_this_thread()).unwrap();
            let _ = until.recv();
        });
        let number = told.recv().unwrap();
        demote(number);
        // SAFETY: the calls only read, of a thread that waits and of the calling one.
        let policies = unsafe { [number.0, 0].map(|number| libc::sched_getscheduler(number)) };
        assert_eq!(policies, [libc::SCHED_IDLE, libc::SCHED_OTHER], "it alone");
        drop(end);
        thread.join().unwrap();
    }
}
