//! A request a line, as the v1 protocol has requests and answers of whole tensors.

use std::error::Error;
use std::io::{ErrorKind, Write};

use serde_json::json;

use super::{Exported, flush, has_digests};
use crate::api::whole_by_name;
use crate::capture::{Content, Recorded, Recording, Recordings};
use crate::domain::model::ModelName;
use crate::domain::tensor::ValueView;

/// Writes all requests, the oldest first. Whoever reads them may stop reading.
pub(super) fn write(
    recordings: &Recordings,
    model: &ModelName,
    mut to: impl Write,
) -> Result<Exported, Box<dyn Error>> {
    let mut exported = Exported::default();
    for recording in recordings.oldest_first() {
        let recording = recording?;
        if has_digests(&recording) {
            exported.digests += 1;
            continue;
        }
        exported.requests += 1;
        exported.is_without(&recording);
        match to.write_all(&line(&recording, model)) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(exported),
            written => written?,
        }
    }
    match flush(to) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        flushed => flushed?,
    }
    exported.checked()
}

fn line(recording: &Recording, model: &ModelName) -> Vec<u8> {
    let mut line = b"{\"inputs\":".to_vec();
    line.extend(whole_by_name(values(&recording.inputs)));
    line.extend_from_slice(b",\"outputs\":");
    line.extend(whole_by_name(values(&recording.outputs)));
    let redacted: Vec<&str> = recording
        .inputs
        .iter()
        .chain(&recording.outputs)
        .filter(|part| part.content == Content::Redacted)
        .map(|part| part.name.as_str())
        .collect();
    let mut origin = json!({
        "model": model.as_str(),
        "version": recording.version.as_str(),
        "digest": recording.digest.to_string(),
        "time": recording.time.to_string(),
    });
    if !redacted.is_empty() {
        origin["redacted"] = redacted.into();
    }
    // It goes on as the same object.
    line.push(b',');
    line.extend_from_slice(&origin.to_string().as_bytes()[1..]);
    line.push(b'\n');
    line
}

/// What was kept whole, by name.
fn values(parts: &[Recorded]) -> Vec<(&str, ValueView<'_>)> {
    parts.iter().filter_map(|part| Some((part.name.as_str(), part.value()?))).collect()
}
