//! Models for bodies that a fuzzer makes up.

use std::sync::LazyLock;

use super::decode::{Expected, decode};
use crate::api::json::DecodeError;
use crate::config::LimitsConfig;
use crate::domain::signature::{Dim, Shape, Signature, TensorSpec};
use crate::domain::tensor::DType;
use crate::serving::Naming;

/// What a request may be for: one for each way through the decoder.
static MODELS: LazyLock<Vec<(Signature, Naming)>> = LazyLock::new(|| {
    let rows = |name: &str, dtype, columns: &[usize]| {
        let columns = columns.iter().map(|size| Dim::Fixed(*size));
        input(name, dtype, Some([Dim::Symbol("N".into())].into_iter().chain(columns).collect()))
    };
    let naming = |features: &[&str]| Naming {
        features: features.iter().map(|name| (*name).to_owned()).collect(),
        classes: Vec::new(),
    };
    let columns = DType::ALL.iter().map(|dtype| rows(dtype.name(), *dtype, &[])).collect();
    let tensors = vec![rows("a", DType::F32, &[2, 2]), input("b", DType::I32, None)];
    let whole = vec![input("x", DType::F32, Some(Vec::new()))];
    vec![
        (model(vec![rows("x", DType::F32, &[4])]), naming(&["a", "b", "c", "d"])),
        (model(columns), naming(&[])),
        (model(tensors), naming(&[])),
        (model(whole), naming(&[])),
        (model(vec![rows("s", DType::String, &[2])]), naming(&[])),
    ]
});

fn model(inputs: Vec<TensorSpec>) -> Signature {
    Signature { inputs, outputs: Vec::new() }
}

fn input(name: &str, dtype: DType, dims: Option<Vec<Dim>>) -> TensorSpec {
    TensorSpec { name: name.into(), dtype, shape: Shape(dims) }
}

/// Decodes a body for the model that the first byte chooses, and returns what a client would be told is wrong.
pub(crate) fn decode_anything(input: &[u8]) -> Option<String> {
    let (which, body) = input.split_first()?;
    let (signature, naming) = &MODELS[usize::from(*which) % MODELS.len()];
    let limits = LimitsConfig::default();
    match decode(body, Expected { signature, naming, limits: &limits }) {
        Ok(decoded) => {
            assert_eq!(decoded.inputs.len(), signature.inputs.len());
            for (tensor, spec) in decoded.inputs.iter().zip(&signature.inputs) {
                assert_eq!(tensor.dtype(), spec.dtype);
            }
            None
        }
        Err(
            DecodeError::Malformed(sentence)
            | DecodeError::Unfit(sentence)
            | DecodeError::TooLarge(sentence),
        ) => Some(sentence),
    }
}
