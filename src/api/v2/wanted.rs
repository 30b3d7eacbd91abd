//! Which outputs a request wants, and in which form.

use super::classification::is_sortable;
use super::parameters::Parameters;
use crate::api::json::{did_you_mean, listed, shortened};
use crate::domain::signature::{OutputSpec, Signature};
use crate::domain::tensor::DType;

/// An output that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) struct Wanted {
    /// Its place in the signature.
    pub(in crate::api) index: usize,
    /// How many of the best classes are wanted in its place.
    pub(in crate::api) classes: Option<usize>,
    /// Whether it comes as bytes, where it says so itself.
    pub(in crate::api) binary: Option<bool>,
}

impl Wanted {
    /// All outputs as they are, which is what a request wants that names none.
    pub(in crate::api) fn all(signature: &Signature) -> Vec<Self> {
        let outputs = 0..signature.outputs.len();
        outputs.map(|index| Self { index, classes: None, binary: None }).collect()
    }

    /// Adds a named output. `Err` says what is wrong with it.
    pub(in crate::api) fn add(
        wanted: &mut Vec<Self>,
        signature: &Signature,
        name: &str,
        parameters: &Parameters,
    ) -> Result<(), String> {
        // Most ask for them in their order.
        let outputs = &signature.outputs;
        let is_named = |output: &OutputSpec| output.name() == name;
        let next = Some(wanted.len()).filter(|&next| outputs.get(next).is_some_and(is_named));
        let index = next.or_else(|| outputs.iter().position(is_named));
        let Some(index) = index else { return Err(unknown(name, signature)) };
        if wanted.iter().any(|known| known.index == index) {
            return Err(format!("output `{}` is asked for twice", shortened(name)));
        }
        let (classes, binary) = (parameters.classification, parameters.binary_data);
        if classes.is_some() && !is_sortable(dtype_of(&outputs[index])) {
            return Err(format!("output `{}` has no numbers to be sorted", shortened(name)));
        }
        wanted.push(Self { index, classes, binary });
        Ok(())
    }
}

/// The type of an output's elements. Scores by class are f32.
pub(in crate::api) fn dtype_of(output: &OutputSpec) -> DType {
    match output {
        OutputSpec::Tensor(spec) => spec.dtype,
        OutputSpec::ClassScores { .. } => DType::F32,
    }
}

fn unknown(name: &str, signature: &Signature) -> String {
    let names = || signature.outputs.iter().map(OutputSpec::name);
    let near = did_you_mean(name, names());
    let name = shortened(name);
    if near.is_empty() {
        format!("`{name}`: no such output; the model gives {}", listed(names()))
    } else {
        format!("`{name}`: no such output{near}")
    }
}
