//! One recorded request as bytes and back. Pure: what is written of it, and what is not, is decided here.
//!
//! ```text
//! time, priority, number, digest of the version, its label, inputs, outputs
//! tensor: name, element type, shape, content        content: elements, class scores, a digest, or nothing (redacted)
//! ```
//!
//! Numbers are little-endian. Each record carries names, types and shapes of its own: so a reader knows a request of an
//! older signature when it sees one, and a model needs not be loaded, nor be there, to read what it was asked.

mod decode;
mod elements;
mod encode;

use crate::domain::model::{Digest, VersionLabel};
use crate::domain::recall::Mark;
use crate::domain::signature::{OutputSpec, Signature};
use crate::domain::tensor::{ClassScores, DType, Tensor, Value, ValueView};
use crate::domain::time::WallTime;

pub(super) use decode::{Head, decode, head};
pub(super) use encode::{Answered, Part, Rule, encode};

/// A request and what the trusted version answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// When it was answered.
    pub time: WallTime,
    /// What was drawn for it. Those below any one number are a fair sample of all that were recorded.
    pub priority: u64,
    /// Its number: of all requests since the server was started or, where it waits to be run again, within its rollout.
    pub number: u64,
    /// The version that answered, by its label at that time.
    pub version: VersionLabel,
    /// What that version is.
    pub digest: Digest,
    /// In the order of the version's signature.
    pub inputs: Vec<Recorded>,
    /// The same; none where the model failed or not all of them were computed.
    pub outputs: Vec<Recorded>,
}

/// One input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its name.
    pub name: String,
    /// The type of its elements; of class scores, that of the scores.
    pub dtype: DType,
    /// The sizes of its dimensions; of class scores, rows and classes.
    pub shape: Vec<usize>,
    /// What it held.
    pub content: Content,
}

/// What is kept of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// All of it.
    Tensor(Tensor),
    /// All of it: scores by class name.
    ClassScores(ClassScores),
    /// The SHA-256 sum of its elements: `capture.mode` was `hash`.
    Digest([u8; 32]),
    /// Nothing: `capture.redact` has its name, or it repeats such an input.
    Redacted,
}

impl Recorded {
    /// Its value, where that was kept.
    pub fn value(&self) -> Option<ValueView<'_>> {
        match &self.content {
            Content::Tensor(tensor) => Some(ValueView::Tensor(tensor.view())),
            Content::ClassScores(scores) => Some(ValueView::ClassScores(scores.view())),
            Content::Digest(_) | Content::Redacted => None,
        }
    }
}

impl Recording {
    /// The inputs for a version of this signature, in its order; none where one is missing, was not kept whole, or would
    /// be refused.
    pub fn inputs_for(&self, signature: &Signature) -> Option<Vec<Tensor>> {
        let input = |spec: &crate::domain::signature::TensorSpec| {
            let recorded = self.inputs.iter().find(|input| input.name == spec.name)?;
            match &recorded.content {
                Content::Tensor(tensor) if spec.check(tensor).is_ok() => Some(tensor.clone()),
                Content::Tensor(_)
                | Content::ClassScores(_)
                | Content::Digest(_)
                | Content::Redacted => None,
            }
        };
        signature.inputs.iter().map(input).collect()
    }

    /// What the version answered, in the order of its signature; none where an output is missing or was not kept whole.
    pub fn outputs_for(&self, signature: &Signature) -> Option<Vec<Value>> {
        let output = |spec: &OutputSpec| {
            let recorded = self.outputs.iter().find(|output| output.name == spec.name())?;
            match &recorded.content {
                Content::Tensor(tensor) => Some(Value::Tensor(tensor.clone())),
                Content::ClassScores(scores) => Some(Value::ClassScores(scores.clone())),
                Content::Digest(_) | Content::Redacted => None,
            }
        };
        signature.outputs.iter().map(output).collect()
    }

    /// Its place among the recorded requests of its model.
    pub fn mark(&self) -> Mark {
        Mark { time: self.time, priority: self.priority }
    }
}

#[cfg(test)]
mod tests;
