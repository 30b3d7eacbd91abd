//! Whether a model is what `config.pbtxt` declares it to be.
//!
//! Whoever wrote the declaration, and every client that was written by it, relies on it, so a model that contradicts it
//! is not served. Inputs are compared leniently: where one side says that a size is variable, the other may have a
//! fixed one. Outputs are compared to the letter.
//!
//! What it leaves open and the declaration does not, the declaration counts for: the model is presented to clients as
//! it is declared.

use crate::config::{Declared, DeclaredTensor};
use crate::domain::signature::{Dim, OutputSpec, Presented, Reshape, Shape, Signature, TensorSpec};
use crate::domain::tensor::DType;

/// The model as it is declared.
///
/// # Errors
/// A sentence with the first contradiction: what is declared where, and what the model has.
pub(super) fn as_declared(declared: &Declared, signature: &Signature) -> Result<Presented, String> {
    check_declared(declared, signature)?;
    let mut presented = Presented::as_it_is(signature.clone());
    let is_batched = declared.is_batched;
    let Presented { signature, inputs, outputs } = &mut presented;
    for (spec, reshape) in signature.inputs.iter_mut().zip(inputs) {
        *reshape = present(spec, &declared.inputs, is_batched);
    }
    for (spec, reshape) in signature.outputs.iter_mut().zip(outputs) {
        match spec {
            OutputSpec::Tensor(spec) => *reshape = present(spec, &declared.outputs, is_batched),
            OutputSpec::ClassScores { .. } => {}
        }
    }
    Ok(presented)
}

/// Gives the tensor the shape that it is declared with, and says how that becomes the one of the model.
fn present(
    spec: &mut TensorSpec,
    declared: &[DeclaredTensor],
    is_batched: bool,
) -> Option<Reshape> {
    let declared = declared.iter().find(|declared| declared.name == spec.name)?;
    let (outside, inside) = (declared.outside(is_batched), declared.inside(is_batched));
    // What is open keeps the size or the name that it has in the model.
    let of_model = |index: usize| {
        spec.shape.dims().and_then(|dims| dims.get(index)).cloned().unwrap_or(Dim::Any)
    };
    let mut open = inside.iter().enumerate().filter(|(_, dim)| dim.is_none());
    let dims = outside.iter().map(|dim| match dim {
        Some(size) => Dim::Fixed(*size),
        None => open.next().map_or(Dim::Any, |(index, _)| of_model(index)),
    });
    let shape = Shape(Some(dims.collect()));
    spec.shape = shape;
    declared.reshape.as_ref().and_then(|_| Reshape::new(outside, inside))
}

fn check_declared(declared: &Declared, signature: &Signature) -> Result<(), String> {
    let is_batched = declared.is_batched;
    for tensor in signature
        .inputs
        .iter()
        .map(Tensor::input)
        .chain(signature.outputs.iter().map(Tensor::output))
    {
        if is_batched && !tensor.has_rows() {
            return Err(format!(
                "`max_batch_size` in `config.pbtxt` says that requests can run together, but {} is {}, whose first \
                 dimension is not variable: `max_batch_size` must be 0",
                tensor.title(),
                tensor.shown
            ));
        }
    }
    let inputs = signature.inputs.iter().map(Tensor::input);
    compare("input", &declared.inputs, inputs.collect(), is_batched)?;
    if let Some(missing) = signature.inputs.iter().find(|input| !is_declared(declared, input)) {
        return Err(format!(
            "the model needs input `{}`, {missing}, which `config.pbtxt` does not declare",
            missing.name
        ));
    }
    let outputs = signature.outputs.iter().map(Tensor::output);
    compare("output", &declared.outputs, outputs.collect(), is_batched)
}

/// Without a single declared input, all are left to the model.
fn is_declared(declared: &Declared, input: &TensorSpec) -> bool {
    let inputs = &declared.inputs;
    inputs.is_empty() || inputs.iter().any(|declared| declared.name == input.name)
}

/// What the model has.
struct Tensor<'s> {
    kind: &'static str,
    name: &'s str,
    /// None for what is no tensor.
    dtype: Option<DType>,
    shape: Option<&'s Shape>,
    shown: String,
}

impl<'s> Tensor<'s> {
    fn input(spec: &'s TensorSpec) -> Self {
        Self::of("input", spec)
    }

    fn output(spec: &'s OutputSpec) -> Self {
        match spec {
            OutputSpec::Tensor(spec) => Self::of("output", spec),
            OutputSpec::ClassScores { name, .. } => {
                Self { kind: "output", name, dtype: None, shape: None, shown: spec.to_string() }
            }
        }
    }

    fn of(kind: &'static str, spec: &'s TensorSpec) -> Self {
        let (dtype, shape) = (Some(spec.dtype), Some(&spec.shape));
        Self { kind, name: &spec.name, dtype, shape, shown: spec.to_string() }
    }

    fn title(&self) -> String {
        format!("{} `{}`", self.kind, self.name)
    }

    fn dims(&self) -> Option<&[Dim]> {
        self.shape.and_then(Shape::dims)
    }

    /// Whether its first dimension can be that of the rows.
    fn has_rows(&self) -> bool {
        self.dims().is_none_or(|dims| match dims {
            [] | [Dim::Fixed(_), ..] => false,
            [Dim::Symbol(_) | Dim::Any, ..] => true,
        })
    }

    fn is(&self, declared: &DeclaredTensor, is_batched: bool) -> bool {
        let is_input = self.kind == "input";
        let fits = |(dim, declared): (&Dim, &Option<usize>)| match (dim, declared) {
            (Dim::Fixed(size), Some(declared)) => size == declared,
            (Dim::Symbol(_) | Dim::Any, None) => true,
            (Dim::Fixed(_), None) | (Dim::Symbol(_) | Dim::Any, Some(_)) => is_input,
        };
        let full = declared.inside(is_batched);
        let is_shape = self
            .dims()
            .is_none_or(|dims| dims.len() == full.len() && dims.iter().zip(&full).all(fits));
        self.dtype == Some(declared.dtype) && is_shape
    }
}

fn compare(
    kind: &str,
    declared: &[DeclaredTensor],
    model: Vec<Tensor<'_>>,
    is_batched: bool,
) -> Result<(), String> {
    for tensor in declared {
        let (name, origin) = (&tensor.name, &tensor.origin);
        match model.iter().find(|known| known.name == name) {
            Some(known) if known.is(tensor, is_batched) => {}
            Some(known) => {
                let rows = if is_batched { " for each row" } else { "" };
                return Err(format!(
                    "{origin}: {kind} `{name}` is declared as {tensor}{rows}, but is {} in the model",
                    known.shown
                ));
            }
            // The model has a value of its own for it.
            None if tensor.is_optional => {}
            None => {
                let names: Vec<String> =
                    model.iter().map(|known| format!("`{}`", known.name)).collect();
                return Err(format!(
                    "{origin}: {kind} `{name}` is not in the model, which has {}",
                    names.join(", ")
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signature::ClassKey;

    fn spec(name: &str, dims: &[Dim]) -> TensorSpec {
        TensorSpec { name: name.into(), dtype: DType::F32, shape: Shape(Some(dims.to_vec())) }
    }

    fn declared(name: &str, dtype: DType, dims: &[Option<usize>]) -> DeclaredTensor {
        let (name, dims, origin) = (name.into(), dims.to_vec(), "m/config.pbtxt:2:7".into());
        DeclaredTensor { name, dtype, dims, reshape: None, is_optional: false, origin }
    }

    /// `x` of N rows with four columns, and `y` of N rows with three.
    fn signature() -> Signature {
        let rows = || Dim::Symbol("N".into());
        let output = spec("y", &[rows(), Dim::Fixed(3)]);
        let inputs = vec![spec("x", &[rows(), Dim::Fixed(4)])];
        Signature { inputs, outputs: vec![OutputSpec::Tensor(output)] }
    }

    fn told(inputs: Vec<DeclaredTensor>, outputs: Vec<DeclaredTensor>, is_batched: bool) -> String {
        let declared = Declared { is_batched, inputs, outputs };
        check_declared(&declared, &signature()).err().unwrap_or_default()
    }

    #[test]
    fn a_model_may_be_as_declared_with_and_without_its_rows() {
        assert_eq!(told(vec![], vec![], false), "");
        let (x, y) = (declared("x", DType::F32, &[Some(4)]), declared("y", DType::F32, &[Some(3)]));
        assert_eq!(told(vec![x], vec![y], true), "");
        let x = declared("x", DType::F32, &[None, Some(4)]);
        assert_eq!(told(vec![x], vec![declared("y", DType::F32, &[None, Some(3)])], false), "");
    }

    #[test]
    fn inputs_are_compared_leniently_and_outputs_to_the_letter() {
        assert_eq!(told(vec![declared("x", DType::F32, &[Some(2), None])], vec![], false), "");
        assert_eq!(
            told(vec![], vec![declared("y", DType::F32, &[Some(2), Some(3)])], false),
            "m/config.pbtxt:2:7: output `y` is declared as f32[2, 3], but is f32[N, 3] in the model"
        );
    }

    #[test]
    fn each_contradiction_is_told_with_both_sides() {
        assert_eq!(
            told(vec![declared("x", DType::F32, &[Some(5)])], vec![], true),
            "m/config.pbtxt:2:7: input `x` is declared as f32[5] for each row, but is f32[N, 4] in the model"
        );
        assert_eq!(
            told(vec![declared("x", DType::I64, &[None, Some(4)])], vec![], false),
            "m/config.pbtxt:2:7: input `x` is declared as i64[?, 4], but is f32[N, 4] in the model"
        );
        assert_eq!(
            told(vec![], vec![declared("z", DType::F32, &[None])], false),
            "m/config.pbtxt:2:7: output `z` is not in the model, which has `y`"
        );
        let optional = DeclaredTensor { is_optional: true, ..declared("w", DType::F32, &[None]) };
        assert_eq!(
            told(vec![optional], vec![], false),
            "the model needs input `x`, f32[N, 4], which `config.pbtxt` does not declare"
        );
    }

    #[test]
    fn a_model_with_a_fixed_number_of_rows_cannot_be_batched() {
        let inputs = vec![spec("x", &[Dim::Fixed(1), Dim::Fixed(4)])];
        let scores = OutputSpec::ClassScores { name: "p".into(), key: ClassKey::I64 };
        let signature = Signature { inputs, outputs: vec![scores] };
        let mut declared = Declared { is_batched: true, ..Declared::default() };
        assert_eq!(
            check_declared(&declared, &signature).unwrap_err(),
            "`max_batch_size` in `config.pbtxt` says that requests can run together, but input `x` is f32[1, 4], \
             whose first dimension is not variable: `max_batch_size` must be 0"
        );
        declared.is_batched = false;
        declared.outputs = vec![self::declared("p", DType::F32, &[None, Some(3)])];
        assert_eq!(
            check_declared(&declared, &signature).unwrap_err(),
            "m/config.pbtxt:2:7: output `p` is declared as f32[?, 3], but is map(i64, f32)[N] in the model"
        );
    }

    #[test]
    fn a_model_is_presented_as_it_is_declared() {
        let rows = || Dim::Symbol("N".into());
        let image = spec("x", &[rows(), Dim::Any, Dim::Any]);
        let score = spec("y", &[rows()]);
        let (inputs, outputs) = (vec![image], vec![OutputSpec::Tensor(score)]);
        let signature = Signature { inputs, outputs };
        let x = declared("x", DType::F32, &[Some(28), None]);
        let y = DeclaredTensor { reshape: Some(vec![]), ..declared("y", DType::F32, &[Some(1)]) };
        let declared = Declared { is_batched: true, inputs: vec![x], outputs: vec![y] };
        let presented = as_declared(&declared, &signature).unwrap();
        assert_eq!(presented.signature.inputs[0].to_string(), "f32[N, 28, ?]");
        assert_eq!(presented.signature.outputs[0].to_string(), "f32[N, 1]");
        assert_eq!(presented.inputs, [None]);
        let reshape = presented.outputs[0].as_ref().unwrap();
        assert_eq!(reshape.outward(&[5]), Some(vec![5, 1]));

        let nothing = as_declared(&Declared::default(), &signature).unwrap();
        assert_eq!(nothing, Presented::as_it_is(signature));
    }

    #[test]
    fn it_is_the_shape_inside_that_is_compared() {
        let scalar = |reshape: Option<Vec<_>>| DeclaredTensor {
            reshape,
            ..declared("s", DType::F32, &[Some(1)])
        };
        let signature = Signature { inputs: vec![spec("s", &[])], outputs: vec![] };
        let told = |input| {
            let declared = Declared { inputs: vec![input], ..Declared::default() };
            as_declared(&declared, &signature)
                .map(|presented| presented.signature.inputs[0].to_string())
        };
        assert_eq!(told(scalar(Some(vec![]))).unwrap(), "f32[1]");
        assert_eq!(
            told(scalar(None)).unwrap_err(),
            "m/config.pbtxt:2:7: input `s` is declared as f32[1], but is f32[] in the model"
        );
    }
}
