//! `config.pbtxt`: what an existing Triton repository says of a model, as settings of ours.
//!
//! A repository of ONNX models is to be served as it is, so this file means here what it means there, as far as there
//! is something of the kind. It is understood in three steps: `text` makes a tree of it, `fields` holds that against
//! the table in `schema`, and then one part for each subject says what the fields come to: `model`, `batching`,
//! `running`, `tensors` and `warm_up`. What would change the answers and cannot be done here is refused with its place
//! and what to do; what is only about speed or bookkeeping is warned about and left out.
//!
//! An [`Outline`] is the little that has to be known before any file of the model is taken.

mod batching;
mod declared;
mod fields;
mod model;
mod outline;
mod reader;
mod running;
mod schema;
mod tensors;
mod text;
mod warm_up;

pub use self::declared::{Declared, DeclaredTensor};
pub use self::outline::Outline;
pub use self::warm_up::{FOLDER as WARM_UP_FOLDER, Fill, WarmUpInput, WarmUpSample};

use self::fields::Fields;
use self::reader::Reader;
use self::schema::MODEL_CONFIG;
use super::error::Problem;
use super::model::ModelConfig;
use super::texts::{Beside, SettingsText};
use crate::domain::model::ModelName;

/// Sets in `config` what the file says. All that is wrong with it is told at once.
pub(super) fn read(
    config: &mut ModelConfig,
    model: &ModelName,
    file: &SettingsText,
    beside: &Beside,
) -> Result<(), Vec<Problem>> {
    let mut reader = Reader::of(&file.file);
    let tree = match text::parse(&file.text) {
        Ok(tree) => tree,
        Err(error) => {
            reader.refuse(error.place, error.text);
            return reader.finish().map(drop);
        }
    };
    let (fields, complaints) = Fields::of(tree, &MODEL_CONFIG);
    for (place, complaint) in complaints {
        reader.refuse(place, complaint);
    }
    model::read(&fields, model, config, &mut reader);
    batching::read(&fields, config, &mut reader);
    running::read(&fields, config, &mut reader);
    tensors::read(&fields, beside, config, &mut reader);
    warm_up::read(&fields, beside, config, &mut reader);
    config.inactive.append(&mut reader.finish()?);
    Ok(())
}

#[cfg(test)]
mod tests;
