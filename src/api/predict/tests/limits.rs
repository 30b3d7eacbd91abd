//! What one request may take is limited, whatever it claims.

use super::{DecodeError, Model, input};
use crate::domain::tensor::{DType, Elements};

fn numbers() -> Model {
    Model::of(vec![input("x", DType::F32, &[0, 0])])
}

/// So many arrays inside each other.
fn nest(depth: usize) -> String {
    format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn nothing_is_nested_deeper_than_the_limit() {
    let mut model = Model::of(vec![input("x", DType::F32, &[0, 1, 1])]);
    model.limits.json_depth = 4;
    // The object at the root is the first level.
    assert!(model.decode(format!(r#"{{"instances": {}}}"#, nest(3))).is_ok());
    model.limits.json_depth = 3;
    assert_eq!(
        model.refuses(format!(r#"{{"instances": {}}}"#, nest(3))),
        "instances[0][0]: nested deeper than 3 levels"
    );
    model.limits.json_depth = 1;
    assert_eq!(model.refuses(r#"{"inputs": {"x": 1}}"#), "inputs: nested deeper than 1 level");
}

#[test]
fn objects_count_as_levels_too() {
    let mut model = Model::of(vec![input("t", DType::String, &[0])]);
    let base64 = r#"{"instances": [{"t": {"b64": "YQ=="}}]}"#;
    model.limits.json_depth = 4;
    assert!(model.decode(base64).is_ok());
    model.limits.json_depth = 3;
    assert_eq!(model.refuses(base64), "instances[0].t: nested deeper than 3 levels");
}

#[test]
fn a_member_that_nobody_asks_for_is_not_nested_deeper_either() {
    let mut model = numbers();
    model.limits.json_depth = 4;
    let body = |context: &str| format!(r#"{{"context": {context}, "instances": [[1]]}}"#);
    assert!(model.decode(body(&nest(3))).is_ok());
    assert_eq!(model.refuses(body(&nest(4))), "context: nested deeper than 4 levels");
    assert!(model.decode(body(r#"[{"a": [1]}]"#)).is_ok());
    assert_eq!(
        model.refuses(body(r#"[{"a": {"b": {}}}]"#)),
        "context: nested deeper than 4 levels"
    );
}

#[test]
fn no_depth_exhausts_the_stack() {
    let mut model = numbers();
    for json_depth in [32, 127] {
        model.limits.json_depth = json_depth;
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let deep = format!("{}1{}", open.repeat(20_000), close.repeat(20_000));
            let key = |key: &str| model.decode(format!(r#"{{"{key}": {deep}}}"#));
            for member in ["instances", "inputs", "signature_name", "context"] {
                assert!(matches!(key(member), Err(DecodeError::Unfit(_))), "{member}");
            }
            assert!(matches!(model.decode(&deep), Err(DecodeError::Unfit(_))));
        }
    }
}

#[test]
fn a_request_has_no_more_inputs_than_the_limit() {
    let specs = ["a", "b", "c"].map(|name| input(name, DType::F32, &[0]));
    let mut model = Model::of(specs.into());
    model.limits.inputs = 3;
    let columns = r#"{"inputs": {"a": [1], "b": [2], "c": [3]}}"#;
    let rows = r#"{"instances": [{"a": 1, "b": 2, "c": 3}]}"#;
    assert!(model.decode(columns).is_ok());
    assert!(model.decode(rows).is_ok());
    model.limits.inputs = 2;
    assert_eq!(model.refuses(columns), "inputs: more than 2 inputs in one request");
    assert_eq!(model.refuses(rows), "instances[0]: more than 2 inputs in one request");
}

#[test]
fn columns_with_names_are_not_inputs() {
    let names: Vec<String> = (0..100).map(|column| format!("f{column}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let model = Model::of(vec![input("x", DType::F32, &[0, 100])]).with_features(&names);
    let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":1")).collect();
    assert!(model.decode(format!(r#"{{"instances": [{{{}}}]}}"#, members.join(","))).is_ok());
}

#[test]
fn elements_and_text_are_counted_over_all_inputs() {
    let mut model =
        Model::of(vec![input("x", DType::F32, &[0, 0]), input("t", DType::String, &[0])]);
    let body = r#"{"instances": [{"x": [1, 2], "t": "abc"}, {"x": [3, 4], "t": "de"}]}"#;
    (model.limits.elements, model.limits.string_bytes) = (6, 5);
    assert!(model.decode(body).is_ok());
    model.limits.elements = 5;
    let sentence = "instances[1].t: more than 5 elements in one request";
    assert_eq!(model.decode(body), Err(DecodeError::TooLarge(sentence.into())));
    (model.limits.elements, model.limits.string_bytes) = (6, 4);
    let sentence = "instances[1].t: more than 4 bytes of text in one request";
    assert_eq!(model.decode(body), Err(DecodeError::TooLarge(sentence.into())));
}

#[test]
fn a_word_for_a_number_is_no_text() {
    let mut model = numbers();
    model.limits.string_bytes = 0;
    assert!(model.decode(r#"{"instances": [["NaN", -Infinity]]}"#).is_ok());
}

#[test]
fn a_small_body_gets_a_small_buffer_however_large_the_input_is() {
    let specs = ["a", "b"].map(|name| input(name, DType::F64, &[1, 0, 1 << 20, 1 << 20]));
    let model = Model::of(specs.into());
    let body = r#"{"inputs": {"a": [[]], "b": [[]]}}"#;
    let decoded = model.decode(body).unwrap();
    let room: usize = decoded.inputs.iter().map(|tensor| room_of(tensor.own())).sum();
    assert!(room <= body.len() / 2, "room for {room} elements");
}

fn room_of(elements: Option<&Elements>) -> usize {
    match elements {
        Some(Elements::F64(elements)) => elements.capacity(),
        other => panic!("expected f64, got {other:?}"),
    }
}
