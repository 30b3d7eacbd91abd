//! Processes that die, each a child that runs one of these tests again with another wish in its environment.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::domain::attribution::{LeftRun, Remains};
use crate::domain::model::Digest;
use crate::domain::rollout::RolloutId;
use crate::system::process;

/// Where a child has its file.
const STATE: &str = "GREENROOM_TEST_BREADCRUMBS";
/// Which of several ends it comes to.
const WISH: &str = "GREENROOM_TEST_BREADCRUMBS_WISH";

fn trusted() -> Crumb {
    Crumb { digest: Digest::from_bytes([1; 32]), trial: None }
}

fn on_trial() -> Crumb {
    Crumb { digest: Digest::from_bytes([2; 32]), trial: Some(RolloutId(42)) }
}

fn left(crumb: Crumb, signal: Option<Signal>) -> LeftRun {
    LeftRun { crumb, signal }
}

/// What a child left.
struct Died {
    status: ExitStatus,
    said: String,
    remains: Remains,
}

/// Runs the test of this name in a child of its own, which does what [`in_child`] is given.
fn child(test: &str, wish: usize) -> Died {
    let state = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("system::breadcrumbs::tests::{test}"), "--nocapture"])
        .current_dir(state.path()) // where core dumps go, if anywhere
        .env(STATE, state.path())
        .env(WISH, wish.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let remains = read(state.path()).unwrap().unwrap_or_else(|| panic!("no file: {said}"));
    Died { status: output.status, said, remains }
}

/// In a child: begins the file, does what is wished for, and does not return. Nothing in the test itself.
fn in_child(act: impl FnOnce(usize)) {
    if std::env::var_os(STATE).is_some() {
        begin_here();
        act(std::env::var(WISH).unwrap().parse().unwrap());
        process::end(SURVIVED);
    }
}

/// Where a child was to die and did not, it must not go on to have children of its own.
const SURVIVED: i32 = 99;

fn begin_here() {
    begin(&PathBuf::from(std::env::var_os(STATE).unwrap()), WallTime(1)).unwrap();
}

/// Runs something on a thread of its own that says that it is under way, while `act` does something else.
fn beside(crumb: Crumb, act: impl FnOnce()) {
    let (told, is_told) = mpsc::channel();
    let (done, is_done) = mpsc::channel::<()>();
    let running = thread::spawn(move || {
        let _entered = enter(&crumb);
        told.send(()).unwrap();
        let _ = is_done.recv();
    });
    is_told.recv().unwrap();
    act();
    drop(done);
    running.join().unwrap();
}

/// The ways in which a run can kill a process, and the signal by which it does.
const FAULTS: [(Signal, fn()); 5] = [
    (Signal::Segmentation, read_nowhere),
    (Signal::Bus, read_behind_the_end_of_a_file),
    (Signal::Arithmetic, divide_by_zero),
    (Signal::Abort, || std::process::abort()),
    (Signal::IllegalInstruction, no_instruction),
];

fn read_nowhere() {
    let nowhere = std::hint::black_box(64 as *const u8);
    // SAFETY: it is not, which is the point: the process ends here.
    unsafe { nowhere.read_volatile() };
}

fn read_behind_the_end_of_a_file() {
    let file = tempfile::tempfile().unwrap();
    // SAFETY: the mapping is longer than the file; the process ends at the read.
    unsafe {
        use std::os::fd::AsRawFd;
        let (access, fd) = (libc::PROT_READ, file.as_raw_fd());
        let mapped = libc::mmap(ptr::null_mut(), 4096, access, libc::MAP_SHARED, fd, 0);
        mapped.cast::<u8>().read_volatile();
    }
}

fn divide_by_zero() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor refuses this; the process ends here.
    unsafe {
        std::arch::asm!("xor ecx, ecx", "div ecx", out("ecx") _, out("eax") _, out("edx") _);
    }
    // Other processors divide by zero.
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: `raise` has no preconditions.
    unsafe {
        libc::raise(libc::SIGFPE);
    }
}

fn no_instruction() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: there is no such instruction; the process ends here.
    unsafe {
        std::arch::asm!("ud2");
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: `raise` has no preconditions.
    unsafe {
        libc::raise(libc::SIGILL);
    }
}

#[test]
fn a_crash_marks_the_run_that_made_it_and_the_process_dies_as_it_would_have() {
    in_child(|wish| {
        beside(trusted(), || {
            beside(Crumb { trial: Some(RolloutId(7)), ..trusted() }, || {
                let _entered = enter(&on_trial());
                FAULTS[wish].1();
            });
        });
    });
    for (wish, (signal, _)) in FAULTS.into_iter().enumerate() {
        let died =
            child("a_crash_marks_the_run_that_made_it_and_the_process_dies_as_it_would_have", wish);
        assert_eq!(
            died.status.signal(),
            Some(signals::signal_number(signal)),
            "{signal}: {}",
            died.said
        );
        let Remains { mut runs, signal: told, is_clean, began } = died.remains;
        assert_eq!((told, is_clean, began), (Some(signal), false, WallTime(1)));
        runs.sort_by_key(|run| run.signal.is_some());
        // What ran beside it in trust is not in the file.
        let beside = left(Crumb { trial: Some(RolloutId(7)), ..trusted() }, None);
        assert_eq!(runs, [beside, left(on_trial(), Some(signal))]);
    }
}

#[test]
fn a_crash_of_a_trusted_version_is_marked_as_well() {
    in_child(|_| {
        drop(enter(&on_trial())); // something old in the file
        let _entered = enter(&trusted());
        divide_by_zero();
    });
    let died = child("a_crash_of_a_trusted_version_is_marked_as_well", 0);
    assert_eq!(died.status.signal(), Some(libc::SIGFPE), "{}", died.said);
    assert_eq!(died.remains.runs, [left(trusted(), Some(Signal::Arithmetic))]);
}

/// Calls itself until the stack is full.
fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { deeper(depth + 1) + frame[7] }
}

#[test]
fn a_stack_that_overflows_is_told_by_rust_and_marked() {
    in_child(|_| {
        let overflows = thread::Builder::new().name("small".to_owned()).stack_size(128 << 10);
        let overflowing = overflows.spawn(|| {
            let _entered = enter(&on_trial());
            std::hint::black_box(deeper(0));
        });
        overflowing.unwrap().join().unwrap();
    });
    let died = child("a_stack_that_overflows_is_told_by_rust_and_marked", 0);
    assert_eq!(died.status.signal(), Some(libc::SIGABRT), "{}", died.said);
    assert!(died.said.contains("thread 'small'"), "{}", died.said);
    assert!(died.said.contains("has overflowed its stack"), "{}", died.said);
    assert_eq!(died.remains.runs, [left(on_trial(), Some(Signal::Segmentation))]);
}

#[test]
fn a_crash_on_a_thread_that_runs_no_model_blames_no_run() {
    in_child(|_| {
        beside(on_trial(), || {
            drop(enter(&on_trial()));
            divide_by_zero();
        });
    });
    let died = child("a_crash_on_a_thread_that_runs_no_model_blames_no_run", 0);
    assert_eq!(died.status.signal(), Some(libc::SIGFPE), "{}", died.said);
    assert_eq!(died.remains.signal, Some(Signal::Arithmetic));
    assert_eq!(died.remains.runs, [left(on_trial(), None)]);
}

#[test]
fn a_signal_that_somebody_sent_ends_the_process_and_blames_no_run() {
    const SENT: [libc::c_int; 3] = [libc::SIGABRT, libc::SIGFPE, libc::SIGKILL];
    in_child(|wish| {
        let _entered = enter(&on_trial());
        let kill = format!("kill -{} {}", SENT[wish], std::process::id());
        Command::new("sh").args(["-c", &kill]).status().unwrap();
        loop {
            thread::park(); // until it arrives
        }
    });
    for (wish, sent) in SENT.into_iter().enumerate() {
        let died = child("a_signal_that_somebody_sent_ends_the_process_and_blames_no_run", wish);
        assert_eq!(died.status.signal(), Some(sent), "{}", died.said);
        let expected = Remains {
            began: WallTime(1),
            is_clean: false,
            signal: None,
            runs: vec![left(on_trial(), None)],
        };
        assert_eq!(died.remains, expected);
    }
}

#[test]
fn an_end_that_was_wanted_is_told_from_a_death() {
    in_child(|_| {
        let _entered = enter(&on_trial());
        assert_eq!(
            begin(&std::env::temp_dir(), WallTime(2)).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        end();
        process::end(0);
    });
    let died = child("an_end_that_was_wanted_is_told_from_a_death", 0);
    assert_eq!(died.status.code(), Some(0), "{}", died.said);
    assert!(died.remains.is_clean);
}

#[test]
fn slots_are_given_back_and_who_finds_none_runs_without() {
    in_child(|_| {
        // More threads than slots, one after the other.
        for _ in 0..SLOTS + 10 {
            thread::spawn(|| drop(enter(&on_trial()))).join().unwrap();
        }
        // More at the same time: each is told when all are there.
        let all_are_there = std::sync::Arc::new(std::sync::Barrier::new(SLOTS + 10));
        let threads = (0..SLOTS + 10).map(|_| {
            let all_are_there = all_are_there.clone();
            thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(move || {
                    let _entered = enter(&on_trial());
                    all_are_there.wait();
                    process::end(3);
                })
                .unwrap()
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    });
    let died = child("slots_are_given_back_and_who_finds_none_runs_without", 0);
    assert_eq!(died.status.code(), Some(3), "{}", died.said);
    assert_eq!(died.remains.runs, vec![left(on_trial(), None); SLOTS]);
}

#[test]
fn without_a_file_nothing_is_noted() {
    // In a process of its own, since another test may have begun one in this.
    if std::env::var_os(STATE).is_some() {
        drop(enter(&on_trial()));
        let _entered = enter(&on_trial());
        begin_here();
        drop(enter(&trusted()));
        // It asked before there was a file, and asks again.
        let _again = enter(&on_trial());
        process::end(0);
    }
    let died = child("without_a_file_nothing_is_noted", 0);
    assert_eq!(died.status.code(), Some(0), "{}", died.said);
    assert_eq!(died.remains.runs, [left(on_trial(), None)]);
}
