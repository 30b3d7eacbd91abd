//! What is known of one model's files.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::fingerprint::Fingerprint;
use super::super::layout::ModelFiles;
use super::place::KnownPlace;
use super::settings::{KnownSettings, Readiness};
use super::sighting::{Report, Sighting};
use crate::domain::model::{Digest, ModelName, VersionLabel};
use crate::domain::rollout::Place;

/// A model that is in the folder, or was and has not been told to be gone.
#[derive(Debug, Default)]
pub(super) struct KnownModel {
    places: BTreeMap<Place, KnownPlace>,
    settings: KnownSettings,
    problem: Option<String>,
    /// A sentence about versions that the settings name and nobody has put there.
    lacking: Option<String>,
    presence: Presence,
}

#[derive(Clone, Copy, Debug, Default)]
enum Presence {
    /// An earlier server saw it.
    #[default]
    Remembered,
    Seen,
    /// Not there, and it was not.
    MissingAtStart(Absence),
    Missing(Absence),
    /// It was told to have vanished with others.
    Vanished,
}

/// That a model is not there any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absence {
    /// When it counts.
    pub(super) due: Instant,
    /// Another file system is where the model was.
    pub(super) is_mounted_anew: bool,
}

impl KnownModel {
    /// Begins with what an earlier server knew.
    pub(super) fn remember(
        &mut self,
        place: Place,
        file: String,
        fingerprint: Fingerprint,
        digest: Digest,
    ) {
        self.places.insert(place, KnownPlace::remembered(file, fingerprint, digest));
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, Fingerprint, Digest)> {
        self.places.values().filter_map(KnownPlace::file)
    }

    /// When something of it has been still for long enough, or is tried again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        match self.presence {
            Presence::Missing(absence) | Presence::MissingAtStart(absence) => Some(absence.due),
            Presence::Vanished => None,
            Presence::Remembered | Presence::Seen => {
                // While the settings are waited for, nothing else is taken.
                let places = || self.places.values().filter_map(KnownPlace::due).min();
                self.settings.due().or_else(places)
            }
        }
    }

    /// What the settings call the model in its versions' folders, where they do.
    pub(super) fn model_file(&self) -> Option<&str> {
        self.settings.outline().model_file.as_deref()
    }

    /// What a person should know of it, although it can be served.
    pub(super) fn warning(&self) -> Option<&str> {
        self.lacking.as_deref()
    }

    /// Whether its files were looked at by the name that its settings give.
    pub(super) fn is_read_right(&self, files: &ModelFiles) -> bool {
        files.settings.triton.is_none() || self.model_file() == files.model_file.as_deref()
    }

    /// Whether these are files of a model that is there: settings alone are what is left of one that had versions.
    pub(super) fn has_returned(&self, files: &ModelFiles) -> bool {
        let is_there = !files.versions.is_empty() || files.problem.is_some();
        is_there || !self.places.values().any(KnownPlace::is_known)
    }

    /// Its files are there.
    pub(super) fn see(&mut self, files: &ModelFiles, report: &mut Report<'_>) {
        self.presence = Presence::Seen;
        if let Some(problem) = &files.problem {
            return self.tell_problem(problem, report);
        }
        let readiness = self.settings.see(&files.settings, report);
        if matches!(readiness, Readiness::Ready) && !self.is_read_right(files) {
            return;
        }
        let chosen = self.settings.outline().versions.clone();
        let is_chosen = |place: &Place| match (place, &chosen) {
            (Place::Labelled(label), Some(chosen)) => chosen.contains(label),
            (Place::Flat | Place::Labelled(_), _) => true,
        };
        let has_none = !files.versions.keys().any(is_chosen);
        let is_lacking = |label: &&VersionLabel| {
            !files.versions.contains_key(&Place::Labelled((*label).clone()))
        };
        let lacking: Vec<String> = chosen
            .iter()
            .flatten()
            .filter(is_lacking)
            .map(|label| format!("`{}/{label}`", report.model))
            .collect();
        self.lacking = (!has_none && !lacking.is_empty()).then(|| {
            let (model, lacking) = (report.model, lacking.join(", "));
            format!(
                "`version_policy` in `{model}/config.pbtxt` names versions that are not there: {lacking}"
            )
        });
        match &readiness {
            Readiness::Ready if has_none => {
                let problem =
                    self.settings.why_no_version(report.model, !files.versions.is_empty());
                self.tell_problem(&problem, report);
            }
            Readiness::Ready => self.tell_no_problem(report),
            Readiness::Waiting => {}
            Readiness::Problem(problem) => self.tell_problem(problem, report),
        }
        self.forget_missing(|place| files.versions.contains_key(place) && is_chosen(place), report);
        let may_take = matches!(readiness, Readiness::Ready);
        for (place, found) in files.versions.iter().filter(|(place, _)| is_chosen(place)) {
            let known = self.places.entry(place.clone()).or_default();
            known.see(place, found, may_take, report);
        }
    }

    /// None of its files is there. False when nobody outside has heard of it, so that it can be forgotten.
    pub(super) fn miss(
        &mut self,
        absence: Absence,
        name: &ModelName,
        sightings: &mut Vec<Sighting>,
    ) -> bool {
        let is_known = self.settings.is_known() || self.places.values().any(KnownPlace::is_known);
        if !is_known {
            if self.problem.take().is_some() {
                sightings.push(Sighting::ProblemGone { model: name.clone() });
            }
            self.presence = Presence::Vanished;
            return false;
        }
        self.presence = match self.presence {
            Presence::Remembered => Presence::MissingAtStart(absence),
            Presence::Seen => Presence::Missing(absence),
            missing @ (Presence::MissingAtStart(_) | Presence::Missing(_) | Presence::Vanished) => {
                missing
            }
        };
        true
    }

    /// Since when it is missing, where that is not told yet.
    pub(super) fn absence(&self) -> Option<Absence> {
        match self.presence {
            Presence::Missing(absence) | Presence::MissingAtStart(absence) => Some(absence),
            Presence::Remembered | Presence::Seen | Presence::Vanished => None,
        }
    }

    /// Whether it was there since this server runs.
    pub(super) fn was_seen(&self) -> bool {
        match self.presence {
            Presence::Seen | Presence::Missing(_) | Presence::Vanished => true,
            Presence::Remembered | Presence::MissingAtStart(_) => false,
        }
    }

    /// It is told to have vanished: nothing changes until it is back.
    pub(super) fn vanish(&mut self) {
        self.presence = Presence::Vanished;
        self.places.values_mut().for_each(KnownPlace::vanish);
    }

    fn forget_missing(&mut self, is_there: impl Fn(&Place) -> bool, report: &mut Report<'_>) {
        let gone =
            self.places.extract_if(.., |place, known| !is_there(place) && known.miss(report));
        let gone: Vec<(Place, KnownPlace)> = gone.collect();
        for (place, known) in gone {
            known.gone(place, report);
        }
    }

    fn tell_problem(&mut self, problem: &str, report: &mut Report<'_>) {
        if self.problem.as_deref() != Some(problem) {
            self.problem = Some(problem.to_owned());
            let (model, reason) = (report.model.clone(), problem.to_owned());
            report.tell(Sighting::Problem { model, reason });
        }
    }

    fn tell_no_problem(&mut self, report: &mut Report<'_>) {
        if self.problem.take().is_some() {
            report.tell(Sighting::ProblemGone { model: report.model.clone() });
        }
    }
}
