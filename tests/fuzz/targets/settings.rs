//! Settings files, the server's and a model's.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| greenroom::fuzzing::settings(text));
