//! What a server has recorded: requests, each with what the trusted version answered.

use std::io;
use std::path::Path;

use indicatif::ProgressBar;

use super::super::progress;
use super::{Asked, KINDS, Request, Requests, Taken};
use crate::capture::{Content, Recorded, Recording, Recordings, folder};
use crate::domain::model::{Digest, ModelName};
use crate::domain::signature::{OutputSpec, Signature};
use crate::domain::tensor::Value;

/// See the module.
pub(in crate::cli) struct RecordedRequests {
    recordings: Box<dyn Iterator<Item = io::Result<Recording>> + Send>,
    signature: Signature,
    /// The trusted model.
    digest: Digest,
    read: u64,
    left_out: LeftOut,
    bar: ProgressBar,
}

/// Requests that the trusted model cannot be asked.
#[derive(Debug, Default)]
struct LeftOut {
    /// Something of them was never recorded.
    redacted: u64,
    /// There are only digests.
    digests: u64,
    /// They are of another signature.
    others: u64,
}

impl RecordedRequests {
    /// All that are there now, the oldest first.
    pub(in crate::cli) fn of(recordings: Recordings, taken: Taken<'_>, bar: &ProgressBar) -> Self {
        progress::in_requests(bar);
        Self {
            recordings: Box::new(recordings.into_oldest_first()),
            signature: taken.signature.clone(),
            digest: taken.digest,
            read: 0,
            left_out: LeftOut::default(),
            bar: bar.clone(),
        }
    }

    /// Those in a folder `STATE/captures/MODEL`.
    pub(super) fn in_folder(
        path: &Path,
        taken: Taken<'_>,
        bar: &ProgressBar,
    ) -> Result<Self, String> {
        let path = path.canonicalize().map_err(|error| error.to_string())?;
        let model = path.file_name().and_then(|name| name.to_str()?.parse::<ModelName>().ok());
        let captures = path.parent();
        let state = captures.and_then(Path::parent);
        let (Some(model), Some(state)) = (model, state) else { return Err(KINDS.to_owned()) };
        if captures != Some(&folder(state)) {
            return Err(KINDS.to_owned());
        }
        let recordings = Recordings::open(state, &model).map_err(|error| error.to_string())?;
        Ok(Self::of(recordings, taken, bar))
    }

    /// A request's inputs, and the trusted model's answer where it gave it.
    fn asked(&mut self, recording: Recording) -> Option<Asked> {
        let Some(inputs) = recording.inputs_for(&self.signature) else {
            let is_any =
                |is: fn(&Content) -> bool| recording.inputs.iter().any(|input| is(&input.content));
            let count = if is_any(|content| *content == Content::Redacted) {
                &mut self.left_out.redacted
            } else if is_any(|content| matches!(content, Content::Digest(_))) {
                &mut self.left_out.digests
            } else {
                &mut self.left_out.others
            };
            *count += 1;
            return None;
        };
        let is_its_own = recording.digest == self.digest;
        let answer =
            is_its_own.then(|| answer(recording.outputs, &self.signature.outputs)).flatten();
        Some(Asked::Inputs { inputs, answer })
    }
}

/// All outputs, in the order of the model; none where one was not kept.
fn answer(mut recorded: Vec<Recorded>, outputs: &[OutputSpec]) -> Option<Vec<Value>> {
    let mut take = |output: &OutputSpec| {
        let place = recorded.iter().position(|part| part.name == output.name())?;
        match recorded.swap_remove(place).content {
            Content::Tensor(tensor) => Some(Value::Tensor(tensor)),
            Content::ClassScores(scores) => Some(Value::ClassScores(scores)),
            Content::Digest(_) | Content::Redacted => None,
        }
    };
    outputs.iter().map(&mut take).collect()
}

impl Requests for RecordedRequests {
    fn next(&mut self) -> Result<Option<Request>, String> {
        loop {
            let Some(recording) = self.recordings.next() else { return Ok(None) };
            let recording = recording.map_err(|error| error.to_string())?;
            self.read += 1;
            self.bar.inc(1);
            if let Some(asked) = self.asked(recording) {
                return Ok(Some(Request { number: self.read, asked }));
            }
        }
    }

    fn unit(&self) -> &'static str {
        "request"
    }

    fn left_out(&self) -> Option<String> {
        let LeftOut { redacted, digests, others } = self.left_out;
        let reasons = [
            (redacted, "of which an input was never recorded (`redact`)"),
            (digests, "of which there are only digests (`mode = \"hash\"`)"),
            (others, "of another signature"),
        ];
        let reasons = reasons.iter().filter(|(count, _)| *count > 0);
        let reasons: Vec<String> = reasons.map(|(count, why)| format!("{count} {why}")).collect();
        let left_out = redacted + digests + others;
        (left_out > 0).then(|| {
            let of = self.read;
            format!("{left_out} of {of} recorded requests are left out: {}", reasons.join(", "))
        })
    }
}
