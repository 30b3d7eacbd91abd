//! Every type of element that ONNX Runtime computes with goes into a model and comes out of it.

use serde_json::{Value, json};

use crate::support::{Graph, Models, TestServer};

/// Each type with values at its ends, as JSON writes them.
pub(crate) const VALUES: [(&str, &str); 14] = [
    ("bool", "[true,false]"),
    ("u8", "[0,255]"),
    ("u16", "[0,65535]"),
    ("u32", "[0,4294967295]"),
    ("u64", "[0,18446744073709551615]"),
    ("i8", "[-128,127]"),
    ("i16", "[-32768,32767]"),
    ("i32", "[-2147483648,2147483647]"),
    ("i64", "[-9223372036854775808,9223372036854775807]"),
    ("f16", "[0.5,-0.0,65504.0,6e-8,NaN,-Infinity]"),
    ("bf16", "[0.5,-0.0,3.3895314e38,1e-40,NaN,Infinity]"),
    ("f32", "[0.1,-0.0,3.4028235e38,1e-45,NaN,Infinity]"),
    ("f64", "[0.1,-0.0,1.7976931348623157e308,5e-324,NaN,-Infinity]"),
    ("string", r#"["","ä\"\n"]"#),
];

/// A model for each type, called after it, that gives back what it is given.
pub(crate) fn identities() -> Models {
    VALUES.iter().fold(Models::made(), |models, (dtype, _)| {
        let spec = format!("{dtype}[N]");
        let graph = Graph::default().input("X", &spec).output("Y", &spec);
        models.file(&format!("{dtype}.onnx"), graph.node("Identity", &["X"], "Y").model())
    })
}

#[test]
fn every_element_type_comes_back_from_v1_as_it_went_in() {
    let server = TestServer::with_models(identities()).start();
    for (dtype, values) in VALUES {
        let answer = server.predict(dtype, &format!(r#"{{"inputs": {values}}}"#));
        // The smallest numbers of the two short types are written with the digits of the larger one.
        let expected = match dtype {
            "f16" => values.replace("6e-8", "5.9604645e-8"),
            "bf16" => values.replace("1e-40", "9.1835e-41"),
            _ => values.to_owned(),
        };
        let expected = format!(r#"{{"outputs":{expected}}}"#);
        assert_eq!((answer.status, answer.text()), (200, expected), "{dtype}");
    }
}

#[test]
fn a_number_that_its_type_cannot_hold_is_refused() {
    let server = TestServer::with_models(identities()).start();
    for (dtype, number) in [
        ("u8", "256"),
        ("u8", "-1"),
        ("u16", "65536"),
        ("u32", "4294967296"),
        ("u64", "18446744073709551616"),
        ("i8", "128"),
        ("i16", "-32769"),
        ("f16", "65520"),
        ("bf16", "3.4e38"),
    ] {
        let answer = server.predict(dtype, &format!(r#"{{"inputs": [0, {number}]}}"#));
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 400, "{dtype}: {error}");
        let (start, end) = ("inputs[1]: the number ", format!(" does not fit into {dtype}"));
        assert!(error.starts_with(start) && error.ends_with(&end), "{error}");
    }
}

#[test]
fn operators_are_told_the_types_and_that_rows_go_together() {
    let server = TestServer::with_models(identities()).start();
    for (dtype, _) in VALUES {
        let model = server.get(&format!("/admin/v1/models/{dtype}")).ok();
        let input = &model["versions"][0]["signature"]["inputs"][0];
        let expected: Value = json!({ "name": "X", "dtype": dtype, "shape": ["N"] });
        assert_eq!(*input, expected, "{dtype}");
    }
    assert!(!server.log().contains("one by one"), "rows of some type are not probed");
}
