//! A file that is not what a model's file must be is refused before ONNX Runtime sees it, with a sentence that says why;
//! the version before goes on answering, and the next good one is released.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::support::onnx::{bytes, model, node, number, port, text};
use crate::support::{Models, TestServer, adder, adder_with_external_data, within};

const PATIENCE: Duration = Duration::from_secs(30);

/// A model that hands its input on, with something more in its graph.
fn with(part: Vec<u8>) -> Vec<u8> {
    let graph = [node("Identity", &["X"], "Y"), text(2, "g"), port(11, "X"), port(12, "Y"), part];
    model(&graph.concat(), 0)
}

/// Weights of two numbers, f32, with so many bytes.
fn weights(name: &str, length: usize) -> Vec<u8> {
    bytes(5, &[number(1, 2), number(2, 1), text(8, name), bytes(9, &[vec![0; length]])])
}

/// In a graph in an attribute of a node, and so on, so many deep.
fn nested(depth: usize) -> Vec<u8> {
    let within = |graph: Vec<u8>| {
        let attribute = bytes(5, &[text(1, "body"), bytes(6, &[graph]), number(20, 5)]);
        bytes(1, &[text(3, "n"), text(4, "If"), attribute])
    };
    (0..depth).fold(node("Identity", &["X"], "Z"), |graph, _| within(graph))
}

/// What people drop, and what they should hear.
fn cases() -> Vec<(Vec<u8>, String)> {
    const OUTSIDE: &str = "which would be outside of the version's folder";
    const MISSING: &str = "which is not among the files of the version";
    let custom = bytes(1, &[text(3, "n"), text(4, "Warp"), text(7, "acme")]);
    let no_outputs = model(&[node("Identity", &["X"], "Y"), port(11, "X")].concat(), 0);
    let of_the_file = [
        (Vec::new(), "the model's file is empty"),
        (
            vec![0; 4096],
            "the model's file begins with nothing but zeros, as one does whose copy was broken off",
        ),
        (
            with(weights("/layers/0/weight", 4)),
            "initializer `/layers/0/weight`: its shape and type make 8 bytes, and its data has 4",
        ),
        (
            with(custom),
            "node `n`: operator `Warp` of the domain `acme` is neither ONNX Runtime's nor a function of the model, and custom operators are not allowed",
        ),
        (no_outputs, "the graph has no outputs, so it could never answer"),
    ];
    let of_external_data =
        [("weights.bin", MISSING), ("../../etc/passwd", OUTSIDE), ("/etc/passwd", OUTSIDE)];
    let of_the_file = of_the_file.map(|(content, sentence)| (content, sentence.to_owned()));
    let of_external_data = of_external_data.map(|(location, why)| {
        let sentence =
            format!("initializer `c`: its data should be in the file `{location}`, {why}");
        (adder_with_external_data(location), sentence)
    });
    of_the_file.into_iter().chain(of_external_data).collect()
}

#[test]
fn what_breaks_the_contract_is_told_and_the_next_good_version_is_released() {
    let models = Models::made().file("m/1.onnx", adder(1.0));
    let server = TestServer::with_models(models).start();
    let put = |label: &str, content: &[u8]| {
        let unfinished = server.models().join("m/new.part");
        fs::write(&unfinished, content).unwrap();
        fs::rename(unfinished, server.models().join(format!("m/{label}.onnx"))).unwrap();
    };
    let mut stable: u16 = 1;
    for (content, sentence) in cases() {
        let (bad, good) = (stable + 1, stable + 2);
        put(&bad.to_string(), &content);
        let told = within(PATIENCE, &sentence, || {
            server.version("m", &bad.to_string()).filter(|told| told["state"] == "quarantined")
        });
        assert_eq!(told["reason"], sentence);
        let answer = server.predict("m", r#"{"instances": [[1, 2]]}"#);
        let by = f64::from(stable);
        assert_eq!(answer.ok(), json!({ "predictions": [[1.0 + by, 2.0 + by]] }));

        put(&good.to_string(), &adder(good.into()));
        stable = good;
        within(PATIENCE, "the next good version", || {
            let model = server.get("/admin/v1/models/m").ok();
            (model["stable"].as_str() == Some(&good.to_string())).then_some(())
        });
    }
}

#[test]
fn graphs_in_graphs_have_an_end() {
    let server = TestServer::with_models(
        Models::made().file("m/1.onnx", adder(1.0)).file("m/2.onnx", with(nested(40))),
    )
    .start();
    let told = server.version("m", "2").unwrap();
    assert_eq!(told["state"], "quarantined");
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.ends_with("graphs are nested more than 16 deep"), "{reason}");
}
