//! What the protocol tells of the server and of a model, whatever the wire.

use super::datatype;
use super::wanted::dtype_of;
use crate::domain::signature::{Dim, OutputSpec, Shape};
use crate::serving::{ModelRoute, Servable};

/// What the server calls itself.
pub(in crate::api) const SERVER: &str = "greenroom";

/// The version of the server.
pub(in crate::api) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What it can do beyond the protocol, in the words that Triton has for it.
pub(in crate::api) const EXTENSIONS: &[&str] = &[
    "classification",
    "model_repository",
    "model_repository(unload_dependents)",
    "model_configuration",
    "binary_tensor_data",
    "statistics",
];

/// What Triton calls models of this kind.
pub(in crate::api) const PLATFORM: &str = "onnxruntime_onnx";

/// What is told of a model.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) struct Metadata<'s> {
    pub(in crate::api) name: &'s str,
    /// The versions that answer, oldest first; where one was asked for, that.
    pub(in crate::api) versions: Vec<&'s str>,
    pub(in crate::api) inputs: Vec<Port<'s>>,
    pub(in crate::api) outputs: Vec<Port<'s>>,
}

/// What is told of an input or output.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) struct Port<'s> {
    pub(in crate::api) name: &'s str,
    pub(in crate::api) datatype: &'static str,
    /// −1 where any size will do.
    pub(in crate::api) shape: Vec<i64>,
}

impl<'s> Metadata<'s> {
    /// Of a version, which was asked for or is the one that answers.
    pub(in crate::api) fn of(route: &'s ModelRoute, servable: &'s Servable, asked: bool) -> Self {
        let versions = match asked {
            true => vec![servable.version().as_str()],
            false => route.loaded().map(|loaded| loaded.version().as_str()).collect(),
        };
        let signature = servable.signature();
        let input = |shape: &Shape, name: &'s str, dtype| Port {
            name,
            datatype: datatype::name(dtype),
            shape: sizes(shape),
        };
        let inputs = signature
            .inputs
            .iter()
            .map(|spec| input(&spec.shape, &spec.name, spec.dtype))
            .collect();
        Self {
            name: servable.model().as_str(),
            versions,
            inputs,
            outputs: signature.outputs.iter().map(output).collect(),
        }
    }
}

fn output(spec: &OutputSpec) -> Port<'_> {
    let shape = match spec {
        OutputSpec::Tensor(spec) => sizes(&spec.shape),
        // A row for each row, and a column for each class.
        OutputSpec::ClassScores { .. } => vec![-1, -1],
    };
    Port { name: spec.name(), datatype: datatype::name(dtype_of(spec)), shape }
}

/// Where not even the number of dimensions is known, that is told as one of any size: the protocol has no word for it.
fn sizes(shape: &Shape) -> Vec<i64> {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
        Dim::Symbol(_) | Dim::Any => -1,
    };
    shape.dims().map_or_else(|| vec![-1], |dims| dims.iter().map(size).collect())
}
