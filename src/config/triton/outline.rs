//! What has to be known before any file of the model is taken.

use super::fields::Fields;
use super::schema::MODEL_CONFIG;
use super::{model, tensors, text, warm_up};
use crate::domain::model::VersionLabel;

/// What `config.pbtxt` says about the files around it. Of a file that is wrong, what can be understood: it is refused
/// by those who read the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The files beside it that belong to the settings, from the model's folder on: names of classes, and elements for
    /// the warm-up.
    pub files: Vec<String>,
    /// What the model is called in a version's folder, where not as everywhere.
    pub model_file: Option<String>,
    /// The versions that there are to be; none for all.
    pub versions: Option<Vec<VersionLabel>>,
    /// Why none of them can be served, where it is not an ONNX model.
    pub foreign: Option<String>,
}

impl Outline {
    /// Reads it out of the text.
    pub fn of(text: &str) -> Self {
        let Ok(tree) = text::parse(text) else { return Self::default() };
        let (fields, _) = Fields::of(tree, &MODEL_CONFIG);
        let model_file = fields.text("default_model_filename").filter(|(file, _)| !file.is_empty());
        let labels = tensors::label_files(&fields).map(|(file, _)| file.to_owned());
        let elements = warm_up::files(&fields).map(|(file, _)| warm_up::beside_name(file));
        Self {
            files: labels.chain(elements).collect(),
            model_file: model_file.map(|(file, _)| file.to_owned()),
            versions: model::specific(&fields).filter(|versions| !versions.is_empty()),
            foreign: model::foreign(&fields).map(|(_, sentence)| sentence),
        }
    }
}
