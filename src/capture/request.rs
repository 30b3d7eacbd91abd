//! A request that was answered, on its way to being a record.

use std::sync::Arc;

use super::place::Series;
use super::record::{Answered, Part, Rule, encode};
use super::segment::add_frame;
use crate::domain::rollout::RolloutId;
use crate::domain::tensor::{Tensor, ValueView};
use crate::domain::time::WallTime;
use crate::serving::{Outputs, Servable};

/// What a request gave and what it got, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'r> {
    pub(super) servable: &'r Arc<Servable>,
    pub(super) inputs: &'r Arc<Vec<Tensor>>,
    /// None where there is nothing that could be held against another answer.
    pub(super) outputs: Option<&'r Arc<Outputs>>,
    pub(super) about: About,
}

/// What else is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    /// The rollout that it is to be run for.
    pub(super) rollout: Option<RolloutId>,
    pub(super) number: u64,
    pub(super) priority: u64,
    pub(super) time: WallTime,
}

/// The same, kept until a record is made of it.
#[derive(Debug)]
pub(super) struct Held {
    servable: Arc<Servable>,
    inputs: Arc<Vec<Tensor>>,
    outputs: Option<Arc<Outputs>>,
    about: About,
}

impl Request<'_> {
    /// About how much memory its tensors take.
    pub(super) fn bytes(&self) -> usize {
        let outputs = self.outputs.map_or(0, |outputs| outputs.held_bytes());
        self.inputs.iter().map(Tensor::bytes).sum::<usize>() + outputs
    }

    /// With what it belongs together.
    pub(super) fn series(&self) -> Series {
        match self.about.rollout {
            Some(rollout) => Series::Rollout(rollout),
            None => Series::Model(self.servable.model().clone()),
        }
    }

    /// Whether it belongs to others, without a copy of a name that all threads count.
    pub(super) fn is_of(&self, series: &Series) -> bool {
        match (series, self.about.rollout) {
            (Series::Rollout(this), Some(rollout)) => *this == rollout,
            (Series::Model(model), None) => model == self.servable.model(),
            (Series::Rollout(_), None) | (Series::Model(_), Some(_)) => false,
        }
    }

    /// Adds its record at the end. False, and nothing is added, when that is too large.
    pub(super) fn add_to(&self, frames: &mut Vec<u8>, rule: &Rule) -> bool {
        let signature = self.servable.signature();
        let inputs = signature.inputs.iter().zip(self.inputs.iter()).map(|(spec, tensor)| Part {
            name: &spec.name,
            value: ValueView::Tensor(tensor.view()),
        });
        let outputs = self.outputs.into_iter().flat_map(|outputs| outputs.each());
        let outputs = signature.outputs.iter().zip(outputs);
        let answered = Answered {
            time: self.about.time,
            priority: self.about.priority,
            number: self.about.number,
            version: self.servable.version(),
            digest: self.servable.digest(),
            inputs,
            outputs: outputs.map(|(spec, value)| Part { name: spec.name(), value }),
        };
        add_frame(frames, |out| encode(out, answered, rule))
    }

    pub(super) fn held(&self) -> Held {
        let Self { servable, inputs, outputs, about } = *self;
        let (servable, inputs) = (servable.clone(), inputs.clone());
        Held { servable, inputs, outputs: outputs.cloned(), about }
    }
}

impl Held {
    pub(super) fn request(&self) -> Request<'_> {
        let Self { servable, inputs, outputs, about } = self;
        Request { servable, inputs, outputs: outputs.as_ref(), about: *about }
    }
}
