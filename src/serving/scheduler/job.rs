//! A request on its way through the scheduler, and the hold that its caller keeps on it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::answer::{Answer, RunTime, Share};
use super::seat::Seat;
use crate::domain::batching;
use crate::domain::route::Role;
use crate::domain::tensor::Tensor;
use crate::onnx::{RunError, StopFlag};
use crate::serving::error::{InferError, Unanswered};

/// What is to be run.
#[derive(Debug)]
pub struct InferRequest {
    /// A tensor for each input, in the signature's order.
    pub inputs: Vec<Tensor>,
    /// The indices of the outputs that are to be computed.
    pub outputs: Vec<usize>,
    /// As what the version runs it.
    pub role: Role,
    /// When the request arrived.
    pub arrived: Instant,
    /// How long after its arrival an answer is of use.
    pub timeout: Duration,
}

impl InferRequest {
    /// Whether both can be answered by one run.
    fn fits_beside(&self, other: &Self) -> bool {
        self.outputs == other.outputs && batching::fit_together(&self.inputs, &other.inputs)
    }
}

/// A request that waits or runs.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) request: InferRequest,
    pub(super) submitted: Instant,
    reply: oneshot::Sender<Result<Answer, Unanswered>>,
    hold: Arc<Hold>,
}

/// The caller's side of a [`Job`]. Dropped, it calls the job off.
#[derive(Debug)]
pub(super) struct Ticket {
    answer: oneshot::Receiver<Result<Answer, Unanswered>>,
    deadline: Instant,
    timeout: Duration,
    hold: Arc<Hold>,
}

impl Job {
    pub(super) fn new(request: InferRequest, submitted: Instant) -> (Self, Ticket) {
        let (reply, answer) = oneshot::channel();
        let hold = Arc::new(Hold::default());
        let ticket = Ticket {
            answer,
            deadline: request.arrived + request.timeout,
            timeout: request.timeout,
            hold: hold.clone(),
        };
        (Self { request, submitted, reply, hold }, ticket)
    }

    /// How many rows it adds to a batch; none when it cannot be part of one.
    pub(super) fn rows(&self) -> Option<usize> {
        batching::rows(&self.request.inputs)
    }

    pub(super) fn fits_beside(&self, other: &Self) -> bool {
        self.request.fits_beside(&other.request)
    }

    pub(super) fn deadline(&self) -> Instant {
        self.request.arrived + self.request.timeout
    }

    /// Whether its deadline has passed.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        now >= self.deadline()
    }

    pub(super) fn is_called_off(&self) -> bool {
        matches!(*self.hold.lock(), Phase::CalledOff)
    }

    /// Ties the run to the caller: from here to [`finish`](Self::finish) the last caller who leaves stops `run`.
    /// False when the caller has left already.
    pub(super) fn begin(&self, run: &Arc<Run>) -> bool {
        let mut phase = self.hold.lock();
        match *phase {
            Phase::Waiting => {
                run.callers.fetch_add(1, Ordering::Relaxed);
                *phase = Phase::Running(run.clone());
                true
            }
            Phase::CalledOff => false,
            Phase::Running(_) | Phase::Done => unreachable!("a job is begun once"),
        }
    }

    /// Lets go of the run, so that it can be used for another, and answers the caller.
    pub(super) fn finish(self, outcome: Result<(Share, RunTime), InferError>) {
        let before = std::mem::replace(&mut *self.hold.lock(), Phase::Done);
        if let Phase::Running(run) = before {
            run.callers.fetch_sub(1, Ordering::Relaxed);
        }
        let answer = match outcome {
            Ok((share, time)) => Ok(Answer::new(share, self.request.inputs, self.submitted, time)),
            Err(error) => Err(Unanswered::new(error, self.request.inputs)),
        };
        // A caller who has left does not want to know.
        let _ = self.reply.send(answer);
    }

    /// What its caller is told when it does not even begin to wait.
    pub(super) fn refused(self, error: InferError) -> Unanswered {
        Unanswered::new(error, self.request.inputs)
    }
}

impl Ticket {
    /// Waits for the answer, until the deadline.
    pub(super) async fn answer(mut self) -> Result<Answer, Unanswered> {
        let deadline = tokio::time::Instant::from_std(self.deadline);
        match tokio::time::timeout_at(deadline, &mut self.answer).await {
            Ok(Ok(answer)) => answer,
            // The job was dropped: only when its worker is gone.
            Ok(Err(_)) => Err(InferError::ShuttingDown.into()),
            Err(_) => Err(InferError::DeadlineExceeded(self.timeout).into()),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.hold.call_off();
    }
}

/// What a thread runs: one after another, each for one job or for several.
#[derive(Debug)]
pub(super) struct Run {
    stop: StopFlag,
    /// Who still waits for it.
    callers: AtomicUsize,
    /// Where its thread is watched, if it is.
    seat: Option<Arc<Seat>>,
}

impl Run {
    pub(super) fn new(seat: Option<Arc<Seat>>) -> Result<Self, RunError> {
        Ok(Self { stop: StopFlag::new()?, callers: AtomicUsize::new(0), seat })
    }

    pub(super) fn stop(&self) -> &StopFlag {
        &self.stop
    }

    /// One caller has left. The last one takes the run along.
    fn leave(&self) {
        if self.callers.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop.raise();
            if let Some(seat) = &self.seat {
                seat.callers_left();
            }
        }
    }
}

/// What both sides know of the job. The lock makes sure that a caller who leaves stops this run and no later
/// one of the same thread.
#[derive(Debug, Default)]
struct Hold(Mutex<Phase>);

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Waiting,
    Running(Arc<Run>),
    Done,
    CalledOff,
}

impl Hold {
    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call_off(&self) {
        let mut phase = self.lock();
        match &*phase {
            Phase::Waiting => *phase = Phase::CalledOff,
            Phase::Running(run) => {
                run.leave();
                *phase = Phase::CalledOff;
            }
            Phase::Done | Phase::CalledOff => {}
        }
    }
}
