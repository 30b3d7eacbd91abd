//! Custom operators, and the model's own functions.

use super::*;

fn foreign_node(operator: &str) -> Vec<u8> {
    bytes(1, &[text(3, "n"), text(4, operator), text(7, "acme")])
}

fn function(name: &str, calls: &[&str]) -> Vec<u8> {
    let call = |operator: &&str| bytes(7, &[text(4, operator), text(7, "acme")]);
    let calls: Vec<u8> = calls.iter().flat_map(call).collect();
    bytes(25, &[text(1, name), text(10, "acme"), calls])
}

#[test]
fn a_custom_operator_is_refused_unless_its_domain_is_allowed() {
    let model = with(&[foreign_node("Warp")]);
    assert_eq!(
        complaint(&model),
        "node `n`: operator `Warp` of the domain `acme` is neither ONNX Runtime's nor a function of the model, and custom operators are not allowed"
    );
    let allowed =
        ContractLimits { domains: ["acme".to_owned()].into(), ..ContractLimits::default() };
    assert!(verdict_below(&model, Path::new("/nonexistent"), &allowed).is_ok());
    let nested = with(&[node_with(&[bytes(6, &[foreign_node("Warp")])])]);
    assert!(complaint(&nested).starts_with("node `n` in attribute `value` in node `c1`: "));
}

#[test]
fn the_domains_of_onnx_runtime_are_known() {
    for domain in ["", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"] {
        let node = bytes(1, &[text(4, "Whatever"), text(7, domain)]);
        assert!(verdict(&with(&[node])).is_ok(), "{domain}");
    }
}

#[test]
fn a_function_of_the_model_is_no_custom_operator() {
    let model = [with(&[foreign_node("F")]), function("F", &[])].concat();
    assert!(verdict(&model).is_ok());
    let before = [function("F", &[]), with(&[foreign_node("F")])].concat();
    assert!(verdict(&before).is_ok());
    let other = [with(&[foreign_node("G")]), function("F", &[])].concat();
    assert!(complaint(&other).contains("operator `G`"), "{}", complaint(&other));
    let inside = [with(&[foreign_node("F")]), function("F", &["G"])].concat();
    assert!(complaint(&inside).starts_with("node 1 in function `F`: operator `G`"));
}

#[test]
fn functions_count_as_often_as_they_are_called() {
    let model = [
        with(&[foreign_node("F"), foreign_node("F")]),
        function("F", &["G", "G", "G"]),
        function("G", &["H", "H"]),
        function("H", &[]),
    ];
    // One node of the graph's own, and the empty function counts as the node that it was.
    assert_eq!(verdict(&model.concat()).unwrap().nodes, 1 + 2 * 3 * 2);
}

#[test]
fn a_few_functions_cannot_become_a_billion_nodes() {
    let names: Vec<String> = (0..60).map(|level| format!("F{level}")).collect();
    let functions: Vec<u8> = (0..59)
        .flat_map(|level| function(&names[level], &[&names[level + 1], &names[level + 1]]))
        .collect();
    let model = [with(&[foreign_node("F0")]), functions, function("F59", &[])].concat();
    assert_eq!(
        complaint(&model),
        "with its functions written out where they are called, the model has more than 200000 nodes"
    );
}

#[test]
fn functions_do_not_call_themselves() {
    let direct = [with(&[foreign_node("F")]), function("F", &["F"])].concat();
    assert_eq!(complaint(&direct), "function `F` of the domain `acme` calls itself");
    let indirect = [with(&[]), function("F", &["G"]), function("G", &["H"]), function("H", &["G"])];
    assert_eq!(complaint(&indirect.concat()), "function `G` of the domain `acme` calls itself");
}

#[test]
fn a_function_that_is_there_twice_counts_as_the_larger() {
    let (small, large) = (function("F", &["A"]), function("F", &["A", "A", "A"]));
    let graph = with(&[foreign_node("F")]);
    let model = [graph, small, large, function("A", &[])].concat();
    assert_eq!(verdict(&model).unwrap().nodes, 1 + 3);
}
