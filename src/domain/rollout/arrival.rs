//! What a change in the models' folder means for a model.

use serde::{Deserialize, Serialize};

use super::release::Release;
use crate::domain::model::{Digest, VersionLabel};

/// Which of a model's files it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Place {
    /// `NAME.onnx`: each content is a version of its own.
    Flat,
    /// A file or folder that is called by the version's label.
    Labelled(VersionLabel),
}

/// A content at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where.
    pub place: Place,
    /// What.
    pub digest: Digest,
}

/// What a content means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It was acted on already.
    Unchanged,
    /// It is known now, and loaded when somebody asks for it.
    Noted,
    /// It was taken back once, and waits for an operator.
    Barred,
    /// It is stable: whatever is being released instead is not wanted.
    StableAgain,
    /// It is what was stable before, put there anew.
    PreviousAgain,
    /// It is new.
    Release(VersionLabel),
}

impl Release {
    /// Notes what is there, and says what it means. Only a change counts: the same content at the same place was
    /// acted on before, also before a restart.
    pub(super) fn arrive(&mut self, seen: &Seen) -> Arrival {
        let Seen { place, digest } = seen;
        let label = match place {
            Place::Labelled(label) => label.clone(),
            Place::Flat => self.flat_label(*digest),
        };
        let acted_on = match place {
            Place::Labelled(label) => self.labels.get(label).copied(),
            Place::Flat => self.flat,
        };
        if acted_on == Some(*digest) {
            return Arrival::Unchanged;
        }
        let is_alias = acted_on.is_none() && self.labels.values().any(|known| known == digest);
        self.labels.insert(label.clone(), *digest);
        if *place == Place::Flat {
            self.flat = Some(*digest);
        }
        if self.barred.contains_key(digest) {
            return Arrival::Barred;
        }
        if self.stable.as_ref().is_some_and(|stable| stable.digest == *digest) {
            return Arrival::StableAgain;
        }
        if self.live().is_some_and(|rollout| rollout.candidate.digest == *digest) {
            return Arrival::Noted;
        }
        let replaces = acted_on.is_some();
        if replaces && self.previous.as_ref().is_some_and(|previous| previous.digest == *digest) {
            return Arrival::PreviousAgain;
        }
        if is_alias || self.broken.contains_key(digest) || self.unfit.contains_key(digest) {
            return Arrival::Noted;
        }
        // Whoever puts a content into the only file there is wants it, however old it is.
        let is_newer = *place == Place::Flat
            || match &self.newest_released {
                None => true,
                Some(newest) if replaces => label >= *newest,
                Some(newest) => label > *newest,
            };
        if is_newer { Arrival::Release(label) } else { Arrival::Noted }
    }

    /// The label of a content of `NAME.onnx`: the one it had before, else the next number.
    fn flat_label(&self, digest: Digest) -> VersionLabel {
        if let Some((label, _)) = self.labels.iter().find(|(_, known)| **known == digest) {
            return label.clone();
        }
        let numbers = self.labels.keys().filter_map(|label| label.as_str().parse::<u64>().ok());
        let next = numbers.max().unwrap_or(0) + 1;
        next.to_string().parse().unwrap_or_else(|_| unreachable!("a number is a label"))
    }
}
