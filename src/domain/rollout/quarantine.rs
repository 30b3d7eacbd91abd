//! What is held against a version by itself, whatever became of its rollout: that it is broken, that clients of the
//! stable version could not go on with it, or that it could not be loaded this time. An operator may lift it.

use super::change::{Beginning, Change};
use super::record::{Actor, Phase, Revision, Rollout};
use super::release::Release;
use super::verbs::CommandRefused;
use crate::domain::model::{Digest, VersionLabel};

impl Release {
    /// Whether a content is quarantined or refused.
    fn is_held(&self, digest: &Digest) -> bool {
        self.broken.contains_key(digest)
            || self.unfit.contains_key(digest)
            || self.backoff.contains_key(digest)
    }

    /// The contents of which a state before this one knew that they are quarantined or refused, and this one does not.
    pub fn lifted_since<'r>(&'r self, before: &'r Self) -> impl Iterator<Item = Digest> + 'r {
        let held = before.broken.keys().chain(before.unfit.keys());
        held.filter(|digest| self.broken(digest).or(self.unfit(digest)).is_none()).copied()
    }

    /// Whether a version would begin a rollout if its file came now. One that is older than what is being released does
    /// not, since an operator who lifts a quarantine does not want a newer version to go.
    fn would_be_picked_up(&self, revision: &Revision) -> bool {
        let is_it = |known: Option<&Revision>| known.is_some_and(|it| it.digest == revision.digest);
        if is_it(self.stable()) {
            return false;
        }
        let candidate = self.live().map(|rollout| &rollout.candidate.label);
        let newest = self.newest_released.as_ref().max(candidate);
        self.flat == Some(revision.digest) || newest.is_none_or(|newest| revision.label >= *newest)
    }
}

impl Change<'_, '_> {
    /// Lifts what is held against a version. What would be picked up if it came now begins a rollout; what is being
    /// released is tried again at once; and what is only kept beside the stable version is loaded again.
    pub(super) fn retry_version(
        &mut self,
        label: VersionLabel,
        actor: Actor,
        reason: String,
    ) -> Result<(), CommandRefused> {
        let revision = self.release.revision(&label)?;
        if !self.release.is_held(&revision.digest) {
            return Err(self.nothing_to_lift(revision));
        }
        self.pardon(&revision);
        self.release.backoff.remove(&revision.digest);
        let is_it = |rollout: &&Rollout| rollout.candidate.digest == revision.digest;
        if let Some(phase) = self.release.live().filter(is_it).map(|it| Phase::clone(&it.phase)) {
            self.enter(phase, &actor, &reason);
        } else if self.release.would_be_picked_up(&revision) {
            // Whoever tries again does not get another throw of the dice.
            let parent = self.release.rollout().filter(is_it).map(|rollout| rollout.id);
            self.begin(Beginning { parent, ..Beginning::of(revision, actor, reason) });
        }
        Ok(())
    }

    /// An operator who asks for a content by name means it, whatever was held against it.
    pub(super) fn pardon(&mut self, revision: &Revision) {
        self.release.barred.remove(&revision.digest);
        self.release.broken.remove(&revision.digest);
        self.release.unfit.remove(&revision.digest);
    }

    fn nothing_to_lift(&self, revision: Revision) -> CommandRefused {
        let held = self.release.labels.iter().filter(|(_, digest)| self.release.is_held(digest));
        CommandRefused::NothingToLift {
            taken_back: self.release.barred.get(&revision.digest).cloned(),
            version: revision.label,
            held: held.map(|(label, _)| label.clone()).collect(),
            fitting: self.release.verbs(),
        }
    }
}
