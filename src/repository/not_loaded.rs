//! Why a version was not loaded, and whether that is for good.

use std::time::Duration;

use super::check::Fault;
use crate::domain::rollout::{LoadFailure, Unfit};
use crate::domain::room::NoRoom;
use crate::onnx::{LoadError, Rejection};

/// Why a version was not loaded, in words for whoever looks after it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotLoaded {
    /// Its content is not there any more.
    #[error("its content is not kept any more (`repository.keep_revisions`)")]
    NotKept,
    /// It did not pass its check.
    #[error("{}", .0.reason)]
    Faulty(Fault),
    /// There is no memory for it.
    #[error(transparent)]
    NoRoom(NoRoom),
    /// The model cannot be used.
    #[error(transparent)]
    Broken(LoadError),
    /// The model's settings do not fit it.
    #[error("{0}")]
    Misfit(String),
    /// It fails on a request that its settings name for the warm-up.
    #[error("{sentence}")]
    FailsOnSample {
        /// Which request, and where it is named.
        sentence: String,
        /// What the library says itself.
        words: String,
    },
    /// Clients of the stable version could not go on with it.
    #[error(transparent)]
    Unfit(Unfit),
    /// It did not get warm in time.
    #[error("a trial run took longer than {}", humantime::format_duration(*.0))]
    TooSlow(Duration),
}

impl NotLoaded {
    /// What the library says itself, which is for the log alone.
    pub(super) fn words(&self) -> Option<&str> {
        match self {
            Self::Broken(LoadError::Rejected { message, .. }) => Some(message),
            Self::Faulty(fault) => fault.words.as_deref(),
            Self::FailsOnSample { words, .. } => Some(words),
            Self::Broken(LoadError::Unsupported { .. } | LoadError::Unreadable)
            | Self::NotKept
            | Self::NoRoom(_)
            | Self::Misfit(_)
            | Self::Unfit(_)
            | Self::TooSlow(_) => None,
        }
    }
}

impl From<NotLoaded> for LoadFailure {
    fn from(error: NotLoaded) -> Self {
        let reason = error.to_string();
        match error {
            // It has passed its trial, so it is the machine that has no memory now.
            NotLoaded::Broken(LoadError::Rejected { reason: Rejection::OutOfMemory, .. }) => {
                Self::Passing(reason)
            }
            NotLoaded::Faulty(Fault { is_for_good: true, .. })
            | NotLoaded::Broken(_)
            | NotLoaded::NotKept => Self::Broken(reason),
            NotLoaded::Faulty(_)
            | NotLoaded::Misfit(_)
            | NotLoaded::FailsOnSample { .. }
            | NotLoaded::TooSlow(_) => Self::Passing(reason),
            NotLoaded::NoRoom(_) => Self::NoRoom(reason),
            NotLoaded::Unfit(_) => Self::Unfit(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_memory_says_nothing_of_the_model() {
        let failure = |reason| {
            let message = "the library's own words".to_owned();
            LoadFailure::from(NotLoaded::Broken(LoadError::Rejected { reason, message }))
        };
        assert!(matches!(failure(Rejection::OutOfMemory), LoadFailure::Passing(_)));
        assert!(matches!(failure(Rejection::Cycle), LoadFailure::Broken(_)));
    }
}
