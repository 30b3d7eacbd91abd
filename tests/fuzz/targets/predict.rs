//! The body of a predict request, from JSON to tensors.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| greenroom::fuzzing::predict(input));
