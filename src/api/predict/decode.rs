//! The body of a predict request, decoded into a tensor for each input of the model.
//!
//! Two forms, as TensorFlow Serving's REST interface defines them: `{"instances": [row, …]}` and
//! `{"inputs": …}` with whole tensors. Numbers go straight into the tensors' buffers; there is no tree of
//! JSON values in between.

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess};

use super::columns::Columns;
use super::rows::Rows;
use crate::api::json::{self, DecodeError, Ignored, Key, Progress, Reader, Scalar, shortened};
use crate::config::LimitsConfig;
use crate::domain::signature::Signature;
use crate::domain::tensor::Tensor;
use crate::serving::Naming;

/// A decoded request.
#[derive(Debug, PartialEq)]
pub(super) struct Decoded {
    /// A tensor for each input, in the signature's order.
    pub(super) inputs: Vec<Tensor>,
    /// How the request was written, which is how the answer is.
    pub(super) form: Form,
}

/// The two ways to write a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `instances`: one element per row.
    Rows(usize),
    /// `inputs`: whole tensors.
    Columns,
}

/// What decoding a request takes, besides its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'s> {
    pub(super) signature: &'s Signature,
    pub(super) naming: &'s Naming,
    pub(super) limits: &'s LimitsConfig,
}

/// Decodes a body.
///
/// # Errors
/// [`DecodeError`] with a sentence that begins with the path of the offending element.
pub(super) fn decode(body: &[u8], expected: Expected<'_>) -> Result<Decoded, DecodeError> {
    json::decode(body, expected.limits, |progress, json| {
        Request { expected, progress }.seed().deserialize(json)
    })
}

/// The object at the root.
struct Request<'a, 's> {
    expected: Expected<'s>,
    progress: &'a mut Progress<'s>,
}

/// A member of the object at the root.
enum Member {
    Instances,
    Inputs,
    SignatureName,
    /// Not ours; clients send what other servers know.
    Other(String),
}

impl Member {
    fn named(key: &str) -> Self {
        match key {
            "instances" => Self::Instances,
            "inputs" => Self::Inputs,
            "signature_name" => Self::SignatureName,
            _ => Self::Other(shortened(key)),
        }
    }
}

impl<'de> Reader<'de> for Request<'_, '_> {
    type Value = Decoded;

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<Decoded, A::Error> {
        let Self { expected, progress } = self;
        let mut decoded: Option<Decoded> = None;
        while let Some(member) = members.next_key_seed(Key(Member::named))? {
            if matches!(member, Member::Instances | Member::Inputs) && decoded.is_some() {
                let sentence = "give `instances` or `inputs`, one of them and once";
                return Err(progress.trail.unfit(sentence));
            }
            match member {
                Member::Instances => {
                    progress.trail.enter("instances");
                    let rows = Rows { expected, progress: &mut *progress };
                    decoded = Some(members.next_value_seed(rows.seed())?);
                }
                Member::Inputs => {
                    progress.trail.enter("inputs");
                    let columns = Columns { expected, progress: &mut *progress };
                    decoded = Some(members.next_value_seed(columns.seed())?);
                }
                Member::SignatureName => {
                    progress.trail.enter("signature_name");
                    let name = SignatureName { progress: &mut *progress };
                    members.next_value_seed(name.seed())?;
                }
                Member::Other(name) => {
                    progress.trail.enter_unknown(name);
                    let ignored = Ignored { depth: 1, progress: &mut *progress };
                    members.next_value_seed(ignored.seed())?;
                }
            }
            progress.trail.leave();
        }
        decoded.ok_or_else(|| progress.trail.unfit("`instances` or `inputs` is missing"))
    }

    fn array<A: SeqAccess<'de>>(self, _elements: A) -> Result<Decoded, A::Error> {
        Err(self.refuse("an array"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Decoded, E> {
        Err(self.refuse(&scalar.to_string()))
    }
}

impl Request<'_, '_> {
    fn refuse<E: Error>(self, got: &str) -> E {
        let sentence = format!("expected an object with `instances` or `inputs`, got {got}");
        self.progress.trail.unfit(sentence)
    }
}

/// A model has one signature here, by the name that TensorFlow gives to the usual one.
struct SignatureName<'a, 's> {
    progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for SignatureName<'_, '_> {
    type Value = ();

    fn array<A: SeqAccess<'de>>(self, _elements: A) -> Result<(), A::Error> {
        Err(self.progress.trail.unfit("expected a string, got an array"))
    }

    fn object<A: MapAccess<'de>>(self, _members: A) -> Result<(), A::Error> {
        Err(self.progress.trail.unfit("expected a string, got an object"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<(), E> {
        const ONLY: &str = "serving_default";
        match scalar {
            Scalar::Null | Scalar::Text("" | ONLY) => Ok(()),
            Scalar::Text(_) => {
                Err(self.progress.trail.unfit(format!("the only signature is `{ONLY}`")))
            }
            Scalar::Bool(_) | Scalar::Integer(_) | Scalar::Float(_) => {
                Err(self.progress.trail.unfit(format!("expected a string, got {scalar}")))
            }
        }
    }
}
