//! Triton's `config.pbtxt`, from text to the settings of a model.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| greenroom::fuzzing::config_pbtxt(text));
