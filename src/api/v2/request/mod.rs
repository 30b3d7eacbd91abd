//! The JSON text of a request, decoded: tensors for the inputs that have their elements in it, places for those whose
//! bytes follow, and what is wanted.
//!
//! Elements go straight into the tensors' buffers, as long as an input's name comes before them, which is how everybody
//! writes it.

mod input;
mod output;
mod parameters;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess};

use self::input::InputList;
use self::output::OutputList;
use self::parameters::ParameterList;
use super::inputs::Inputs;
use super::parameters::Parameters;
use super::wanted::Wanted;
use crate::api::json::{
    self, DecodeError, Ignored, Key, Progress, Reader, Scalar, Text, shortened,
};
use crate::config::LimitsConfig;
use crate::domain::signature::Signature;

/// A request, as far as its JSON text says it.
#[derive(Debug)]
pub(super) struct Decoded<'s> {
    /// What the answer is called.
    pub(super) id: Option<String>,
    pub(super) parameters: Parameters,
    pub(super) inputs: Inputs<'s>,
    /// The inputs whose bytes follow, in their order.
    pub(super) blobs: Vec<Blob>,
    /// Empty: all outputs as they are.
    pub(super) wanted: Vec<Wanted>,
}

/// An input whose bytes are behind the JSON text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Blob {
    /// Its place in the signature.
    pub(super) index: usize,
    pub(super) shape: Vec<usize>,
    /// How many bytes there are, where that is said.
    pub(super) size: Option<usize>,
}

/// Decodes the text of a request.
///
/// # Errors
/// [`DecodeError`] with a sentence that begins with the path of the offending element.
pub(super) fn decode<'s>(
    text: &[u8],
    signature: &'s Signature,
    limits: &'s LimitsConfig,
) -> Result<Decoded<'s>, DecodeError> {
    json::decode(text, limits, |progress, json| {
        Root { signature, progress }.seed().deserialize(json)
    })
}

/// The object at the root.
struct Root<'a, 's> {
    signature: &'s Signature,
    progress: &'a mut Progress<'s>,
}

enum Member {
    Id,
    Parameters,
    Inputs,
    Outputs,
    /// Not ours; clients send what other servers know.
    Other(String),
}

impl Member {
    fn named(key: &str) -> Self {
        match key {
            "id" => Self::Id,
            "parameters" => Self::Parameters,
            "inputs" => Self::Inputs,
            "outputs" => Self::Outputs,
            _ => Self::Other(shortened(key)),
        }
    }
}

impl<'de, 's> Reader<'de> for Root<'_, 's> {
    type Value = Decoded<'s>;

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<Decoded<'s>, A::Error> {
        let Self { signature, progress } = self;
        let (mut id, mut parameters, mut inputs, mut wanted) = (None, None, None, None);
        while let Some(member) = members.next_key_seed(Key(Member::named))? {
            match member {
                Member::Id => {
                    progress.trail.enter("id");
                    let value = members.next_value_seed(Id { progress: &mut *progress }.seed())?;
                    once(&mut id, value, progress)?;
                }
                Member::Parameters => {
                    progress.trail.enter("parameters");
                    let list = ParameterList { progress: &mut *progress };
                    once(&mut parameters, members.next_value_seed(list.seed())?, progress)?;
                }
                Member::Inputs => {
                    progress.trail.enter("inputs");
                    let list = InputList { signature, progress: &mut *progress };
                    once(&mut inputs, members.next_value_seed(list.seed())?, progress)?;
                }
                Member::Outputs => {
                    progress.trail.enter("outputs");
                    let list = OutputList { signature, progress: &mut *progress };
                    once(&mut wanted, members.next_value_seed(list.seed())?, progress)?;
                }
                Member::Other(name) => {
                    progress.trail.enter_unknown(name);
                    let ignored = Ignored { depth: 1, progress: &mut *progress };
                    members.next_value_seed(ignored.seed())?;
                }
            }
            progress.trail.leave();
        }
        let Some((inputs, blobs)) = inputs else {
            return Err(progress.trail.unfit("`inputs` is missing"));
        };
        let (parameters, wanted) = (parameters.unwrap_or_default(), wanted.unwrap_or_default());
        Ok(Decoded { id: id.flatten(), parameters, inputs, blobs, wanted })
    }

    fn array<A: SeqAccess<'de>>(self, _elements: A) -> Result<Decoded<'s>, A::Error> {
        Err(self.progress.trail.unfit("expected an object with `inputs`, got an array"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Decoded<'s>, E> {
        let sentence = format!("expected an object with `inputs`, got {scalar}");
        Err(self.progress.trail.unfit(sentence))
    }
}

/// Keeps the value of a member that may come once.
fn once<T, E: Error>(
    known: &mut Option<T>,
    value: T,
    progress: &mut Progress<'_>,
) -> Result<(), E> {
    match known.replace(value) {
        Some(_) => Err(progress.trail.unfit("given twice")),
        None => Ok(()),
    }
}

/// The name of the request.
struct Id<'a, 's> {
    progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for Id<'_, '_> {
    type Value = Option<String>;

    fn array<A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Value, A::Error> {
        Text { progress: self.progress, read: |_: &str| Ok(None) }.array(elements)
    }

    fn object<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        Text { progress: self.progress, read: |_: &str| Ok(None) }.object(members)
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Value, E> {
        if scalar == Scalar::Null {
            return Ok(None);
        }
        if let Scalar::Text(text) = scalar {
            self.progress.count_text(text)?;
        }
        let read = |text: &str| Ok(Some(text.to_owned()).filter(|id| !id.is_empty()));
        Text { progress: self.progress, read }.scalar(scalar)
    }
}

#[cfg(test)]
mod tests;
