//! What the last process died of, and what follows before anything is loaded.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::controller::Controller;
use super::round::Happening;
use crate::domain::attribution::{Attribution, Deaths, Remains};
use crate::domain::model::{Digest, ModelName, VersionLabel};
use crate::domain::rollout::{Event, Release, RolloutId};
use crate::domain::time::WallTime;
use crate::system::breadcrumbs;

/// The deaths that are remembered, in the state folder.
const DEATHS: &str = "deaths.json";

/// What the last process died of: nothing, as a rule.
#[derive(Debug, Default)]
pub struct Crashes(Vec<Attribution>);

/// Finds out what the last process died of, and begins to note what this one runs. Whoever calls it holds the
/// state folder. Nothing of it keeps a server from starting: what cannot be read or written is said in the log.
pub fn inquest(state: &Path) -> Crashes {
    let now = WallTime::from(SystemTime::now());
    let remains = breadcrumbs::read(state).unwrap_or_else(|error| {
        tracing::warn!("what the last process left cannot be read: {error}");
        None
    });
    // Remembered before the remains are gone: shown twice they count once.
    let crashes = remains.map(|remains| judge(state, &remains, now)).unwrap_or_default();
    if let Err(error) = breadcrumbs::begin(state, now) {
        tracing::warn!(
            "what runs cannot be noted, so a crash of this process will not be traced to a version: {error}"
        );
    }
    Crashes(crashes)
}

fn judge(state: &Path, remains: &Remains, now: WallTime) -> Vec<Attribution> {
    let mut deaths = recall(state).unwrap_or_else(|error| {
        tracing::warn!("earlier deaths cannot be read and are forgotten: {error}");
        Deaths::default()
    });
    let before = deaths.clone();
    let crashes = deaths.attribute(remains, now);
    if !remains.is_clean {
        match remains.signal {
            Some(signal) => tracing::warn!("the last process was ended by {signal}"),
            None => tracing::warn!("the last process did not end by itself"),
        }
    }
    if deaths != before
        && let Err(error) = remember(state, &deaths)
    {
        tracing::warn!("the death of the last process cannot be remembered: {error}");
    }
    crashes
}

fn recall(state: &Path) -> io::Result<Deaths> {
    match fs::read(state.join(DEATHS)) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Deaths::default()),
        Err(error) => Err(error),
    }
}

fn remember(state: &Path, deaths: &Deaths) -> io::Result<()> {
    let (new, path) = (state.join(format!("{DEATHS}.new")), state.join(DEATHS));
    fs::write(&new, serde_json::to_vec(deaths)?)?;
    fs::rename(new, path)
}

impl Controller {
    /// Decides what follows from crashes, and tells it.
    pub(super) fn answer_for(&mut self, Crashes(crashes): Crashes) {
        for crash in &crashes {
            // What comes of it for the rollout is told with the change.
            match *crash {
                Attribution::Quarantine { digest, .. } | Attribution::RollBack { digest, .. } => {
                    self.tell(digest, crash, "it was on trial");
                }
                Attribution::StableCrashed { digest, .. } => {
                    self.tell(digest, crash, "it is trusted, and goes on answering");
                }
            }
        }
        let happenings = crashes.into_iter().filter_map(|crash| {
            let model = match crash {
                Attribution::Quarantine { rollout, .. } | Attribution::RollBack { rollout, .. } => {
                    self.model_of(rollout)?
                }
                Attribution::StableCrashed { .. } => return None,
            };
            Some(Happening { model, event: Event::Crashed(crash), reply: None })
        });
        let happenings: Vec<Happening> = happenings.collect();
        if !happenings.is_empty() {
            self.decide(happenings);
        }
    }

    fn model_of(&self, rollout: RolloutId) -> Option<ModelName> {
        let is_its = |release: &Release| release.rollout().is_some_and(|known| known.id == rollout);
        self.releases.iter().find(|(_, view)| is_its(&view.release)).map(|(model, _)| model.clone())
    }

    /// Says loudly what a content did, under each name that it has.
    fn tell(&self, digest: Digest, crash: &Attribution, so: &str) {
        let mut is_told = false;
        for (model, view) in &self.releases {
            if let Some(version) = label_of(&view.release, digest) {
                is_told = true;
                tracing::error!(
                    model.name = %model, model.version = %version,
                    signal = crash.signal().map(tracing::field::display),
                    "version {version} of `{model}`: {crash}; {so}"
                );
            }
        }
        if !is_told {
            tracing::error!("{digest}, which no model has any more: {crash}");
        }
    }
}

/// What a content is called.
fn label_of(release: &Release, digest: Digest) -> Option<VersionLabel> {
    let candidate = release.live().map(|rollout| &rollout.candidate);
    let held = [release.stable(), candidate, release.previous()].into_iter().flatten();
    let held = held.map(|revision| (&revision.label, &revision.digest));
    held.chain(release.labels())
        .find(|(_, known)| **known == digest)
        .map(|(label, _)| label.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attribution::{Crumb, LeftRun};

    fn remains(began: u64) -> Remains {
        let crumb = Crumb { digest: Digest::from_bytes([2; 32]), trial: Some(RolloutId(2)) };
        let runs = vec![LeftRun { crumb, signal: None }];
        Remains { began: WallTime(began), is_clean: false, signal: None, runs }
    }

    #[test]
    fn deaths_are_remembered_from_one_process_to_the_next() {
        let state = tempfile::tempdir().unwrap();
        let follows = [1, 2, 3].map(|began| judge(state.path(), &remains(began), WallTime(1000)));
        let (digest, rollout) = (Digest::from_bytes([2; 32]), RolloutId(2));
        assert_eq!(follows, [vec![], vec![], vec![Attribution::RollBack { digest, rollout }]]);
    }

    #[test]
    fn a_memory_that_cannot_be_understood_is_begun_anew() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join(DEATHS), "not json").unwrap();
        assert!(recall(state.path()).is_err());
        assert_eq!(judge(state.path(), &remains(1), WallTime(1000)), []);
        assert_ne!(recall(state.path()).unwrap(), Deaths::default());
    }
}
