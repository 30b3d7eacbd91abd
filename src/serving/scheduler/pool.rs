//! Threads that run models.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::batch::{self, Kept};
use super::line::{Line, Lines};
use super::seat::Seat;
use crate::system::thread;

/// A fixed number of threads, for the versions that are trusted. Nobody looks after them.
#[derive(Debug)]
pub(super) struct Pool {
    lines: Arc<Lines>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    pub(super) fn start(threads: usize, lines: &Arc<Lines>) -> std::io::Result<Self> {
        let pool = Self { lines: lines.clone(), workers: Mutex::default() };
        for index in 0..threads {
            let lines = lines.clone();
            let worker =
                std::thread::Builder::new().name(format!("run-{index}")).spawn(move || {
                    work(&lines, &lines.stable, None);
                })?;
            pool.workers.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        }
        Ok(pool)
    }

    /// Lets the threads finish the line, and waits for them.
    pub(super) fn shut_down(&self) {
        self.lines.stable.close();
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

/// Why a thread has no more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The line is closed and empty.
    WithLine,
    /// It was stranded by a run that is over now. Its turn has not been ended.
    Stranded,
}

/// What a thread does all its life: takes turns from a line. With a seat it is seen there while it runs something.
pub(super) fn work(lines: &Lines, line: &Line, seat: Option<&Arc<Seat>>) -> Ended {
    thread::let_work_gather();
    let mut kept = Kept::new(seat.cloned());
    let mut jobs = Vec::new();
    let mut turn = line.next();
    while let Some(servable) = turn {
        let Some(servable) = lines.keep(line, servable) else {
            turn = line.next();
            continue;
        };
        servable.queue().take(servable.max_batch_rows(), &mut jobs);
        if !jobs.is_empty() {
            if let Some(seat) = seat {
                seat.sit(&servable, &jobs);
            }
            batch::run(&servable, &mut jobs, &mut kept);
            if seat.is_some_and(|seat| !seat.rise()) {
                return Ended::Stranded;
            }
        }
        turn = if servable.queue().end_turn() {
            Some(line.swap(servable))
        } else {
            drop(servable); // a thread that waits must not keep a retired version in memory
            line.next()
        };
    }
    Ended::WithLine
}
