//! Tensors as bytes: little-endian, row-major, one byte for a truth value, and each text behind its length.

use zerocopy::{FromBytes, IntoBytes};

use crate::domain::tensor::{DType, Elements, ElementsView, with_elements};

// What is in memory is what is on the wire.
const _: () = assert!(cfg!(target_endian = "little"));

/// What a text's length takes.
const LENGTH: usize = size_of::<u32>();

/// How many bytes the elements take.
pub(in crate::api) fn size(elements: ElementsView<'_>) -> usize {
    with_elements!(
        ElementsView,
        elements,
        numbers => size_of_val(numbers),
        texts => texts.iter().map(|text| LENGTH + text.len()).sum()
    )
}

/// Adds the elements to what is there.
pub(in crate::api) fn write(out: &mut Vec<u8>, elements: ElementsView<'_>) {
    with_elements!(
        ElementsView,
        elements,
        numbers => out.extend_from_slice(numbers.as_bytes()),
        texts => {
            for text in texts {
                // A longer one does not fit into any request, and no answer is made of it.
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
        }
    );
}

/// Reads so many elements, which must be all there is. `Err` says why they are none.
pub(in crate::api) fn read(bytes: &[u8], dtype: DType, count: usize) -> Result<Elements, String> {
    let Some(size) = dtype.size() else { return texts(bytes, count).map(Elements::String) };
    if count.checked_mul(size) != Some(bytes.len()) {
        let name = super::datatype::name(dtype);
        let got = bytes.len();
        return Err(format!("{count} elements of {name} take {size} bytes each, got {got} bytes"));
    }
    Ok(match dtype {
        // Any byte is a truth value to some client, and to Rust only two are.
        DType::Bool => Elements::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
        DType::U8 => Elements::U8(bytes.to_vec()),
        DType::U16 => Elements::U16(numbers(bytes, count)),
        DType::U32 => Elements::U32(numbers(bytes, count)),
        DType::U64 => Elements::U64(numbers(bytes, count)),
        DType::I8 => Elements::I8(numbers(bytes, count)),
        DType::I16 => Elements::I16(numbers(bytes, count)),
        DType::I32 => Elements::I32(numbers(bytes, count)),
        DType::I64 => Elements::I64(numbers(bytes, count)),
        DType::F16 => Elements::F16(numbers(bytes, count)),
        DType::BF16 => Elements::BF16(numbers(bytes, count)),
        DType::F32 => Elements::F32(numbers(bytes, count)),
        DType::F64 => Elements::F64(numbers(bytes, count)),
        DType::String => Elements::String(texts(bytes, count)?),
    })
}

fn numbers<T: FromBytes + IntoBytes + Clone + Default>(bytes: &[u8], count: usize) -> Vec<T> {
    let mut numbers = vec![T::default(); count];
    numbers.as_mut_bytes().copy_from_slice(bytes);
    numbers
}

fn texts(bytes: &[u8], count: usize) -> Result<Vec<String>, String> {
    // Before anything is allocated.
    if count.checked_mul(LENGTH).is_none_or(|least| least > bytes.len()) {
        let got = bytes.len();
        return Err(format!("{count} texts take at least {LENGTH} bytes each, got {got} bytes"));
    }
    let mut rest = bytes;
    let mut texts = Vec::with_capacity(count);
    for index in 0..count {
        let broken = || format!("text {index} is longer than the bytes that follow");
        let (length, behind) = rest.split_first_chunk::<LENGTH>().ok_or_else(broken)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (text, behind) = behind.split_at_checked(length).ok_or_else(broken)?;
        let text = std::str::from_utf8(text)
            .map_err(|_| format!("text {index} is not UTF-8, which is what the model takes"))?;
        texts.push(text.to_owned());
        rest = behind;
    }
    match rest.len() {
        0 => Ok(texts),
        more => Err(format!("{more} bytes follow the {count} texts, and belong to none")),
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use proptest::prelude::*;

    use super::*;

    fn written(elements: &Elements) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, elements.view());
        assert_eq!(out.len(), size(elements.view()));
        out
    }

    #[test]
    fn numbers_are_little_endian_and_texts_begin_with_their_length() {
        assert_eq!(written(&Elements::U16(vec![1, 0x0203])), [1, 0, 3, 2]);
        assert_eq!(written(&Elements::F32(vec![1.0])), [0, 0, 0x80, 0x3f]);
        assert_eq!(written(&Elements::F16(vec![f16::ONE])), [0, 0x3c]);
        assert_eq!(written(&Elements::BF16(vec![bf16::ONE])), [0x80, 0x3f]);
        assert_eq!(written(&Elements::Bool(vec![true, false])), [1, 0]);
        assert_eq!(
            written(&Elements::String(vec!["ab".into(), String::new()])),
            *b"\x02\0\0\0ab\0\0\0\0"
        );
    }

    #[test]
    fn every_type_is_read_as_it_was_written() {
        for dtype in DType::ALL {
            let zeros = dtype.zeros(3);
            assert_eq!(read(&written(&zeros), *dtype, 3), Ok(zeros));
        }
        assert_eq!(read(&[0, 7], DType::Bool, 2), Ok(Elements::Bool(vec![false, true])));
    }

    #[test]
    fn bytes_that_do_not_fit_the_shape_are_refused_before_anything_is_allocated() {
        assert_eq!(
            read(&[0; 7], DType::F32, 2).unwrap_err(),
            "2 elements of FP32 take 4 bytes each, got 7 bytes"
        );
        assert!(read(&[0; 7], DType::F64, usize::MAX).is_err());
        assert_eq!(
            read(&[0; 7], DType::String, usize::MAX / 4).unwrap_err(),
            format!("{} texts take at least 4 bytes each, got 7 bytes", usize::MAX / 4)
        );
        assert_eq!(
            read(b"\x05\0\0\0ab", DType::String, 1).unwrap_err(),
            "text 0 is longer than the bytes that follow"
        );
        assert_eq!(
            read(b"\x01\0\0\0ab", DType::String, 1).unwrap_err(),
            "1 bytes follow the 1 texts, and belong to none"
        );
        assert_eq!(
            read(b"\x01\0\0\0\xff", DType::String, 1).unwrap_err(),
            "text 0 is not UTF-8, which is what the model takes"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_texts_or_refused(bytes: Vec<u8>, count in 0..5usize) {
            if let Ok(texts) = read(&bytes, DType::String, count) {
                prop_assert_eq!(written(&texts), bytes);
            }
        }

        #[test]
        fn texts_are_read_as_they_were_written(texts: Vec<String>) {
            let (count, elements) = (texts.len(), Elements::String(texts));
            prop_assert_eq!(read(&written(&elements), DType::String, count), Ok(elements));
        }
    }
}
