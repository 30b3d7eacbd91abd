//! The inputs of a request, by name and in any order, each once.

use crate::api::json::{DecodeError, Members, Names, fitting};
use crate::config::LimitsConfig;
use crate::domain::signature::{Signature, TensorSpec};
use crate::domain::tensor::{ElementsView, Tensor, with_elements};

/// The inputs that were given so far.
#[derive(Debug)]
pub(in crate::api) struct Inputs<'s> {
    specs: &'s [TensorSpec],
    members: Members<'s>,
    given: Vec<Option<Tensor>>,
}

impl<'s> Inputs<'s> {
    pub(in crate::api) fn of(signature: &'s Signature) -> Self {
        let specs = &signature.inputs[..];
        let given = specs.iter().map(|_| None).collect();
        Self { specs, members: Members::new(Names::Inputs(specs)), given }
    }

    /// The place of the input with this name, which is given now. `Err` says what is wrong with it.
    pub(in crate::api) fn enter(&mut self, name: &str) -> Result<usize, String> {
        self.members.give(name)
    }

    /// What the model takes at a place.
    pub(in crate::api) fn spec(&self, index: usize) -> &'s TensorSpec {
        &self.specs[index]
    }

    /// Gives a tensor for an input that was [entered](Self::enter). `Err` says why it does not fit.
    pub(in crate::api) fn give(&mut self, index: usize, tensor: Tensor) -> Result<(), String> {
        self.given[index] = Some(fitting(&self.specs[index], tensor)?);
        Ok(())
    }

    /// A tensor for each input, in the signature's order.
    ///
    /// # Errors
    /// [`DecodeError`] that says which are missing, or that all together are too large.
    pub(in crate::api) fn finish(self, limits: &LimitsConfig) -> Result<Vec<Tensor>, DecodeError> {
        if let Some(sentence) = self.members.missing() {
            return Err(DecodeError::Unfit(sentence));
        }
        let inputs: Vec<Tensor> = self.given.into_iter().flatten().collect();
        let elements: usize = inputs.iter().map(|tensor| tensor.view().elements.len()).sum();
        if elements > limits.elements {
            let sentence = format!("more than {} elements in one request", limits.elements);
            return Err(DecodeError::TooLarge(sentence));
        }
        let text_bytes: usize = inputs.iter().map(text_bytes).sum();
        if text_bytes > limits.string_bytes {
            let sentence =
                format!("more than {} bytes of text in one request", limits.string_bytes);
            return Err(DecodeError::TooLarge(sentence));
        }
        Ok(inputs)
    }
}

fn text_bytes(tensor: &Tensor) -> usize {
    with_elements!(
        ElementsView,
        tensor.view().elements,
        _numbers => 0,
        texts => texts.iter().map(String::len).sum()
    )
}
