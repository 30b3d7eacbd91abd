//! A request that waits to be run again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::tensor::Tensor;
use crate::serving::{Outputs, Sampled};

/// A sampled request, with what it gave and what its client got.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) sampled: Sampled,
    pub(super) inputs: Arc<Vec<Tensor>>,
    /// None where the model failed on the request.
    pub(super) live: Option<Arc<Outputs>>,
    bytes: usize,
    queued: Instant,
}

impl Job {
    pub(super) fn new(
        sampled: Sampled,
        inputs: Arc<Vec<Tensor>>,
        live: Option<Arc<Outputs>>,
        queued: Instant,
    ) -> Self {
        let bytes = inputs.iter().map(Tensor::bytes).sum();
        Self { sampled, inputs, live, bytes, queued }
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
