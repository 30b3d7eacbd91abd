//! Where requests wait to be written, bounded by number and bytes.
//!
//! Requests add to it, and a thread of low priority takes from it. It has no lock for the reason that the
//! queue of pairs has none: a request would wait for a thread that does not run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;

use super::place::Series;
use crate::domain::rollout::RolloutId;
use crate::domain::tensor::Tensor;
use crate::domain::time::WallTime;
use crate::serving::{Outputs, Servable};
use crate::telemetry::metrics::capture::Dropped;

/// A request that was answered, with what it gave and what it got.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) servable: Arc<Servable>,
    pub(super) inputs: Arc<Vec<Tensor>>,
    /// None where there is nothing that could be held against another answer.
    pub(super) outputs: Option<Arc<Outputs>>,
    /// The rollout that it is to be run for.
    pub(super) rollout: Option<RolloutId>,
    pub(super) number: u64,
    pub(super) priority: u64,
    pub(super) time: WallTime,
}

impl Job {
    /// About how much memory its tensors take while it waits.
    fn bytes(&self) -> usize {
        let outputs = self.outputs.as_ref().map_or(0, |outputs| outputs.held_bytes());
        self.inputs.iter().map(Tensor::bytes).sum::<usize>() + outputs
    }

    /// With what it belongs together.
    pub(super) fn series(&self) -> Series {
        match self.rollout {
            Some(rollout) => Series::Rollout(rollout),
            None => Series::Model(self.servable.model().clone()),
        }
    }
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
    pub(super) fn offer(&self, job: Job) -> Result<(), Dropped> {
        let bytes = job.bytes();
        if bytes > self.max_bytes {
            return Err(Dropped::Size);
        }
        if self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > self.max_bytes {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(Dropped::QueueFull);
        }
        if self.slots.push(job).is_err() {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(Dropped::QueueFull);
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
        if let Some(job) = self.pop() {
            return Some(job);
        }
        // Said before the last look: whoever adds a job after that look sees it.
        self.is_waiting.store(true, Ordering::SeqCst);
        let job = self.pop().or_else(|| {
            if !self.is_ended() {
                std::thread::park_timeout(patience);
            }
            self.pop()
        });
        self.is_waiting.store(false, Ordering::Relaxed);
        job
    }

    fn pop(&self) -> Option<Job> {
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
    use super::*;
    use crate::domain::tensor::Elements;
    use crate::serving::testing::servable;

    /// A job of so many bytes.
    fn job(servable: &Arc<Servable>, bytes: usize) -> Job {
        let input = Tensor::new(vec![bytes], Elements::Bool(vec![true; bytes])).unwrap();
        let (inputs, outputs) = (Arc::new(vec![input]), Some(Arc::new(Outputs::none())));
        let (servable, rollout, time) = (servable.clone(), None, WallTime(0));
        Job { servable, inputs, outputs, rollout, number: 0, priority: 0, time }
    }

    #[test]
    fn what_does_not_fit_is_dropped_for_the_right_reason() {
        let (queue, servable) = (Queue::new(3, 100), servable("1"));
        assert_eq!(queue.offer(job(&servable, 101)), Err(Dropped::Size));
        assert_eq!(queue.offer(job(&servable, 60)), Ok(()));
        assert_eq!(queue.offer(job(&servable, 60)), Err(Dropped::QueueFull));
        assert_eq!(queue.offer(job(&servable, 20)), Ok(()));
        assert_eq!(queue.offer(job(&servable, 20)), Ok(()));
        assert_eq!(queue.offer(job(&servable, 0)), Err(Dropped::QueueFull));
        assert_eq!(queue.take(Duration::ZERO).map(|job| job.bytes()), Some(60), "the first one");
        assert_eq!(queue.offer(job(&servable, 60)), Ok(()), "there is room again");
    }

    #[test]
    fn a_queue_that_has_ended_is_emptied_and_does_not_rest() {
        let (queue, servable) = (Arc::new(Queue::new(8, 100)), servable("1"));
        queue.offer(job(&servable, 1)).unwrap();
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
