//! Where sampled requests wait, bounded by number, bytes and age.
//!
//! Requests add to it and low-priority threads take from it. A lock between the two would be held by a thread that
//! does not run as long as others want the cores, with a request waiting for it. So there is none: limits are kept by
//! counters, and each worker has a lane of its own with lock-free slots. A lane has more slots than jobs may wait, so
//! that nobody comes round to a slot that is still being emptied.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;

use super::counts::Dropped;
use super::job::{Job, Recorded};
use crate::config::ShadowConfig;

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    max_jobs: usize,
    max_bytes: usize,
    jobs: AtomicUsize,
    bytes: AtomicUsize,
    /// From the disk, where the rest of them waits. Live requests, which may come at any rate, cannot take their room.
    recorded: ArrayQueue<Recorded>,
    /// One for each worker.
    lanes: Vec<Lane>,
    /// Where the next job goes when every worker is busy.
    turn: AtomicUsize,
}

/// What waits for one worker.
#[derive(Debug)]
struct Lane {
    slots: ArrayQueue<Job>,
    worker: OnceLock<Thread>,
    state: Attention,
    /// Whether the next job is a recorded request, where there is one: live and recorded ones take turns.
    is_for_recorded: AtomicBool,
}

/// Recorded requests that wait here, at most.
const MOST_RECORDED: usize = 16;

#[derive(Debug, Default)]
struct Attention {
    /// The worker waits for a job, and wants to be woken.
    is_waiting: AtomicBool,
    /// The worker has used up what it may take of a core, and takes nothing for a while.
    is_resting: AtomicBool,
}

impl Queue {
    pub(super) fn new(config: &ShadowConfig) -> Self {
        let lane = |_| Lane {
            slots: ArrayQueue::new(config.queue_jobs.max(1) + 1),
            worker: OnceLock::new(),
            state: Attention::default(),
            is_for_recorded: AtomicBool::new(true),
        };
        Self {
            max_jobs: config.queue_jobs,
            max_bytes: config.queue_bytes,
            jobs: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            recorded: ArrayQueue::new(MOST_RECORDED),
            lanes: (0..config.threads.max(1)).map(lane).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Adds a job, or drops it and says why. Never waits.
    pub(super) fn offer(&self, job: Job) -> Result<(), Dropped> {
        let bytes = job.bytes();
        if bytes > self.max_bytes {
            return Err(Dropped::Size);
        }
        let lane = self.lane();
        if self.jobs.fetch_add(1, Ordering::AcqRel) >= self.max_jobs {
            self.jobs.fetch_sub(1, Ordering::AcqRel);
            let is_resting = lane.state.is_resting.load(Ordering::Relaxed);
            return Err(if is_resting { Dropped::Budget } else { Dropped::QueueFull });
        }
        if self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > self.max_bytes {
            self.leave(bytes);
            return Err(Dropped::Bytes);
        }
        if lane.slots.push(job).is_err() {
            self.leave(bytes);
            return Err(Dropped::QueueFull);
        }
        lane.wake();
        Ok(())
    }

    /// Adds a recorded request; gives it back where there is no room.
    pub(super) fn offer_recorded(&self, recorded: Recorded) -> Result<(), Recorded> {
        self.recorded.push(recorded)?;
        self.lane().wake();
        Ok(())
    }

    /// That of a worker that waits, else each in turn.
    fn lane(&self) -> &Lane {
        let waits = |lane: &&Lane| lane.state.is_waiting.load(Ordering::Relaxed);
        self.lanes.iter().find(waits).unwrap_or_else(|| {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            &self.lanes[turn % self.lanes.len()]
        })
    }

    /// Takes the job that waits longest for this worker; waits until there is one.
    pub(super) fn take(&self, worker: usize) -> Job {
        let lane = &self.lanes[worker];
        lane.worker.get_or_init(std::thread::current);
        loop {
            if let Some(job) = self.next(lane) {
                lane.state.is_waiting.store(false, Ordering::Relaxed);
                return job;
            }
            // Said before the last look: whoever adds a job after that look sees it.
            if lane.state.is_waiting.swap(true, Ordering::SeqCst) {
                std::thread::park();
            }
        }
    }

    fn next(&self, lane: &Lane) -> Option<Job> {
        let live = || lane.slots.pop().inspect(|job| self.leave(job.bytes()));
        let recorded = || self.recorded.pop().map(|it| Job::recorded(it, Instant::now()));
        match lane.is_for_recorded.fetch_xor(true, Ordering::Relaxed) {
            true => recorded().or_else(live),
            false => live().or_else(recorded),
        }
    }

    /// Takes a job back that the worker that took it cannot run yet; or drops it and says why.
    pub(super) fn put_back(&self, worker: usize, job: Job) -> Result<(), Dropped> {
        self.jobs.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(job.bytes(), Ordering::AcqRel);
        self.lanes[worker].slots.push(job).map_err(|job| {
            self.leave(job.bytes());
            Dropped::QueueFull
        })
    }

    /// How many jobs wait for a worker.
    pub(super) fn waiting(&self, worker: usize) -> usize {
        self.lanes[worker].slots.len()
    }

    /// Lets a worker rest. Whatever is dropped meanwhile is dropped for the budget's sake.
    pub(super) fn rest(&self, worker: usize, rest: Duration) {
        let resting = &self.lanes[worker].state.is_resting;
        resting.store(true, Ordering::Relaxed);
        std::thread::sleep(rest);
        resting.store(false, Ordering::Relaxed);
    }

    fn leave(&self, bytes: usize) {
        self.jobs.fetch_sub(1, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

impl Lane {
    /// Wakes its worker, where that waits.
    fn wake(&self) {
        if self.state.is_waiting.swap(false, Ordering::SeqCst)
            && let Some(worker) = self.worker.get()
        {
            worker.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::comparison::Arm;
    use crate::domain::recall::Mark;
    use crate::domain::rollout::RolloutId;
    use crate::domain::tensor::{Elements, Tensor};
    use crate::domain::time::WallTime;
    use crate::serving::testing::servable;
    use crate::serving::{Pairing, PairingParts, Sampled};
    use crate::shadow::job::Reason;

    fn queue(jobs: usize, bytes: usize, threads: usize) -> Queue {
        let (queue_jobs, queue_bytes) = (jobs, bytes);
        Queue::new(&ShadowConfig { queue_jobs, queue_bytes, threads, ..ShadowConfig::default() })
    }

    fn pairing() -> Arc<Pairing> {
        let [stable, candidate] = [servable("1"), servable("2")];
        let (rollout, requests, switch) = (RolloutId(1), Arc::default(), Arc::default());
        Arc::new(Pairing::new(PairingParts { rollout, stable, candidate, requests, switch }))
    }

    /// A job of so many bytes.
    fn job(pairing: &Arc<Pairing>, number: u64, bytes: usize) -> Job {
        let input = Tensor::new(vec![bytes], Elements::Bool(vec![true; bytes])).unwrap();
        let sampled = Sampled { pairing: pairing.clone(), number, answered: Arm::Stable };
        Job::live(sampled, Arc::new(vec![input]), None, Instant::now())
    }

    #[test]
    fn what_does_not_fit_is_dropped_for_the_right_reason() {
        let (queue, pairing) = (queue(2, 100, 1), pairing());
        assert_eq!(queue.offer(job(&pairing, 0, 101)), Err(Dropped::Size));
        assert_eq!(queue.offer(job(&pairing, 1, 60)), Ok(()));
        assert_eq!(queue.offer(job(&pairing, 2, 60)), Err(Dropped::Bytes));
        assert_eq!(queue.offer(job(&pairing, 3, 40)), Ok(()));
        assert_eq!(queue.offer(job(&pairing, 4, 0)), Err(Dropped::QueueFull));
        queue.lanes[0].state.is_resting.store(true, Ordering::Relaxed);
        assert_eq!(queue.offer(job(&pairing, 5, 0)), Err(Dropped::Budget));
        assert_eq!(queue.take(0).sampled.number, 1, "first come, first served");
        assert_eq!(queue.offer(job(&pairing, 6, 60)), Ok(()), "there is room again");
        assert_eq!((queue.take(0).sampled.number, queue.take(0).sampled.number), (3, 6));
    }

    #[test]
    fn live_and_recorded_requests_take_turns() {
        let (queue, pairing) = (queue(2, 100, 1), pairing());
        let recorded = |number| Recorded {
            sampled: Sampled { pairing: pairing.clone(), number, answered: Arm::Stable },
            inputs: Arc::default(),
            answer: None,
            reason: Reason::Rehearsal(Mark { time: WallTime(number), priority: 0 }),
        };
        let most = MOST_RECORDED as u64;
        (0..most).for_each(|number| queue.offer_recorded(recorded(number)).unwrap());
        let refused = queue.offer_recorded(recorded(most)).unwrap_err();
        assert_eq!(refused.sampled.number, most, "it may come again");
        queue.offer(job(&pairing, 100, 1)).unwrap();
        queue.offer(job(&pairing, 101, 1)).unwrap();
        let taken: Vec<u64> = (0..6).map(|_| queue.take(0).sampled.number).collect();
        assert_eq!(taken, [0, 100, 1, 101, 2, 3]);
    }

    #[test]
    fn a_job_that_cannot_run_yet_waits_behind_the_others() {
        let (queue, pairing) = (queue(2, 100, 1), pairing());
        queue.offer(job(&pairing, 1, 60)).unwrap();
        queue.offer(job(&pairing, 2, 40)).unwrap();
        let early = queue.take(0);
        queue.put_back(0, early).unwrap();
        assert_eq!(queue.waiting(0), 2);
        assert_eq!(queue.offer(job(&pairing, 3, 0)), Err(Dropped::QueueFull));
        assert_eq!([queue.take(0).sampled.number, queue.take(0).sampled.number], [2, 1]);
    }

    #[test]
    fn every_job_is_taken_once_however_many_offer_and_take() {
        const EACH: u64 = 2_000;
        let (queue, pairing) = (queue(64, 1 << 20, 2), pairing());
        let taken: Vec<u64> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..2)
                .map(|worker| {
                    let queue = &queue;
                    scope.spawn(move || {
                        let numbers = std::iter::from_fn(|| {
                            Some(queue.take(worker).sampled.number).filter(|number| *number != 0)
                        });
                        numbers.collect::<Vec<u64>>()
                    })
                })
                .collect();
            let offering: Vec<_> = (0..3u64)
                .map(|thread| {
                    let (queue, pairing) = (&queue, &pairing);
                    scope.spawn(move || {
                        for number in 0..EACH {
                            while queue.offer(job(pairing, 1 + thread * EACH + number, 1)).is_err()
                            {
                                std::thread::yield_now();
                            }
                        }
                    })
                })
                .collect();
            offering.into_iter().for_each(|thread| thread.join().unwrap());
            // One for each worker that says that this was all.
            for lane in &queue.lanes {
                lane.slots.push(job(&pairing, 0, 0)).map_err(drop).unwrap();
                queue.jobs.fetch_add(1, Ordering::AcqRel);
                if let Some(worker) = lane.worker.get() {
                    lane.state.is_waiting.store(false, Ordering::SeqCst);
                    worker.unpark();
                }
            }
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        let mut taken = taken;
        taken.sort_unstable();
        assert!(taken.iter().copied().eq(1..=3 * EACH));
        assert_eq!(queue.jobs.load(Ordering::Relaxed), 0);
        assert_eq!(queue.bytes.load(Ordering::Relaxed), 0);
    }
}
