//! Threads that run models, and the line of versions that wait for one.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::batch;
use crate::serving::servable::Servable;
use crate::system::thread;

/// A fixed number of threads.
#[derive(Debug)]
pub(super) struct Pool {
    line: Arc<Line>,
    threads: usize,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    pub(super) fn start(name: &str, threads: usize) -> std::io::Result<Self> {
        let line = Arc::new(Line::default());
        let pool = Self { line, threads, workers: Mutex::default() };
        for index in 0..threads {
            let line = pool.line.clone();
            let worker = std::thread::Builder::new()
                .name(format!("{name}-{index}"))
                .spawn(move || work(&line))?;
            pool.workers.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        }
        Ok(pool)
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    pub(super) fn add_turn(&self, servable: Arc<Servable>) {
        self.line.add(servable);
    }

    /// Lets the threads finish the line, and waits for them.
    pub(super) fn shut_down(&self) {
        self.line.close();
        let workers =
            std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            // A worker does not panic: what it runs is caught.
            let _ = worker.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// The versions that have a turn, first come first served.
#[derive(Debug, Default)]
struct Line {
    state: Mutex<LineState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct LineState {
    turns: VecDeque<Arc<Servable>>,
    /// Threads that wait for a turn.
    idle: usize,
    closed: bool,
}

impl Line {
    fn add(&self, servable: Arc<Servable>) {
        let mut state = self.lock();
        state.turns.push_back(servable);
        // Waking is a system call, also when nobody waits.
        let is_awaited = state.idle > 0;
        drop(state);
        if is_awaited {
            self.changed.notify_one();
        }
    }

    /// Puts a version at the end of the line and takes the first one, which may be the same. Nobody is woken:
    /// there is one turn for the thread that asks, as before.
    fn swap(&self, servable: Arc<Servable>) -> Arc<Servable> {
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
    fn next(&self) -> Option<Arc<Servable>> {
        let mut state = self.lock();
        loop {
            if let Some(servable) = state.turns.pop_front() {
                return Some(servable);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(line: &Line) {
    thread::let_work_gather();
    let mut run = None;
    let mut jobs = Vec::new();
    let mut turn = line.next();
    while let Some(servable) = turn {
        servable.queue().take(servable.max_batch_rows(), &mut jobs);
        if !jobs.is_empty() {
            batch::run(&servable, &mut jobs, &mut run);
        }
        turn = if servable.queue().end_turn() {
            Some(line.swap(servable))
        } else {
            drop(servable); // a thread that waits must not keep a retired version in memory
            line.next()
        };
    }
}
