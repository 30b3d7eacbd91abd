//! Inputs whose elements are not in the JSON text but behind it, as bytes.

use bytes::Bytes;

use super::inputs::Inputs;
use super::raw;
use super::request::Blob;
use crate::api::json::{DecodeError, shortened};
use crate::config::LimitsConfig;
use crate::domain::signature::{Dim, Signature, TensorSpec};
use crate::domain::tensor::{DType, Elements, Tensor, element_count};

/// Gives the inputs the bytes that follow the first `text` bytes of the body, in their order.
///
/// # Errors
/// [`DecodeError`] that names the input whose bytes do not fit.
pub(super) fn give(
    inputs: &mut Inputs<'_>,
    blobs: Vec<Blob>,
    body: &Bytes,
    text: usize,
) -> Result<(), DecodeError> {
    let mut rest = body.slice(text.min(body.len())..);
    let may_lend = is_mostly(&rest, body);
    for Blob { index, shape, size } in blobs {
        let spec = inputs.spec(index);
        let unfit = |sentence: String| {
            DecodeError::Unfit(format!("input `{}`: {sentence}", shortened(&spec.name)))
        };
        let no_such = || unfit(format!("no tensor has the shape {shape:?}"));
        let count = element_count(&shape).ok_or_else(no_such)?;
        let by_shape = match spec.dtype.size() {
            Some(of_one) => Some(count.checked_mul(of_one).ok_or_else(no_such)?),
            None => None,
        };
        let left = rest.len();
        let size = match (size, by_shape) {
            (Some(size), _) => size,
            (None, Some(size)) if left > 0 || size == 0 => size,
            (None, _) => return Err(unfit("`data` or `binary_data_size` is missing".to_owned())),
        };
        if size > left {
            return Err(unfit(format!("expected {size} bytes behind the JSON, got {left}")));
        }
        let bytes = rest.split_to(size);
        let tensor = tensor(bytes, may_lend, spec, count, shape)
            .and_then(|tensor| inputs.give(index, tensor));
        tensor.map_err(unfit)?;
    }
    match rest.len() {
        0 => Ok(()),
        more => Err(DecodeError::Unfit(format!(
            "{more} bytes follow the JSON and the inputs, and belong to none"
        ))),
    }
}

/// The tensor of a model's one input, of which the body is the bytes, and nothing else is told.
///
/// # Errors
/// [`DecodeError`] where the model has several inputs, or its shape does not follow from the bytes.
pub(super) fn only_input(
    body: &Bytes,
    signature: &Signature,
    limits: &LimitsConfig,
) -> Result<Vec<Tensor>, DecodeError> {
    let [spec] = &signature.inputs[..] else {
        let sentence = format!(
            "a request without JSON is for models with one input, and this one has {}",
            signature.inputs.len()
        );
        return Err(DecodeError::Unfit(sentence));
    };
    let unfit = |sentence: String| {
        DecodeError::Unfit(format!("input `{}`: {sentence}", shortened(&spec.name)))
    };
    let mut inputs = Inputs::of(signature);
    let index = inputs.enter(&spec.name).map_err(DecodeError::Unfit)?;
    let tensor = if spec.dtype == DType::String {
        one_text(body, spec)
    } else {
        shape_of(body.len(), spec).and_then(|shape| {
            let count = element_count(&shape).unwrap_or(0);
            tensor(body.clone(), true, spec, count, shape)
        })
    };
    tensor.and_then(|tensor| inputs.give(index, tensor)).map_err(unfit)?;
    inputs.finish(limits)
}

/// A text is the whole body, without its length, and the one element.
fn one_text(body: &[u8], spec: &TensorSpec) -> Result<Tensor, String> {
    let text = std::str::from_utf8(body)
        .map_err(|_| "the body is not UTF-8, which is what the model takes".to_owned())?;
    let rank = spec.shape.dims().map_or(1, <[Dim]>::len);
    let elements = Elements::String(vec![text.to_owned()]);
    Tensor::new(vec![1; rank], elements).map_err(|error| error.to_string())
}

/// The shape, where the model leaves at most one dimension open. Where it leaves also the first open, that is one row.
fn shape_of(bytes: usize, spec: &TensorSpec) -> Result<Vec<usize>, String> {
    let not_told = || format!("its shape {} does not follow from the bytes", spec.shape);
    let dims = spec.shape.dims().ok_or_else(not_told)?;
    let is_open = |dim: &Dim| match dim {
        Dim::Fixed(_) => false,
        Dim::Symbol(_) | Dim::Any => true,
    };
    let mut open: Vec<usize> =
        dims.iter().enumerate().filter(|(_, dim)| is_open(dim)).map(|(place, _)| place).collect();
    if open.len() == 2 && open[0] == 0 {
        open.remove(0);
    }
    let mut shape: Vec<usize> = dims
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => *size,
            Dim::Symbol(_) | Dim::Any => 1,
        })
        .collect();
    match open[..] {
        [] => {}
        [place] => {
            let of_one = element_count(&shape).zip(spec.dtype.size());
            let of_one = of_one.and_then(|(count, size)| count.checked_mul(size)).unwrap_or(0);
            let fits = of_one > 0 && bytes.is_multiple_of(of_one);
            shape[place] = if fits { bytes / of_one } else { 1 };
        }
        [_, _, ..] => return Err(not_told()),
    }
    Ok(shape)
}

/// Whether to use numbers where they are in the body. That keeps all of it, which must not be much more than what it is
/// kept for; and a few are copied sooner than looked after.
fn is_mostly(numbers: &Bytes, body: &Bytes) -> bool {
    is_worth_lending(numbers.len(), body.len())
}

/// The same by their lengths.
pub(in crate::api) fn is_worth_lending(numbers: usize, body: usize) -> bool {
    const FEW: usize = 4096;
    numbers > FEW && numbers >= body / 2
}

/// A tensor of bytes, which are used where they are if that may be and they lie as they have to. `Err` says why they are
/// none.
pub(in crate::api) fn tensor(
    bytes: Bytes,
    may_lend: bool,
    spec: &TensorSpec,
    count: usize,
    shape: Vec<usize>,
) -> Result<Tensor, String> {
    if may_lend && let Some(tensor) = Tensor::lent(shape.clone(), spec.dtype, bytes.clone()) {
        return Ok(tensor);
    }
    let elements = raw::read(&bytes, spec.dtype, count)?;
    Tensor::new(shape, elements).map_err(|error| error.to_string())
}
