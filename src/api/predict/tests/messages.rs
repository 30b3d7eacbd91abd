//! What clients read when they made one of the usual mistakes.

use super::{DecodeError, Model, input};
use crate::domain::tensor::DType;

/// Flowers: two measurements each.
fn flowers() -> Model {
    Model::of(vec![input("X", DType::F32, &[0, 2])])
}

/// Flowers, by the names of their measurements.
fn named_flowers() -> Model {
    flowers().with_features(&["sepal_length", "sepal_width"])
}

/// A question with its age.
fn questions() -> Model {
    Model::of(vec![input("text", DType::String, &[0]), input("age", DType::I64, &[0, 1])])
}

fn one(dtype: DType) -> Model {
    Model::of(vec![input("x", dtype, &[0])])
}

#[test]
fn a_text_is_not_a_number_even_if_it_looks_like_one() {
    assert_eq!(
        flowers().refuses(r#"{"instances": [[1, 2], [3, 4], [5, 6], [7, "8"]]}"#),
        "instances[3][1]: expected a number, got a string"
    );
}

#[test]
fn null_is_not_a_number() {
    assert_eq!(
        flowers().refuses(r#"{"instances": [[null, 2]]}"#),
        "instances[0][0]: expected a number, got null"
    );
}

#[test]
fn a_row_of_the_wrong_length_is_told_the_right_one() {
    assert_eq!(
        flowers().refuses(r#"{"instances": [[1, 2], [1, 2, 3]]}"#),
        "instances[1]: expected 2 elements, got 3"
    );
    assert_eq!(
        Model::of(vec![input("x", DType::F32, &[0, 1])]).refuses(r#"{"instances": [[]]}"#),
        "instances[0]: expected 1 element, got 0"
    );
}

#[test]
fn a_row_that_differs_from_the_first_is_told_how_long_that_was() {
    let model = Model::of(vec![input("x", DType::F32, &[0, 0])]);
    assert_eq!(
        model.refuses(r#"{"instances": [[1, 2, 3], [1, 2]]}"#),
        "instances[1]: expected 3 elements, got 2"
    );
}

#[test]
fn too_many_or_too_few_brackets_are_noticed() {
    assert_eq!(
        flowers().refuses(r#"{"instances": [[[1], [2]]]}"#),
        "instances[0][0]: expected a number, got an array"
    );
    assert_eq!(
        flowers().refuses(r#"{"instances": [1, 2]}"#),
        "instances[0]: expected an array, got the number 1"
    );
    assert_eq!(
        flowers().refuses(r#"{"instances": {"X": [1, 2]}}"#),
        "instances: expected an array of instances, got an object"
    );
}

#[test]
fn an_object_is_not_a_number() {
    assert_eq!(
        flowers().refuses(r#"{"instances": [[1, {"value": 2}]]}"#),
        "instances[0][1]: expected a number, got an object"
    );
}

#[test]
fn rows_are_asked_for() {
    assert_eq!(
        flowers().refuses(r#"{"instances": []}"#),
        "instances: at least one instance is needed"
    );
    assert_eq!(flowers().refuses(r#"{"rows": [[1, 2]]}"#), "`instances` or `inputs` is missing");
    assert_eq!(
        flowers().refuses("[[1, 2]]"),
        "expected an object with `instances` or `inputs`, got an array"
    );
    assert_eq!(
        flowers().refuses("7"),
        "expected an object with `instances` or `inputs`, got the number 7"
    );
}

#[test]
fn rows_and_columns_at_once_are_one_too_many() {
    let sentence = "give `instances` or `inputs`, one of them and once";
    assert_eq!(flowers().refuses(r#"{"instances": [[1, 2]], "inputs": [[1, 2]]}"#), sentence);
    assert_eq!(flowers().refuses(r#"{"inputs": [[1, 2]], "inputs": [[1, 2]]}"#), sentence);
}

#[test]
fn a_misspelt_input_is_offered_the_right_one() {
    assert_eq!(
        questions().refuses(r#"{"instances": [{"txet": "why?", "age": [1]}]}"#),
        "instances[0].txet: no such input; did you mean `text`?"
    );
    assert_eq!(
        questions().refuses(r#"{"inputs": {"colour": "blue"}}"#),
        "inputs.colour: no such input; the model takes the inputs `text`, `age`"
    );
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        questions().refuses(r#"{"instances": [{"text": "why?", "age": 1}, {"text": "how?"}]}"#),
        "instances[1]: input `age` is missing"
    );
    assert_eq!(
        questions().refuses(r#"{"inputs": {}}"#),
        "inputs: inputs `text`, `age` are missing"
    );
}

#[test]
fn an_input_given_twice_is_refused() {
    assert_eq!(
        questions().refuses(r#"{"inputs": {"age": [1], "age": [2], "text": ["why?"]}}"#),
        "inputs.age: given twice"
    );
}

#[test]
fn several_inputs_must_be_named() {
    assert_eq!(
        questions().refuses(r#"{"instances": [["why?", 1]]}"#),
        "instances[0]: expected an object with the inputs `text`, `age`, got an array"
    );
    assert_eq!(
        questions().refuses(r#"{"inputs": 5}"#),
        "inputs: expected an object with the inputs `text`, `age`, got the number 5"
    );
}

#[test]
fn features_are_named_as_inputs_are() {
    let refusal = |row: &str| named_flowers().refuses(format!(r#"{{"instances": [{row}]}}"#));
    assert_eq!(
        refusal(r#"{"sepal_length": 5.1, "sepal_widht": 3.5}"#),
        "instances[0].sepal_widht: no such feature; did you mean `sepal_width`?"
    );
    assert_eq!(
        refusal(r#"{"sepal_length": 5.1}"#),
        "instances[0]: feature `sepal_width` is missing"
    );
    assert_eq!(refusal("{}"), "instances[0]: features `sepal_length`, `sepal_width` are missing");
    assert_eq!(
        refusal(r#"{"sepal_length": 5.1, "sepal_length": 5.1}"#),
        "instances[0].sepal_length: given twice"
    );
    assert_eq!(
        refusal(r#"{"sepal_length": [5.1]}"#),
        "instances[0].sepal_length: expected a number, got an array"
    );
}

#[test]
fn rows_are_all_written_in_the_same_way() {
    assert_eq!(
        named_flowers()
            .refuses(r#"{"instances": [[1, 2], {"sepal_length": 1, "sepal_width": 2}]}"#),
        "instances[1]: expected a value without names, like instances[0]"
    );
    assert_eq!(
        named_flowers()
            .refuses(r#"{"instances": [{"sepal_length": 1, "sepal_width": 2}, [1, 2]]}"#),
        "instances[1]: expected an object with names, like instances[0]"
    );
    assert_eq!(
        one(DType::String).refuses(r#"{"instances": [{"b64": "YQ=="}, {"x": "a"}]}"#),
        "instances[1]: expected a value without names, like instances[0]"
    );
}

#[test]
fn a_number_that_the_type_cannot_hold_is_refused() {
    let refusal =
        |dtype, number: &str| one(dtype).refuses(format!(r#"{{"instances": [{number}]}}"#));
    assert_eq!(refusal(DType::F32, "1e39"), "instances[0]: the number 1e39 does not fit into f32");
    assert_eq!(
        refusal(DType::I32, "2147483648"),
        "instances[0]: the number 2147483648 does not fit into i32"
    );
    assert_eq!(
        refusal(DType::I64, "100000000000000000000"),
        "instances[0]: the number 1e20 does not fit into i64"
    );
    assert_eq!(
        refusal(DType::F64, "1e999"),
        "instances[0]: number out of range at line 1 column 20"
    );
}

#[test]
fn a_number_with_a_point_is_no_integer() {
    assert_eq!(
        one(DType::I64).refuses(r#"{"instances": [1.0]}"#),
        "instances[0]: expected an integer, got the number 1.0"
    );
    assert_eq!(
        one(DType::I64).refuses(r#"{"instances": [NaN]}"#),
        "instances[0]: expected an integer, got NaN"
    );
}

#[test]
fn what_stands_for_a_missing_text_is_not_taken_for_one() {
    assert_eq!(
        one(DType::String).refuses(r#"{"instances": ["a", NaN]}"#),
        "instances[1]: expected a string, got NaN"
    );
}

#[test]
fn a_number_is_not_a_truth_value() {
    assert_eq!(
        one(DType::Bool).refuses(r#"{"instances": [1]}"#),
        "instances[0]: expected true or false, got the number 1"
    );
    assert_eq!(
        one(DType::F64).refuses(r#"{"instances": [true]}"#),
        "instances[0]: expected a number, got true"
    );
}

#[test]
fn base64_is_checked() {
    let refusal = |value: &str| one(DType::String).refuses(format!(r#"{{"inputs": [{value}]}}"#));
    assert_eq!(refusal(r#"{"b64": "YQ"}"#), "inputs[0].b64: is not base64");
    assert_eq!(
        refusal(r#"{"b64": "/w=="}"#),
        "inputs[0].b64: is not UTF-8, which is what the model takes"
    );
    assert_eq!(
        refusal(r#"{"b64": [1]}"#),
        "inputs[0].b64: expected a string in base64, got an array"
    );
    assert_eq!(
        refusal(r#"{"b64": "YQ==", "x": 1}"#),
        "inputs[0]: expected a string, got an object with more than `b64`"
    );
    assert_eq!(
        refusal(r#"{"text": "a"}"#),
        "inputs[0]: expected a string, got an object that is not `{\"b64\": \"…\"}`"
    );
}

#[test]
fn an_input_that_has_no_rows_is_given_as_a_column() {
    let model = Model::of(vec![input("scale", DType::F32, &[])]);
    assert_eq!(
        model.refuses(r#"{"instances": [2]}"#),
        "instances: input `scale` is a single value, not one per row; use `inputs`"
    );
    assert!(model.decode(r#"{"inputs": 2}"#).is_ok());
}

#[test]
fn an_input_of_a_fixed_number_of_rows_takes_no_others() {
    let model = Model::of(vec![input("x", DType::F32, &[1, 2])]);
    assert_eq!(
        model.refuses(r#"{"instances": [[1, 2], [3, 4]]}"#),
        "instances: input `x` takes 1 row, got 2"
    );
}

#[test]
fn there_is_one_signature() {
    let refusal = |name: &str| {
        flowers().refuses(format!(r#"{{"signature_name": {name}, "instances": [[1, 2]]}}"#))
    };
    assert_eq!(refusal(r#""regress""#), "signature_name: the only signature is `serving_default`");
    assert_eq!(refusal("5"), "signature_name: expected a string, got the number 5");
}

#[test]
fn a_text_that_is_not_json_is_told_where_it_ends_to_be() {
    let malformed = |body: &str| match flowers().decode(body) {
        Err(DecodeError::Malformed(sentence)) => sentence,
        other => panic!("expected malformed JSON, got {other:?}"),
    };
    assert_eq!(malformed(""), "malformed JSON: EOF while parsing a value at line 1 column 0");
    assert_eq!(
        malformed(r#"{"instances": [[1, 2], [3,, 4]]}"#),
        "instances[1][1]: malformed JSON: expected value at line 1 column 27"
    );
    assert_eq!(
        malformed(r#"{"instances": [[NaN, 2], [3 4]]}"#),
        "instances[1][1]: malformed JSON: expected `,` or `]` at line 1 column 29"
    );
    assert_eq!(
        malformed(r#"{"instances": [[1, 2]]} {}"#),
        "malformed JSON: trailing characters at line 1 column 25"
    );
}

#[test]
fn a_clients_own_words_are_shortened_and_printable() {
    let name = format!("a\n{}", "b".repeat(100));
    let body = serde_json::json!({ "inputs": { name: 1 } }).to_string();
    assert_eq!(
        flowers().refuses(body),
        format!(
            "inputs.a\u{fffd}{}…: no such input; the model takes the input `X`",
            "b".repeat(58)
        )
    );
}
