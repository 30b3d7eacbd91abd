//! What is known of every version: where it lies, where it stands, and why.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::domain::lifecycle::VersionState;
use crate::domain::model::{Digest, ModelName, VersionLabel};
use crate::domain::rollout::Revision;
use crate::domain::signature::Signature;

/// All models and versions. Read by the admin API, written by those who load and release.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<ModelName, ModelView>>);

/// One model, as it was when it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelView {
    /// Its name.
    pub name: ModelName,
    /// Its versions, oldest first. A label whose content was replaced stands here once for each content in use.
    pub versions: Vec<VersionView>,
    /// Why its files are not looked after, where they contradict each other.
    pub problem: Option<String>,
    /// Files that should be versions and cannot be taken, with the reasons.
    pub not_taken: BTreeMap<String, String>,
}

/// One version, as it was when it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionView {
    /// Its label.
    pub version: VersionLabel,
    /// What it is.
    pub digest: Digest,
    /// Where it stands.
    pub state: VersionState,
    /// Since when.
    pub since: SystemTime,
    /// Its file, from the folder of the models on; empty where none has been seen since the start.
    pub file: String,
    /// Whether the file is there.
    pub file_present: bool,
    /// The content's length, where it is known.
    pub bytes: Option<u64>,
    /// How long the server took to load it and to warm it up, once it had passed its trial.
    pub load_time: Option<Duration>,
    /// Bytes that it takes while it is loaded, once that is known.
    pub memory: Option<u64>,
    /// What it takes and gives, once it has been loaded.
    pub signature: Option<Signature>,
}

/// The file that a content came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileNote {
    /// From the folder of the models on.
    pub(crate) file: String,
    /// The content's length.
    pub(crate) bytes: u64,
    /// Whether it is still there.
    pub(crate) is_present: bool,
}

impl ModelView {
    fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.problem.is_none() && self.not_taken.is_empty()
    }
}

impl Registry {
    /// Makes a version known, and the file that has this content, where one has been seen. `why_not` is where it stands
    /// for as long as nothing loads it, if something is held against it.
    pub(crate) fn saw(
        &self,
        model: &ModelName,
        revision: &Revision,
        file: Option<&FileNote>,
        why_not: Option<&VersionState>,
        now: SystemTime,
    ) {
        let mut models = self.lock();
        let versions = &mut entry(&mut models, model).versions;
        let is_it = |known: &&mut VersionView| {
            known.version == revision.label && known.digest == revision.digest
        };
        if let Some(known) = versions.iter_mut().find(is_it) {
            if let Some(note) = file {
                note.file.clone_into(&mut known.file);
                known.file_present = note.is_present;
                known.bytes = Some(note.bytes);
            }
            let is_idle = matches!(known.state, VersionState::Found | VersionState::Unloaded);
            if let Some(state) = why_not.filter(|_| is_idle) {
                known.state = state.clone();
                known.since = now;
            }
            return;
        }
        let state = why_not.cloned().unwrap_or(VersionState::Found);
        versions.push(VersionView {
            version: revision.label.clone(),
            digest: revision.digest,
            state,
            since: now,
            file: file.map(|note| note.file.clone()).unwrap_or_default(),
            file_present: file.is_some_and(|note| note.is_present),
            bytes: file.map(|note| note.bytes),
            load_time: None,
            memory: None,
            signature: None,
        });
        // A stable sort: contents of one label stay in the order in which they came.
        versions.sort_by(|left, right| left.version.cmp(&right.version));
    }

    /// Forgets all versions of a model but these.
    pub(crate) fn retain(&self, model: &ModelName, revisions: &[Revision]) {
        let mut models = self.lock();
        let Some(known) = models.get_mut(model) else { return };
        known.versions.retain(|version| {
            let is_it = |revision: &Revision| {
                revision.label == version.version && revision.digest == version.digest
            };
            revisions.iter().any(is_it)
        });
        if known.is_empty() {
            models.remove(model);
        }
    }

    /// Notes that a model's files contradict each other, or no longer do.
    pub(crate) fn problem(&self, model: &ModelName, problem: Option<String>) {
        let mut models = self.lock();
        if problem.is_some() || models.contains_key(model) {
            entry(&mut models, model).problem = problem;
        }
    }

    /// Notes that a file cannot be taken, and why.
    pub(crate) fn not_taken(&self, model: &ModelName, file: &str, reason: String) {
        entry(&mut self.lock(), model).not_taken.insert(file.to_owned(), reason);
    }

    /// Notes that files were taken after all, or are gone.
    pub(crate) fn is_settled(&self, model: &ModelName, is_it: impl Fn(&str) -> bool) {
        let mut models = self.lock();
        let Some(known) = models.get_mut(model) else { return };
        known.not_taken.retain(|file, _| !is_it(file));
        if known.is_empty() {
            models.remove(model);
        }
    }

    /// Bytes that a version's contents take, of those that are loaded: one that was replaced in place may still be. None
    /// where nothing is known of any.
    pub(crate) fn memory(&self, model: &ModelName, label: &VersionLabel) -> Option<u64> {
        let models = self.lock();
        let versions = models.get(model)?.versions.iter();
        let known: Vec<(u64, &VersionState)> = versions
            .filter(|known| known.version == *label)
            .filter_map(|known| Some((known.memory?, &known.state)))
            .collect();
        let is_loaded =
            |state: &VersionState| matches!(state, VersionState::Ready | VersionState::Draining);
        let loaded = known.iter().filter(|(_, state)| is_loaded(state)).map(|(bytes, _)| bytes);
        (!known.is_empty()).then(|| loaded.sum())
    }

    /// Changes what is known of a content.
    pub(crate) fn update(
        &self,
        model: &ModelName,
        digest: &Digest,
        mut change: impl FnMut(&mut VersionView),
    ) {
        if let Some(known) = self.lock().get_mut(model) {
            known.versions.iter_mut().filter(|known| known.digest == *digest).for_each(&mut change);
        }
    }

    /// Moves a version to another state.
    pub(crate) fn enter(
        &self,
        model: &ModelName,
        digest: &Digest,
        state: VersionState,
        now: SystemTime,
    ) {
        self.update(model, digest, |known| {
            if known.state != state {
                known.state = state.clone();
                known.since = now;
            }
        });
    }

    /// Nothing is held against a content any more: where it was quarantined or refused it is known, and no more than that.
    pub(crate) fn lift(&self, model: &ModelName, digest: &Digest, now: SystemTime) {
        self.update(model, digest, |known| match known.state {
            VersionState::Quarantined(_) | VersionState::Refused(_) => {
                known.state = VersionState::Found;
                known.since = now;
            }
            VersionState::Found
            | VersionState::Checking
            | VersionState::Loading
            | VersionState::WarmingUp
            | VersionState::Ready
            | VersionState::Draining
            | VersionState::Unloaded => {}
        });
    }

    /// Notes that a version's memory was handed back, unless it is wanted again meanwhile.
    pub(crate) fn enter_if_draining(&self, model: &ModelName, digest: &Digest, now: SystemTime) {
        self.update(model, digest, |known| {
            if known.state == VersionState::Draining {
                known.state = VersionState::Unloaded;
                known.since = now;
            }
        });
    }

    /// What a content takes and gives, once it has been loaded.
    pub(crate) fn signature(&self, model: &ModelName, digest: &Digest) -> Option<Signature> {
        let models = self.lock();
        let mut versions = models.get(model)?.versions.iter();
        versions.find(|known| known.digest == *digest)?.signature.clone()
    }

    /// One model.
    pub fn model(&self, name: &str) -> Option<ModelView> {
        self.lock().get(name).cloned()
    }

    /// All models, by name.
    pub fn models(&self) -> Vec<ModelView> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ModelName, ModelView>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry<'m>(
    models: &'m mut BTreeMap<ModelName, ModelView>,
    name: &ModelName,
) -> &'m mut ModelView {
    models.entry(name.clone()).or_insert_with(|| ModelView {
        name: name.clone(),
        versions: Vec::new(),
        problem: None,
        not_taken: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_versions_memory_is_that_of_its_contents_that_are_loaded() {
        let registry = Registry::default();
        let (model, label) = ("m".parse().unwrap(), "1".parse::<VersionLabel>().unwrap());
        let [old, new] = [1, 2].map(|content| Digest::from_bytes([content; 32]));
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(registry.memory(&model, &label), None);
        for (digest, bytes) in [(old, 10), (new, 1)] {
            let revision = Revision { label: label.clone(), digest };
            registry.saw(&model, &revision, None, None, now);
            assert_eq!(
                registry.memory(&model, &label).unwrap_or(10),
                10,
                "not before it is measured"
            );
            registry.update(&model, &digest, |known| known.memory = Some(bytes));
            registry.enter(&model, &digest, VersionState::Ready, now);
        }
        assert_eq!(registry.memory(&model, &label), Some(11));
        registry.enter(&model, &old, VersionState::Draining, now);
        registry.enter_if_draining(&model, &old, now);
        assert_eq!(registry.memory(&model, &label), Some(1), "the replaced one is gone");
        registry.enter(&model, &new, VersionState::Unloaded, now);
        assert_eq!(registry.memory(&model, &label), Some(0));
    }
}
