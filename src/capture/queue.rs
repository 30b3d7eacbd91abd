//! Where requests wait to be written, bounded by number and bytes.
//!
//! Requests add to it, and a thread of low priority takes from it. It has no lock for the reason that the
//! queue of pairs has none: a request would wait for a thread that does not run.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;

use super::place::Series;
use super::request::Held;
use super::trays::Batch;
use crate::telemetry::metrics::capture::Dropped;

/// What waits to be written.
#[derive(Debug)]
pub(super) enum Job {
    /// Frames.
    Batch(Batch),
    /// A request whose frame is still to be made.
    One(Held),
}

impl Job {
    /// About how much memory it takes while it waits.
    fn bytes(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.frames.len(),
            Self::One(held) => held.request().bytes(),
        }
    }

    /// How many requests it is, and of what.
    fn counts(&self) -> Vec<(Series, u64)> {
        match self {
            Self::Batch(batch) => {
                batch.runs.iter().map(|run| (run.series.clone(), run.count)).collect()
            }
            Self::One(held) => vec![(held.request().series(), 1)],
        }
    }
}

/// Requests that will not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: Dropped,
    /// How many there are, and of what: more than one where they were handed over together.
    pub(super) counts: Vec<(Series, u64)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    slots: ArrayQueue<Job>,
    max_bytes: usize,
    bytes: AtomicUsize,
    writer: OnceLock<Thread>,
    /// The writer waits for a job, and wants to be woken.
    is_waiting: AtomicBool,
    is_ended: AtomicBool,
}

impl Queue {
    pub(super) fn new(jobs: usize, max_bytes: usize) -> Self {
        Self {
            slots: ArrayQueue::new(jobs),
            max_bytes,
            bytes: AtomicUsize::new(0),
            writer: OnceLock::new(),
            is_waiting: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
        }
    }

    /// Adds a job, or drops it and says why. Never waits.
    pub(super) fn offer(&self, job: Job) -> Result<(), Refused> {
        let bytes = job.bytes();
        let refused = |reason, job: &Job| Err(Refused { reason, counts: job.counts() });
        if bytes > self.max_bytes {
            return refused(Dropped::Size, &job);
        }
        if self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > self.max_bytes {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            return refused(Dropped::QueueFull, &job);
        }
        if let Err(job) = self.slots.push(job) {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            return refused(Dropped::QueueFull, &job);
        }
        // A writer that rests comes by itself. To wake it costs a request more than all the rest, so that is left for when
        // it is needed.
        if self.slots.len() > self.slots.capacity() / 4
            || self.bytes.load(Ordering::Relaxed) > self.max_bytes / 4
        {
            self.wake();
        }
        Ok(())
    }

    /// Takes the job that waits longest. Where there is none, it rests for so long at most.
    pub(super) fn take(&self, patience: Duration) -> Option<Job> {
        self.writer.get_or_init(std::thread::current);
        if let Some(job) = self.next() {
            return Some(job);
        }
        // Said before the last look: whoever adds a job after that look sees it.
        self.is_waiting.store(true, Ordering::SeqCst);
        let job = self.next().or_else(|| {
            if !self.is_ended() {
                std::thread::park_timeout(patience);
            }
            self.next()
        });
        self.is_waiting.store(false, Ordering::Relaxed);
        job
    }

    /// Takes the job that waits longest, where there is one.
    pub(super) fn next(&self) -> Option<Job> {
        let job = self.slots.pop()?;
        self.bytes.fetch_sub(job.bytes(), Ordering::AcqRel);
        Some(job)
    }

    /// Nothing more is offered: what waits is taken, and then there is no waiting any more.
    pub(super) fn end(&self) {
        self.is_ended.store(true, Ordering::SeqCst);
        self.is_waiting.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(super) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        if self.is_waiting.swap(false, Ordering::SeqCst)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::capture::place::Series;
    use crate::capture::trays::Run;
    use crate::domain::time::WallTime;

    fn series() -> Series {
        Series::Model("m".parse().unwrap())
    }

    /// A job of so many bytes, and so many requests.
    fn job(bytes: usize, count: u64) -> Job {
        let series = series();
        let run = Run { series, end: bytes, count, oldest: WallTime(0) };
        Job::Batch(Batch { frames: vec![0; bytes], runs: vec![run] })
    }

    fn refused(reason: Dropped, count: u64) -> Result<(), Refused> {
        Err(Refused { reason, counts: vec![(series(), count)] })
    }

    #[test]
    fn what_does_not_fit_is_dropped_for_the_right_reason() {
        let queue = Queue::new(3, 100);
        assert_eq!(queue.offer(job(101, 1)), refused(Dropped::Size, 1));
        assert_eq!(queue.offer(job(60, 1)), Ok(()));
        assert_eq!(queue.offer(job(60, 9)), refused(Dropped::QueueFull, 9));
        assert_eq!(queue.offer(job(20, 1)), Ok(()));
        assert_eq!(queue.offer(job(20, 1)), Ok(()));
        assert_eq!(queue.offer(job(0, 2)), refused(Dropped::QueueFull, 2));
        assert_eq!(queue.take(Duration::ZERO).map(|job| job.bytes()), Some(60), "the first one");
        assert_eq!(queue.offer(job(60, 1)), Ok(()), "there is room again");
    }

    #[test]
    fn a_queue_that_has_ended_is_emptied_and_does_not_rest() {
        let queue = Arc::new(Queue::new(8, 100));
        queue.offer(job(1, 1)).unwrap();
        let taker = {
            let queue = queue.clone();
            std::thread::spawn(move || {
                let long = Duration::from_secs(3600);
                let mut taken = 0;
                while !(queue.take(long).map(|_| taken += 1).is_none() && queue.is_ended()) {}
                taken
            })
        };
        queue.end();
        assert_eq!(taker.join().unwrap(), 1);
    }
}
