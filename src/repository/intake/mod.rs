//! From a folder that people copy files into by any means to complete contents in the store.
//!
//! A look compares what is in the folder with what was known. A version is taken when its files have been still
//! for a while, by our own clock and not by their mtime, and the store then makes sure that nobody wrote to them
//! while they were read. So what is reported as stored was in the folder at one moment, whole, and the file that
//! goes on changing is a content of its own, later.
//!
//! What vanishes is told with care: a network file system that went away must not stop every model.

mod model;
mod pending;
mod place;
mod settings;
mod sighting;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::model::{Absence, KnownModel};
use self::sighting::{Portion, Report};
use super::fingerprint::Fingerprint;
use super::layout::{self, Listing, ModelFiles};
use super::store::ContentStore;
use crate::domain::model::{Digest, ModelName};

pub use self::sighting::Sighting;
pub(super) use super::layout::Care;

/// Looks at the models' folder and takes what is new.
#[derive(Debug)]
pub(super) struct Intake {
    root: PathBuf,
    settle: Duration,
    store: Arc<ContentStore>,
    models: BTreeMap<ModelName, KnownModel>,
    /// None before the first look, and while the root cannot be read.
    last: Option<LastLook>,
    /// False once the root has been read.
    is_first: bool,
    device: Option<u64>,
    root_problem: Option<String>,
    warnings: BTreeSet<String>,
    next_look: Option<Instant>,
}

/// How the folder was, and since when.
#[derive(Debug)]
struct LastLook {
    listing: Listing,
    /// When it was first seen to be so.
    since: Instant,
    /// When it was last read in full.
    read: Instant,
}

/// A file system's clock may tick this slowly, and what changes twice within a tick looks as if it changed once.
/// So a listing is relied on only when it was read again, and found the same, this much later.
const SLOWEST_TICK: Duration = Duration::from_secs(2);

impl LastLook {
    fn is_reliable(&self) -> bool {
        self.read.duration_since(self.since) >= SLOWEST_TICK
    }
}

impl Intake {
    /// Begins with the files that an earlier server knew, as [`Self::files`] told it.
    pub(super) fn new(
        root: PathBuf,
        settle: Duration,
        store: Arc<ContentStore>,
        known: impl IntoIterator<Item = (String, Fingerprint, Digest)>,
    ) -> Self {
        let mut models = BTreeMap::<ModelName, KnownModel>::new();
        for (file, fingerprint, digest) in known {
            if let Some((model, place)) = layout::place_of(&file) {
                models.entry(model).or_default().remember(place, file, fingerprint, digest);
            }
        }
        Self {
            root,
            settle,
            store,
            models,
            last: None,
            is_first: true,
            device: None,
            root_problem: None,
            warnings: BTreeSet::new(),
            next_look: None,
        }
    }

    /// Looks at the folder, takes what has been still for long enough, and tells what changed since the last
    /// look. This reads and copies whole models, so it may take a while.
    ///
    /// The first look tells of everything that is there. A file that is as it was when an earlier server took it
    /// is told at once, and every other one when it has been still.
    pub(super) fn look(&mut self, now: Instant, care: Care) -> Vec<Sighting> {
        let care = if self.next_look.is_some() { Care::Everything } else { care };
        let is_due = self.next_look.is_some_and(|due| due <= now);
        let mut sightings = Vec::new();
        match self.refresh(now, care) {
            Ok(is_new) if is_new || is_due => self.compare(now, &mut sightings),
            Ok(_) => {}
            Err(error) => self.lose_root(&error, &mut sightings),
        }
        sightings
    }

    /// When to look again even if nothing happens: something has to be still until then, or is tried again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    /// Every file whose content is known, to be given to [`Self::new`] after a restart.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, Fingerprint, Digest)> {
        self.models.values().flat_map(KnownModel::files)
    }

    /// Makes the last listing one of now. True when it is another one than before.
    fn refresh(&mut self, now: Instant, care: Care) -> io::Result<bool> {
        if let Some(last) = &mut self.last
            && last.is_reliable()
            && last.listing.is_current(care)
        {
            return Ok(false);
        }
        let names = self.models.iter().filter_map(|(model, known)| {
            known.model_file().map(|name| (model.clone(), name.to_owned()))
        });
        let listing = layout::list(&self.root, &names.collect())?;
        let before = self.last.take().filter(|last| last.listing.saw_the_same(&listing));
        let since = before.as_ref().map_or(now, |last| last.since);
        self.last = Some(LastLook { listing, since, read: now });
        Ok(before.is_none())
    }

    fn lose_root(&mut self, error: &io::Error, sightings: &mut Vec<Sighting>) {
        self.last = None;
        self.next_look = None;
        let reason = error.to_string();
        if self.root_problem.as_ref() != Some(&reason) {
            self.root_problem = Some(reason.clone());
            sightings.push(Sighting::RootUnreadable { reason });
        }
    }

    fn compare(&mut self, now: Instant, sightings: &mut Vec<Sighting>) {
        let Some(last) = self.last.take() else { return };
        if self.root_problem.take().is_some() {
            let root = self.root.display();
            sightings
                .push(Sighting::Warning(format!("the models' folder `{root}` can be read again")));
        }
        self.tell_missing(now, &last.listing, sightings);
        let mut portion = Portion::default();
        for (name, files) in &last.listing.models {
            let known = self.models.entry(name.clone()).or_default();
            if !known.has_returned(files) {
                continue;
            }
            known.see(
                files,
                &mut Report {
                    model: name,
                    now,
                    settle: self.settle,
                    store: &self.store,
                    is_first: self.is_first,
                    portion: &mut portion,
                    sightings,
                },
            );
        }
        let is_misread = |(name, files): (&ModelName, &ModelFiles)| {
            self.models.get(name).is_some_and(|known| !known.is_read_right(files))
        };
        if last.listing.models.iter().any(is_misread) {
            // Settings that were just read say what the models are called: the files are to be looked at as such.
            self.next_look = Some(now);
            return;
        }
        self.tell_warnings(&last.listing, sightings);
        self.is_first = false;
        self.device = Some(last.listing.device);
        self.next_look = self.models.values().filter_map(KnownModel::next_look).min();
        self.last = Some(last);
    }

    /// Each sentence is told once, as long as it stays true.
    fn tell_warnings(&mut self, listing: &Listing, sightings: &mut Vec<Sighting>) {
        let of_models = self.models.values().filter_map(KnownModel::warning).map(str::to_owned);
        let warnings: BTreeSet<String> =
            listing.warnings.iter().cloned().chain(of_models).collect();
        let new = warnings.difference(&self.warnings).cloned();
        sightings.extend(new.map(Sighting::Warning));
        self.warnings = warnings;
    }

    /// Models of which there is no file any more.
    fn tell_missing(&mut self, now: Instant, listing: &Listing, sightings: &mut Vec<Sighting>) {
        let is_mounted_anew = self.device.is_some_and(|device| device != listing.device);
        let absence = Absence { due: now + self.settle, is_mounted_anew };
        let mut missing = Vec::new();
        self.models.retain(|name, known| {
            if listing.models.get(name).is_some_and(|files| known.has_returned(files)) {
                return true;
            }
            let is_kept = known.miss(absence, name, sightings);
            missing
                .extend(known.absence().map(|absence| (name.clone(), absence, known.was_seen())));
            is_kept
        });
        if missing.iter().all(|(_, absence, _)| absence.due > now) {
            return;
        }
        let seen = missing.iter().filter(|(_, _, was_seen)| *was_seen).count();
        // A folder that is not mounted yet is empty, and one cannot tell it from one that was emptied while nobody
        // looked. To serve too long what was deleted does less harm than to stop what was not.
        let was_empty_from_the_start = listing.models.is_empty() && seen < missing.len();
        let went_away = seen >= 2
            || was_empty_from_the_start
            || missing.iter().any(|(_, absence, _)| absence.is_mounted_anew);
        let missing = missing.into_iter().map(|(name, ..)| name);
        if went_away {
            let models: Vec<ModelName> = missing.collect();
            for name in &models {
                self.models.entry(name.clone()).or_default().vanish();
            }
            sightings.push(Sighting::Vanished { models });
            return;
        }
        for model in missing {
            self.models.remove(&model);
            sightings.push(Sighting::ModelGone { model });
        }
    }
}

#[cfg(test)]
mod tests;
