//! Models for requests that a fuzzer makes up, over REST and over gRPC.

use std::sync::LazyLock;

use super::infer;
use crate::api::grpc;
use crate::domain::signature::{Dim, OutputSpec, Shape, Signature, TensorSpec};
use crate::domain::tensor::{DType, Tensor};

/// What a request may be for: every type in rows of two, every type in any shape, and one of each alone, which is what a
/// body without a text needs.
static MODELS: LazyLock<Vec<Signature>> = LazyLock::new(|| {
    let rows = || Some(vec![Dim::Symbol("N".into()), Dim::Fixed(2)]);
    let all = |dims: fn() -> Option<Vec<Dim>>| {
        let inputs = DType::ALL.iter().map(|dtype| spec(dtype.name(), *dtype, dims()));
        model(inputs.collect())
    };
    let alone = DType::ALL.iter().map(|dtype| model(vec![spec("x", *dtype, rows())]));
    [all(|| Some(vec![Dim::Symbol("N".into()), Dim::Fixed(2)])), all(|| None)]
        .into_iter()
        .chain(alone)
        .collect()
});

fn model(inputs: Vec<TensorSpec>) -> Signature {
    let rows = Some(vec![Dim::Symbol("N".into()), Dim::Fixed(2)]);
    let outputs = vec![OutputSpec::Tensor(spec("y", DType::F32, rows))];
    Signature { inputs, outputs }
}

fn spec(name: &str, dtype: DType, dims: Option<Vec<Dim>>) -> TensorSpec {
    TensorSpec { name: name.into(), dtype, shape: Shape(dims) }
}

/// Reads a request in the form, for the model and with as much text as the first four bytes choose, and returns what a
/// client would be told is wrong.
pub(crate) fn infer_anything(input: &[u8]) -> Option<String> {
    let (choice, body) = input.split_at_checked(4)?;
    let signature = &MODELS[usize::from(choice[0]) % MODELS.len()];
    let length = usize::from(u16::from_le_bytes([choice[2], choice[3]]));
    let read = match choice[1] % 4 {
        0 => infer::decode_for_fuzzing(body.to_vec().into(), Some(body.len()), signature),
        1 => {
            let length = length.clamp(1, body.len().max(1)).min(body.len());
            infer::decode_for_fuzzing(body.to_vec().into(), Some(length), signature)
        }
        2 => infer::decode_for_fuzzing(body.to_vec().into(), None, signature),
        _ => grpc::decode_for_fuzzing(body, signature),
    };
    match read {
        Ok(inputs) => {
            check(&inputs, signature);
            None
        }
        Err(sentence) => Some(sentence),
    }
}

fn check(inputs: &[Tensor], signature: &Signature) {
    assert_eq!(inputs.len(), signature.inputs.len());
    for (tensor, spec) in inputs.iter().zip(&signature.inputs) {
        assert_eq!(tensor.dtype(), spec.dtype);
    }
}
