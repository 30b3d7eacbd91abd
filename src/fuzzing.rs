//! The ways in for the targets in `tests/fuzz`, which know nothing of what is private. Only there with the feature
//! `fuzzing`.
//!
//! Each takes whatever a fuzzer makes up, and panics where a promise is broken.

use std::io::Cursor;
use std::path::Path;

use crate::config::{ModelConfig, ModelTexts, Outline, ServerConfig, SettingsText};
use crate::repository::contract::{ContractLimits, check_file};

/// The check of a model's file, beside which there are the files of a folder: it says yes, or one printable sentence.
pub fn contract(model: &[u8], folder: &Path) {
    let limits = ContractLimits::default();
    if let Err(error) = check_file(Cursor::new(model), model.len() as u64, folder, &limits) {
        assert_is_printable(&error.to_string());
    }
}

/// The body of a predict request, after a byte that chooses for which model.
pub fn predict(input: &[u8]) {
    if let Some(sentence) = crate::api::decode_anything(input) {
        assert_is_printable(&sentence);
    }
}

/// A request of the Open Inference Protocol, as JSON, with bytes behind it, as bytes alone or as a message of gRPC's, after
/// four bytes that choose for which model and how.
pub fn infer(input: &[u8]) {
    if let Some(sentence) = crate::api::infer_anything(input) {
        assert_is_printable(&sentence);
    }
}

/// A text as the server's settings and as a model's.
pub fn settings(text: &str) {
    if let Err(error) = ServerConfig::from_text(text) {
        assert!(!error.to_string().is_empty());
    }
    if let Err(error) = ModelConfig::parse(text, "model.toml") {
        assert!(!error.to_string().is_empty());
    }
}

/// A text as Triton's `config.pbtxt`, first alone and then beside a file that it may name.
pub fn config_pbtxt(text: &str) {
    let outline = Outline::of(text);
    let file = SettingsText { file: "m/config.pbtxt".to_owned(), text: text.to_owned() };
    let mut texts = ModelTexts { triton: Some(file), ..ModelTexts::default() };
    let Ok(model) = "m".parse() else { return };
    for beside in [Vec::new(), outline.files] {
        texts.beside = beside.into_iter().map(|name| (name, "cat\ndog\n".into())).collect();
        if let Err(error) = ModelConfig::of_texts(&texts, &model) {
            let sentences = error.to_string();
            assert!(sentences.lines().all(|line| line.starts_with("m/config.pbtxt:")));
            sentences.lines().for_each(assert_is_printable);
        }
    }
}

fn assert_is_printable(sentence: &str) {
    const LONGEST: usize = 4000;
    assert!(!sentence.is_empty() && sentence.len() < LONGEST, "{} bytes", sentence.len());
    assert!(!sentence.contains(char::is_control), "{sentence:?}");
}
