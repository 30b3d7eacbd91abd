//! A request of the Open Inference Protocol, from whatever form to tensors.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| greenroom::fuzzing::infer(input));
