//! Requests and answers that are JSON from the first byte to the last.

use serde_json::json;

use super::{ask, infer, with_x};
use crate::element_types::{VALUES, identities};
use crate::support::{Models, TestServer, adder, assert_close};

/// What the protocol calls the types.
pub(super) const DATATYPES: [(&str, &str); 14] = [
    ("bool", "BOOL"),
    ("u8", "UINT8"),
    ("u16", "UINT16"),
    ("u32", "UINT32"),
    ("u64", "UINT64"),
    ("i8", "INT8"),
    ("i16", "INT16"),
    ("i32", "INT32"),
    ("i64", "INT64"),
    ("f16", "FP16"),
    ("bf16", "BF16"),
    ("f32", "FP32"),
    ("f64", "FP64"),
    ("string", "BYTES"),
];

#[test]
fn every_element_type_comes_back_as_it_went_in() {
    let server = TestServer::with_models(identities()).start();
    for ((dtype, values), (_, datatype)) in VALUES.into_iter().zip(DATATYPES) {
        // The smallest numbers of the two short types are written with the digits of the larger one.
        let values = values.replace("6e-8", "5.9604645e-8").replace("1e-40", "9.1835e-41");
        let count = values.matches(',').count() + 1;
        let request = format!(
            r#"{{"inputs":[{{"name":"X","shape":[{count}],"datatype":"{datatype}","data":{values}}}]}}"#
        );
        let answer = server.ask(&infer(dtype, request));
        let expected = format!(
            r#"{{"model_name":"{dtype}","model_version":"1","outputs":[{{"name":"Y","datatype":"{datatype}","shape":[{count}],"data":{values}}}]}}"#
        );
        assert_eq!((answer.status, answer.text()), (200, expected), "{dtype}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[test]
fn an_answer_is_flat_whatever_the_request_was_and_has_its_id() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(0.5))).start();
    for data in [json!([[1, 2], [3, 4]]), json!([1, 2, 3, 4])] {
        let mut request = with_x("FP32", &json!([2, 2]), &data);
        request["id"] = json!("a \"name\"");
        request["model_name"] = json!("of no meaning");
        let answer = ask(&server, "adder", &request);
        let expected = concat!(
            r#"{"id":"a \"name\"","model_name":"adder","model_version":"1","outputs":["#,
            r#"{"name":"Y","datatype":"FP32","shape":[2,2],"data":[1.5,2.5,3.5,4.5]}]}"#
        );
        assert_eq!((answer.status, answer.text().as_str()), (200, expected));
        assert_eq!(answer.header("x-model-version"), Some("1"));
        assert_eq!(answer.header("x-model-role"), Some("stable"));
    }
}

#[test]
fn only_the_outputs_that_are_named_are_given_in_that_order() {
    let server = TestServer::with_models(Models::of_the_repository()).start();
    let mut request = with_x("FP32", &json!([1, 4]), &json!([5.1, 3.5, 1.4, 0.2]));
    let all = ask(&server, "iris", &request).ok();
    assert_eq!(all["outputs"][0]["name"], "label");
    assert_eq!(all["outputs"][0]["datatype"], "BYTES");
    assert_eq!(all["outputs"][0]["data"], json!(["setosa"]));
    // Scores by class are a column each.
    assert_eq!(all["outputs"][1]["datatype"], "FP32");
    assert_eq!(all["outputs"][1]["shape"], json!([1, 3]));
    request["outputs"] = json!([{ "name": "probabilities" }, { "name": "label" }]);
    let swapped = ask(&server, "iris", &request).ok();
    assert_close(&swapped["outputs"][0], &all["outputs"][1]);
    assert_eq!(swapped["outputs"][1], all["outputs"][0]);
    request["outputs"] = json!([{ "name": "label" }]);
    let one = ask(&server, "iris", &request).ok();
    assert_eq!(one["outputs"], json!([all["outputs"][0]]));
}

#[test]
fn the_best_classes_come_with_their_names() {
    let server = TestServer::with_models(Models::of_the_repository()).start();
    let mut request =
        with_x("FP32", &json!([2, 4]), &json!([5.1, 3.5, 1.4, 0.2, 6.3, 3.3, 6.0, 2.5]));
    let name_and_classes =
        |count| json!([{ "name": "probabilities", "parameters": { "classification": count } }]);
    request["outputs"] = name_and_classes(2);
    let answer = ask(&server, "iris", &request).ok();
    let output = &answer["outputs"][0];
    assert_eq!((&output["datatype"], &output["shape"]), (&json!("BYTES"), &json!([2, 2])));
    let best = |place: usize| output["data"][place].as_str().unwrap();
    assert!(best(0).ends_with(":0:setosa"), "{output}");
    assert!(best(2).ends_with(":2:virginica"), "{output}");
    let number = |text: &str| text.split(':').next().unwrap().parse::<f64>().unwrap();
    assert!(number(best(0)) > number(best(1)), "{output}");
    request["outputs"] = name_and_classes(100);
    assert_eq!(ask(&server, "iris", &request).ok()["outputs"][0]["shape"], json!([2, 3]));
}

#[test]
fn requests_that_want_other_outputs_are_not_mixed_up_in_a_batch() {
    let server = TestServer::with_models(Models::of_the_repository()).start();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let mut connection = server.connect();
                let mut request = with_x("FP32", &json!([1, 4]), &json!([5.1, 3.5, 1.4, 0.2]));
                let name = ["label", "probabilities"][thread % 2];
                request["outputs"] = json!([{ "name": name }]);
                for _ in 0..100 {
                    let answer = connection.ask(&infer("iris", request.to_string())).unwrap().ok();
                    assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
                    assert_eq!(answer["outputs"][0]["name"], name);
                }
            });
        }
    });
}
