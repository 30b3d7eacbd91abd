//! What is known of a model's settings, which versions they keep loaded, and which of them a loaded one was made by.

use crate::config::{Declared, ModelConfig, SessionConfig, VersionsKept};
use crate::domain::rollout::{Release, Revision};

/// What is known of a model's settings.
#[derive(Clone, Debug, Default)]
pub(super) enum Settings {
    /// There are none.
    #[default]
    Default,
    /// They hold.
    Good(Box<ModelConfig>),
    /// They do not, and there were no good ones before.
    Bad(String),
}

impl Settings {
    pub(super) fn config(&self) -> ModelConfig {
        match self {
            Self::Good(config) => ModelConfig::clone(config),
            Self::Default | Self::Bad(_) => ModelConfig::default(),
        }
    }
}

/// The settings that a session is made by: with others it is made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MadeBy {
    session: SessionConfig,
    declared: Declared,
}

impl MadeBy {
    pub(super) fn of(config: &ModelConfig) -> Self {
        let (session, declared) = (config.session.clone(), config.declared.without_places());
        Self { session, declared }
    }
}

/// The versions that the settings keep loaded for those who pin them.
pub(super) fn kept_revisions(release: &Release, kept: &VersionsKept) -> Vec<Revision> {
    if release.is_withdrawn() {
        return Vec::new();
    }
    let is_kept = |label| match kept {
        VersionsKept::Stable => false,
        VersionsKept::All | VersionsKept::Newest(_) => true,
        VersionsKept::Only(labels) => labels.contains(label),
    };
    let most = match kept {
        VersionsKept::Newest(count) => *count,
        VersionsKept::Stable | VersionsKept::All | VersionsKept::Only(_) => usize::MAX,
    };
    release
        .labels()
        .iter()
        .rev()
        .filter(|(label, digest)| is_kept(label) && release.why_not(digest).is_none())
        .take(most)
        .map(|(label, digest)| Revision { label: label.clone(), digest: *digest })
        .collect()
}
