//! The lines of versions that wait for a thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::job::Job;
use crate::serving::error::InferError;
use crate::serving::servable::Servable;

/// Both lines: a version waits in one or the other, and may change.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Of the versions that are trusted.
    pub(super) stable: Line,
    /// Of the versions on trial.
    pub(super) trial: Line,
}

impl Lines {
    /// Puts a version into its line, for a turn that is counted already. Where no thread will ever take it, what waits
    /// for it is refused.
    pub(super) fn add(&self, servable: Arc<Servable>) {
        if let Err((servable, why)) = self.of(&servable).add(servable) {
            refuse(servable.queue().give_back_turn(), &why.error());
        }
    }

    /// A version that came to the head of `line`, unless it has changed to the other line meanwhile: then its turn is
    /// put there. Where nobody takes turns there any more since the server ends, it stays.
    pub(super) fn keep(&self, line: &Line, servable: Arc<Servable>) -> Option<Arc<Servable>> {
        let own = self.of(&servable);
        if std::ptr::eq(own, line) {
            return Some(servable);
        }
        match own.add(servable) {
            Ok(()) => None,
            Err((servable, Unattended::Closed)) => Some(servable),
            Err((servable, why @ Unattended::Deserted)) => {
                refuse(servable.queue().give_back_turn(), &why.error());
                None
            }
        }
    }

    fn of(&self, servable: &Servable) -> &Line {
        match servable.trial() {
            None => &self.stable,
            Some(_) => &self.trial,
        }
    }
}

/// Answers those who wait in vain.
pub(super) fn refuse(jobs: VecDeque<Job>, error: &InferError) {
    for job in jobs {
        job.finish(Err(error.clone()));
    }
}

/// The versions that have a turn, first come first served.
#[derive(Debug, Default)]
pub(super) struct Line {
    state: Mutex<LineState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct LineState {
    turns: VecDeque<Arc<Servable>>,
    /// Threads that wait for a turn.
    idle: usize,
    is_closed: bool,
    is_deserted: bool,
}

/// Why no thread would take a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unattended {
    /// The server ends.
    Closed,
    /// All threads are stranded.
    Deserted,
}

impl Unattended {
    fn error(self) -> InferError {
        match self {
            Self::Closed => InferError::ShuttingDown,
            Self::Deserted => InferError::Stuck,
        }
    }
}

impl Line {
    fn add(&self, servable: Arc<Servable>) -> Result<(), (Arc<Servable>, Unattended)> {
        let mut state = self.lock();
        if state.is_closed {
            return Err((servable, Unattended::Closed));
        }
        if state.is_deserted {
            return Err((servable, Unattended::Deserted));
        }
        state.turns.push_back(servable);
        // Waking is a system call, also when nobody waits.
        let is_awaited = state.idle > 0;
        drop(state);
        if is_awaited {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Puts a version at the end of the line and takes the first one, which may be the same. Nobody is woken:
    /// there is one turn for the thread that asks, as before.
    pub(super) fn swap(&self, servable: Arc<Servable>) -> Arc<Servable> {
        let mut state = self.lock();
        match state.turns.pop_front() {
            None => servable,
            Some(first) => {
                state.turns.push_back(servable);
                first
            }
        }
    }

    /// Waits for a turn. `None` when the line is closed and empty.
    pub(super) fn next(&self) -> Option<Arc<Servable>> {
        let mut state = self.lock();
        loop {
            if let Some(servable) = state.turns.pop_front() {
                return Some(servable);
            }
            if state.is_closed {
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Takes no more turns; the threads end when they have taken those that are there.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Whether there is work for a thread, now or later.
    pub(super) fn needs_threads(&self) -> bool {
        let state = self.lock();
        !state.is_closed || !state.turns.is_empty()
    }

    /// No thread is left. Takes no more turns until it is [`attended`](Self::attend) again, and answers those who wait
    /// for the turns that are there.
    pub(super) fn desert(&self) {
        let mut state = self.lock();
        state.is_deserted = true;
        let turns = std::mem::take(&mut state.turns);
        drop(state);
        for servable in turns {
            refuse(servable.queue().give_back_turn(), &Unattended::Deserted.error());
        }
    }

    /// There is a thread again.
    pub(super) fn attend(&self) {
        self.lock().is_deserted = false;
    }

    #[cfg(test)]
    pub(super) fn turns(&self) -> Vec<Arc<Servable>> {
        self.lock().turns.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
