//! What the death of a process means for the rollout that it died of.

use super::change::Change;
use super::record::Rollout;
use crate::domain::attribution::Attribution;

impl Change<'_, '_> {
    /// The last process died of the candidate. One that is no candidate any more is left alone.
    pub(super) fn crashed(&mut self, attribution: &Attribution) {
        let (rollout, digest, is_broken) = match *attribution {
            Attribution::Quarantine { rollout, digest, .. } => (rollout, digest, true),
            Attribution::RollBack { rollout, digest } => (rollout, digest, false),
            Attribution::StableCrashed { .. } => return,
        };
        let is_it = |live: &Rollout| live.id == rollout && live.candidate.digest == digest;
        if !self.release.live().is_some_and(is_it) {
            return;
        }
        let reason = attribution.to_string();
        self.roll_back(&reason);
        if is_broken {
            self.release.broken.insert(digest, reason);
        }
    }
}
