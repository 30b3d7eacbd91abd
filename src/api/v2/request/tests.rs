//! What is right is said twice: by examples, and by a slow and obvious second decoder that random requests are compared
//! with.

mod reference;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value, json};

use super::*;
use crate::domain::signature::{Dim, OutputSpec, Shape, TensorSpec};
use crate::domain::tensor::{DType, Elements, Tensor};

/// A model with an input `x` f32[N, 2], an input `n` of any integer shape, and outputs `y` and `label`.
fn signature() -> Signature {
    let spec = |name: &str, dtype, dims: Option<Vec<Dim>>| TensorSpec {
        name: name.into(),
        dtype,
        shape: Shape(dims),
    };
    let rows = || Some(vec![Dim::Symbol("N".into()), Dim::Fixed(2)]);
    let outputs = vec![spec("y", DType::F32, rows()), spec("label", DType::String, None)];
    Signature {
        inputs: vec![spec("x", DType::F32, rows()), spec("n", DType::I64, None)],
        outputs: outputs.into_iter().map(OutputSpec::Tensor).collect(),
    }
}

fn decoded(text: &str) -> Result<(Vec<Tensor>, Vec<Wanted>), String> {
    let (signature, limits) = (signature(), LimitsConfig::default());
    let decoded = decode(text.as_bytes(), &signature, &limits);
    let whole = decoded.and_then(|decoded| Ok((decoded.inputs.finish(&limits)?, decoded.wanted)));
    whole.map_err(|error| match error {
        DecodeError::Malformed(sentence)
        | DecodeError::Unfit(sentence)
        | DecodeError::TooLarge(sentence) => sentence,
    })
}

const N: &str = r#"{"name": "n", "datatype": "INT64", "shape": [1], "data": [7]}"#;

fn with_x(x: &str) -> String {
    format!(r#"{{"inputs": [{x}, {N}]}}"#)
}

fn refused(x: &str) -> String {
    decoded(&with_x(x)).unwrap_err()
}

fn f32s(shape: &[usize], elements: &[f32]) -> Tensor {
    Tensor::new(shape.to_vec(), Elements::F32(elements.to_vec())).unwrap()
}

#[test]
fn elements_may_be_nested_or_not_and_members_come_in_any_order() {
    let expected = f32s(&[2, 2], &[1.0, 2.5, -3.0, 4.0]);
    for x in [
        r#"{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2.5, -3, 4]}"#,
        r#"{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2.5], [-3, 4]]}"#,
        r#"{"data": [[1, 2.5], [-3, 4]], "datatype": "FP32", "shape": [2, 2], "name": "x"}"#,
        r#"{"more": {"a": [1]}, "name": "x", "data": [1, 2.5, -3, 4], "parameters": {"a": 1},
            "shape": [2, 2], "datatype": "FP32"}"#,
    ] {
        assert_eq!(decoded(&with_x(x)).unwrap().0[0], expected, "{x}");
    }
    let swapped = format!(
        r#"{{"inputs": [{N}, {{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}}]}}"#
    );
    assert_eq!(decoded(&swapped).unwrap().0[0], f32s(&[1, 2], &[1.0, 2.0]));
}

#[test]
fn words_for_numbers_that_json_lacks_are_read() {
    let x = r#"{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [Infinity, -Infinity, "Infinity", 1]}"#;
    let (inputs, _) = decoded(&with_x(x)).unwrap();
    assert_eq!(inputs[0], f32s(&[2, 2], &[f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY, 1.0]));
    let x = r#"{"data": [NaN, 1], "name": "x", "shape": [1, 2], "datatype": "FP32"}"#;
    let (inputs, _) = decoded(&with_x(x)).unwrap();
    assert!(
        matches!(inputs[0].view().elements, crate::domain::tensor::ElementsView::F32([a, _]) if a.is_nan())
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let x = |members: &str| format!(r#"{{"name": "x", {members}}}"#);
    for (input, sentence) in [
        (
            x(r#""shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3]"#),
            "inputs[0]: `data` has 3 elements, and `shape` [2, 2] takes 4",
        ),
        (
            x(r#""shape": [1, 4], "datatype": "FP32", "data": [[1, 2], [3, 4]]"#),
            "inputs[0]: `data` has the shape [2, 2], and `shape` says [1, 4]",
        ),
        (
            x(r#""shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3]]"#),
            "inputs[0].data[1]: expected 2 elements, got 1",
        ),
        (
            x(r#""shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]"#),
            "inputs[0]: input `x`: expected f32[N, 2], got f32[1, 3]",
        ),
        (
            x(r#""shape": [0, 2], "datatype": "FP32", "data": []"#),
            "inputs[0]: input `x`: expected f32[N, 2] with at least one row, got f32[0, 2]",
        ),
        (
            x(r#""shape": [1, 2], "datatype": "FP64", "data": [1, 2]"#),
            "inputs[0].datatype: the model takes FP32, got FP64",
        ),
        (
            r#"{"datatype": "FP23", "name": "x", "shape": [1, 2], "data": [1, 2]}"#.to_owned(),
            "inputs[0].datatype: there is no such type; did you mean `FP32`?",
        ),
        (
            x(r#""shape": [1, 2], "datatype": "FP32", "data": [1, "2"]"#),
            "inputs[0].data[1]: expected a number, got a string",
        ),
        (
            r#"{"data": [1, true], "name": "x", "shape": [1, 2], "datatype": "FP32"}"#.to_owned(),
            "inputs[0].data[1]: expected a number, got true",
        ),
        (
            x(r#""shape": [1, -2], "datatype": "FP32", "data": [1, 2]"#),
            "inputs[0].shape[1]: expected a size, which is not negative, got the number -2",
        ),
        (
            x(r#""shape": [9223372036854775807, 4, 2], "datatype": "FP32", "data": [1]"#),
            "inputs[0]: `data` has 1 element, and `shape` [9223372036854775807, 4, 2] takes 18446744073709551615",
        ),
        (
            x(r#""datatype": "FP32", "data": [1]"#),
            "inputs[0]: `name`, `datatype` and `shape` are needed",
        ),
        (
            x(
                r#""shape": [1, 2], "datatype": "FP32", "data": [1, 2], "parameters": {"binary_data_size": 8}"#,
            ),
            "inputs[0]: give `data` or `binary_data_size`, one of them",
        ),
        (
            x(
                r#""shape": [1, 2], "datatype": "FP32", "parameters": {"shared_memory_region": "r"}"#,
            ),
            "inputs[0].parameters.shared_memory_region: shared memory is not offered",
        ),
        (
            x(r#""shape": [1, 2], "datatype": "FP32", "data": [1, 2], "name": "n""#),
            "inputs[0].name: given twice",
        ),
        (
            r#"{"name": "other"}"#.to_owned(),
            "inputs[0].name: `other`: no such input; the model takes the inputs `x`, `n`",
        ),
        (N.to_owned(), "inputs[1].name: input `n` is given twice"),
    ] {
        assert_eq!(refused(&input), sentence, "{input}");
    }
    for (text, sentence) in [
        ("[]", "expected an object with `inputs`, got an array"),
        (r#"{"id": "a"}"#, "`inputs` is missing"),
        (r#"{"inputs": {}}"#, "inputs: expected an array of inputs, got an object"),
        (r#"{"id": 7, "inputs": []}"#, "id: expected a string, got the number 7"),
        (r#"{"inputs": []}"#, "inputs `x`, `n` are missing"),
        (r#"{"inputs": [], "inputs": []}"#, "inputs: given twice"),
        (
            r#"{"inputs": [], "parameters": {"timeout": "1s"}}"#,
            "parameters.timeout: expected an integer that is not negative, got a string",
        ),
    ] {
        assert_eq!(decoded(text).unwrap_err(), sentence, "{text}");
    }
}

#[test]
fn outputs_are_chosen_by_name_once_and_in_any_order() {
    let wanted = |outputs: &str| {
        let text = with_x(r#"{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}"#);
        let text = text.replacen('{', &format!(r#"{{"outputs": {outputs}, "#), 1);
        decoded(&text).map(|(_, wanted)| wanted)
    };
    let plain = |index| Wanted { index, classes: None, binary: None };
    assert_eq!(wanted("[]"), Ok(vec![]));
    assert_eq!(wanted(r#"[{"name": "label"}, {"name": "y"}]"#), Ok(vec![plain(1), plain(0)]));
    assert_eq!(
        wanted(r#"[{"parameters": {"classification": 2, "binary_data": true}, "name": "y"}]"#),
        Ok(vec![Wanted { index: 0, classes: Some(2), binary: Some(true) }])
    );
    for (outputs, sentence) in [
        (
            r#"[{"name": "other"}]"#,
            "outputs[0]: `other`: no such output; the model gives `y`, `label`",
        ),
        (r#"[{"name": "labels"}]"#, "outputs[0]: `labels`: no such output; did you mean `label`?"),
        (r#"[{"name": "y"}, {"name": "y"}]"#, "outputs[1]: output `y` is asked for twice"),
        (
            r#"[{"name": "label", "parameters": {"classification": 1}}]"#,
            "outputs[0]: output `label` has no numbers to be sorted",
        ),
        ("[{}]", "outputs[0]: `name` is missing"),
        (r#"["y"]"#, "outputs[0]: expected an object with `name`, got a string"),
    ] {
        assert_eq!(wanted(outputs).unwrap_err(), sentence);
    }
}

#[test]
fn limits_hold() {
    let signature = signature();
    let limits = LimitsConfig { elements: 3, json_depth: 5, inputs: 1, ..LimitsConfig::default() };
    let refused = |text: String| match decode(text.as_bytes(), &signature, &limits).unwrap_err() {
        DecodeError::Malformed(sentence)
        | DecodeError::Unfit(sentence)
        | DecodeError::TooLarge(sentence) => sentence,
    };
    let x = r#"{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}"#;
    assert_eq!(refused(with_x(x)), "inputs[0].data[3]: more than 3 elements in one request");
    let deep = r#"{"name": "n", "shape": [1], "datatype": "INT64", "data": [[[1]]]}"#;
    assert_eq!(
        refused(format!(r#"{{"inputs": [{deep}]}}"#)),
        "inputs[0].data[0][0]: nested deeper than 5 levels"
    );
    let small = r#"{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}"#;
    let third = r#"{"name": "z"}"#;
    assert_eq!(
        refused(format!(r#"{{"inputs": [{small}, {N}, {third}]}}"#)),
        "inputs[2]: more than 1 input in one request"
    );
}

proptest! {
    #[test]
    fn any_request_is_read_as_the_reference_reads_it(text in reference::requests()) {
        let got = decoded(&text);
        let expected = reference::decode(&text, &signature());
        match (&got, &expected) {
            (Ok((got, _)), Some(expected)) => prop_assert_eq!(got, expected, "{}", text),
            (Err(_), None) => {}
            _ => prop_assert!(false, "{}\n{:?}\n{:?}", text, got, expected),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = decoded(&text);
    }
}

#[test]
fn the_reference_takes_good_requests() {
    // Else the property above would be true of nothing.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let good = (0..500).filter(|_| {
        let text = reference::requests().new_tree(&mut runner).unwrap().current();
        reference::decode(&text, &signature()).is_some()
    });
    let good = good.count();
    assert!((100..450).contains(&good), "{good} of 500 are good");
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(json!(null))
}
