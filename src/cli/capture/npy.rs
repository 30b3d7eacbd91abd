//! One array as numpy writes it: a line that says type and shape, and the elements.
//!
//! The format is documented as NEP 1. It is simple enough that writing it here costs less than a dependency.

use std::io::{self, Write};

use crate::domain::tensor::{DType, ElementsView};

/// The type of an array's elements, as numpy calls it. Texts are as long as the longest, in characters.
pub(super) fn type_of(dtype: DType, longest: usize) -> String {
    let name = match dtype {
        DType::Bool => "|b1",
        DType::U8 => "|u1",
        DType::U16 => "<u2",
        DType::U32 => "<u4",
        DType::U64 => "<u8",
        DType::I8 => "|i1",
        DType::I16 => "<i2",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::F16 => "<f2",
        // numpy has no such type; a single holds each of its numbers.
        DType::BF16 | DType::F32 => "<f4",
        DType::F64 => "<f8",
        DType::String => return format!("<U{}", longest.max(1)),
    };
    name.to_owned()
}

/// What stands before the elements.
pub(super) fn header(of_type: &str, shape: &[usize]) -> Vec<u8> {
    const PREFIX: usize = 10;
    const ALIGNED_TO: usize = 64;
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let sizes = if shape.len() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
    let mut line =
        format!("{{'descr': '{of_type}', 'fortran_order': False, 'shape': ({sizes}), }}");
    while !(PREFIX + line.len() + 1).is_multiple_of(ALIGNED_TO) {
        line.push(' ');
    }
    line.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    // An array has fewer dimensions than it takes to make this too long.
    header.extend_from_slice(&u16::try_from(line.len()).unwrap_or(u16::MAX).to_le_bytes());
    header.extend_from_slice(line.as_bytes());
    header
}

/// Writes elements. Texts get as many characters as the longest has.
pub(super) fn elements(
    to: &mut impl Write,
    elements: ElementsView<'_>,
    longest: usize,
) -> io::Result<()> {
    macro_rules! numbers {
        ($values:expr) => {
            $values.iter().try_for_each(|value| to.write_all(&value.to_le_bytes()))
        };
    }
    match elements {
        ElementsView::Bool(values) => {
            values.iter().try_for_each(|value| to.write_all(&[u8::from(*value)]))
        }
        ElementsView::U8(values) => to.write_all(values),
        ElementsView::U16(values) => numbers!(values),
        ElementsView::U32(values) => numbers!(values),
        ElementsView::U64(values) => numbers!(values),
        ElementsView::I8(values) => numbers!(values),
        ElementsView::I16(values) => numbers!(values),
        ElementsView::I32(values) => numbers!(values),
        ElementsView::I64(values) => numbers!(values),
        ElementsView::F16(values) => numbers!(values),
        ElementsView::BF16(values) => {
            values.iter().try_for_each(|value| to.write_all(&f32::from(*value).to_le_bytes()))
        }
        ElementsView::F32(values) => numbers!(values),
        ElementsView::F64(values) => numbers!(values),
        ElementsView::String(texts) => {
            texts.iter().try_for_each(|value| text(to, value, longest.max(1)))
        }
    }
}

/// A text of four bytes a character, with zeros up to its length.
pub(super) fn text(to: &mut impl Write, text: &str, length: usize) -> io::Result<()> {
    let characters = text.chars().map(u32::from).chain(std::iter::repeat(0));
    characters.take(length).try_for_each(|character| to.write_all(&character.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_what_numpy_writes() {
        let told = |shape: &[usize]| {
            let header = header("<f4", shape);
            assert_eq!(header.len() % 64, 0);
            assert_eq!(usize::from(header[8]) + 10, header.len());
            String::from_utf8_lossy(&header[10..]).trim_end().to_owned()
        };
        assert_eq!(told(&[2, 3]), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
        assert_eq!(told(&[2]), "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }");
        assert_eq!(told(&[]), "{'descr': '<f4', 'fortran_order': False, 'shape': (), }");
    }

    #[test]
    fn texts_are_as_long_as_the_longest() {
        let mut bytes = Vec::new();
        let texts = ["é".to_owned(), "ab".to_owned()];
        elements(&mut bytes, ElementsView::String(&texts), 2).unwrap();
        let expected = ['é' as u32, 0, 'a' as u32, 'b' as u32].map(u32::to_le_bytes).concat();
        assert_eq!((bytes, type_of(DType::String, 2)), (expected, "<U2".to_owned()));
        assert_eq!(type_of(DType::String, 0), "<U1");
    }
}
