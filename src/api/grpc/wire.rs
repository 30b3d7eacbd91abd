//! The message of an inference, read for a version, and its answer.

use std::collections::HashMap;

use bytes::Bytes;

use super::generated::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use super::generated::model_infer_response::InferOutputTensor;
use super::generated::{ModelInferRequest, ModelInferResponse};
use super::{contents, parameters};
use crate::api::aside::aside;
use crate::api::exchange::{Question, Wire};
use crate::api::problem::Problem;
use crate::api::v2::inputs::Inputs;
use crate::api::v2::reply::{self, Output};
use crate::api::v2::wanted::Wanted;
use crate::api::v2::{binary, datatype, raw};
use crate::config::LimitsConfig;
use crate::domain::signature::{Signature, TensorSpec};
use crate::domain::tensor::{Tensor, element_count};
use crate::serving::{Outputs, Servable};

/// A request as this protocol writes it over gRPC.
pub(super) struct GrpcWire<'r> {
    pub(super) message: &'r ModelInferRequest,
    pub(super) limits: &'r LimitsConfig,
}

impl Wire for GrpcWire<'_> {
    type Form = Vec<Wanted>;
    type Reply = ModelInferResponse;

    fn read(&self, servable: &Servable) -> Result<Question<Self::Form>, Problem> {
        aside(self.raw_bytes(), || self.decode(servable.signature()))
    }

    fn write(
        &self,
        wanted: &Self::Form,
        servable: &Servable,
        outputs: &Outputs,
    ) -> Result<ModelInferResponse, Problem> {
        let views = outputs.views();
        let outputs = reply::outputs(wanted, true, servable, &views);
        let (model, version) = (servable.model().as_str(), servable.version().as_str());
        let bytes = outputs.iter().map(|output| raw::size(output.elements())).sum();
        Ok(aside(bytes, || ModelInferResponse {
            model_name: model.to_owned(),
            model_version: version.to_owned(),
            id: self.message.id.clone(),
            parameters: HashMap::new(),
            outputs: outputs.iter().map(described).collect(),
            raw_output_contents: outputs.iter().map(written).collect(),
        }))
    }
}

impl GrpcWire<'_> {
    fn raw_bytes(&self) -> usize {
        self.message.raw_input_contents.iter().map(Bytes::len).sum()
    }

    fn decode(&self, signature: &Signature) -> Result<Question<Vec<Wanted>>, Problem> {
        let timeout = parameters::read(&self.message.parameters, "")?.timeout;
        let inputs = self.inputs(signature)?;
        let wanted = wanted(&self.message.outputs, signature)?;
        let outputs = wanted.iter().map(|wanted| wanted.index).collect();
        Ok(Question { inputs, outputs, timeout, form: wanted })
    }

    fn inputs(&self, signature: &Signature) -> Result<Vec<Tensor>, Problem> {
        let (given, raw) = (&self.message.inputs, &self.message.raw_input_contents);
        if !raw.is_empty() && raw.len() != given.len() {
            let sentence = format!(
                "`raw_input_contents` has {} entries for {} inputs; there is one for each, or none",
                raw.len(),
                given.len()
            );
            return Err(unfit(sentence));
        }
        let all_bytes = self.raw_bytes();
        let mut inputs = Inputs::of(signature);
        for (place, input) in given.iter().enumerate() {
            let at = |sentence: String| unfit(format!("inputs[{place}]: {sentence}"));
            parameters::read(&input.parameters, &format!("inputs[{place}]."))?;
            let index = inputs.enter(&input.name).map_err(at)?;
            let source = match raw.get(place) {
                Some(_) if input.contents.is_some() => {
                    let sentence = "give `contents` or `raw_input_contents`, one of them";
                    return Err(at(sentence.to_owned()));
                }
                Some(bytes) => {
                    let may_lend = binary::is_worth_lending(bytes.len(), all_bytes);
                    Source::Raw { bytes: bytes.clone(), may_lend }
                }
                None => Source::Typed(input),
            };
            tensor(input, source, inputs.spec(index))
                .and_then(|tensor| inputs.give(index, tensor))
                .map_err(at)?;
        }
        Ok(inputs.finish(self.limits)?)
    }
}

/// Where the elements of an input are.
enum Source<'r> {
    Raw { bytes: Bytes, may_lend: bool },
    Typed(&'r InferInputTensor),
}

fn tensor(
    input: &InferInputTensor,
    source: Source<'_>,
    spec: &TensorSpec,
) -> Result<Tensor, String> {
    datatype::check(&input.datatype, spec.dtype)
        .map_err(|sentence| format!("datatype: {sentence}"))?;
    let shape = shape(&input.shape)?;
    let count =
        element_count(&shape).ok_or_else(|| format!("no tensor has the shape {shape:?}"))?;
    match source {
        Source::Raw { bytes, may_lend } => binary::tensor(bytes, may_lend, spec, count, shape),
        Source::Typed(input) => {
            let elements = match &input.contents {
                Some(contents) => contents::read(contents, spec.dtype)?,
                None if count == 0 => spec.dtype.zeros(0),
                None => {
                    return Err(
                        "`contents` or an entry of `raw_input_contents` is missing".to_owned()
                    );
                }
            };
            Tensor::new(shape, elements).map_err(|error| error.to_string())
        }
    }
}

fn shape(sizes: &[i64]) -> Result<Vec<usize>, String> {
    /// More than any tensor has.
    const MOST: usize = 64;
    if sizes.len() > MOST {
        return Err(format!("shape: more than {MOST} dimensions"));
    }
    let size = |size: &i64| {
        usize::try_from(*size)
            .map_err(|_| format!("shape: expected sizes, which are not negative, got {size}"))
    };
    sizes.iter().map(size).collect()
}

/// All outputs as they are, where none is named.
fn wanted(
    asked: &[InferRequestedOutputTensor],
    signature: &Signature,
) -> Result<Vec<Wanted>, Problem> {
    if asked.is_empty() {
        return Ok(Wanted::all(signature));
    }
    let mut wanted = Vec::new();
    for (place, output) in asked.iter().enumerate() {
        let parameters = parameters::read(&output.parameters, &format!("outputs[{place}]."))?;
        Wanted::add(&mut wanted, signature, &output.name, &parameters)
            .map_err(|sentence| unfit(format!("outputs[{place}]: {sentence}")))?;
    }
    Ok(wanted)
}

fn unfit(sentence: String) -> Problem {
    Problem::bad_request("invalid_input", sentence)
}

fn described(output: &Output<'_>) -> InferOutputTensor {
    let size = |size: &usize| i64::try_from(*size).unwrap_or(i64::MAX);
    InferOutputTensor {
        name: output.name.to_owned(),
        datatype: datatype::name(output.dtype).to_owned(),
        shape: output.shape().iter().map(size).collect(),
        parameters: HashMap::new(),
        contents: None,
    }
}

fn written(output: &Output<'_>) -> Bytes {
    let elements = output.elements();
    let mut bytes = Vec::with_capacity(raw::size(elements));
    raw::write(&mut bytes, elements);
    bytes.into()
}

/// What a client would be told is wrong with the bytes of a message.
#[cfg(feature = "fuzzing")]
pub(in crate::api) fn decode_for_fuzzing(
    bytes: &[u8],
    signature: &Signature,
) -> Result<Vec<Tensor>, String> {
    let message = <ModelInferRequest as prost::Message>::decode(bytes);
    let message = message.map_err(|_| "it is no message".to_owned())?;
    let limits = LimitsConfig::default();
    let wire = GrpcWire { message: &message, limits: &limits };
    let question = wire.decode(signature).map_err(|problem| problem.sentence().to_owned())?;
    Ok(question.inputs)
}
