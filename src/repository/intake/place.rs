//! What is known of one version's files.

use std::time::Instant;

use super::super::fingerprint::Fingerprint;
use super::super::layout::{Unreadable, VersionFiles};
use super::super::store::{Content, PutError};
use super::pending::Pending;
use super::sighting::{Report, Sighting};
use crate::domain::model::Digest;
use crate::domain::rollout::Place;

/// One place where a version lies, or lay a moment ago.
#[derive(Debug, Default)]
pub(super) struct KnownPlace {
    file: String,
    /// The last content that was taken from here.
    taken: Option<Taken>,
    told: Option<Told>,
    /// The files as they are now, until they have been still; none of them when they are gone.
    pending: Option<Pending<Option<Fingerprint>>>,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    fingerprint: Fingerprint,
    digest: Digest,
}

/// What was last said about the place.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Stored { digest: Digest, file: String },
    Unreadable { reason: String },
}

impl KnownPlace {
    /// As an earlier server left it.
    pub(super) fn remembered(file: String, fingerprint: Fingerprint, digest: Digest) -> Self {
        Self { file, taken: Some(Taken { fingerprint, digest }), ..Self::default() }
    }

    pub(super) fn file(&self) -> Option<(&str, Fingerprint, Digest)> {
        self.taken.map(|taken| (self.file.as_str(), taken.fingerprint, taken.digest))
    }

    /// Whether anybody outside knows of it.
    pub(super) fn is_known(&self) -> bool {
        self.taken.is_some() || self.told.is_some()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.as_ref().map(Pending::due)
    }

    /// Everything is to be told again when it is back.
    pub(super) fn vanish(&mut self) {
        self.told = None;
        self.pending = None;
    }

    /// The files are there.
    pub(super) fn see(
        &mut self,
        place: &Place,
        found: &Result<VersionFiles, Unreadable>,
        may_take: bool,
        report: &mut Report<'_>,
    ) {
        let files = match found {
            Ok(files) => files,
            Err(Unreadable { file, reason }) => {
                self.pending = None;
                self.file.clone_from(file);
                return self.tell_unreadable(place, reason.clone(), report);
            }
        };
        if let Some(digest) = self.digest_of(files, report) {
            self.pending = None;
            self.file.clone_from(&files.file);
            self.tell_stored(place, Content { digest, bytes: files.bytes() }, report);
            return;
        }
        let mut pending =
            Pending::follow(self.pending.take(), Some(files.fingerprint), report.due());
        let is_taken = may_take
            && report.portion.is_left()
            && pending.is_due(report.now)
            && self.take(place, files, &mut pending, report);
        self.pending = (!is_taken).then_some(pending);
    }

    /// The files are not there. True when that has lasted, and the place is to be forgotten.
    pub(super) fn miss(&mut self, report: &Report<'_>) -> bool {
        let pending = Pending::follow(self.pending.take(), None, report.due());
        let has_lasted = pending.is_due(report.now);
        self.pending = Some(pending);
        has_lasted || !self.is_known()
    }

    pub(super) fn gone(self, place: Place, report: &mut Report<'_>) {
        if self.is_known() {
            let model = report.model.clone();
            report.tell(Sighting::Gone { model, place, file: self.file });
        }
    }

    /// The content, when nothing was touched since it was taken and it still is in the store.
    fn digest_of(&self, files: &VersionFiles, report: &Report<'_>) -> Option<Digest> {
        let taken = self.taken.filter(|taken| taken.fingerprint == files.fingerprint)?;
        let is_told =
            matches!(&self.told, Some(Told::Stored { digest, .. }) if *digest == taken.digest);
        (is_told || report.store.model_path(&taken.digest).is_some()).then_some(taken.digest)
    }

    /// True when the content is in the store.
    fn take(
        &mut self,
        place: &Place,
        files: &VersionFiles,
        pending: &mut Pending<Option<Fingerprint>>,
        report: &mut Report<'_>,
    ) -> bool {
        match report.store.put(files) {
            Ok(content) => {
                report.portion.take(&content);
                self.file.clone_from(&files.file);
                self.taken = Some(Taken { fingerprint: files.fingerprint, digest: content.digest });
                if !self.tell_stored(place, content, report) {
                    // Nobody hears of it, because nobody has to: it was touched, and is what it was.
                    report.store.acknowledge(&content.digest);
                }
                true
            }
            Err(PutError::Changed(_)) => {
                pending.restart(report.due());
                false
            }
            Err(
                error @ (PutError::Unreadable { .. }
                | PutError::Full { .. }
                | PutError::Unwritable { .. }),
            ) => {
                pending.postpone(report.now);
                self.file.clone_from(&files.file);
                self.tell_unreadable(place, error.to_string(), report);
                false
            }
        }
    }

    /// False when that is what was last told.
    fn tell_stored(&mut self, place: &Place, content: Content, report: &mut Report<'_>) -> bool {
        let told = Told::Stored { digest: content.digest, file: self.file.clone() };
        if self.told.as_ref() == Some(&told) {
            return false;
        }
        self.told = Some(told);
        let (model, place, file) = (report.model.clone(), place.clone(), self.file.clone());
        report.tell(Sighting::Stored { model, place, content, file });
        true
    }

    fn tell_unreadable(&mut self, place: &Place, reason: String, report: &mut Report<'_>) {
        let told = Told::Unreadable { reason: reason.clone() };
        if self.told.as_ref() == Some(&told) {
            return;
        }
        self.told = Some(told);
        let (model, place, file) = (report.model.clone(), place.clone(), self.file.clone());
        report.tell(Sighting::Unreadable { model, place, file, reason });
    }
}
