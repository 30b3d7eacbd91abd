//! What is far beyond any honest model.

use super::*;

fn limited(model: &[u8], limits: ContractLimits) -> String {
    verdict_below(model, Path::new("/nonexistent"), &limits).unwrap_err().to_string()
}

/// Nodes in graphs in attributes of nodes.
fn nested(levels: usize) -> Vec<u8> {
    let innermost = node("Neg", &["X"], "Y");
    (0..levels).fold(innermost, |inside, _| node_with(&[bytes(6, &[inside])]))
}

#[test]
fn there_are_not_too_many_of_anything() {
    let (nodes, initializers, ports, operators, parts) = (3, 2, 2, 2, 100);
    let limits = ContractLimits {
        nodes,
        initializers,
        ports,
        operators,
        parts,
        ..ContractLimits::default()
    };
    let tensor = initializer(&[number(2, 1), bytes(9, &[vec![0; 4]])]);
    for (parts, sentence) in [
        (nested(0).repeat(3), "there are more than 3 nodes"),
        (
            nested(2),
            "attribute `value` in node `c1` in attribute `value` in node `c1`: there are more than 3 nodes",
        ),
        (tensor.repeat(3), "there are more than 2 initializers"),
        (port(11, "Z").repeat(2), "there are more than 2 inputs"),
        (port(12, "Z").repeat(2), "there are more than 2 outputs"),
        (
            [node("Abs", &[], ""), node("Exp", &[], "")].concat(),
            "node 3: there are more than 2 different operators",
        ),
        (
            bytes(1, &[text(1, "").repeat(100)]),
            "node 2: the model has more than 100 parts (nodes, attributes, tensors, names of inputs and outputs)",
        ),
    ] {
        assert_eq!(limited(&with(&[parts]), limits.clone()), sentence);
    }
    let functions: Vec<u8> =
        ["a", "b"].iter().flat_map(|name| bytes(25, &[text(1, name)])).collect();
    assert_eq!(
        limited(&[with(&[]), functions].concat(), limits),
        "function `b`: there are more than 2 different operators"
    );
}

#[test]
fn graphs_are_not_nested_without_end() {
    assert!(verdict(&with(&[nested(16)])).is_ok());
    let sentence = complaint(&with(&[nested(17)]));
    assert!(sentence.ends_with("graphs are nested more than 16 deep"), "{sentence}");
    assert!(sentence.starts_with("attribute `value` in node `c1` in "), "{sentence}");
    let endless = complaint(&with(&[nested(5000)]));
    assert_eq!(endless, sentence);
}

#[test]
fn a_name_is_neither_endless_nor_shown_as_it_is() {
    let named = |name: &str| with(&[bytes(1, &[text(3, name), text(4, "Warp"), text(7, "acme")])]);
    assert_eq!(
        complaint(&named(&"n".repeat(2049))),
        "node 2: `name` of `node` has 2049 bytes, where a name has at most 2048"
    );
    let long = complaint(&named(&"n".repeat(2048)));
    assert!(long.starts_with(&format!("node `{}…`: ", "n".repeat(64))), "{long}");
    let forged = complaint(&named("a\nERROR forged\u{1b}[2J"));
    assert!(!forged.contains(char::is_control), "{forged}");
    let no_text = with(&[bytes(1, &[bytes(3, &[vec![0xff]]), text(7, "acme")])]);
    assert!(complaint(&no_text).starts_with("node `\u{fffd}`: "));
}

#[test]
fn an_output_has_a_shape_that_can_be_shown() {
    let shape = |dims: usize| bytes(2, &[bytes(1, &[text(2, "N")]).repeat(dims)]);
    let output = |dims| {
        let tensor = bytes(1, &[number(1, 1), shape(dims)]);
        with(&[bytes(12, &[text(1, "Z"), bytes(2, &[tensor])])])
    };
    assert!(verdict(&output(64)).is_ok());
    assert_eq!(complaint(&output(65)), "output `Z`: there are more than 64 dimensions");
}
