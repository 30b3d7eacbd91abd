//! Elements as bytes behind the JSON text.

use serde_json::{Value, json};

use super::json::DATATYPES;
use super::{infer, with_x};
use crate::element_types::identities;
use crate::support::{Answer, Graph, Models, Request, TestServer, adder};

const TEXT_LENGTH: &str = "inference-header-content-length";

/// A request whose JSON text is followed by bytes.
fn infer_with(model: &str, text: &Value, bytes: &[u8]) -> Request {
    let text = text.to_string();
    let body = [text.as_bytes(), bytes].concat();
    infer(model, body).header(TEXT_LENGTH, &text.len().to_string())
}

/// The JSON text of an answer, and what follows it.
#[track_caller]
fn parts(answer: &Answer) -> (Value, Vec<u8>) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let Some(length) = answer.header(TEXT_LENGTH) else {
        assert_eq!(answer.header("content-type"), Some("application/json"));
        return (answer.json(), Vec::new());
    };
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    let (text, bytes) = answer.body.split_at(length.parse().unwrap());
    (serde_json::from_slice(text).unwrap(), bytes.to_vec())
}

fn x(datatype: &str, shape: Value, size: usize) -> Value {
    json!({
        "inputs": [{
            "name": "X", "datatype": datatype, "shape": shape,
            "parameters": { "binary_data_size": size },
        }],
        "parameters": { "binary_data_output": true },
    })
}

/// Two elements of each type as bytes.
fn two(datatype: &str) -> Vec<u8> {
    match datatype {
        "BOOL" => vec![1, 0],
        "BYTES" => b"\x02\0\0\0\xc3\xa4\x00\0\0\0".to_vec(),
        "UINT8" | "INT8" => vec![0xff, 0x80],
        "UINT16" | "INT16" | "FP16" | "BF16" => vec![0, 0x3c, 0xff, 0x80],
        "UINT32" | "INT32" | "FP32" => vec![1, 2, 3, 4, 0, 0, 0xc0, 0x7f],
        _ => vec![1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f],
    }
}

#[test]
fn every_element_type_comes_back_as_the_bytes_it_went_in_as() {
    let server = TestServer::with_models(identities()).start();
    for (model, datatype) in DATATYPES {
        let bytes = two(datatype);
        let answer = server.ask(&infer_with(model, &x(datatype, json!([2]), bytes.len()), &bytes));
        let (text, got) = parts(&answer);
        assert_eq!(got, bytes, "{datatype}");
        let output = json!({
            "name": "Y", "datatype": datatype, "shape": [2],
            "parameters": { "binary_data_size": bytes.len() },
        });
        let expected = json!({ "model_name": model, "model_version": "1", "outputs": [output] });
        assert_eq!(text, expected);
    }
}

/// A model that adds two inputs, and gives back the second.
fn sum() -> Vec<u8> {
    Graph::default()
        .input("a", "f32[N]")
        .input("b", "f32[N]")
        .output("sum", "f32[N]")
        .output("same", "f32[N]")
        .node("Add", &["a", "b"], "sum")
        .node("Identity", &["b"], "same")
        .model()
}

fn f32s(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn text_and_bytes_may_be_mixed_in_requests_and_answers() {
    let server = TestServer::with_models(Models::made().file("sum.onnx", sum())).start();
    let request = json!({
        "inputs": [
            { "name": "b", "datatype": "FP32", "shape": [2], "parameters": { "binary_data_size": 8 } },
            { "name": "a", "datatype": "FP32", "shape": [2], "data": [1, 2] },
        ],
        "outputs": [
            { "name": "same", "parameters": { "binary_data": true } },
            { "name": "sum" },
        ],
    });
    let (text, bytes) = parts(&server.ask(&infer_with("sum", &request, &f32s(&[10.0, 20.0]))));
    assert_eq!(bytes, f32s(&[10.0, 20.0]));
    assert_eq!(text["outputs"][1]["data"], json!([11.0, 22.0]));
    assert_eq!(text["outputs"][0]["parameters"], json!({ "binary_data_size": 8 }));
    // What an output says itself counts more than what is said of all.
    let mut request = with_x("FP32", &json!([2]), &json!([1, 2]));
    request["inputs"][0]["name"] = json!("a");
    let b = json!({ "name": "b", "datatype": "FP32", "shape": [2], "data": [3, 4] });
    request["inputs"].as_array_mut().unwrap().push(b);
    request["parameters"] = json!({ "binary_data_output": true });
    request["outputs"] =
        json!([{ "name": "sum" }, { "name": "same", "parameters": { "binary_data": false } }]);
    let (text, bytes) = parts(&server.ask(&infer("sum", request.to_string())));
    assert_eq!((bytes, &text["outputs"][1]["data"]), (f32s(&[4.0, 6.0]), &json!([3.0, 4.0])));
}

#[test]
fn bytes_are_read_wherever_they_lie() {
    let server = TestServer::with_models(Models::made().file("sum.onnx", sum())).start();
    let numbers: Vec<f32> = (0..40_000).map(|number| number as f32).collect();
    let doubled: Vec<f32> = numbers.iter().map(|number| number * 2.0).collect();
    let bytes = f32s(&numbers);
    for padding in 0..4 {
        let input = |name: &str| json!({ "name": name, "datatype": "FP32", "shape": [numbers.len()], "parameters": { "binary_data_size": bytes.len() } });
        let request = json!({
            "id": "x".repeat(padding + 1),
            "inputs": [input("a"), input("b")],
            "outputs": [{ "name": "sum", "parameters": { "binary_data": true } }],
        });
        let body = [&bytes[..], &bytes].concat();
        let (_, got) = parts(&server.ask(&infer_with("sum", &request, &body)));
        assert!(got == f32s(&doubled), "padding {padding}");
    }
}

#[test]
fn a_body_may_be_nothing_but_the_one_tensor() {
    let server = TestServer::with_models(
        identities().file("adder.onnx", adder(0.5)).file("sum.onnx", sum()),
    )
    .start();
    let raw = |model: &str, body: &[u8]| server.ask(&infer(model, body).header(TEXT_LENGTH, "0"));
    let (text, bytes) = parts(&raw("adder", &f32s(&[1.0, 2.0, 3.0, 4.0])));
    assert_eq!(bytes, f32s(&[1.5, 2.5, 3.5, 4.5]));
    assert_eq!(text["outputs"][0]["shape"], json!([2, 2]));
    let (text, bytes) = parts(&raw("string", b"no length"));
    assert_eq!(bytes, b"\x09\0\0\0no length");
    assert_eq!(text["outputs"][0]["shape"], json!([1]));
    for (model, body, sentence) in [
        ("adder", &[0; 7][..], "input `X`: 2 elements of FP32 take 4 bytes each, got 7 bytes"),
        ("sum", &[0; 8], "a request without JSON is for models with one input, and this one has 2"),
        ("string", b"\xff", "input `X`: the body is not UTF-8, which is what the model takes"),
    ] {
        let answer = raw(model, body);
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some(sentence)));
    }
}

#[test]
fn lengths_that_do_not_fit_are_the_clients_mistake() {
    let server = TestServer::with_models(identities()).start();
    let refused = |request: Request| {
        let answer = server.ask(&request);
        assert_eq!(answer.status, 400, "{}", answer.text());
        answer.json()["error"].as_str().unwrap().to_owned()
    };
    let with = |size: usize, bytes: usize| {
        refused(infer_with("f32", &x("FP32", json!([2]), size), &vec![0; bytes]))
    };
    assert_eq!(with(8, 4), "input `X`: expected 8 bytes behind the JSON, got 4");
    assert_eq!(with(4, 4), "input `X`: 2 elements of FP32 take 4 bytes each, got 4 bytes");
    assert_eq!(with(8, 9), "1 bytes follow the JSON and the inputs, and belong to none");
    assert_eq!(
        with(usize::MAX, 8),
        format!("input `X`: expected {} bytes behind the JSON, got 8", usize::MAX)
    );
    let huge = x("FP32", json!([u64::MAX, u64::MAX]), 8);
    assert!(
        refused(infer_with("f32", &huge, &[0; 8]))
            .starts_with("input `X`: no tensor has the shape")
    );
    let text = x("BYTES", json!([2]), 8);
    assert_eq!(
        refused(infer_with("string", &text, b"\xff\xff\xff\xff\0\0\0\0")),
        "input `X`: text 0 is longer than the bytes that follow"
    );
    for length in ["-1", "1e3", "99999999999999999999999", "", "5000"] {
        let request = infer("f32", "{}").header(TEXT_LENGTH, length);
        assert_eq!(
            refused(request),
            "header `inference-header-content-length`: expected how many bytes of the body are JSON, from 0 to 2"
        );
    }
}

#[test]
fn a_size_may_be_left_out_where_the_shape_tells_it() {
    let server = TestServer::with_models(identities()).start();
    let mut request = x("FP32", json!([2]), 8);
    request["inputs"][0].as_object_mut().unwrap().shift_remove("parameters");
    let (_, bytes) = parts(&server.ask(&infer_with("f32", &request, &f32s(&[1.0, 2.0]))));
    assert_eq!(bytes, f32s(&[1.0, 2.0]));
}
