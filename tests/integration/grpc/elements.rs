//! Every type of element, in its field and raw.

use tonic::Code;

use super::generated::InferTensorContents;
use super::{Caller, input, to};
use crate::element_types::identities;
use crate::support::TestServer;

type Contents = InferTensorContents;

/// Each type that has a field, with values at its ends, and their bytes.
fn typed() -> Vec<(&'static str, &'static str, Contents, Vec<u8>)> {
    let none = Contents::default;
    let texts = ["", "ä\"\n"].map(|text| text.as_bytes().to_vec().into()).to_vec();
    let numbers_16 = [i16::MIN, i16::MAX].map(i16::to_le_bytes).concat();
    vec![
        ("bool", "BOOL", Contents { bool_contents: vec![true, false], ..none() }, vec![1, 0]),
        ("u8", "UINT8", Contents { uint_contents: vec![0, 255], ..none() }, vec![0, 255]),
        (
            "u16",
            "UINT16",
            Contents { uint_contents: vec![0, 65535], ..none() },
            vec![0, 0, 255, 255],
        ),
        (
            "u32",
            "UINT32",
            Contents { uint_contents: vec![0, u32::MAX], ..none() },
            [0, u32::MAX].map(u32::to_le_bytes).concat(),
        ),
        (
            "u64",
            "UINT64",
            Contents { uint64_contents: vec![0, u64::MAX], ..none() },
            [0, u64::MAX].map(u64::to_le_bytes).concat(),
        ),
        ("i8", "INT8", Contents { int_contents: vec![-128, 127], ..none() }, vec![128, 127]),
        ("i16", "INT16", Contents { int_contents: vec![-32768, 32767], ..none() }, numbers_16),
        (
            "i32",
            "INT32",
            Contents { int_contents: vec![i32::MIN, i32::MAX], ..none() },
            [i32::MIN, i32::MAX].map(i32::to_le_bytes).concat(),
        ),
        (
            "i64",
            "INT64",
            Contents { int64_contents: vec![i64::MIN, i64::MAX], ..none() },
            [i64::MIN, i64::MAX].map(i64::to_le_bytes).concat(),
        ),
        (
            "f32",
            "FP32",
            Contents { fp32_contents: vec![f32::NAN, -0.0], ..none() },
            [f32::NAN, -0.0].map(f32::to_le_bytes).concat(),
        ),
        (
            "f64",
            "FP64",
            Contents { fp64_contents: vec![f64::INFINITY, 5e-324], ..none() },
            [f64::INFINITY, 5e-324].map(f64::to_le_bytes).concat(),
        ),
        (
            "string",
            "BYTES",
            Contents { bytes_contents: texts, ..none() },
            b"\0\0\0\0\x04\0\0\0\xc3\xa4\"\n".to_vec(),
        ),
    ]
}

#[test]
fn every_type_comes_back_as_it_went_in_from_its_field_and_raw() {
    let server = TestServer::with_models(identities()).start();
    let caller = Caller::of(&server);
    for (model, datatype, contents, bytes) in typed() {
        let mut from_field = input("X", datatype, &[2]);
        from_field.contents = Some(contents);
        let answer = caller.infer(to(model, vec![from_field])).unwrap().into_inner();
        assert_eq!(answer.raw_output_contents[0], bytes, "{model}");
        assert_eq!(answer.outputs[0].datatype, datatype);
    }
    let of_no_field = [("f16", "FP16", vec![0, 0x38, 1, 0]), ("bf16", "BF16", vec![0, 0x3f, 1, 0])];
    let typed = typed().into_iter().map(|(model, datatype, _, bytes)| (model, datatype, bytes));
    for (model, datatype, bytes) in typed.chain(of_no_field) {
        let mut message = to(model, vec![input("X", datatype, &[2])]);
        message.raw_input_contents = vec![bytes.clone().into()];
        let answer = caller.infer(message).unwrap().into_inner();
        assert_eq!(answer.raw_output_contents[0], bytes, "{model}");
        assert_eq!(answer.outputs[0].datatype, datatype);
    }
}

#[test]
fn half_precision_has_no_field() {
    let server = TestServer::with_models(identities()).start();
    let caller = Caller::of(&server);
    let mut x = input("X", "FP16", &[1]);
    x.contents = Some(Contents { fp32_contents: vec![0.5], ..Contents::default() });
    let status = caller.infer(to("f16", vec![x])).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("`raw_input_contents`"), "{}", status.message());
}
