//! The worst examples with what went in and what came out, so that somebody can look at them and ask again.
//!
//! They stay in memory, are few, and are gone with the process: what users send is nobody's to keep.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::comparison::Arm;
use crate::domain::tensor::{Tensor, ValueView};
use crate::domain::time::WallTime;
use crate::onnx::Output;

/// An example whose inputs are larger is not kept.
const MOST_BYTES: usize = 64 << 10;

/// One example.
#[derive(Debug)]
pub struct Sample {
    /// The request's number within its rollout.
    pub number: u64,
    /// When the pair ran.
    pub at: WallTime,
    /// Which version answered the request.
    pub answered: Arm,
    /// The request's inputs, in the order of the version that answered it.
    pub inputs: Arc<Vec<Tensor>>,
    pub(super) stable: Vec<Output>,
    pub(super) candidate: Vec<Output>,
}

impl Sample {
    /// What the trusted version answered: the outputs that both have, in its order.
    pub fn stable(&self) -> Vec<ValueView<'_>> {
        self.stable.iter().map(Output::view).collect()
    }

    /// What the version on trial answered, in the same order.
    pub fn candidate(&self) -> Vec<ValueView<'_>> {
        self.candidate.iter().map(Output::view).collect()
    }
}

/// The examples by the numbers of their requests.
#[derive(Debug, Default)]
pub(super) struct Samples(BTreeMap<u64, Arc<Sample>>);

impl Samples {
    /// Whether inputs of this size are kept.
    pub(super) fn has_room_for(bytes: usize) -> bool {
        bytes <= MOST_BYTES
    }

    pub(super) fn keep(&mut self, sample: Sample) {
        self.0.insert(sample.number, Arc::new(sample));
    }

    /// Forgets all but these.
    pub(super) fn retain(&mut self, numbers: impl Iterator<Item = u64>) {
        let wanted: std::collections::BTreeSet<u64> = numbers.collect();
        self.0.retain(|number, _| wanted.contains(number));
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Sample>> {
        self.0.get(&number).cloned()
    }
}
