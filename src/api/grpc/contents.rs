//! Elements in the fields that the protocol has for their types.

use super::generated::InferTensorContents;
use crate::domain::tensor::{DType, Elements};

/// The elements of a tensor of this type. `Err` says why they are none.
pub(super) fn read(contents: &InferTensorContents, dtype: DType) -> Result<Elements, String> {
    let field = field(dtype).ok_or_else(|| {
        "FP16 and BF16 have no field of their own; give them in `raw_input_contents`".to_owned()
    })?;
    if let Some(other) = filled(contents).find(|other| *other != field) {
        return Err(format!("`contents.{other}` is given, but the elements belong in `{field}`"));
    }
    Ok(match dtype {
        DType::Bool => Elements::Bool(contents.bool_contents.clone()),
        DType::I8 => Elements::I8(narrowed(&contents.int_contents)?),
        DType::I16 => Elements::I16(narrowed(&contents.int_contents)?),
        DType::I32 => Elements::I32(contents.int_contents.clone()),
        DType::I64 => Elements::I64(contents.int64_contents.clone()),
        DType::U8 => Elements::U8(narrowed(&contents.uint_contents)?),
        DType::U16 => Elements::U16(narrowed(&contents.uint_contents)?),
        DType::U32 => Elements::U32(contents.uint_contents.clone()),
        DType::U64 => Elements::U64(contents.uint64_contents.clone()),
        DType::F32 => Elements::F32(contents.fp32_contents.clone()),
        DType::F64 => Elements::F64(contents.fp64_contents.clone()),
        // There is no field: see above.
        DType::F16 | DType::BF16 => dtype.zeros(0),
        DType::String => Elements::String(texts(contents)?),
    })
}

/// The field that elements of a type belong in, where there is one.
fn field(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::Bool => "bool_contents",
        DType::I8 | DType::I16 | DType::I32 => "int_contents",
        DType::I64 => "int64_contents",
        DType::U8 | DType::U16 | DType::U32 => "uint_contents",
        DType::U64 => "uint64_contents",
        DType::F32 => "fp32_contents",
        DType::F64 => "fp64_contents",
        DType::String => "bytes_contents",
        DType::F16 | DType::BF16 => return None,
    })
}

/// The fields that have elements.
fn filled(contents: &InferTensorContents) -> impl Iterator<Item = &'static str> {
    let fields = [
        ("bool_contents", contents.bool_contents.len()),
        ("int_contents", contents.int_contents.len()),
        ("int64_contents", contents.int64_contents.len()),
        ("uint_contents", contents.uint_contents.len()),
        ("uint64_contents", contents.uint64_contents.len()),
        ("fp32_contents", contents.fp32_contents.len()),
        ("fp64_contents", contents.fp64_contents.len()),
        ("bytes_contents", contents.bytes_contents.len()),
    ];
    fields.into_iter().filter(|(_, count)| *count > 0).map(|(name, _)| name)
}

fn narrowed<W: Copy + std::fmt::Display, N: TryFrom<W>>(wide: &[W]) -> Result<Vec<N>, String> {
    let narrow = |(index, number): (usize, &W)| {
        N::try_from(*number)
            .map_err(|_| format!("element {index}: the number {number} is out of range"))
    };
    wide.iter().enumerate().map(narrow).collect()
}

fn texts(contents: &InferTensorContents) -> Result<Vec<String>, String> {
    let text = |(index, bytes): (usize, &bytes::Bytes)| {
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| format!("text {index} is not UTF-8, which is what the model takes"))
    };
    contents.bytes_contents.iter().enumerate().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_integers_share_a_field_and_must_fit_their_type() {
        let contents =
            InferTensorContents { int_contents: vec![-128, 127], ..InferTensorContents::default() };
        assert_eq!(read(&contents, DType::I8), Ok(Elements::I8(vec![-128, 127])));
        assert_eq!(read(&contents, DType::I32), Ok(Elements::I32(vec![-128, 127])));
        let contents =
            InferTensorContents { uint_contents: vec![7, 256], ..InferTensorContents::default() };
        assert_eq!(
            read(&contents, DType::U8).unwrap_err(),
            "element 1: the number 256 is out of range"
        );
        assert_eq!(read(&contents, DType::U16), Ok(Elements::U16(vec![7, 256])));
    }

    #[test]
    fn elements_in_the_field_of_another_type_are_refused() {
        let contents =
            InferTensorContents { fp64_contents: vec![1.0], ..InferTensorContents::default() };
        assert_eq!(
            read(&contents, DType::F32).unwrap_err(),
            "`contents.fp64_contents` is given, but the elements belong in `fp32_contents`"
        );
        assert!(read(&contents, DType::F16).is_err());
        let contents = InferTensorContents {
            bytes_contents: vec![bytes::Bytes::from_static(b"\xff")],
            ..InferTensorContents::default()
        };
        assert!(read(&contents, DType::String).is_err());
    }
}
