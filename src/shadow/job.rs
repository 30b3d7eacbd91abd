//! A request that waits to be run again.

use std::sync::Arc;
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
    /// Its place among the recorded requests.
    pub mark: Mark,
}

impl Job {
    pub(super) fn live(
        sampled: Sampled,
        inputs: Arc<Vec<Tensor>>,
        live: Option<Arc<Outputs>>,
        queued: Instant,
    ) -> Self {
        let bytes = bytes(&inputs);
        let (live, origin) = (live.map(Answer::Live), Origin::Live);
        Self { sampled, inputs, live, origin, bytes, queued }
    }

    /// It begins to wait when its turn has come: on the disk nothing grows old.
    pub(super) fn recorded(recorded: Recorded, queued: Instant) -> Self {
        let Recorded { sampled, inputs, answer, mark } = recorded;
        let bytes = bytes(&inputs);
        let (live, origin) = (answer.map(Answer::Recorded), Origin::Rehearsal(mark));
        Self { sampled, inputs, live, origin, bytes, queued }
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

fn bytes(inputs: &[Tensor]) -> usize {
    inputs.iter().map(Tensor::bytes).sum()
}
