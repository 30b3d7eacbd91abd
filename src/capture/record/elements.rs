//! Elements as bytes, and how element types are numbered.

use half::{bf16, f16};
use zerocopy::IntoBytes;

use crate::domain::tensor::{DType, Elements, ElementsView};

/// The number of an element type. It stands in files, so it never changes.
pub(super) fn code(dtype: DType) -> u8 {
    match dtype {
        DType::Bool => 0,
        DType::U8 => 1,
        DType::U16 => 2,
        DType::U32 => 3,
        DType::U64 => 4,
        DType::I8 => 5,
        DType::I16 => 6,
        DType::I32 => 7,
        DType::I64 => 8,
        DType::F16 => 9,
        DType::BF16 => 10,
        DType::F32 => 11,
        DType::F64 => 12,
        DType::String => 13,
    }
}

/// The element type of a number.
pub(super) fn dtype(number: u8) -> Option<DType> {
    DType::ALL.iter().copied().find(|dtype| code(*dtype) == number)
}

/// Writes numbers.
macro_rules! put {
    ($out:expr, $values:expr) => {{
        if cfg!(target_endian = "little") {
            $out.extend_from_slice($values.as_bytes());
        } else {
            $values.iter().for_each(|value| $out.extend_from_slice(&value.to_le_bytes()));
        }
    }};
}

/// Adds elements at the end.
pub(super) fn put(out: &mut Vec<u8>, elements: ElementsView<'_>) {
    match elements {
        ElementsView::Bool(values) => out.extend(values.iter().map(|value| u8::from(*value))),
        ElementsView::U8(values) => out.extend_from_slice(values),
        ElementsView::U16(values) => put!(out, values),
        ElementsView::U32(values) => put!(out, values),
        ElementsView::U64(values) => put!(out, values),
        ElementsView::I8(values) => put!(out, values),
        ElementsView::I16(values) => put!(out, values),
        ElementsView::I32(values) => put!(out, values),
        ElementsView::I64(values) => put!(out, values),
        ElementsView::F16(values) => put!(out, values),
        ElementsView::BF16(values) => put!(out, values),
        ElementsView::F32(values) => put!(out, values),
        ElementsView::F64(values) => put!(out, values),
        ElementsView::String(texts) => texts.iter().for_each(|text| put_text(out, text)),
    }
}

/// Adds a text with its length before it.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    // No record is larger than 4 GiB, so no text in it is: see `frame`.
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Bytes that are read from their beginning on.
#[derive(Clone, Debug)]
pub(super) struct Bytes<'b>(pub(super) &'b [u8]);

impl<'b> Bytes<'b> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn size(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    pub(super) fn text(&mut self) -> Option<&'b str> {
        let length = u32::from_le_bytes(self.array()?);
        std::str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok()
    }

    /// So many texts; nothing is set aside for more than there can be.
    pub(super) fn texts(&mut self, count: usize) -> Option<Vec<String>> {
        let most = self.0.len() / size_of::<u32>();
        let mut texts = Vec::with_capacity((count <= most).then_some(count)?);
        for _ in 0..count {
            texts.push(self.text()?.to_owned());
        }
        Some(texts)
    }

    /// So many elements.
    pub(super) fn elements(&mut self, dtype: DType, count: usize) -> Option<Elements> {
        macro_rules! numbers {
            ($variant:ident, $type:ty) => {{
                let bytes = self.take(count.checked_mul(size_of::<$type>())?)?;
                let (chunks, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                Elements::$variant(chunks.iter().map(|it| <$type>::from_le_bytes(*it)).collect())
            }};
        }
        Some(match dtype {
            DType::Bool => {
                let bytes = self.take(count)?;
                let are_truths = bytes.iter().all(|byte| *byte <= 1);
                Elements::Bool(are_truths.then(|| bytes.iter().map(|byte| *byte == 1).collect())?)
            }
            DType::U8 => Elements::U8(self.take(count)?.to_vec()),
            DType::U16 => numbers!(U16, u16),
            DType::U32 => numbers!(U32, u32),
            DType::U64 => numbers!(U64, u64),
            DType::I8 => numbers!(I8, i8),
            DType::I16 => numbers!(I16, i16),
            DType::I32 => numbers!(I32, i32),
            DType::I64 => numbers!(I64, i64),
            DType::F16 => numbers!(F16, f16),
            DType::BF16 => numbers!(BF16, bf16),
            DType::F32 => numbers!(F32, f32),
            DType::F64 => numbers!(F64, f64),
            DType::String => Elements::String(self.texts(count)?),
        })
    }
}
