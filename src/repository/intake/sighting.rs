//! What a look tells.

use std::time::{Duration, Instant};

use super::super::store::{Content, ContentStore};
use crate::config::ModelTexts;
use crate::domain::model::ModelName;
use crate::domain::rollout::Place;

/// Something that a look found out. Files are shown from the models' folder on, reasons are sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what they are called")]
pub enum Sighting {
    /// A content is in the store: a new one at this place, or one that is told for the first time since the
    /// start or since it had vanished.
    Stored { model: ModelName, place: Place, content: Content, file: String },
    /// A version is there and cannot be taken. It is tried again by itself.
    Unreadable { model: ModelName, place: Place, file: String, reason: String },
    /// A known version's file is gone; others of the model remain.
    Gone { model: ModelName, place: Place, file: String },
    /// The model's last file is gone.
    ModelGone { model: ModelName },
    /// So much vanished at once that the folder itself seems to have gone away. Nothing is to change.
    Vanished { models: Vec<ModelName> },
    /// The folder cannot be read. Nothing is to change.
    RootUnreadable { reason: String },
    /// The model's settings appeared, changed, or went away.
    Settings { model: ModelName, texts: Option<ModelTexts>, file: String },
    /// None of the model's files can be used. It stays as it is until that is settled.
    Problem { model: ModelName, reason: String },
    /// That is settled.
    ProblemGone { model: ModelName },
    /// Something else that a person should know. Told once.
    Warning(String),
}

/// A look at one model, as its parts take part in it.
pub(super) struct Report<'a> {
    pub(super) model: &'a ModelName,
    pub(super) now: Instant,
    pub(super) settle: Duration,
    pub(super) store: &'a ContentStore,
    pub(super) is_first: bool,
    pub(super) portion: &'a mut Portion,
    pub(super) sightings: &'a mut Vec<Sighting>,
}

/// What one look may still copy. The rest is due at once, in the next look: the first of a thousand models need
/// not wait for the last.
#[derive(Debug)]
pub(super) struct Portion {
    contents: u32,
    bytes: u64,
}

impl Default for Portion {
    fn default() -> Self {
        Self { contents: 64, bytes: 256 << 20 }
    }
}

impl Portion {
    pub(super) fn is_left(&self) -> bool {
        self.contents > 0 && self.bytes > 0
    }

    pub(super) fn take(&mut self, content: &Content) {
        self.contents = self.contents.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(content.bytes);
    }
}

impl Report<'_> {
    /// When something that was touched now has been still for long enough.
    pub(super) fn due(&self) -> Instant {
        self.now + self.settle
    }

    pub(super) fn tell(&mut self, sighting: Sighting) {
        self.sightings.push(sighting);
    }
}
