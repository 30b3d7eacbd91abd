//! A hundred models are as good as one: each answers its own result, in whichever layout it lies.

use crate::support::{Models, Request, TestServer, adder};

#[test]
fn a_hundred_models_each_answer_their_own_result() {
    let server = TestServer::with_models((0..100).fold(Models::made(), add)).start();
    let mut connection = server.connect();
    for k in 0..100 {
        let request = Request::predict(&name(k), r#"{"instances": [[0.5, 1000]]}"#);
        let answer = connection.ask(&request).unwrap();
        let expected = format!(r#"{{"predictions":[[{:?},{:?}]]}}"#, k as f32 + 0.5, 1000 + k)
            .replace("]]}", ".0]]}");
        assert_eq!((answer.status, answer.text()), (200, expected), "{}", name(k));
    }
}

#[test]
fn all_of_a_hundred_models_are_listed() {
    let server = TestServer::with_models((0..100).fold(Models::made(), add)).start();
    let names: Vec<String> = (0..100).map(name).collect();
    assert_eq!(server.get("/v1/models").ok(), serde_json::json!({ "models": names }));
}

/// Names whose order is that of the numbers.
fn name(k: usize) -> String {
    format!("adder-{k:02}")
}

/// The `k`-th model adds `k`. Half of them are single files; the others have a folder, with a file or a folder
/// for their version.
fn add(models: Models, k: usize) -> Models {
    let name = name(k);
    let path = match k % 4 {
        0 | 1 => format!("{name}.onnx"),
        2 => format!("{name}/1.onnx"),
        _ => format!("{name}/1/model.onnx"),
    };
    models.file(&path, adder(k as f32))
}
