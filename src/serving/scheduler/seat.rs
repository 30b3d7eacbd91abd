//! Where a thread is seen from outside while it runs something.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::alarm::{Alarm, Moment};
use super::job::Job;
use super::stranded::Stranded;
use crate::serving::servable::Servable;
use crate::system::thread::{self, CpuClock, ThreadId};

/// How long a run may go on when nobody waits for it any more. It was told to stop by then, and most do so within a
/// node of the model.
pub(super) const GRACE: Duration = Duration::from_millis(100);

/// A thread and what it runs. The thread itself sits down and rises; others may find that it does not rise any more.
#[derive(Debug)]
pub(super) struct Seat {
    number: usize,
    thread: ThreadId,
    clock: Option<CpuClock>,
    sitting: Mutex<Sitting>,
    /// When the last caller of the present run has left, as a [`Moment`].
    left: AtomicU64,
    /// Whether a stranded run has ended after all.
    is_over: AtomicBool,
    alarm: Arc<Alarm>,
}

#[derive(Debug)]
enum Sitting {
    /// Nothing runs.
    Idle,
    Running(Running),
    /// The run was given up, and the thread is not one of its pool's any more.
    Stranded,
}

#[derive(Debug)]
struct Running {
    servable: Arc<Servable>,
    began: Instant,
    /// The latest of its requests' deadlines, and no earlier than its beginning.
    deadline: Moment,
}

/// What is seen at a seat.
#[derive(Debug)]
pub(super) enum Seen {
    /// Nothing has to be done before this moment.
    Fine(Moment),
    /// The run does not end. It was stranded just now, and left these without anybody who would run them.
    Stranded(Arc<Servable>, VecDeque<Job>),
}

impl Seat {
    /// For the calling thread.
    pub(super) fn of_this_thread(number: usize, alarm: Arc<Alarm>) -> Self {
        Self {
            number,
            thread: ThreadId::of_this_thread(),
            clock: CpuClock::of_this_thread(),
            sitting: Mutex::new(Sitting::Idle),
            left: AtomicU64::new(Moment::NEVER.0),
            is_over: AtomicBool::new(false),
            alarm,
        }
    }

    /// A run of these jobs is about to begin. Followed by [`rise`](Self::rise).
    pub(super) fn sit(&self, servable: &Arc<Servable>, jobs: &[Job]) {
        let began = Instant::now();
        // Those who waited too long are sorted out by the run itself, which has to begin for that.
        let deadline = jobs.iter().map(Job::deadline).fold(began, Instant::max);
        let deadline = self.alarm.moment(deadline);
        let run = Running { servable: servable.clone(), began, deadline };
        let mut sitting = self.lock();
        self.left.store(Moment::NEVER.0, Ordering::Relaxed);
        let due = self.due(&run);
        *sitting = Sitting::Running(run);
        drop(sitting);
        self.alarm.set(due);
    }

    /// The run is over. False when it was stranded: then its turn is not the thread's to end, and the thread has no
    /// more to do than to [say so](Self::end).
    pub(super) fn rise(&self) -> bool {
        match std::mem::replace(&mut *self.lock(), Sitting::Idle) {
            Sitting::Running(_) | Sitting::Idle => true,
            Sitting::Stranded => false,
        }
    }

    /// The last word of a stranded thread. It hardly gets a core, so it must not hold what others need: what is left
    /// to do is done by the one who sees this.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.alarm.set_surely(Moment(0));
    }

    /// Whether the thread, which was stranded, has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Nobody waits for the present run any more, and it was told to stop.
    pub(super) fn callers_left(&self) {
        let now = self.alarm.now();
        self.left.store(now.0, Ordering::Relaxed);
        self.alarm.set_surely(now.after(GRACE));
    }

    /// Looks whether the run should have ended. If so, it is stranded: it counts as such for its version, and its
    /// thread gives way to all others.
    pub(super) fn look(&self, now: Moment) -> Seen {
        // Kept until all is done: as long as the thread cannot rise, it cannot end, and its number is its own.
        let mut sitting = self.lock();
        let run = match &*sitting {
            Sitting::Running(run) => run,
            Sitting::Idle | Sitting::Stranded => return Seen::Fine(Moment::NEVER),
        };
        let due = self.due(run);
        if now < due {
            return Seen::Fine(due);
        }
        let clock = self.clock.and_then(|clock| Some((clock, clock.now()?)));
        let stranded = Stranded { seat: self.number, began: run.began, clock };
        let servable = run.servable.clone();
        let refused = servable.queue().strand(stranded);
        thread::demote(self.thread);
        *sitting = Sitting::Stranded;
        Seen::Stranded(servable, refused)
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    #[cfg(test)]
    pub(super) fn thread(&self) -> ThreadId {
        self.thread
    }

    fn due(&self, run: &Running) -> Moment {
        run.deadline.min(Moment(self.left.load(Ordering::Relaxed))).after(GRACE)
    }

    fn lock(&self) -> MutexGuard<'_, Sitting> {
        self.sitting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
