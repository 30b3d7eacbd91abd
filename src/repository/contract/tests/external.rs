//! External data, wherever in a model it can be asked for.

use std::fs;

use super::onnx::adder_with_external_data;
use super::*;

const F32: u64 = 1;
const EXTERNAL: u64 = 1;

fn entry(key: &str, value: &str) -> Vec<u8> {
    bytes(13, &[text(1, key), text(2, value)])
}

/// A tensor of two f32 that are kept elsewhere.
fn tensor(entries: &[(&str, &str)]) -> Vec<u8> {
    let entries: Vec<u8> = entries.iter().flat_map(|(key, value)| entry(key, value)).collect();
    [dims(&[2]), number(2, F32), entries, number(14, EXTERNAL)].concat()
}

/// What is said of a model beside which there is a file `w` of 20 bytes.
fn verdict_beside_weights(model: &[u8]) -> Result<Contract, ContractError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w"), [0; 20]).unwrap();
    verdict_below(model, folder.path(), &ContractLimits::default())
}

#[track_caller]
fn complaint_about(entries: &[(&str, &str)]) -> String {
    let model = with(&[bytes(5, &[text(8, "c"), tensor(entries)])]);
    let sentence = verdict_beside_weights(&model).unwrap_err().to_string();
    sentence.strip_prefix("initializer `c`: ").unwrap_or_else(|| panic!("{sentence}")).to_owned()
}

#[test]
fn data_beside_the_model_is_found_and_weighed() {
    for entries in [
        &[("location", "w")][..],
        &[("location", "./w"), ("offset", "12")],
        &[("length", "8"), ("offset", "4"), ("location", "w"), ("checksum", "whatever")],
    ] {
        let model = with(&[bytes(5, &[tensor(entries)])]);
        let contract = verdict_beside_weights(&model).unwrap();
        assert_eq!((contract.inline_bytes, contract.external_bytes), (0, 8));
    }
}

#[test]
fn what_lies_elsewhere_is_not_given() {
    for (location, why) in [
        ("../../etc/passwd", "which would be outside of the version's folder"),
        ("/etc/passwd", "which would be outside of the version's folder"),
        ("a/../w", "which would be outside of the version's folder"),
        ("", "a name without letters"),
        (".", "which is not a file"),
        ("v", "which is not among the files of the version"),
        ("*/_ORT_MEM_ADDR_/*", "which is no name of a file but of a place in memory"),
        ("w\\w", "which is a path of Windows; folders are set apart by `/`"),
    ] {
        assert_eq!(
            complaint_about(&[("location", location)]),
            format!("its data should be in the file `{location}`, {why}")
        );
    }
}

#[test]
fn a_link_in_the_folder_leads_nowhere() {
    let (outside, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), [0; 8]).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), folder.path().join("w")).unwrap();
    let model = adder_with_external_data("w");
    let error =
        verdict_below(&model, folder.path(), &ContractLimits::default()).unwrap_err().to_string();
    assert_eq!(error, "initializer `c`: its data should be in the file `w`, which is a link");
}

#[test]
fn the_bytes_asked_for_are_in_the_file_and_as_many_as_the_shape_says() {
    for (offset, ends) in [("13", "21"), ("9223372036854775807", "9223372036854775815")] {
        assert_eq!(
            complaint_about(&[("location", "w"), ("offset", offset)]),
            format!("its data should end at byte {ends} of the file `w`, which has 20 bytes")
        );
    }
    for length in ["0", "7", "9", "9223372036854775807"] {
        assert_eq!(
            complaint_about(&[("location", "w"), ("length", length)]),
            format!("its external data has {length} bytes, and its shape and type make 8")
        );
    }
    for (key, value) in [("offset", "-1"), ("offset", "18446744073709551616"), ("length", "8 ")] {
        assert_eq!(
            complaint_about(&[("location", "w"), (key, value)]),
            format!(
                "the `{key}` of its external data is `{value}`, and a number of bytes is expected"
            )
        );
    }
}

#[test]
fn nothing_about_it_is_left_to_the_reader() {
    assert_eq!(
        complaint_about(&[("location", "w"), ("location", "/etc/passwd")]),
        "its external data has two `location`s"
    );
    assert_eq!(
        complaint_about(&[("location", "w"), ("prepacked_0", "key|0;8;0")]),
        "`prepacked_0` is no key of external data: there are `location`, `offset`, `length` and `checksum`"
    );
    assert_eq!(
        complaint_about(&[]),
        "its data should be in another file, and no `location` says in which"
    );
    let complaint = |parts: &[Vec<u8>]| {
        verdict_beside_weights(&with(&[bytes(5, parts)])).unwrap_err().to_string()
    };
    let inside = bytes(9, &[vec![0; 8]]);
    assert_eq!(
        complaint(&[tensor(&[("location", "w")]), inside.clone()]),
        "initializer 1: its data is both in the model and in another file"
    );
    assert_eq!(
        complaint(&[dims(&[2]), number(2, F32), entry("location", "w"), inside]),
        "initializer 1: it names a file for its data and says that the data is in the model"
    );
    assert_eq!(
        complaint(&[dims(&[2]), number(2, 8), entry("location", "w"), number(14, EXTERNAL)]),
        "initializer 1: its data are texts, which cannot be in another file"
    );
}

/// A model for each place where a tensor can be, and what the place is called.
fn everywhere(tensor: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let within = |field, parts: &[Vec<u8>]| bytes(field, parts);
    let t = |field| within(field, &[tensor.to_vec(), text(8, "t")]);
    let graph = within(6, &[t(5), port(12, "Z")]);
    let graphs = within(11, &[node_with(&[t(5)])]);
    let indices = bytes(2, &[dims(&[2]), number(2, 7), bytes(9, &[vec![0; 16]])]);
    let f32 = bytes(1, &[dims(&[2]), number(2, F32), bytes(9, &[vec![0; 8]])]);
    let sparse_values = |field| within(field, &[t(1), indices.clone(), number(3, 9)]);
    let sparse_indices = |field| within(field, &[f32.clone(), t(2), number(3, 9)]);
    let function = within(25, &[text(1, "f"), text(10, "own"), node_with_in(7, &[t(5)])]);
    let default = within(25, &[text(1, "f"), within(11, &[text(1, "a"), t(5)])]);
    let training = |field| within(20, &[within(field, &[t(5)])]);
    vec![
        ("initializer `t`", with(&[t(5)])),
        ("tensor `t` in attribute `value` in node `c1`", with(&[node_with(&[t(5)])])),
        ("tensor `t` in attribute `value` in node `c1`", with(&[node_with(&[t(10)])])),
        ("initializer `t` in attribute `value` in node `c1`", with(&[node_with(&[graph])])),
        (
            "tensor `t` in attribute `value` in node `c1` in attribute `value` in node `c1`",
            with(&[node_with(&[graphs])]),
        ),
        ("values `t` in sparse initializer 1", with(&[sparse_values(15)])),
        ("indices `t` in sparse initializer 1", with(&[sparse_indices(15)])),
        (
            "values `t` in sparse tensor 1 in attribute `value` in node `c1`",
            with(&[node_with(&[sparse_values(22)])]),
        ),
        (
            "indices `t` in sparse tensor 1 in attribute `value` in node `c1`",
            with(&[node_with(&[sparse_indices(23)])]),
        ),
        (
            "tensor `t` in attribute `value` in node `c1` in function `f`",
            [with(&[]), function].concat(),
        ),
        ("tensor `t` in attribute `a` in function `f`", [with(&[]), default].concat()),
        ("initializer `t` in training information", [with(&[]), training(1)].concat()),
        ("initializer `t` in training information", [with(&[]), training(2)].concat()),
    ]
}

/// A node with an attribute, in another field than that of a graph.
fn node_with_in(field: u8, attribute: &[Vec<u8>]) -> Vec<u8> {
    let attribute = [text(1, "value"), attribute.concat()];
    bytes(field, &[text(3, "c1"), text(4, "Constant"), bytes(5, &attribute)])
}

#[test]
fn there_is_no_place_where_a_path_is_not_looked_at() {
    let bad = tensor(&[("location", "../../etc/passwd")]);
    for (place, model) in everywhere(&bad) {
        assert_eq!(
            verdict_beside_weights(&model).unwrap_err().to_string(),
            format!(
                "{place}: its data should be in the file `../../etc/passwd`, which would be outside of the version's folder"
            )
        );
    }
    let good = tensor(&[("location", "w")]);
    for (place, model) in everywhere(&good) {
        let contract = verdict_beside_weights(&model).unwrap_or_else(|e| panic!("{place}: {e}"));
        assert_eq!(contract.external_bytes, 8, "{place}");
    }
}
