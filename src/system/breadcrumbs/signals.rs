//! The handler of the signals that a run can raise.
//!
//! It does what such a handler may do and nothing else: it stores a few numbers, and then puts back what was there
//! before it. A fault happens again when the handler returns to the instruction that made it, and then the process
//! dies as it would have: by the same signal, at the same place, with a core dump where one is wanted, and after a
//! word of Rust's own handler where the stack has overflowed. A signal that was sent does not come again by
//! itself, so it is raised once more.

use std::io;
use std::ptr;
use std::sync::OnceLock;

use crate::domain::attribution::Signal;

/// What was done about each signal before, in the order of [`Signal::ALL`].
static BEFORE: OnceLock<[libc::sigaction; Signal::ALL.len()]> = OnceLock::new();

/// Has crashes marked from now on.
pub(super) fn catch() -> io::Result<()> {
    let mut before = [DEFAULT; Signal::ALL.len()];
    for (signal, before) in Signal::ALL.into_iter().zip(&mut before) {
        // SAFETY: nothing is changed; what is done about the signal is written into `before`.
        check(unsafe { libc::sigaction(signal_number(signal), ptr::null(), before) })?;
    }
    // First, since the handler relies on it.
    if BEFORE.set(before).is_err() {
        return Ok(()); // they are caught already
    }
    for signal in Signal::ALL {
        let mut ours = DEFAULT;
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            on_signal;
        ours.sa_sigaction = handler as libc::sighandler_t;
        // The other stack is there on all threads that Rust has started: this one may have overflowed.
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the handler is a function for three arguments, as `SA_SIGINFO` says, and does nothing that a
        // handler must not do.
        check(unsafe { libc::sigaction(signal_number(signal), &raw const ours, ptr::null_mut()) })?;
    }
    Ok(())
}

// SAFETY: all zeros is a valid `sigaction`: the default, without flags, blocking nothing.
const DEFAULT: libc::sigaction = unsafe { std::mem::zeroed() };

fn check(outcome: libc::c_int) -> io::Result<()> {
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The signal with the system's number, where it is one of these.
pub fn signal_of(number: libc::c_int) -> Option<Signal> {
    Signal::ALL.into_iter().find(|known| signal_number(*known) == number)
}

/// The system's number for a signal.
pub fn signal_number(signal: Signal) -> libc::c_int {
    match signal {
        Signal::Segmentation => libc::SIGSEGV,
        Signal::Bus => libc::SIGBUS,
        Signal::Arithmetic => libc::SIGFPE,
        Signal::Abort => libc::SIGABRT,
        Signal::IllegalInstruction => libc::SIGILL,
    }
}

extern "C" fn on_signal(
    received: libc::c_int,
    about: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: with `SA_SIGINFO` the system passes a description that is valid until the handler returns.
    let cause = Cause::of(unsafe { &*about });
    match cause {
        Cause::Fault | Cause::Abort => {
            if let Some(signal) = signal_of(received) {
                super::mark(signal);
            }
            // All of them: what Rust's handler does about an overflow of the stack is to abort.
            Signal::ALL.into_iter().for_each(hand_over);
        }
        Cause::Sent => {
            Signal::ALL
                .into_iter()
                .filter(|known| signal_number(*known) == received)
                .for_each(hand_over);
        }
    }
    match cause {
        Cause::Fault => {}
        // SAFETY: handlers may call it. The signal is blocked until this one returns.
        Cause::Abort | Cause::Sent => drop(unsafe { libc::raise(received) }),
    }
}

/// Where a signal comes from.
#[derive(Clone, Copy)]
enum Cause {
    /// From what this thread has just tried to do.
    Fault,
    /// From this thread, which gives up.
    Abort,
    /// From somebody else, to whatever thread: it says nothing about this one.
    Sent,
}

impl Cause {
    #[cfg(target_os = "linux")]
    fn of(about: &libc::siginfo_t) -> Self {
        // SAFETY: `si_pid` is there for what was sent, and only read then; `getpid` has no preconditions.
        let is_our_own = || unsafe { about.si_pid() == libc::getpid() };
        match about.si_code {
            libc::SI_TKILL if is_our_own() => Self::Abort,
            code if code > 0 => Self::Fault,
            _ => Self::Sent,
        }
    }

    /// Elsewhere codes differ; who has sent it does not.
    #[cfg(not(target_os = "linux"))]
    fn of(about: &libc::siginfo_t) -> Self {
        const SENT: libc::c_int = 0x10001;
        // SAFETY: as above.
        let is_our_own = || unsafe { about.si_pid() == libc::getpid() };
        match about.si_code {
            SENT if is_our_own() => Self::Abort,
            code if code > 0 && code != SENT => Self::Fault,
            _ => Self::Sent,
        }
    }
}

/// Has done about a signal what was done before.
fn hand_over(signal: Signal) {
    let Some(before) = BEFORE.get() else { return };
    for (known, before) in Signal::ALL.into_iter().zip(before) {
        if known == signal {
            // SAFETY: handlers may call it, and `before` is what the system itself has given.
            unsafe { libc::sigaction(signal_number(known), before, ptr::null_mut()) };
        }
    }
}
