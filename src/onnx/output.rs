//! One output of a run, read where the library wrote it.

use ort::value::{
    DynMapValueType, DynSequenceValueType, DynTensorValueType, DynValue,
    PrimitiveTensorElementType, TensorElementType, ValueType,
};

use super::error::RunError;
use super::signature;
use crate::domain::signature::Reshape;
use crate::domain::tensor::{
    ClassScores, DType, Elements, ElementsView, Tensor, TensorView, ValueView, element_count,
};

/// An output of a model. Numbers stay in the library's memory until this is dropped.
#[derive(Debug)]
pub struct Output(Kind);

#[derive(Debug)]
enum Kind {
    /// Numbers in the library's memory, which the same output owns: they live as long as it does, and are lent for no
    /// longer.
    Numbers { elements: ElementsView<'static>, shape: Vec<usize>, _owner: DynValue },
    /// Texts and truth values, copied out: their form there is not ours.
    Copied(Tensor),
    /// A classifier's map per row.
    ClassScores(ClassScores),
}

// SAFETY: the elements are owned through `_owner` (which is `Send + Sync`), never written again after the
// run, and only read through `&self`.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    /// Takes over a value that a run made.
    ///
    /// # Errors
    /// [`RunError::Failed`] when the value is of a kind that the signature cannot have.
    pub(super) fn new(value: DynValue) -> Result<Self, RunError> {
        let kind = match value.dtype().clone() {
            ValueType::Tensor { ty, .. } => tensor(value, ty)?,
            ValueType::Sequence(_) => Kind::ClassScores(class_scores(&value)?),
            other @ (ValueType::Map { .. } | ValueType::Optional(_)) => {
                return Err(unexpected(&format!("an output of type `{other}`")));
            }
        };
        Ok(Self(kind))
    }

    /// The same elements in the shape that clients get.
    ///
    /// # Errors
    /// [`RunError::Failed`] when the model gave another shape than it was said to.
    pub(super) fn reshaped(self, reshape: Option<&Reshape>) -> Result<Self, RunError> {
        let Some(reshape) = reshape else { return Ok(self) };
        let moved = |shape: &[usize]| {
            let moved = reshape.outward(shape);
            moved.ok_or_else(|| unexpected(&format!("an output of shape {shape:?}")))
        };
        Ok(Self(match self.0 {
            Kind::Numbers { elements, shape, _owner } => {
                Kind::Numbers { elements, shape: moved(&shape)?, _owner }
            }
            Kind::Copied(tensor) => {
                let shape = moved(tensor.shape())?;
                Kind::Copied(
                    tensor.reshaped(shape).map_err(|error| unexpected(&error.to_string()))?,
                )
            }
            scores @ Kind::ClassScores(_) => scores,
        }))
    }

    /// The output, borrowed.
    pub fn view(&self) -> ValueView<'_> {
        match &self.0 {
            Kind::Numbers { elements, shape, _owner } => {
                ValueView::Tensor(TensorView { shape, elements: *elements })
            }
            Kind::Copied(tensor) => ValueView::Tensor(tensor.view()),
            Kind::ClassScores(scores) => ValueView::ClassScores(scores.view()),
        }
    }
}

fn tensor(value: DynValue, ty: TensorElementType) -> Result<Kind, RunError> {
    let dtype =
        signature::dtype(ty).ok_or_else(|| unexpected(&format!("an output of `{ty}` elements")))?;
    let shape = dimensions(value.shape())?;
    let elements = match dtype {
        DType::U8 => ElementsView::U8(numbers(&value)?),
        DType::U16 => ElementsView::U16(numbers(&value)?),
        DType::U32 => ElementsView::U32(numbers(&value)?),
        DType::U64 => ElementsView::U64(numbers(&value)?),
        DType::I8 => ElementsView::I8(numbers(&value)?),
        DType::I16 => ElementsView::I16(numbers(&value)?),
        DType::I32 => ElementsView::I32(numbers(&value)?),
        DType::I64 => ElementsView::I64(numbers(&value)?),
        DType::F16 => ElementsView::F16(numbers(&value)?),
        DType::BF16 => ElementsView::BF16(numbers(&value)?),
        DType::F32 => ElementsView::F32(numbers(&value)?),
        DType::F64 => ElementsView::F64(numbers(&value)?),
        DType::Bool => {
            let elements = truth_values(&value, &shape)?;
            return copied(shape, Elements::Bool(elements));
        }
        DType::String => {
            let (_, texts) = value.try_extract_strings().map_err(failed)?;
            return copied(shape, Elements::String(texts));
        }
    };
    Ok(Kind::Numbers { elements, shape, _owner: value })
}

/// The numbers in a value. They must not be used for longer than the value is there.
fn numbers<T: PrimitiveTensorElementType>(value: &DynValue) -> Result<&'static [T], RunError> {
    let (_, elements) = value.try_extract_tensor::<T>().map_err(failed)?;
    let elements: *const [T] = elements;
    // SAFETY: `Output` keeps the slice beside the value that owns it, lends it for no longer than itself, and neither
    // writes to the value nor drops it before. Moving the value does not move what it points to.
    Ok(unsafe { &*elements })
}

/// A kernel might write any byte for "true"; a Rust `bool` must be 0 or 1, so bytes are read.
fn truth_values(value: &DynValue, shape: &[usize]) -> Result<Vec<bool>, RunError> {
    let tensor = value.view().downcast::<DynTensorValueType>().map_err(failed)?;
    let count = element_count(shape).ok_or_else(|| unexpected("an impossible shape"))?;
    if count == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: a tensor of truth values has one byte per element, as many as its shape says; `value` owns
    // them, and for bytes every content is valid.
    let bytes = unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<u8>(), count) };
    Ok(bytes.iter().map(|&byte| byte != 0).collect())
}

fn copied(shape: Vec<usize>, elements: Elements) -> Result<Kind, RunError> {
    Tensor::new(shape, elements).map(Kind::Copied).map_err(|error| unexpected(&error.to_string()))
}

fn dimensions(shape: &[i64]) -> Result<Vec<usize>, RunError> {
    shape
        .iter()
        .map(|&size| usize::try_from(size))
        .collect::<Result<_, _>>()
        .map_err(|_| unexpected("an output with a negative dimension"))
}

/// A map per row becomes one matrix, with the classes of the first row as columns.
fn class_scores(value: &DynValue) -> Result<ClassScores, RunError> {
    let sequence = value.view().downcast::<DynSequenceValueType>().map_err(failed)?;
    let maps = sequence.try_extract_sequence::<DynMapValueType>().map_err(failed)?;
    let rows = maps.len();
    let mut classes: Vec<String> = Vec::new();
    let mut scores = Vec::new();
    for map in maps {
        let row = class_row(&map)?;
        if classes.is_empty() {
            classes = row.iter().map(|(class, _)| class.clone()).collect();
        }
        for (index, (class, score)) in row.iter().enumerate() {
            if classes.get(index) != Some(class) {
                return Err(unexpected("rows with different classes"));
            }
            scores.push(*score);
        }
    }
    if scores.len() != rows * classes.len() {
        return Err(unexpected("rows with different numbers of classes"));
    }
    Ok(ClassScores { classes, scores, rows })
}

/// One row's scores, by ascending class: numbers by value, names by their bytes.
fn class_row(map: &ort::value::DynMap) -> Result<Vec<(String, f32)>, RunError> {
    let ValueType::Map { key, .. } = map.dtype() else {
        return Err(unexpected("a sequence of something else than maps"));
    };
    match key {
        TensorElementType::Int64 => {
            let mut row = map.try_extract_key_values::<i64, f32>().map_err(failed)?;
            row.sort_by_key(|(class, _)| *class);
            Ok(row.into_iter().map(|(class, score)| (class.to_string(), score)).collect())
        }
        TensorElementType::String => {
            let mut row = map.try_extract_key_values::<String, f32>().map_err(failed)?;
            row.sort_by(|(left, _), (right, _)| left.cmp(right));
            Ok(row)
        }
        other => Err(unexpected(&format!("class scores by `{other}`"))),
    }
}

fn failed(error: ort::Error) -> RunError {
    RunError::Failed { message: error.message().to_owned() }
}

fn unexpected(what: &str) -> RunError {
    RunError::Failed { message: format!("the model gave {what}") }
}
