//! Records are read as they were written, and any bytes are read.

use half::{bf16, f16};
use proptest::prelude::*;

use super::*;
use crate::domain::tensor::{ClassScores, Elements, ElementsView};

fn values() -> Rule {
    Rule { only_digests: false, redact: Vec::new() }
}

fn tensor(shape: &[usize], elements: Elements) -> Tensor {
    Tensor::new(shape.to_vec(), elements).unwrap()
}

/// Written and read again.
fn round(inputs: &[(&str, &Tensor)], outputs: &[(&str, ValueView<'_>)], rule: &Rule) -> Recording {
    let bytes = written(inputs, outputs, rule);
    decode(&bytes).unwrap()
}

fn written(inputs: &[(&str, &Tensor)], outputs: &[(&str, ValueView<'_>)], rule: &Rule) -> Vec<u8> {
    let mut bytes = Vec::new();
    let request = Answered {
        time: WallTime(1),
        priority: 2,
        number: 4,
        version: &"7".parse().unwrap(),
        digest: Digest::from_bytes([3; 32]),
        inputs: inputs
            .iter()
            .map(|(name, tensor)| Part { name, value: ValueView::Tensor(tensor.view()) }),
        outputs: outputs.iter().map(|(name, value)| Part { name, value: *value }),
    };
    encode(&mut bytes, request, rule);
    assert_eq!(head(&bytes), Some(Head { time: WallTime(1), priority: 2, number: 4 }));
    bytes
}

fn view(tensor: &Tensor) -> ValueView<'_> {
    ValueView::Tensor(tensor.view())
}

fn one_of_each() -> Vec<Elements> {
    vec![
        Elements::Bool(vec![true, false]),
        Elements::U8(vec![1, 255]),
        Elements::U16(vec![1, 65535]),
        Elements::U32(vec![1, u32::MAX]),
        Elements::U64(vec![1, u64::MAX]),
        Elements::I8(vec![-1, 127]),
        Elements::I16(vec![-1, 300]),
        Elements::I32(vec![-1, i32::MIN]),
        Elements::I64(vec![-1, i64::MIN]),
        Elements::F16(vec![f16::from_f32(1.5), f16::INFINITY]),
        Elements::BF16(vec![bf16::from_f32(-2.0), bf16::ZERO]),
        Elements::F32(vec![0.1, f32::NEG_INFINITY]),
        Elements::F64(vec![0.1, 1e300]),
        Elements::String(vec![String::new(), "grün".into()]),
    ]
}

#[test]
fn every_type_comes_back_as_it_was() {
    assert_eq!(one_of_each().len(), DType::ALL.len());
    for elements in one_of_each() {
        let tensor = tensor(&[2, 1], elements);
        let read = round(&[("a", &tensor)], &[("b", view(&tensor))], &values());
        assert_eq!(read.inputs[0].content, Content::Tensor(tensor.clone()));
        let output = &read.outputs[0];
        assert_eq!((&output.name[..], &output.shape[..]), ("b", &[2, 1][..]));
        assert_eq!((output.dtype, output.value()), (tensor.dtype(), Some(view(&tensor))));
    }
}

#[test]
fn class_scores_come_back_with_their_names() {
    let classes = vec!["cat".to_owned(), "dog".to_owned()];
    let scores = ClassScores { classes, scores: vec![0.25, 0.75], rows: 1 };
    let read = round(&[], &[("p", ValueView::ClassScores(scores.view()))], &values());
    assert_eq!(read.outputs[0].content, Content::ClassScores(scores));
    assert_eq!(read.outputs[0].shape, [1, 2]);
    assert_eq!((read.time, read.priority, read.number), (WallTime(1), 2, 4));
    assert_eq!(read.version.as_str(), "7");
}

#[test]
fn of_digests_nothing_but_the_digest_is_written() {
    let rule = Rule { only_digests: true, redact: vec!["b".into()] };
    let secret = tensor(&[1], Elements::String(vec!["very secret".into()]));
    let other = tensor(&[1], Elements::String(vec!["not that secret".into()]));
    let bytes = written(&[("a", &secret), ("b", &other)], &[("c", view(&secret))], &rule);
    for text in [&b"very secret"[..], b"not that"] {
        assert!(!bytes.windows(text.len()).any(|window| window == text));
    }
    let read = decode(&bytes).unwrap();
    let digest = &read.inputs[0].content;
    assert!(matches!(digest, Content::Digest(_)));
    assert_eq!(digest, &read.outputs[0].content, "the same bytes, the same digest");
    assert_eq!(read.inputs[1].content, Content::Redacted, "and not its digest");
}

#[test]
fn what_is_redacted_is_not_in_the_answer_either() {
    let rule = Rule { only_digests: false, redact: vec!["a".into()] };
    // NaN is not equal to itself, but it is the same bytes.
    let secret = tensor(&[2], Elements::F32(vec![f32::NAN, 4.25]));
    let more = tensor(&[2], Elements::F32(vec![0.0, 5.25]));
    let outputs = [("handed_through", view(&secret)), ("a", view(&more)), ("sum", view(&more))];
    let bytes = written(&[("a", &secret)], &outputs, &rule);
    assert!(!bytes.windows(4).any(|window| window == 4.25_f32.to_le_bytes()));
    let read = decode(&bytes).unwrap();
    assert_eq!((&read.inputs[0].shape[..], read.inputs[0].dtype), (&[2][..], DType::F32));
    let contents: Vec<&Content> = read.outputs.iter().map(|output| &output.content).collect();
    assert_eq!(contents, [&Content::Redacted, &Content::Redacted, &Content::Tensor(more.clone())]);
}

#[test]
fn inputs_fit_a_signature_that_has_the_same() {
    use crate::domain::signature::{Dim, Shape, TensorSpec};
    let [a, b] = [1.0, 2.0].map(|number| tensor(&[1], Elements::F32(vec![number])));
    let read = round(&[("a", &a), ("b", &b)], &[], &values());
    let spec = |name: &str, dtype| TensorSpec {
        name: name.into(),
        dtype,
        shape: Shape(Some(vec![Dim::Any])),
    };
    let signature = |inputs| Signature { inputs, outputs: Vec::new() };
    let fitting = signature(vec![spec("b", DType::F32), spec("a", DType::F32)]);
    assert_eq!(read.inputs_for(&fitting), Some(vec![b, a.clone()]));
    assert_eq!(read.inputs_for(&signature(vec![spec("c", DType::F32)])), None);
    assert_eq!(read.inputs_for(&signature(vec![spec("a", DType::I64)])), None);
    let rule = Rule { only_digests: false, redact: vec!["a".into()] };
    let hidden = round(&[("a", &a)], &[], &rule);
    assert_eq!(hidden.inputs_for(&signature(vec![spec("a", DType::F32)])), None);
}

fn elements() -> impl Strategy<Value = Elements> {
    use proptest::collection::vec;
    prop_oneof![
        vec(any::<f32>().prop_filter("a number", |it| !it.is_nan()), 0..9).prop_map(Elements::F32),
        vec(any::<i64>(), 0..9).prop_map(Elements::I64),
        vec(any::<bool>(), 0..9).prop_map(Elements::Bool),
        vec(any::<String>(), 0..5).prop_map(Elements::String),
    ]
}

proptest! {
    #[test]
    fn whatever_is_written_is_read(name: String, elements in elements()) {
        let tensor = tensor(&[elements.len()], elements);
        let read = round(&[(&name, &tensor)], &[(&name, view(&tensor))], &values());
        prop_assert_eq!(&read.inputs[0].name, &name);
        prop_assert_eq!(&read.inputs[0].content, &Content::Tensor(tensor));
    }

    #[test]
    fn any_bytes_are_a_record_or_none(bytes: Vec<u8>) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_record_that_is_not_whole_is_none_and_a_wrong_byte_is_no_harm(place: usize, byte: u8) {
        let tensor = tensor(&[2], Elements::String(vec!["a".into(), "b".into()]));
        let scores = ClassScores { classes: vec!["x".into()], scores: vec![0.5], rows: 1 };
        let outputs = [("s", ValueView::ClassScores(scores.view())), ("t", view(&tensor))];
        let mut bytes = written(&[("a", &tensor)], &outputs, &values());
        let place = place % bytes.len();
        prop_assert_eq!(decode(&bytes[..place]), None);
        bytes[place] = byte;
        let _ = decode(&bytes);
    }
}

#[test]
fn numbers_of_types_are_told_apart() {
    for dtype in DType::ALL {
        assert_eq!(elements::dtype(elements::code(*dtype)), Some(*dtype));
        let zeros = dtype.zeros(1);
        let mut bytes = Vec::new();
        elements::put(&mut bytes, zeros.view());
        assert_eq!(bytes.len(), dtype.size().unwrap_or(4));
    }
    assert_eq!(elements::dtype(14), None);
    let none: ElementsView<'_> = ElementsView::F32(&[]);
    assert!(none.is_empty());
}
