//! Numbers that lie in memory that others keep, such as the body of a request.

use bytes::Bytes;
use half::{bf16, f16};
use zerocopy::{FromBytes, Immutable};

use super::elements::{DType, ElementsView};

/// Bytes that are numbers, of the machine's byte order, and lie as numbers of that type have to.
#[derive(Clone, Debug)]
pub(super) struct Lent {
    dtype: DType,
    bytes: Bytes,
}

impl Lent {
    /// None where the bytes lie otherwise, are no whole number of elements, or the type has a form of its own.
    pub(super) fn new(dtype: DType, bytes: Bytes) -> Option<Self> {
        let lie_well = match dtype {
            DType::U8 => can_be::<u8>(&bytes),
            DType::U16 => can_be::<u16>(&bytes),
            DType::U32 => can_be::<u32>(&bytes),
            DType::U64 => can_be::<u64>(&bytes),
            DType::I8 => can_be::<i8>(&bytes),
            DType::I16 => can_be::<i16>(&bytes),
            DType::I32 => can_be::<i32>(&bytes),
            DType::I64 => can_be::<i64>(&bytes),
            DType::F16 => can_be::<f16>(&bytes),
            DType::BF16 => can_be::<bf16>(&bytes),
            DType::F32 => can_be::<f32>(&bytes),
            DType::F64 => can_be::<f64>(&bytes),
            // Not every byte is a truth value.
            DType::Bool | DType::String => false,
        };
        lie_well.then_some(Self { dtype, bytes })
    }

    pub(super) fn view(&self) -> ElementsView<'_> {
        let bytes = &self.bytes[..];
        match self.dtype {
            DType::U8 => ElementsView::U8(bytes),
            DType::U16 => ElementsView::U16(numbers(bytes)),
            DType::U32 => ElementsView::U32(numbers(bytes)),
            DType::U64 => ElementsView::U64(numbers(bytes)),
            DType::I8 => ElementsView::I8(numbers(bytes)),
            DType::I16 => ElementsView::I16(numbers(bytes)),
            DType::I32 => ElementsView::I32(numbers(bytes)),
            DType::I64 => ElementsView::I64(numbers(bytes)),
            DType::F16 => ElementsView::F16(numbers(bytes)),
            DType::BF16 => ElementsView::BF16(numbers(bytes)),
            DType::F32 => ElementsView::F32(numbers(bytes)),
            DType::F64 => ElementsView::F64(numbers(bytes)),
            // There are none: see `new`.
            DType::Bool => ElementsView::Bool(&[]),
            DType::String => ElementsView::String(&[]),
        }
    }
}

fn can_be<T: FromBytes + Immutable>(bytes: &[u8]) -> bool {
    <[T]>::ref_from_bytes(bytes).is_ok()
}

/// Bytes that were looked at before, and neither move nor change.
fn numbers<T: FromBytes + Immutable>(bytes: &[u8]) -> &[T] {
    <[T]>::ref_from_bytes(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_numbers_where_they_lie_as_numbers_do() {
        let bytes = Bytes::from_owner(vec![0_u8; 64]);
        let offset = bytes.as_ptr().align_offset(8);
        let aligned = bytes.slice(offset..offset + 16);
        for dtype in DType::ALL {
            let expected = dtype.size().filter(|_| *dtype != DType::Bool).map(|size| 16 / size);
            let lent = Lent::new(*dtype, aligned.clone());
            assert_eq!(lent.map(|lent| lent.view().len()), expected, "{dtype}");
        }
        let odd = bytes.slice(offset + 1..offset + 17);
        assert!(Lent::new(DType::F32, odd.clone()).is_none());
        assert!(Lent::new(DType::U8, odd).is_some());
        assert!(Lent::new(DType::F32, aligned.slice(..15)).is_none());
    }
}
