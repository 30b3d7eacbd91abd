//! Elements as JSON writes them, at the end of a text.
//!
//! An f32 is written as the shortest decimal that reads back as the same f32; so are the shorter floats, which are
//! f32 to everybody who reads JSON. `NaN`, `Infinity` and `-Infinity` are bare words, as TensorFlow Serving and Triton
//! have them.

use super::special;
use crate::domain::tensor::ElementsView;

/// Writes one element.
pub(in crate::api) fn element(out: &mut Vec<u8>, elements: ElementsView<'_>, index: usize) {
    match elements {
        ElementsView::Bool(values) => truth(out, values[index]),
        ElementsView::U8(values) => integer(out, values[index]),
        ElementsView::U16(values) => integer(out, values[index]),
        ElementsView::U32(values) => integer(out, values[index]),
        ElementsView::U64(values) => integer(out, values[index]),
        ElementsView::I8(values) => integer(out, values[index]),
        ElementsView::I16(values) => integer(out, values[index]),
        ElementsView::I32(values) => integer(out, values[index]),
        ElementsView::I64(values) => integer(out, values[index]),
        ElementsView::F16(values) => single(out, values[index].into()),
        ElementsView::BF16(values) => single(out, values[index].into()),
        ElementsView::F32(values) => single(out, values[index]),
        ElementsView::F64(values) => double(out, values[index]),
        ElementsView::String(texts) => text(out, &texts[index]),
    }
}

/// Writes all elements, with commas in between.
pub(in crate::api) fn elements(out: &mut Vec<u8>, elements: ElementsView<'_>) {
    fn all<T: Copy>(out: &mut Vec<u8>, values: &[T], write: impl Fn(&mut Vec<u8>, T)) {
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write(out, *value);
        }
    }
    match elements {
        ElementsView::Bool(values) => all(out, values, truth),
        ElementsView::U8(values) => all(out, values, integer),
        ElementsView::U16(values) => all(out, values, integer),
        ElementsView::U32(values) => all(out, values, integer),
        ElementsView::U64(values) => all(out, values, integer),
        ElementsView::I8(values) => all(out, values, integer),
        ElementsView::I16(values) => all(out, values, integer),
        ElementsView::I32(values) => all(out, values, integer),
        ElementsView::I64(values) => all(out, values, integer),
        ElementsView::F16(values) => all(out, values, |out, value| single(out, value.into())),
        ElementsView::BF16(values) => all(out, values, |out, value| single(out, value.into())),
        ElementsView::F32(values) => all(out, values, single),
        ElementsView::F64(values) => all(out, values, double),
        ElementsView::String(texts) => {
            for (index, value) in texts.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                text(out, value);
            }
        }
    }
}

/// Writes a text, in quotes.
pub(in crate::api) fn text(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// Writes an integer.
pub(in crate::api) fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes an f32.
pub(in crate::api) fn single(out: &mut Vec<u8>, value: f32) {
    match special::word_of(f64::from(value)) {
        Some(word) => out.extend_from_slice(word.as_bytes()),
        None => out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes()),
    }
}

fn double(out: &mut Vec<u8>, value: f64) {
    match special::word_of(value) {
        Some(word) => out.extend_from_slice(word.as_bytes()),
        None => out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes()),
    }
}

fn truth(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}
