//! What is known of every version: where it lies, where it stands, and why.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::domain::lifecycle::VersionState;
use crate::domain::model::{Digest, ModelName, VersionLabel};
use crate::domain::signature::Signature;

/// All models and versions. Read by the admin API, written by the repository.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<ModelName, BTreeMap<VersionLabel, VersionView>>>);

/// One model, as it was when it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelView {
    /// Its name.
    pub name: ModelName,
    /// Its versions, oldest first.
    pub versions: Vec<VersionView>,
}

/// One version, as it was when it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionView {
    /// Its label.
    pub version: VersionLabel,
    /// What it is, once its content has been read.
    pub digest: Option<Digest>,
    /// Where it stands.
    pub state: VersionState,
    /// Since when.
    pub since: SystemTime,
    /// Its file, from the folder of the models on.
    pub file: String,
    /// Whether the last look saw the file.
    pub file_present: bool,
    /// The file's length, once it has been read.
    pub bytes: Option<u64>,
    /// How long it took from the first byte to a warm version.
    pub load_time: Option<Duration>,
    /// What it takes and gives, once it has been loaded.
    pub signature: Option<Signature>,
}

impl Registry {
    /// Makes a version known, or its file seen again. True when it was not known.
    pub(super) fn saw(
        &self,
        model: &ModelName,
        version: &VersionLabel,
        file: &str,
        now: SystemTime,
    ) -> bool {
        let mut models = self.lock();
        let versions = models.entry(model.clone()).or_default();
        if let Some(known) = versions.get_mut(version) {
            known.file_present = true;
            return false;
        }
        let found = VersionView {
            version: version.clone(),
            digest: None,
            state: VersionState::Found,
            since: now,
            file: file.to_owned(),
            file_present: true,
            bytes: None,
            load_time: None,
            signature: None,
        };
        versions.insert(version.clone(), found);
        true
    }

    /// Notes that a look is about to begin: files that it does not see are gone.
    pub(super) fn begin_look(&self) {
        let mut models = self.lock();
        for version in models.values_mut().flat_map(BTreeMap::values_mut) {
            version.file_present = false;
        }
    }

    /// Changes what is known of a version.
    pub(super) fn update(
        &self,
        model: &ModelName,
        version: &VersionLabel,
        change: impl FnOnce(&mut VersionView),
    ) {
        if let Some(known) =
            self.lock().get_mut(model).and_then(|versions| versions.get_mut(version))
        {
            change(known);
        }
    }

    /// Moves a version to another state.
    pub(super) fn enter(
        &self,
        model: &ModelName,
        version: &VersionLabel,
        state: VersionState,
        now: SystemTime,
    ) {
        self.update(model, version, |known| {
            known.state = state;
            known.since = now;
        });
    }

    /// One model.
    pub fn model(&self, name: &str) -> Option<ModelView> {
        self.lock().get_key_value(name).map(|(name, versions)| view(name, versions))
    }

    /// All models, by name.
    pub fn models(&self) -> Vec<ModelView> {
        self.lock().iter().map(|(name, versions)| view(name, versions)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ModelName, BTreeMap<VersionLabel, VersionView>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn view(name: &ModelName, versions: &BTreeMap<VersionLabel, VersionView>) -> ModelView {
    ModelView { name: name.clone(), versions: versions.values().cloned().collect() }
}
