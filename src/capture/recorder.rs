//! A queue, and the thread that writes what is in it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::ledger::Ledger;
use super::place::Place;
use super::queue::{Job, Queue};
use super::record::Rule;
use super::shelf::Shelf;
use super::writer::Writer;
use crate::telemetry::metrics::capture::Dropped;

/// Requests that wait to be written, at most.
const MOST_JOBS: usize = 4096;
/// Bytes of those, at most. One that is larger is not recorded.
const MOST_BYTES: usize = 64 << 20;

/// Where requests wait to be written.
#[derive(Debug)]
pub(super) struct Recorder {
    bound: Arc<AtomicU64>,
    queue: Arc<Queue>,
}

/// What is written, and where.
#[derive(Debug)]
pub(super) struct Plan {
    /// Of the thread.
    pub(super) name: &'static str,
    pub(super) place: Place,
    /// Whether there will be anything to write.
    pub(super) takes_any: bool,
    /// What is drawn below it is recorded, where there is room.
    pub(super) ceiling: u64,
    pub(super) rule: Rule,
    pub(super) max_bytes: u64,
    pub(super) max_age: Duration,
    pub(super) ledger: Ledger,
    /// What is there, where somebody has looked already.
    pub(super) shelf: Option<Shelf>,
    /// Whether there is anything to do for the thread.
    pub(super) is_needed: bool,
}

/// The thread that writes.
#[derive(Debug)]
pub struct RecorderThread {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub(super) fn start(plan: Plan) -> io::Result<(Self, RecorderThread)> {
        let Plan {
            name, place, takes_any, ceiling, rule, max_bytes, max_age, ledger, shelf, ..
        } = plan;
        let bound = Arc::new(AtomicU64::new(ceiling));
        let queue = Arc::new(Queue::new(if takes_any { MOST_JOBS } else { 1 }, MOST_BYTES));
        let writer = Writer {
            queue: queue.clone(),
            bound: bound.clone(),
            ceiling,
            rule,
            place,
            max_bytes,
            max_age,
            ledger,
        };
        let thread = plan.is_needed.then(|| {
            std::thread::Builder::new().name(name.to_owned()).spawn(move || writer.run(shelf))
        });
        let thread = RecorderThread { queue: queue.clone(), thread: thread.transpose()? };
        Ok((Self { bound, queue }, thread))
    }

    /// What is drawn below it is recorded.
    pub(super) fn bound(&self) -> u64 {
        self.bound.load(Ordering::Relaxed)
    }

    /// Leaves a request, or says why there is no room for it. Never waits.
    pub(super) fn offer(&self, job: Job) -> Result<(), Dropped> {
        self.queue.offer(job)
    }
}

impl RecorderThread {
    /// Writes what waits, and ends.
    pub fn end(self) {
        self.queue.end();
        if let Some(thread) = self.thread {
            // That it has panicked is in the log.
            let _ = thread.join();
        }
    }
}
