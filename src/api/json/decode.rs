//! A JSON text as a whole: read once and strictly, or, where that fails, once more with the words that JSON lacks.

use axum::http::StatusCode;
use serde_json::Deserializer;
use serde_json::de::SliceRead;

use super::progress::Progress;
use super::special;
use super::trail::Problem;
use crate::config::LimitsConfig;

/// A text that is being read.
pub(in crate::api) type Json<'de> = Deserializer<SliceRead<'de>>;

/// Why a body is not a request for this model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) enum DecodeError {
    /// It is not JSON.
    Malformed(String),
    /// It is JSON, but not what the model takes.
    Unfit(String),
    /// It is larger than a request may be.
    TooLarge(String),
}

/// Decodes a text; `read` reads its root.
///
/// # Errors
/// [`DecodeError`] with a sentence that begins with the path of the offending element.
pub(in crate::api) fn decode<'s, T>(
    text: &[u8],
    limits: &'s LimitsConfig,
    read: impl for<'de> Fn(&mut Progress<'s>, &mut Json<'de>) -> serde_json::Result<T>,
) -> Result<T, DecodeError> {
    match decode_strictly(text, limits, &read) {
        // Only a body that is not JSON pays for the second look.
        Err(DecodeError::Malformed(sentence)) => match special::mark_words(text) {
            Some(text) => decode_strictly(&text, limits, &read),
            None => Err(DecodeError::Malformed(sentence)),
        },
        result => result,
    }
}

fn decode_strictly<'s, T>(
    text: &[u8],
    limits: &'s LimitsConfig,
    read: &impl for<'de> Fn(&mut Progress<'s>, &mut Json<'de>) -> serde_json::Result<T>,
) -> Result<T, DecodeError> {
    let mut progress = Progress::new(limits, text.len());
    let mut json = Json::from_slice(text);
    let decoded = read(&mut progress, &mut json).and_then(|decoded| json.end().map(|()| decoded));
    decoded.map_err(|error| explain(&error, &mut progress))
}

fn explain(error: &serde_json::Error, progress: &mut Progress<'_>) -> DecodeError {
    let trail = &mut progress.trail;
    let place = if trail.depth() == 0 { String::new() } else { format!("{trail}: ") };
    match trail.take_problem() {
        Some(Problem::Unfit(sentence)) => DecodeError::Unfit(place + &sentence),
        Some(Problem::TooLarge(sentence)) => DecodeError::TooLarge(place + &sentence),
        None if is_well_formed(error) => DecodeError::Unfit(format!("{place}{error}")),
        None => DecodeError::Malformed(format!("{place}malformed JSON: {error}")),
    }
}

/// Whether the library refuses a text for what it cannot hold, such as `1e999`, and not for its form.
fn is_well_formed(error: &serde_json::Error) -> bool {
    let sentence = error.to_string();
    ["number out of range", "recursion limit exceeded"].iter().any(|own| sentence.starts_with(own))
}

impl From<DecodeError> for super::super::problem::Problem {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Malformed(sentence) => Self::bad_request("malformed_json", sentence),
            DecodeError::Unfit(sentence) => Self::bad_request("invalid_input", sentence),
            DecodeError::TooLarge(sentence) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "input_too_large", sentence)
            }
        }
    }
}
