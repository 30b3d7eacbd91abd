//! Where records are in the state folder, and whose they are.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::domain::model::ModelName;
use crate::domain::rollout::RolloutId;

/// Records that belong together, in a folder of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Series {
    /// What a model was asked.
    Model(ModelName),
    /// What is still to be run on the two versions of a rollout.
    Rollout(RolloutId),
}

/// A folder of series of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `<state>/captures/<model>/`
    Captures(PathBuf),
    /// `<state>/spool/<rollout>/`
    Spool(PathBuf),
}

impl Place {
    pub(super) fn captures(state: &Path) -> Self {
        Self::Captures(state.join("captures"))
    }

    pub(super) fn spool(state: &Path) -> Self {
        Self::Spool(state.join("spool"))
    }

    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Captures(folder) | Self::Spool(folder) => folder,
        }
    }

    /// The series whose folder has this name; none where it is no series of this kind.
    pub(super) fn series(&self, name: &str) -> Option<Series> {
        match self {
            Self::Captures(_) => name.parse().ok().map(Series::Model),
            Self::Spool(_) => {
                let rollout: RolloutId = name.parse().ok()?;
                (rollout.to_string() == name).then_some(Series::Rollout(rollout))
            }
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(model) => model.fmt(f),
            Self::Rollout(rollout) => rollout.fmt(f),
        }
    }
}
