//! The file's form: what is no protobuf, what is no ONNX, and what could be read in two ways.

use super::onnx::{key, varint};
use super::*;

#[test]
fn what_is_no_model_at_all_is_said_in_its_own_words() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 12345\n";
    for (content, sentence) in [
        (&b""[..], "the model's file is empty"),
        (
            &[0; 5000],
            "the model's file begins with nothing but zeros, as one does whose copy was broken off",
        ),
        (b"<!DOCTYPE html>\n<h1>404</h1>", "the model's file is text, not an ONNX model"),
        ("Gr\u{fc}n".repeat(9000).as_bytes(), "the model's file is text, not an ONNX model"),
        (
            pointer.as_bytes(),
            "the model's file is a pointer of Git LFS; `git lfs pull` fetches the model itself",
        ),
        (b"\x07\xff\x80", "the file is no protobuf, as ONNX models are: byte 0 begins no field"),
    ] {
        assert_eq!(complaint(content), sentence);
    }
}

#[test]
fn every_beginning_of_a_model_is_refused() {
    let model = onnx::adder_with_a_trap(1.0);
    assert!(verdict(&model).is_ok());
    for length in 0..model.len() {
        assert!(verdict(&model[..length]).is_err(), "{length} of {} bytes", model.len());
    }
    assert_eq!(
        complaint(&model[..model.len() - 10]),
        format!(
            "the file is cut short: {} bytes are announced, and {} follow",
            model.len() - 9,
            model.len() - 19
        )
    );
}

#[test]
fn a_model_needs_a_graph_with_outputs_and_a_set_of_operators() {
    let graph = [node("Neg", &["X"], "Y"), port(11, "X")].concat();
    assert_eq!(complaint(&number(1, 8)), "the model has no graph");
    assert_eq!(complaint(&model(&graph, 0)), "the graph has no outputs, so it could never answer");
    assert_eq!(
        complaint(&[number(1, 8), bytes(7, &[graph, port(12, "Y")])].concat()),
        "the model does not say which version of ONNX's operators it uses (`opset_import`)"
    );
}

#[test]
fn what_should_be_there_once_is_not_put_together_from_two() {
    let good = with(&[]);
    let second = bytes(7, &[text(2, "other graph")]);
    assert_eq!(
        complaint(&[good, second].concat()),
        "`graph` stands twice in `model`, where ONNX has one"
    );
    let tensor = bytes(5, &[number(2, 1), bytes(9, &[vec![0; 4]])]);
    assert_eq!(
        complaint(&with(&[node_with(&[tensor.clone(), tensor])])),
        "attribute `value` in node `c1`: `t` stands twice in `attribute`, where ONNX has one"
    );
    let twice = initializer(&[number(2, 1), number(2, 7)]);
    assert_eq!(
        complaint(&with(&[twice])),
        "initializer 1: `data_type` stands twice in `tensor`, where ONNX has one"
    );
}

#[test]
fn a_known_field_in_another_form_is_not_taken_for_an_unknown_one() {
    let as_number = [number(1, 8), number(7, 1)].concat();
    assert_eq!(complaint(&as_number), "`graph` of `model` has another form than ONNX gives it");
    let as_group = [with(&[]), key(7, 3), key(7, 4)].concat();
    assert!(complaint(&as_group).ends_with("a form of protobuf that ONNX does not use"));
    let floats = initializer(&[number(2, 1), bytes(4, &[vec![0; 6]])]);
    assert_eq!(
        complaint(&with(&[floats])),
        "initializer 1: `float_data` of `tensor` has another form than ONNX gives it"
    );
}

#[test]
fn unknown_fields_are_stepped_over() {
    let unknown = [
        number(99, 5),
        [key(98, 1), vec![1; 8]].concat(),
        [key(97, 5), vec![1; 4]].concat(),
        text(96, "unknown"),
    ];
    assert!(verdict(&[with(&unknown), unknown.concat()].concat()).is_ok());
    // The largest number that a field may have.
    let large = [varint(u64::from(u32::MAX) & !7), varint(0)].concat();
    assert!(verdict(&[with(&[]), large].concat()).is_ok());
}

#[test]
fn a_part_ends_where_what_it_is_in_ends() {
    let inner = [text(2, "Y"), key(5, 2), varint(100)].concat();
    let graph = [bytes(1, &[inner]), port(12, "Y"), vec![0; 200]].concat();
    let sentence = complaint(&model(&graph, 0));
    assert!(sentence.contains("a part of `node` goes on after its end"), "{sentence}");
    assert!(sentence.starts_with("node 1: "), "{sentence}");
}

#[test]
fn numbers_on_the_wire_have_an_end() {
    let endless = [with(&[]), [0xff; 12].to_vec()].concat();
    assert!(complaint(&endless).contains("begins no field"));
    let zero = [with(&[]), vec![0, 0]].concat();
    assert!(complaint(&zero).contains("begins no field"));
    let half = [with(&[]), vec![0x08, 0x80]].concat();
    assert!(complaint(&half).contains("begins no field"));
}

#[test]
fn a_file_beyond_what_protobuf_holds_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("model.onnx")).unwrap();
    file.set_len(3 << 30).unwrap();
    let error = check(folder.path(), &ContractLimits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model's file has 3.0 GiB, and ONNX files end at 2 GiB; keep the weights in a file beside it (external data)"
    );
}
