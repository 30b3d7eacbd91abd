//! Lets the requests of a version wait a moment for others to run with, where its settings ask for that.
//!
//! A thread of its own keeps the time: the runtime's timers count in milliseconds, and a delay is often less than one.
//! It is started by the first version that needs it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use super::line::{Lines, refuse};
use super::queue::Gathered;
use crate::serving::error::InferError;
use crate::serving::servable::Servable;

/// When which versions have waited long enough.
#[derive(Debug)]
pub(super) struct Delays {
    shared: Arc<Shared>,
    timekeeper: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    lines: Arc<Lines>,
    /// Runs of the pool at once.
    threads: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By the time when they are due, and in the order in which they came.
    waiting: BTreeMap<(Instant, u64), Waiting>,
    came: u64,
    is_over: bool,
}

#[derive(Debug)]
struct Waiting {
    servable: Arc<Servable>,
    /// What its queue calls what is gathered.
    number: u64,
}

impl Delays {
    pub(super) fn new(lines: &Arc<Lines>, threads: usize) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Shared { lines: lines.clone(), threads, state, changed };
        Self { shared: Arc::new(shared), timekeeper: Mutex::new(None) }
    }

    /// Lets the requests that a version gathers wait until then, unless there are enough of them before.
    pub(super) fn until(&self, due: Instant, servable: Arc<Servable>, number: u64) {
        let waiting = Waiting { servable, number };
        if !self.is_kept() {
            return self.shared.hand_on(waiting);
        }
        let mut state = self.shared.lock();
        if state.is_over {
            drop(state);
            return self.shared.hand_on(waiting);
        }
        state.came += 1;
        let place = (due, state.came);
        let is_first = state.waiting.keys().next().is_none_or(|first| place < *first);
        state.waiting.insert(place, waiting);
        drop(state);
        if is_first {
            self.shared.changed.notify_one();
        }
    }

    /// Nobody waits any longer.
    pub(super) fn shut_down(&self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
        if let Some(timekeeper) = self.timekeeper().take() {
            // It does not panic: it looks at the clock, and hands on.
            let _ = timekeeper.join();
        }
    }

    /// Whether there is a thread that keeps the time. Without one, nobody waits.
    fn is_kept(&self) -> bool {
        let mut timekeeper = self.timekeeper();
        if timekeeper.is_none() {
            let shared = self.shared.clone();
            let thread = std::thread::Builder::new().name("gather".to_owned());
            match thread.spawn(move || shared.keep_time()) {
                Ok(thread) => *timekeeper = Some(thread),
                Err(error) => {
                    tracing::warn!(
                        "requests do not wait for each other (`max_queue_delay`): a thread for that cannot be started: {error}"
                    );
                }
            }
        }
        timekeeper.is_some()
    }

    fn timekeeper(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.timekeeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Delays {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl Shared {
    /// The thread's life.
    fn keep_time(&self) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let first = state.waiting.first_key_value().map(|((due, _), _)| *due);
            state = match first {
                Some(due) if due <= now || state.is_over => {
                    let waiting = state.waiting.pop_first();
                    drop(state);
                    if let Some((_, waiting)) = waiting {
                        self.hand_on(waiting);
                    }
                    self.lock()
                }
                Some(due) => {
                    let waited = self.changed.wait_timeout(state, due - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None if state.is_over => return,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn hand_on(&self, Waiting { servable, number }: Waiting) {
        match servable.queue().end_gathering(number, self.threads) {
            Gathered::NeedsTurn => self.lines.add(servable),
            Gathered::HasTurns => {}
            Gathered::InVain(jobs) => refuse(jobs, &InferError::Stuck),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
