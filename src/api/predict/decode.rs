//! The body of a predict request, decoded into a tensor for each input of the model.
//!
//! Two forms, as TensorFlow Serving's REST interface defines them: `{"instances": [row, …]}` and
//! `{"inputs": …}` with whole tensors. Numbers go straight into the tensors' buffers; there is no tree of
//! JSON values in between.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess};

use super::json::{Reader, Scalar};
use super::lenient;
use super::nested::{Progress, TensorBuilder};
use super::trail::{Problem, did_you_mean, listed};
use crate::config::LimitsConfig;
use crate::domain::signature::Signature;
use crate::domain::tensor::{DType, Tensor};
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

/// Why a body is not a request for this model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// It is not JSON.
    Malformed(String),
    /// It is JSON, but not what the model takes.
    Unfit(String),
    /// It is larger than a request may be.
    TooLarge(String),
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
    match decode_strictly(body, expected) {
        // Only a body that is not JSON pays for the second look.
        Err(DecodeError::Malformed(sentence)) => match lenient::quote_special_numbers(body) {
            Some(body) => decode_strictly(&body, expected),
            None => Err(DecodeError::Malformed(sentence)),
        },
        result => result,
    }
}

fn decode_strictly(body: &[u8], expected: Expected<'_>) -> Result<Decoded, DecodeError> {
    let mut progress = Progress::new(expected.limits);
    let mut json = serde_json::Deserializer::from_slice(body);
    let decoded = Request { expected, progress: &mut progress }
        .seed()
        .deserialize(&mut json)
        .and_then(|decoded| json.end().map(|()| decoded));
    decoded.map_err(|error| explain(&error, &mut progress))
}

fn explain(error: &serde_json::Error, progress: &mut Progress<'_>) -> DecodeError {
    let place =
        if progress.trail.is_at_root() { String::new() } else { format!("{}: ", progress.trail) };
    match progress.trail.take_problem() {
        Some(Problem::Unfit(sentence)) => DecodeError::Unfit(place + &sentence),
        Some(Problem::TooLarge(sentence)) => DecodeError::TooLarge(place + &sentence),
        None => DecodeError::Malformed(format!("{place}malformed JSON: {error}")),
    }
}

/// The object at the root.
struct Request<'a, 's> {
    expected: Expected<'s>,
    progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for Request<'_, '_> {
    type Value = Decoded;

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<Decoded, A::Error> {
        let Self { expected, progress } = self;
        let mut decoded: Option<Decoded> = None;
        while let Some(key) = members.next_key::<Cow<'_, str>>()? {
            let is_tensors = matches!(key.as_ref(), "instances" | "inputs");
            if is_tensors && decoded.is_some() {
                let sentence = "give `instances` or `inputs`, one of them and once";
                return Err(progress.trail.unfit(sentence));
            }
            match key.as_ref() {
                "instances" => {
                    progress.trail.enter("instances");
                    decoded = Some(members.next_value_seed(Rows { expected, progress }.seed())?);
                    progress.trail.leave();
                }
                "inputs" => {
                    progress.trail.enter("inputs");
                    decoded = Some(members.next_value_seed(Columns { expected, progress }.seed())?);
                    progress.trail.leave();
                }
                "signature_name" => check_signature_name(&mut members, progress)?,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
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
fn check_signature_name<'de, A: MapAccess<'de>>(
    members: &mut A,
    progress: &mut Progress<'_>,
) -> Result<(), A::Error> {
    const ONLY: &str = "serving_default";
    match members.next_value::<Option<Cow<'_, str>>>()?.as_deref() {
        None | Some("" | ONLY) => Ok(()),
        Some(_) => {
            progress.trail.enter("signature_name");
            Err(progress.trail.unfit(format!("the only signature is `{ONLY}`")))
        }
    }
}

/// `instances`: an array with an element per row.
struct Rows<'a, 's> {
    expected: Expected<'s>,
    progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for Rows<'_, '_> {
    type Value = Decoded;

    fn array<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Decoded, A::Error> {
        let Self { expected, progress } = self;
        let inputs = &expected.signature.inputs;
        let takes_no_rows = |dims: &[_]| dims.is_empty();
        if let Some(spec) = inputs.iter().find(|spec| spec.shape.dims().is_some_and(takes_no_rows))
        {
            let sentence =
                format!("input `{}` is a single value, not one per row; use `inputs`", spec.name);
            return Err(progress.trail.unfit(sentence));
        }
        let mut builders: Vec<_> = inputs.iter().map(TensorBuilder::new).collect();
        progress.trail.enter_array();
        let mut rows = 0;
        let mut first_kind = None;
        loop {
            progress.trail.at(rows);
            let (builders, first_kind) = (&mut builders[..], &mut first_kind);
            let row = Row { expected, builders, first_kind, progress: &mut *progress };
            if elements.next_element_seed(row.seed())?.is_none() {
                break;
            }
            rows += 1;
        }
        progress.trail.leave();
        if rows == 0 {
            return Err(progress.trail.unfit("at least one instance is needed"));
        }
        let inputs = builders.into_iter().map(|builder| builder.finish_rows(rows));
        let inputs = inputs
            .collect::<Result<_, _>>()
            .map_err(|error| progress.trail.unfit::<A::Error>(error))?;
        Ok(Decoded { inputs, form: Form::Rows(rows) })
    }

    fn object<A: MapAccess<'de>>(self, _members: A) -> Result<Decoded, A::Error> {
        Err(self.progress.trail.unfit("expected an array of instances, got an object"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Decoded, E> {
        Err(self.progress.trail.unfit(format!("expected an array of instances, got {scalar}")))
    }
}

/// How a row is written. All rows of a request are written alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowKind {
    Plain,
    Named,
}

/// One element of `instances`.
struct Row<'a, 's, 'p> {
    expected: Expected<'s>,
    builders: &'a mut [TensorBuilder<'s>],
    first_kind: &'a mut Option<RowKind>,
    progress: &'a mut Progress<'p>,
}

impl<'de> Reader<'de> for Row<'_, '_, '_> {
    type Value = ();

    fn array<A: SeqAccess<'de>>(self, elements: A) -> Result<(), A::Error> {
        let (builder, progress) = self.only_input("an array")?;
        builder.read_array(1, progress, elements)
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<(), E> {
        let (builder, progress) = self.only_input(&scalar)?;
        builder.read_scalar(1, progress, scalar)
    }

    fn object<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let first_key = members.next_key::<String>()?;
        if let ([builder], Some(key)) = (&mut *self.builders, &first_key) {
            if is_base64_text(builder, key) {
                return builder.read_base64(1, self.progress, members);
            }
        }
        self.is_of(RowKind::Named)?;
        let features = &self.expected.naming.features;
        match (&mut *self.builders, first_key) {
            ([builder], Some(key)) if !features.is_empty() && key != builder.spec().name => {
                builder.read_named_row(features, key, self.progress, members)
            }
            (builders, first_key) => {
                read_named_inputs(builders, first_key, 1, self.progress, &mut members)?;
                // The next row gives all of them again.
                all_given(builders, self.progress)
            }
        }
    }
}

impl<'a, 's, 'p> Row<'a, 's, 'p> {
    /// The input that a row without names is for.
    fn only_input<E: Error>(
        mut self,
        got: impl fmt::Display,
    ) -> Result<(&'a mut TensorBuilder<'s>, &'a mut Progress<'p>), E> {
        self.is_of(RowKind::Plain)?;
        match self.builders {
            [builder] => Ok((builder, self.progress)),
            builders => {
                let names = listed(builders.iter().map(|builder| builder.spec().name.as_str()));
                let sentence = format!("expected an object with the inputs {names}, got {got}");
                Err(self.progress.trail.unfit(sentence))
            }
        }
    }

    fn is_of<E: Error>(&mut self, kind: RowKind) -> Result<(), E> {
        let first = *self.first_kind.get_or_insert(kind);
        let sentence = match (first, kind) {
            (RowKind::Plain, RowKind::Plain) | (RowKind::Named, RowKind::Named) => return Ok(()),
            (RowKind::Plain, RowKind::Named) => "expected a row without names, like instances[0]",
            (RowKind::Named, RowKind::Plain) => "expected an object, like instances[0]",
        };
        Err(self.progress.trail.unfit(sentence))
    }
}

/// `inputs`: whole tensors, by name or the only one.
struct Columns<'a, 's> {
    expected: Expected<'s>,
    progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for Columns<'_, '_> {
    type Value = Decoded;

    fn array<A: SeqAccess<'de>>(self, elements: A) -> Result<Decoded, A::Error> {
        self.only_input("an array", |builder, progress| builder.read_array(0, progress, elements))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Decoded, E> {
        self.only_input(scalar, |builder, progress| builder.read_scalar(0, progress, scalar))
    }

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<Decoded, A::Error> {
        let Self { expected, progress } = self;
        let mut builders: Vec<_> =
            expected.signature.inputs.iter().map(TensorBuilder::new).collect();
        match (&mut builders[..], members.next_key::<String>()?) {
            ([builder], Some(key)) if is_base64_text(builder, &key) => {
                builder.read_base64(0, progress, members)?;
            }
            (builders, first_key) => {
                read_named_inputs(builders, first_key, 0, progress, &mut members)?;
                all_given(builders, progress)?;
            }
        }
        finish_columns(builders, progress)
    }
}

impl<'s> Columns<'_, 's> {
    fn only_input<E: Error>(
        self,
        got: impl fmt::Display,
        read: impl FnOnce(&mut TensorBuilder<'s>, &mut Progress<'s>) -> Result<(), E>,
    ) -> Result<Decoded, E> {
        let [spec] = &self.expected.signature.inputs[..] else {
            let names =
                listed(self.expected.signature.inputs.iter().map(|spec| spec.name.as_str()));
            let sentence = format!("expected an object with the inputs {names}, got {got}");
            return Err(self.progress.trail.unfit(sentence));
        };
        let mut builder = TensorBuilder::new(spec);
        read(&mut builder, self.progress)?;
        finish_columns(vec![builder], self.progress)
    }
}

fn finish_columns<E: Error>(
    builders: Vec<TensorBuilder<'_>>,
    progress: &mut Progress<'_>,
) -> Result<Decoded, E> {
    let inputs = builders.into_iter().map(TensorBuilder::finish);
    let inputs =
        inputs.collect::<Result<_, _>>().map_err(|error| progress.trail.unfit::<E>(error))?;
    Ok(Decoded { inputs, form: Form::Columns })
}

/// Reads an object with a member per input, in any order.
fn read_named_inputs<'de, A: MapAccess<'de>>(
    builders: &mut [TensorBuilder<'_>],
    first_key: Option<String>,
    depth: usize,
    progress: &mut Progress<'_>,
    members: &mut A,
) -> Result<(), A::Error> {
    let mut key = first_key;
    while let Some(name) = key {
        progress.trail.enter(&name);
        let Some(index) = builders.iter().position(|builder| builder.spec().name == name) else {
            let known = || builders.iter().map(|builder| builder.spec().name.as_str());
            let near = did_you_mean(&name, known());
            let sentence = if near.is_empty() {
                format!("; the inputs are {}", listed(known()))
            } else {
                near
            };
            return Err(progress.trail.unfit(format!("no such input{sentence}")));
        };
        if !builders[index].start() {
            return Err(progress.trail.unfit("given twice"));
        }
        members.next_value_seed(Input { builder: &mut builders[index], depth, progress })?;
        progress.trail.leave();
        key = members.next_key()?;
    }
    Ok(())
}

/// Makes sure that no input is missing, and ready for the next row.
fn all_given<E: Error>(
    builders: &mut [TensorBuilder<'_>],
    progress: &mut Progress<'_>,
) -> Result<(), E> {
    for builder in builders {
        if !builder.take_started() {
            let sentence = format!("input `{}` is missing", builder.spec().name);
            return Err(progress.trail.unfit(sentence));
        }
    }
    Ok(())
}

/// The value of one input.
struct Input<'a, 's, 'p> {
    builder: &'a mut TensorBuilder<'s>,
    depth: usize,
    progress: &'a mut Progress<'p>,
}

impl<'de> DeserializeSeed<'de> for Input<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.builder.read(self.depth, self.progress, json)
    }
}

/// `{"b64": "…"}` is a value, not an object of inputs, where a text is taken.
fn is_base64_text(builder: &TensorBuilder<'_>, key: &str) -> bool {
    builder.spec().dtype == DType::String && key == "b64" && builder.spec().name != "b64"
}
