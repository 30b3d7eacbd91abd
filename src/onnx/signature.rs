//! Reading a session's signature.

use std::ptr;

use ort::session::Session as OrtSession;
use ort::value::{Outlet, TensorElementType, ValueType};
use ort::{AsPointer, ortsys};

use super::error::{LoadError, Port};
use crate::domain::signature::{ClassKey, Dim, OutputSpec, Shape, Signature, TensorSpec};
use crate::domain::tensor::DType;

/// Names, element types and shapes of everything that the session takes and gives.
///
/// # Errors
/// [`LoadError::Unsupported`] for the first input or output that has no form in our protocols.
pub(super) fn read(session: &OrtSession) -> Result<Signature, LoadError> {
    let inputs = session
        .inputs()
        .iter()
        .enumerate()
        .map(|(index, outlet)| tensor_spec(session, Port::Input, index, outlet))
        .collect::<Result<_, _>>()?;
    let outputs = session
        .outputs()
        .iter()
        .enumerate()
        .map(|(index, outlet)| output_spec(session, index, outlet))
        .collect::<Result<_, _>>()?;
    Ok(Signature { inputs, outputs })
}

fn output_spec(
    session: &OrtSession,
    index: usize,
    outlet: &Outlet,
) -> Result<OutputSpec, LoadError> {
    match class_key(outlet.dtype()) {
        Some(key) => Ok(OutputSpec::ClassScores { name: outlet.name().to_owned(), key }),
        None => tensor_spec(session, Port::Output, index, outlet).map(OutputSpec::Tensor),
    }
}

/// scikit-learn's ZipMap gives a sequence of maps from class to f32 score.
fn class_key(value: &ValueType) -> Option<ClassKey> {
    let ValueType::Sequence(element) = value else { return None };
    match **element {
        ValueType::Map { key, value: TensorElementType::Float32 } => match key {
            TensorElementType::Int64 => Some(ClassKey::I64),
            TensorElementType::String => Some(ClassKey::String),
            _ => None,
        },
        _ => None,
    }
}

fn tensor_spec(
    session: &OrtSession,
    port: Port,
    index: usize,
    outlet: &Outlet,
) -> Result<TensorSpec, LoadError> {
    let unsupported =
        |what: String| LoadError::Unsupported { kind: port, name: outlet.name().to_owned(), what };
    let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else {
        return Err(unsupported(format!("of type `{}`", outlet.dtype())));
    };
    let dtype = dtype(*ty).ok_or_else(|| unsupported(format!("a tensor of `{ty}`")))?;
    let dims = has_shape(session, port, index).then(|| {
        shape
            .iter()
            .zip(dimension_symbols.iter())
            .map(|(&size, symbol)| dim(size, symbol))
            .collect()
    });
    Ok(TensorSpec { name: outlet.name().to_owned(), dtype, shape: Shape(dims) })
}

fn dim(size: i64, symbol: &str) -> Dim {
    match usize::try_from(size) {
        Ok(size) => Dim::Fixed(size),
        Err(_) if symbol.is_empty() => Dim::Any,
        Err(_) => Dim::Symbol(symbol.to_owned()),
    }
}

pub(super) fn dtype(ty: TensorElementType) -> Option<DType> {
    match ty {
        TensorElementType::Bool => Some(DType::Bool),
        TensorElementType::Uint8 => Some(DType::U8),
        TensorElementType::Uint16 => Some(DType::U16),
        TensorElementType::Uint32 => Some(DType::U32),
        TensorElementType::Uint64 => Some(DType::U64),
        TensorElementType::Int8 => Some(DType::I8),
        TensorElementType::Int16 => Some(DType::I16),
        TensorElementType::Int32 => Some(DType::I32),
        TensorElementType::Int64 => Some(DType::I64),
        TensorElementType::Float16 => Some(DType::F16),
        TensorElementType::Bfloat16 => Some(DType::BF16),
        TensorElementType::Float32 => Some(DType::F32),
        TensorElementType::Float64 => Some(DType::F64),
        TensorElementType::String => Some(DType::String),
        _ => None,
    }
}

/// What the library calls the type.
pub(super) fn element_type(dtype: DType) -> TensorElementType {
    match dtype {
        DType::Bool => TensorElementType::Bool,
        DType::U8 => TensorElementType::Uint8,
        DType::U16 => TensorElementType::Uint16,
        DType::U32 => TensorElementType::Uint32,
        DType::U64 => TensorElementType::Uint64,
        DType::I8 => TensorElementType::Int8,
        DType::I16 => TensorElementType::Int16,
        DType::I32 => TensorElementType::Int32,
        DType::I64 => TensorElementType::Int64,
        DType::F16 => TensorElementType::Float16,
        DType::BF16 => TensorElementType::Bfloat16,
        DType::F32 => TensorElementType::Float32,
        DType::F64 => TensorElementType::Float64,
        DType::String => TensorElementType::String,
    }
}

/// `ort` shows "no shape declared" and "scalar" alike, as rank 0; the C API tells them apart.
fn has_shape(session: &OrtSession, port: Port, index: usize) -> bool {
    let mut type_info = ptr::null_mut();
    let mut tensor_info = ptr::null();
    // SAFETY: the session is alive, `index` is one of its inputs or outputs, and `type_info` is a valid
    // place for the answer, which we own and release below.
    let status = match port {
        Port::Input => {
            ortsys![unsafe SessionGetInputTypeInfo(session.ptr(), index, &mut type_info)]
        }
        Port::Output => {
            ortsys![unsafe SessionGetOutputTypeInfo(session.ptr(), index, &mut type_info)]
        }
    };
    // SAFETY: the status comes from the call above and is consumed here, once.
    if unsafe { ort::Error::result_from_status(status) }.is_err() {
        return false;
    }
    // SAFETY: `type_info` was filled in by the successful call above; `tensor_info` borrows from it and
    // is not used after the release, which happens once.
    unsafe {
        let status = ortsys![CastTypeInfoToTensorInfo](type_info, &mut tensor_info);
        let is_tensor = ort::Error::result_from_status(status).is_ok() && !tensor_info.is_null();
        let has_shape = is_tensor && ortsys![TensorTypeAndShape_HasShape](tensor_info);
        ortsys![ReleaseTypeInfo](type_info);
        has_shape
    }
}
