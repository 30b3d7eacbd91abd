//! A queue, and the thread that writes what is in it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::ledger::Ledger;
use super::place::Place;
use super::queue::{Job, Queue, Refused};
use super::record::Rule;
use super::request::Request;
use super::shelf::Shelf;
use super::trays::{TooLarge, Trays};
use super::writer::Writer;
use crate::telemetry::metrics::capture::Dropped;

/// Requests that wait to be written, at most.
const MOST_JOBS: usize = 4096;
/// Bytes of those, at most. One that is larger is not recorded.
const MOST_BYTES: usize = 64 << 20;
/// Tensors whose frame the request makes itself, in bytes: to copy them takes well below a microsecond.
const SMALL: usize = 4 << 10;
/// What one record may take of the room for all: of records that take the room of many others a sample would have
/// few.
const PARTS: u64 = 16;

/// Where requests wait to be written.
#[derive(Debug)]
pub(super) struct Recorder {
    bound: Arc<AtomicU64>,
    rule: Arc<Rule>,
    /// None where each request is to be written by itself.
    trays: Option<Arc<Trays>>,
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
        let (bound, rule) = (Arc::new(AtomicU64::new(ceiling)), Arc::new(rule));
        let queue = Arc::new(Queue::new(if takes_any { MOST_JOBS } else { 1 }, MOST_BYTES));
        let largest = max_bytes / PARTS;
        // Digests take longer than to hand a request over.
        let takes_batches = takes_any && !rule.only_digests;
        let trays = takes_batches
            .then(|| Arc::new(Trays::new(usize::try_from(largest).unwrap_or(usize::MAX))));
        let writer = Writer {
            queue: queue.clone(),
            trays: trays.clone(),
            bound: bound.clone(),
            ceiling,
            rule: rule.clone(),
            largest,
            place,
            max_bytes,
            max_age,
            ledger,
        };
        let thread = plan.is_needed.then(|| {
            std::thread::Builder::new().name(name.to_owned()).spawn(move || writer.run(shelf))
        });
        let thread = RecorderThread { queue: queue.clone(), thread: thread.transpose()? };
        Ok((Self { bound, rule, trays, queue }, thread))
    }

    /// What is drawn below it is recorded.
    pub(super) fn bound(&self) -> u64 {
        self.bound.load(Ordering::Relaxed)
    }

    /// Leaves a request, or says for how many there is no room, and why. Never waits.
    pub(super) fn offer(&self, request: &Request<'_>) -> Result<(), Refused> {
        let Some(trays) = self.trays.as_ref().filter(|_| request.bytes() <= SMALL) else {
            return self.queue.offer(Job::One(request.held()));
        };
        match trays.add(request, &self.rule) {
            Ok(None) => Ok(()),
            Ok(Some(batch)) => self.queue.offer(Job::Batch(batch)),
            Err(TooLarge) => {
                Err(Refused { reason: Dropped::Size, counts: vec![(request.series(), 1)] })
            }
        }
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
