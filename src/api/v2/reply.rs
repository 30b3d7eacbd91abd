//! The answer: a JSON text, and behind it the bytes of those outputs that are wanted so.

use super::classification::{Classes, classify};
use super::wanted::{Wanted, dtype_of};
use super::{datatype, raw};
use crate::api::json::write;
use crate::domain::signature::OutputSpec;
use crate::domain::tensor::{DType, ElementsView, TensorView, ValueView};
use crate::serving::Servable;

/// An answer as it goes out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) body: Vec<u8>,
    /// How much of it is text, where bytes follow.
    pub(super) text: Option<usize>,
}

/// What the answer's form depends on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) id: Option<String>,
    /// For each output that was computed, how it is wanted.
    pub(super) wanted: Vec<Wanted>,
    /// Whether outputs come as bytes that do not say it themselves.
    pub(super) binary: bool,
}

/// An output as it is written.
pub(in crate::api) struct Output<'a> {
    pub(in crate::api) name: &'a str,
    pub(in crate::api) dtype: DType,
    value: Written<'a>,
    is_binary: bool,
}

enum Written<'a> {
    Elements { shape: Shape<'a>, elements: ElementsView<'a> },
    Classes(Classes),
}

enum Shape<'a> {
    Of(&'a [usize]),
    /// Scores by class have none of their own.
    Matrix([usize; 2]),
}

impl Output<'_> {
    pub(in crate::api) fn shape(&self) -> &[usize] {
        match &self.value {
            Written::Elements { shape: Shape::Of(shape), .. } => shape,
            Written::Elements { shape: Shape::Matrix(shape), .. } => shape,
            Written::Classes(classes) => &classes.shape,
        }
    }

    pub(in crate::api) fn elements(&self) -> ElementsView<'_> {
        match &self.value {
            Written::Elements { elements, .. } => *elements,
            Written::Classes(classes) => ElementsView::String(&classes.texts),
        }
    }
}

/// Writes the answer. `values` are the outputs that were computed.
pub(super) fn write(form: &Form, servable: &Servable, values: &[ValueView<'_>]) -> Reply {
    let outputs = outputs(&form.wanted, form.binary, servable, values);
    let (model, version) = (servable.model().as_str(), servable.version().as_str());
    write_outputs(form.id.as_deref(), model, version, &outputs)
}

/// The outputs as they are wanted. `values` are those that were computed.
pub(in crate::api) fn outputs<'a>(
    wanted: &[Wanted],
    binary: bool,
    servable: &'a Servable,
    values: &[ValueView<'a>],
) -> Vec<Output<'a>> {
    let classes = &servable.naming().classes;
    let specs = &servable.signature().outputs;
    wanted
        .iter()
        .zip(values)
        .map(|(wanted, value)| output(wanted, binary, &specs[wanted.index], *value, classes))
        .collect()
}

fn output<'a>(
    wanted: &Wanted,
    binary: bool,
    spec: &'a OutputSpec,
    value: ValueView<'a>,
    classes: &[String],
) -> Output<'a> {
    let is_binary = wanted.binary.unwrap_or(binary);
    let (dtype, value) = match (wanted.classes, value) {
        (Some(most), value) => (DType::String, Written::Classes(classify(value, most, classes))),
        (None, ValueView::Tensor(TensorView { shape, elements })) => {
            (elements.dtype(), Written::Elements { shape: Shape::Of(shape), elements })
        }
        (None, ValueView::ClassScores(scores)) => {
            let shape = Shape::Matrix([scores.rows, scores.classes.len()]);
            let elements = ElementsView::F32(scores.scores);
            (dtype_of(spec), Written::Elements { shape, elements })
        }
    };
    Output { name: spec.name(), dtype, value, is_binary }
}

fn write_outputs(id: Option<&str>, model: &str, version: &str, outputs: &[Output<'_>]) -> Reply {
    let mut body = Vec::with_capacity(expected_bytes(outputs));
    body.push(b'{');
    if let Some(id) = id {
        body.extend_from_slice(b"\"id\":");
        write::text(&mut body, id);
        body.push(b',');
    }
    body.extend_from_slice(b"\"model_name\":");
    write::text(&mut body, model);
    body.extend_from_slice(b",\"model_version\":");
    write::text(&mut body, version);
    body.extend_from_slice(b",\"outputs\":[");
    for (index, output) in outputs.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        write_output(&mut body, output);
    }
    body.extend_from_slice(b"]}");
    let text = body.len();
    for output in outputs.iter().filter(|output| output.is_binary) {
        raw::write(&mut body, output.elements());
    }
    Reply { text: (body.len() > text).then_some(text), body }
}

fn write_output(body: &mut Vec<u8>, output: &Output<'_>) {
    body.extend_from_slice(b"{\"name\":");
    write::text(body, output.name);
    body.extend_from_slice(b",\"datatype\":\"");
    body.extend_from_slice(datatype::name(output.dtype).as_bytes());
    body.extend_from_slice(b"\",\"shape\":[");
    for (index, size) in output.shape().iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        write::integer(body, *size);
    }
    body.push(b']');
    if output.is_binary {
        body.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
        write::integer(body, raw::size(output.elements()));
        body.extend_from_slice(b"}}");
    } else {
        body.extend_from_slice(b",\"data\":[");
        write::elements(body, output.elements());
        body.extend_from_slice(b"]}");
    }
}

/// About as many bytes as the answer will take, and no fewer than its binary part does.
fn expected_bytes(outputs: &[Output<'_>]) -> usize {
    const PER_ELEMENT: usize = 12;
    let of = |output: &Output<'_>| match output.is_binary {
        true => raw::size(output.elements()),
        false => PER_ELEMENT * output.elements().len(),
    };
    outputs.iter().map(|output| 160 + of(output)).sum::<usize>() + 160
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor<'a>(name: &'a str, shape: &'a [usize], elements: ElementsView<'a>) -> Output<'a> {
        let value = Written::Elements { shape: Shape::Of(shape), elements };
        Output { name, dtype: elements.dtype(), value, is_binary: false }
    }

    #[test]
    fn an_answer_has_its_members_in_the_order_of_other_servers() {
        let outputs = [
            tensor("y", &[2, 1], ElementsView::F32(&[0.5, f32::NAN])),
            tensor("n", &[], ElementsView::I64(&[7])),
        ];
        let reply = write_outputs(Some("a\"b"), "m", "1", &outputs);
        let expected = concat!(
            r#"{"id":"a\"b","model_name":"m","model_version":"1","outputs":["#,
            r#"{"name":"y","datatype":"FP32","shape":[2,1],"data":[0.5,NaN]},"#,
            r#"{"name":"n","datatype":"INT64","shape":[],"data":[7]}]}"#
        );
        assert_eq!(reply, Reply { body: expected.into(), text: None });
    }

    #[test]
    fn bytes_follow_the_text_in_the_order_of_the_outputs() {
        let mut outputs = [
            tensor("a", &[2], ElementsView::I16(&[1, 2])),
            tensor("b", &[1], ElementsView::Bool(&[true])),
            tensor("c", &[1], ElementsView::U8(&[9])),
        ];
        outputs[0].is_binary = true;
        outputs[2].is_binary = true;
        let reply = write_outputs(None, "m", "1", &outputs);
        let text = concat!(
            r#"{"model_name":"m","model_version":"1","outputs":["#,
            r#"{"name":"a","datatype":"INT16","shape":[2],"parameters":{"binary_data_size":4}},"#,
            r#"{"name":"b","datatype":"BOOL","shape":[1],"data":[true]},"#,
            r#"{"name":"c","datatype":"UINT8","shape":[1],"parameters":{"binary_data_size":1}}]}"#
        );
        let body = [text.as_bytes(), &[1, 0, 2, 0, 9]].concat();
        assert_eq!(reply, Reply { body, text: Some(text.len()) });
    }

    #[test]
    fn an_answer_whose_bytes_are_none_is_a_text() {
        let mut outputs = [tensor("a", &[0], ElementsView::I16(&[]))];
        outputs[0].is_binary = true;
        assert_eq!(write_outputs(None, "m", "1", &outputs).text, None);
    }
}
