//! What the v1 protocol tells of models, and the headers that tell of answers.

use serde_json::{Value, json};

use crate::support::{Answer, Models, Request, TestServer};

fn server() -> TestServer {
    TestServer::with_models(Models::of_the_repository()).start()
}

const ROW: &str = r#"{"instances": [[5.1, 3.5, 1.4, 0.2]]}"#;

fn available(version: &str) -> Value {
    let status = json!({ "error_code": "OK", "error_message": "" });
    json!({ "version": version, "state": "AVAILABLE", "status": status })
}

#[test]
fn all_models_are_listed_by_name() {
    let models = json!({ "models": ["diabetes", "digits", "iris", "wine"] });
    assert_eq!(server().get("/v1/models").ok(), models);
}

#[test]
fn a_models_status_is_that_of_its_versions() {
    let server = server();
    let status = |versions: Vec<Value>| json!({ "name": "iris", "ready": true, "model_version_status": versions });
    let all = status(vec![available("1"), available("2")]);
    assert_eq!(server.get("/v1/models/iris").ok(), all);
    for (path, version) in [
        ("/v1/models/iris/versions/1", "1"),
        ("/v1/models/iris/versions/2", "2"),
        ("/v1/models/iris/labels/stable", "2"),
    ] {
        assert_eq!(server.get(path).ok(), status(vec![available(version)]), "{path}");
    }
}

#[test]
fn metadata_is_the_signature_in_tensorflows_words() {
    let server = server();
    let any = json!({ "size": "-1", "name": "N" });
    let info = |name: &str, dtype: &str, dim: Value| {
        let tensor_shape = json!({ "dim": dim, "unknown_rank": dim == json!([]) });
        json!({ "name": name, "dtype": dtype, "tensor_shape": tensor_shape })
    };
    let expected = |version: &str| {
        json!({
            "model_spec": { "name": "iris", "signature_name": "", "version": version },
            "metadata": { "signature_def": { "signature_def": { "serving_default": {
                "inputs": { "X": info("X", "DT_FLOAT", json!([any, { "size": "4", "name": "" }])) },
                "outputs": {
                    "label": info("label", "DT_STRING", json!([any])),
                    "probabilities": info("probabilities", "DT_FLOAT", json!([])),
                },
                "method_name": "tensorflow/serving/predict",
            } } } },
        })
    };
    assert_eq!(server.get("/v1/models/iris/metadata").ok(), expected("2"));
    assert_eq!(server.get("/v1/models/iris/versions/1/metadata").ok(), expected("1"));
    assert_eq!(server.get("/v1/models/iris/labels/stable/metadata").ok(), expected("2"));
}

#[test]
fn metadata_of_a_version_that_is_not_loaded_names_what_is() {
    let answer = server().get("/v1/models/iris/versions/9/metadata");
    let sentence = "version `9` of `iris` is not loaded; loaded: 1, 2";
    assert_eq!(
        (answer.status, answer.json()),
        (404, json!({ "error": sentence, "code": "not_loaded" }))
    );
}

/// Version and role of an answer.
fn answered_by(answer: &Answer) -> (&str, &str) {
    let header = |name| answer.header(name).unwrap_or("none");
    (header("x-model-version"), header("x-model-role"))
}

#[test]
fn an_answer_says_which_version_gave_it_and_as_what() {
    let server = server();
    let cases = [
        (Request::predict("iris", ROW), ("2", "stable")),
        (Request::predict("iris/versions/1", ROW), ("1", "pinned")),
        (Request::predict("iris/versions/2", ROW), ("2", "pinned")),
        (Request::predict("iris/labels/stable", ROW), ("2", "pinned")),
        (Request::predict("iris", ROW).header("x-model-pin", "1"), ("1", "pinned")),
        (Request::predict("iris", ROW).header("X-Model-Pin", "stable"), ("2", "pinned")),
    ];
    for (request, expected) in cases {
        let answer = server.ask(&request);
        assert_eq!((answer.status, answered_by(&answer)), (200, expected), "{request:?}");
    }
}

#[test]
fn a_pinned_version_gives_its_own_answer() {
    let server = server();
    let probability = |request: Request| {
        let answer = server.ask(&request).ok();
        answer["predictions"][0]["probabilities"]["setosa"].as_f64().unwrap()
    };
    let first = probability(Request::predict("iris", ROW).header("x-model-pin", "1"));
    let second = probability(Request::predict("iris", ROW));
    assert!((first - 0.98).abs() < 0.01 && second > 0.999, "{first} {second}");
    assert_eq!(probability(Request::predict("iris/versions/1", ROW)), first);
}

#[test]
fn the_clients_request_id_comes_back() {
    let request = Request::get("/v1/models").header("x-request-id", "order-66/a:b");
    assert_eq!(server().ask(&request).header("x-request-id"), Some("order-66/a:b"));
}

#[test]
fn without_a_request_id_each_answer_gets_one_of_its_own() {
    let server = server();
    let mut connection = server.connect();
    let mut ids: Vec<String> = (0..50)
        .map(|_| {
            let answer = connection.ask(&Request::get("/v2/health/live")).unwrap();
            answer.header("x-request-id").unwrap().to_owned()
        })
        .collect();
    assert!(ids.iter().all(|id| id.len() == 16), "{ids:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}

#[test]
fn a_request_id_that_is_long_or_not_plain_is_replaced() {
    let server = server();
    for junk in [&"a".repeat(129), "two words", "tab\there", "ümlaut", ""] {
        let answer = server.ask(&Request::get("/v1/models").header("x-request-id", junk));
        let id = answer.header("x-request-id").unwrap();
        assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{junk}: {id}");
    }
}

#[test]
fn an_error_has_a_request_id_and_a_version_too() {
    let request = Request::predict("iris", "{}").header("x-request-id", "bad-1");
    let answer = server().ask(&request);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("x-request-id"), Some("bad-1"));
    assert_eq!(answered_by(&answer), ("2", "stable"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn a_head_request_is_answered_without_a_body() {
    let server = server();
    let mut connection = server.connect();
    let head = connection.ask(&Request::new("HEAD", "/v1/models/iris")).unwrap();
    let get = connection.ask(&Request::get("/v1/models/iris")).unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), get.header("content-length"));
}
