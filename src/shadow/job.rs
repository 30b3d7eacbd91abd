//! A request that waits to be run again.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use crate::domain::recall::Mark;
use crate::domain::tensor::{Tensor, Value, ValueView};
use crate::serving::{Outputs, Sampled};

/// A sampled request, with what it gave and what its client got.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) sampled: Sampled,
    pub(super) inputs: Arc<Vec<Tensor>>,
    /// None where the model failed on the request, or it is not known any more.
    pub(super) live: Option<Answer>,
    pub(super) origin: Origin,
    /// Where it came from the disk to be run when there is time.
    turn: Option<Turn>,
    bytes: usize,
    queued: Instant,
}

/// What a client got: all outputs of the version that answered, in the order of its signature.
#[derive(Debug)]
pub(super) enum Answer {
    /// A moment ago.
    Live(Arc<Outputs>),
    /// Some time ago.
    Recorded(Vec<Value>),
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From a client, a moment ago.
    Live,
    /// From the recorded requests that a candidate is rehearsed on.
    Rehearsal(Mark),
    /// From a client, and then from the disk: it was to be run when there is time.
    Deferred,
}

/// A recorded request that is to be run on both versions.
#[derive(Debug)]
pub struct Recorded {
    /// The two versions, and the number that the request has there.
    pub sampled: Sampled,
    /// Its inputs, in the order of the version that answered it.
    pub inputs: Arc<Vec<Tensor>>,
    /// What that version answered, where it is known: all of its outputs, in the order of its signature.
    pub answer: Option<Vec<Value>>,
    /// Why it is run.
    pub reason: Reason,
}

/// Why a recorded request is run.
#[derive(Debug)]
pub enum Reason {
    /// A candidate is rehearsed on it. It has this place among the recorded requests.
    Rehearsal(Mark),
    /// It was sampled, and has waited for its turn.
    Deferred(Turn),
}

/// The turn of a request that was to be run when there is time. Its owner gets the request back when there is none; when
/// the turn is dropped, the request was run or will never be.
#[derive(Clone, Debug)]
pub struct Turn(pub Sender<Recorded>);

impl Job {
    pub(super) fn live(
        sampled: Sampled,
        inputs: Arc<Vec<Tensor>>,
        live: Option<Arc<Outputs>>,
        queued: Instant,
    ) -> Self {
        let bytes = bytes(&inputs);
        let (live, origin, turn) = (live.map(Answer::Live), Origin::Live, None);
        Self { sampled, inputs, live, origin, turn, bytes, queued }
    }

    /// It begins to wait when its turn has come: on the disk nothing grows old.
    pub(super) fn recorded(recorded: Recorded, queued: Instant) -> Self {
        let Recorded { sampled, inputs, answer, reason } = recorded;
        let bytes = bytes(&inputs);
        let live = answer.map(Answer::Recorded);
        let (origin, turn) = match reason {
            Reason::Rehearsal(mark) => (Origin::Rehearsal(mark), None),
            Reason::Deferred(turn) => (Origin::Deferred, Some(turn)),
        };
        Self { sampled, inputs, live, origin, turn, bytes, queued }
    }

    /// Gives it back to whoever has left it, where that is one who can wait; else it stays.
    pub(super) fn put_off(self) -> Option<Self> {
        let Self { sampled, inputs, live, turn, .. } = match self.turn {
            Some(_) => self,
            None => return Some(self),
        };
        let answer = live.and_then(|live| match live {
            Answer::Recorded(values) => Some(values),
            Answer::Live(_) => None,
        });
        if let Some(turn) = turn {
            let reason = Reason::Deferred(turn.clone());
            // Nobody is there any more only when the process is about to end.
            let _ = turn.0.send(Recorded { sampled, inputs, answer, reason });
        }
        None
    }

    /// The size of the inputs.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How long it has waited.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.queued)
    }
}

impl Answer {
    pub(super) fn views(&self) -> Vec<ValueView<'_>> {
        match self {
            Self::Live(outputs) => outputs.views(),
            Self::Recorded(values) => values.iter().map(Value::view).collect(),
        }
    }
}

/// The size of inputs.
pub(super) fn bytes(inputs: &[Tensor]) -> usize {
    inputs.iter().map(Tensor::bytes).sum()
}
