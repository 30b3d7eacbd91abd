//! The check of a model's file, before ONNX Runtime sees it.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|model: &[u8]| {
    let beside = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/beside"));
    greenroom::fuzzing::contract(model, beside);
});
