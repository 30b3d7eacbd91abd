//! The settings of one model as they lie in its folder: up to two files, and what belongs to them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::error::ConfigError;
use super::model::ModelConfig;
use super::triton;
use crate::domain::model::ModelName;

/// What the files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelTexts {
    /// `model.toml`, or `NAME.toml` in the flat layout.
    pub toml: Option<SettingsText>,
    /// Triton's `config.pbtxt`.
    pub triton: Option<SettingsText>,
    /// Files beside `config.pbtxt` that it names.
    pub beside: Beside,
}

/// What is in files, by their names from the model's folder on.
pub type Beside = BTreeMap<String, Bytes>;

/// A file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsText {
    /// The file, from the models' folder on.
    pub file: String,
    /// What is in it.
    pub text: String,
}

impl ModelTexts {
    /// The files in a sentence.
    pub fn files(&self) -> String {
        let files = self.triton.iter().chain(&self.toml).map(|text| text.file.as_str());
        files.collect::<Vec<_>>().join(" and ")
    }
}

impl ModelConfig {
    /// Understands all of it: `config.pbtxt` first, and over it, key by key, `model.toml`. Whoever brings a Triton
    /// repository adds the second file for what the first has no words for, such as how versions are released, and
    /// does not mean to lose the rest by it.
    ///
    /// # Errors
    /// All that is wrong in both files.
    pub fn of_texts(texts: &ModelTexts, model: &ModelName) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let triton = texts.triton.as_ref();
        let problems =
            triton.and_then(|file| triton::read(&mut config, model, file, &texts.beside).err());
        let overlaid = match &texts.toml {
            Some(SettingsText { file, text }) => config.overlaid(text, file),
            None => Ok(config),
        };
        match (overlaid, problems) {
            (overlaid, None) => overlaid,
            (Err(ConfigError::Invalid(more)), Some(mut problems)) => {
                problems.extend(more);
                Err(ConfigError::Invalid(problems))
            }
            (Ok(_), Some(problems)) => Err(ConfigError::Invalid(problems)),
            (Err(other @ (ConfigError::Missing(_) | ConfigError::Unreadable { .. })), Some(_)) => {
                Err(other)
            }
        }
    }
}
