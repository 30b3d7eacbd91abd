//! Whether the names that the settings give to columns fit a model.

use crate::domain::signature::{Dim, Signature};

/// Names for the columns need one input that has so many columns.
///
/// # Errors
/// A sentence that says what the model has instead.
pub(super) fn check_features(features: &[String], signature: &Signature) -> Result<(), String> {
    if features.is_empty() {
        return Ok(());
    }
    let [input] = &signature.inputs[..] else {
        return Err(format!(
            "`features` in the settings names the columns of the one input, but the model has {} inputs",
            signature.inputs.len()
        ));
    };
    let fits = input.shape.dims().is_none_or(|dims| match dims {
        [_, Dim::Fixed(columns)] => *columns == features.len(),
        [_, Dim::Symbol(_) | Dim::Any] => true,
        _ => false,
    });
    if fits {
        return Ok(());
    }
    Err(format!(
        "`features` in the settings names {} columns, but input `{}` is {input}",
        features.len(),
        input.name
    ))
}
