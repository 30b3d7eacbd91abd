//! What each thread runs, kept where it outlives the process: for the one that asks what this one died of.
//!
//! The file `breadcrumbs` in the state folder is mapped into memory, with a slot for each thread that runs models.
//! Whatever kills the process, what was stored there stays. A thread notes what it runs before the run and takes
//! the note away after it: a few plain stores. When a run does what the processor refuses, a signal's handler marks
//! the slot of the very thread (`signals.rs`), and the process dies as it would have.
//!
//! Only runs of versions on trial are noted in the file itself. The kernel writes a mapped page to the disk now and
//! then, and whoever stores into it just then waits for the disk, or gets `SIGBUS` where a file system has no room
//! to write it elsewhere. Requests to trusted versions must not depend on that, so their notes are in
//! memory, and the handler copies the one that matters. Of a death without a signal one learns what ran on
//! trial, which is all that is asked.

mod file;
mod signals;

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering, compiler_fence};

use crate::domain::attribution::{Crumb, Signal};
use crate::domain::time::WallTime;
use file::{Page, SLOTS, Slot};

pub use file::read;
pub use signals::{signal_number, signal_of};

/// The mapped file; null until there is one.
static PAGE: AtomicPtr<Page> = AtomicPtr::new(ptr::null_mut());
/// The runs of trusted versions.
static TRUSTED: [Slot; SLOTS] = [const { Slot::empty() }; SLOTS];
/// The thread that has a slot, by its number among threads; 0 where it is free.
static OWNERS: [AtomicUsize; SLOTS] = [const { AtomicUsize::new(0) }; SLOTS];

thread_local! {
    static PLACE: Place = const { Place(Cell::new(State::Unasked)) };
}

/// A thread's slots, given back when it ends.
struct Place(Cell<State>);

#[derive(Clone, Copy)]
enum State {
    /// It ran nothing yet, or there was no file.
    Unasked,
    Taken(Slots),
    /// All were taken when it asked: it goes without for as long as it lives.
    Without,
}

#[derive(Clone, Copy)]
struct Slots {
    index: usize,
    trusted: &'static Slot,
    on_trial: &'static Slot,
}

/// Makes the file anew, for this process, and has crashes marked in it from now on. What [`read`] would find of the
/// last process is gone then.
///
/// # Errors
/// What the system says when the file cannot be written or mapped; [`AlreadyExists`](io::ErrorKind::AlreadyExists)
/// when this process has one already.
pub fn begin(state: &Path, now: WallTime) -> io::Result<()> {
    if !PAGE.load(Ordering::Acquire).is_null() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let page = file::create(state, now)?;
    PAGE.store(ptr::from_ref(page).cast_mut(), Ordering::Release);
    signals::catch()
}

/// Notes that the process ends because it was told to: what still runs then has not killed it.
pub fn end() {
    if let Some(page) = page() {
        page.header.is_clean.store(1, Ordering::Relaxed);
    }
}

/// Notes what the calling thread is about to run, until the guard is dropped. Without a file, and where more than 256
/// threads run models, nothing is noted.
#[must_use]
pub fn enter(crumb: &Crumb) -> Entered {
    let slots = PLACE.try_with(Place::slots).ok().flatten();
    let slot = slots.map(|Slots { trusted, on_trial, .. }| match crumb.trial {
        Some(_) => on_trial,
        None => trusted,
    });
    if let Some(slot) = slot {
        slot.fill(crumb);
    }
    Entered { slot, of_this_thread: PhantomData }
}

/// A run that is under way on this thread.
pub struct Entered {
    slot: Option<&'static Slot>,
    /// Another thread must not clear the slot.
    of_this_thread: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            slot.clear();
        }
    }
}

impl Place {
    fn slots(&self) -> Option<Slots> {
        match self.0.get() {
            State::Taken(slots) => Some(slots),
            State::Without => None,
            State::Unasked => self.ask(),
        }
    }

    #[cold]
    fn ask(&self) -> Option<Slots> {
        let page = page()?;
        let this = this_thread();
        let is_mine = |owner: &AtomicUsize| {
            owner.compare_exchange(0, this, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let Some(index) = OWNERS.iter().position(is_mine) else {
            self.0.set(State::Without);
            return None;
        };
        let (trusted, on_trial) = (&TRUSTED[index], &page.slots[index]);
        let slots = Slots { index, trusted, on_trial };
        self.0.set(State::Taken(slots));
        Some(slots)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let State::Taken(slots) = self.0.replace(State::Without) {
            OWNERS[slots.index].store(0, Ordering::Release);
        }
    }
}

fn page() -> Option<&'static Page> {
    // SAFETY: it is null or what `file::create` gave, which is never unmapped.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

/// What tells the threads of a process that live at the same time apart; never 0.
fn this_thread() -> usize {
    // SAFETY: `pthread_self` has no preconditions, and handlers of signals may call it.
    unsafe { libc::pthread_self() as usize }
}

/// Marks what the calling thread runs. For the handler of a signal: nothing but stores.
fn mark(signal: Signal) {
    let Some(page) = page() else { return };
    let first_mark = |place: &AtomicU32| {
        // A second one is only what came of the first.
        let _ = place.compare_exchange(0, file::code(signal), Ordering::Relaxed, Ordering::Relaxed);
    };
    first_mark(&page.header.signal);
    let this = this_thread();
    let mine = |owner: &AtomicUsize| owner.load(Ordering::Relaxed) == this;
    let Some(index) = OWNERS.iter().position(mine) else { return };
    let (trusted, slot) = (&TRUSTED[index], &page.slots[index]);
    if !slot.is_running() && trusted.is_running() {
        slot.copy(trusted);
    }
    // The mark is of use only with what it is about.
    compiler_fence(Ordering::SeqCst);
    if slot.is_running() {
        first_mark(&slot.signal);
    }
}

#[cfg(test)]
mod tests;
