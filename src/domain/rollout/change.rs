//! How a release changes: what each event means in each state.

use std::time::Duration;

use super::arrival::{Arrival, Place, Seen};
use super::event::{LoadFailure, Step};
use super::plan::Strategy;
use super::record::{Actor, Outcome, Phase, Revision, Rollout, RolloutId, Transition};
use super::release::{Context, Release};
use crate::domain::model::Digest;
use crate::domain::time::Countdown;

/// How long a model whose files are all gone goes on answering.
const LEAVE_AFTER: Duration = Duration::from_secs(60);
/// How long after a load that failed in passing it is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// A change in the making.
pub(super) struct Change<'r, 'c> {
    pub(super) release: &'r mut Release,
    pub(super) context: Context<'c>,
    step: Step,
}

/// What begins a rollout.
pub(super) struct Beginning {
    pub(super) candidate: Revision,
    pub(super) parent: Option<RolloutId>,
    pub(super) is_undo: bool,
    /// Whether it forgets what its parent found out.
    pub(super) is_fresh: bool,
    /// Where it is not the plan's.
    pub(super) strategy: Option<Strategy>,
    pub(super) actor: Actor,
    pub(super) reason: String,
}

impl Beginning {
    /// A release like any other.
    pub(super) fn of(candidate: Revision, actor: Actor, reason: String) -> Self {
        let (parent, is_undo, is_fresh, strategy) = (None, false, false, None);
        Self { candidate, parent, is_undo, is_fresh, strategy, actor, reason }
    }
}

impl<'r, 'c> Change<'r, 'c> {
    pub(super) fn new(release: &'r mut Release, context: Context<'c>) -> Self {
        Self { release, context, step: Step::default() }
    }

    /// What came of it.
    pub(super) fn done(self) -> Step {
        self.step
    }

    pub(super) fn seen(&mut self, seen: &[Seen]) {
        self.release.leaving = None;
        let mut newest: Option<Revision> = None;
        for one in seen {
            match self.release.arrive(one) {
                Arrival::Unchanged | Arrival::Noted | Arrival::Barred => {}
                Arrival::StableAgain => self.stable_again(),
                Arrival::PreviousAgain => self.previous_again(),
                Arrival::Release(label) => {
                    let is_newest = newest.as_ref().is_none_or(|newest| label > newest.label);
                    if is_newest {
                        newest = Some(Revision { label, digest: one.digest });
                    }
                }
            }
        }
        if let Some(candidate) = newest {
            let reason = format!("version {} was found", candidate.label);
            self.begin(Beginning::of(candidate, Actor::File, reason));
        }
    }

    fn stable_again(&mut self) {
        if self.release.live().is_some() && !self.release.is_baking() {
            self.take_back(&Actor::File, "the stable version's content was put there again");
        }
    }

    fn previous_again(&mut self) {
        let reason = "the previous version's content was put there again";
        if self.release.is_baking() {
            self.take_back(&Actor::File, reason);
        } else if let Some(candidate) = self.release.previous.clone() {
            let parent = self.release.rollout.as_ref().map(|rollout| rollout.id);
            let beginning = Beginning::of(candidate, Actor::File, reason.to_owned());
            self.begin(Beginning { parent, is_undo: true, ..beginning });
        }
    }

    pub(super) fn gone(&mut self, place: &Place) {
        let digest = match place {
            Place::Flat => self.release.flat,
            Place::Labelled(label) => self.release.labels.get(label).copied(),
        };
        let is_candidate = |rollout: &Rollout| Some(rollout.candidate.digest) == digest;
        if self.release.live().is_some_and(is_candidate) {
            // Put there again it is a change, and a release.
            self.release.labels.retain(|_, known| Some(*known) != digest);
            if *place == Place::Flat {
                self.release.flat = None;
            }
            self.take_back(&Actor::File, "its file was deleted");
            self.release.newest_released =
                self.release.stable.as_ref().map(|stable| stable.label.clone());
        }
    }

    pub(super) fn all_gone(&mut self) {
        // One that answers already goes on with the others, until all leave.
        if self.release.live().is_some() && !self.release.is_baking() {
            self.take_back(&Actor::File, "its file was deleted");
        }
        self.release.leaving = Some(Countdown::start(LEAVE_AFTER, self.context.now));
    }

    pub(super) fn loaded(&mut self, digest: Digest) {
        self.release.broken.remove(&digest);
        self.release.unfit.remove(&digest);
        self.release.backoff.remove(&digest);
        self.release.cramped.remove(&digest);
        let is_awaited = |rollout: &Rollout| {
            rollout.phase == Phase::Loading && rollout.candidate.digest == digest
        };
        if self.release.live().is_some_and(is_awaited) {
            self.leave_loading();
        }
    }

    pub(super) fn load_failed(&mut self, digest: Digest, failure: LoadFailure) {
        let reason = match failure {
            LoadFailure::Broken(reason) => {
                self.release.broken.insert(digest, reason.clone());
                reason
            }
            LoadFailure::Passing(reason) => {
                self.release.cramped.remove(&digest);
                let Some(reason) = self.put_off(digest, reason) else { return };
                reason
            }
            LoadFailure::NoRoom(reason) => {
                self.release.cramped.insert(digest);
                let Some(reason) = self.put_off(digest, reason) else { return };
                reason
            }
            LoadFailure::Unfit(reason) => {
                // Nobody holds it to that any more.
                if self.release.contract(&digest).is_none() {
                    return;
                }
                self.release.unfit.insert(digest, reason.clone());
                reason
            }
        };
        let is_candidate = |rollout: &Rollout| rollout.candidate.digest == digest;
        if !self.release.is_baking() && self.release.live().is_some_and(is_candidate) {
            self.end(Outcome::Refused, &Actor::Server, &reason);
        }
        self.replace_lost_stable(digest);
    }

    /// After a restart even the stable version may fail to load, with another library say. Then the one before
    /// answers.
    fn replace_lost_stable(&mut self, digest: Digest) {
        if self.release.stable.as_ref().is_none_or(|stable| stable.digest != digest) {
            return;
        }
        if self.release.is_baking() {
            self.take_back(&Actor::Server, "it cannot be loaded any more");
        } else {
            self.release.stable = self.release.previous.take();
            self.release.keep = None;
        }
    }

    /// Has a load tried again later, and gives back the reason where the rollout does not wait for that.
    fn put_off(&mut self, digest: Digest, reason: String) -> Option<String> {
        let backoff = Countdown::start(TRY_AGAIN_AFTER, self.context.now);
        self.release.backoff.insert(digest, backoff);
        let rollout = self.release.rollout.as_mut().filter(|it| it.candidate.digest == digest)?;
        let is_answered_meanwhile =
            rollout.plan.strategy != Strategy::Recreate || rollout.phase != Phase::Loading;
        if is_answered_meanwhile {
            rollout.reason = reason;
            return None;
        }
        Some(reason)
    }

    /// What found no room is tried again at once.
    pub(super) fn room_made(&mut self) {
        for digest in std::mem::take(&mut self.release.cramped) {
            self.release.backoff.remove(&digest);
        }
    }

    /// Whatever failed may have failed because of the old settings, so it is tried again at once.
    pub(super) fn settings_changed(&mut self) {
        self.release.cramped.clear();
        self.release.backoff.clear();
    }

    /// A rollout that is running ends with it, which is nothing against its candidate. What is stable stays known, for
    /// when the model is wanted again.
    pub(super) fn withdraw(&mut self, actor: &Actor, reason: &str) {
        if let Some(candidate) = self.release.live().map(|rollout| rollout.candidate.clone()) {
            if self.release.is_baking() {
                self.release.stable = self.release.previous.take();
            }
            self.end(Outcome::Aborted, actor, reason);
            if self.release.newest_released.as_ref() == Some(&candidate.label) {
                self.release.newest_released =
                    self.release.stable.as_ref().map(|stable| stable.label.clone());
            }
        }
        self.release.keep = None;
        self.release.is_withdrawn = true;
    }

    /// What was stable answers again, and a newer version that is there goes on as if it had just been found.
    pub(super) fn want_again(&mut self, actor: Actor, reason: String) {
        self.release.is_withdrawn = false;
        self.settings_changed();
        let release = &*self.release;
        let Some(stable) = &release.stable else { return };
        if release.live().is_some() || release.leaving.is_some() {
            return;
        }
        let newest =
            release.labels.iter().rev().find(|(_, digest)| release.why_not(digest).is_none());
        let is_newer = |(label, digest): &(&_, &Digest)| {
            Some(*label) > release.newest_released.as_ref() && **digest != stable.digest
        };
        if let Some((label, digest)) = newest.filter(is_newer) {
            let candidate = Revision { label: label.clone(), digest: *digest };
            self.begin(Beginning::of(candidate, actor, reason));
        }
    }

    pub(super) fn tick(&mut self) {
        let now = self.context.now;
        self.release.backoff.retain(|_, backoff| !backoff.is_over(now));
        let is_over = |phase: &Phase| phase.countdown().is_some_and(|left| left.is_over(now));
        match self.release.live().map(|rollout| &rollout.phase) {
            Some(phase @ Phase::Baking(_)) if is_over(phase) => {
                self.complete(&Actor::Server, "the bake time is over");
            }
            Some(phase @ Phase::Rehearsing(_)) if is_over(phase) => {
                self.begin_trial(&Actor::Server, "there was no more time to rehearse it");
            }
            Some(phase @ (Phase::Shadowing(_) | Phase::Canary(_))) if is_over(phase) => {
                self.give_up_waiting();
            }
            Some(
                Phase::Baking(_)
                | Phase::Rehearsing(_)
                | Phase::Shadowing(_)
                | Phase::Canary(_)
                | Phase::Loading
                | Phase::Waiting
                | Phase::Paused(_)
                | Phase::Ended(_),
            )
            | None => {}
        }
        if self.release.keep.as_ref().is_some_and(|keep| keep.is_over(now)) {
            self.release.keep = None;
        }
        if self.release.leaving.as_ref().is_some_and(|leaving| leaving.is_over(now)) {
            if self.release.live().is_some() {
                self.end(Outcome::Aborted, &Actor::File, "the model's files were deleted");
            }
            let (barred, broken) = (self.release.barred.clone(), self.release.broken.clone());
            let rollout = self.release.rollout.clone();
            *self.release = Release { barred, broken, rollout, ..Release::default() };
        }
    }

    /// A model that has versions and no stable one takes the newest that is not known to be bad.
    pub(super) fn begin_where_nothing_answers(&mut self) {
        let release = &*self.release;
        let is_left_alone = release.leaving.is_some() || release.is_withdrawn;
        if release.stable.is_some() || release.live().is_some() || is_left_alone {
            return;
        }
        let is_usable = |digest: &Digest| release.why_not(digest).is_none();
        let newest = release.labels.iter().rev().find(|(_, digest)| is_usable(digest));
        let Some((label, digest)) = newest.map(|(label, digest)| (label.clone(), *digest)) else {
            return;
        };
        let reason = format!("version {label} is the newest that can be tried");
        let candidate = Revision { label, digest };
        self.begin(Beginning::of(candidate, Actor::Server, reason));
    }

    /// Begins a rollout; one that is running is superseded.
    pub(super) fn begin(&mut self, beginning: Beginning) {
        if self.release.live().is_some() {
            let reason = format!("version {} came", beginning.candidate.label);
            self.end(Outcome::Superseded, &beginning.actor, &reason);
        }
        self.release.is_withdrawn = false;
        let wall = self.context.now.wall;
        let Beginning { candidate, parent, is_undo, is_fresh, strategy, actor, reason } = beginning;
        let mut plan = self.context.plan.clone();
        plan.strategy = strategy.unwrap_or(plan.strategy);
        self.step.used = Some(self.context.next_id);
        self.release.rollout = Some(Rollout {
            id: self.context.next_id,
            parent,
            is_undo,
            stable: self.release.stable.clone(),
            candidate,
            is_fresh,
            plan,
            phase: Phase::Loading,
            epoch: 0,
            proven: false,
            actor: actor.clone(),
            reason: reason.clone(),
            started: wall,
            since: wall,
        });
        self.note(None, &actor, &reason);
    }

    /// Gives the candidate all traffic.
    pub(super) fn go_live(&mut self, actor: &Actor, reason: &str) {
        let now = self.context.now;
        let release = &mut *self.release;
        let Some(rollout) = &release.rollout else { return };
        let (plan, is_undo, began) = (rollout.plan.clone(), rollout.is_undo, rollout.actor.clone());
        let candidate = rollout.candidate.clone();
        release.barred.remove(&candidate.digest);
        release.newest_released = release.newest_released.take().max(Some(candidate.label.clone()));
        let is_first = release.stable.is_none();
        // Where stable was lost meanwhile, the version that stands in for it may be this one.
        let before = release.stable.replace(candidate.clone());
        let before = before.filter(|before| before.digest != candidate.digest);
        if let (true, Actor::Operator(_), Some(before)) = (is_undo, &began, &before) {
            release.barred.insert(before.digest, "an operator went back from it".to_owned());
        }
        release.previous = before;
        release.keep = None;
        let has_nothing_to_beat = self.release.previous.is_none();
        if is_first {
            self.complete(&Actor::Server, "it is the first version");
        } else if has_nothing_to_beat {
            self.complete(&Actor::Server, "no other version is left");
        } else if is_undo {
            self.complete(&began, "it was stable before");
        } else if plan.strategy == Strategy::Recreate {
            self.complete(&Actor::Server, "loaded and warm; the old version was unloaded for it");
        } else if plan.bake.is_zero() {
            self.complete(&Actor::Server, "there is no bake time");
        } else {
            let bake = Countdown::start(plan.bake, now);
            self.enter(Phase::Baking(bake), actor, reason);
        }
    }

    /// Ends the rollout well. The version before stays warm for a while.
    pub(super) fn complete(&mut self, actor: &Actor, reason: &str) {
        let rollout = self.release.rollout.as_ref();
        // There is no room for two.
        let keeps = rollout.filter(|rollout| rollout.plan.strategy != Strategy::Recreate);
        let keep = keeps.map(|rollout| rollout.plan.keep_previous);
        if self.release.previous.is_some()
            && let Some(keep) = keep.filter(|keep| !keep.is_zero())
        {
            self.release.keep = Some(Countdown::start(keep, self.context.now));
        }
        let proven = self.release.rollout.as_ref().is_some_and(|rollout| rollout.proven);
        self.end(Outcome::Completed { proven }, actor, reason);
    }

    /// Ends the rollout with all traffic on the version that was stable before it, because the evidence is against
    /// the candidate, which is not tried again by itself.
    pub(super) fn roll_back(&mut self, reason: &str) {
        if self.release.is_baking() {
            self.release.stable = self.release.previous.take();
        }
        if let Some(rollout) = &self.release.rollout {
            let sentence = format!("it was rolled back: {reason}");
            self.release.barred.insert(rollout.candidate.digest, sentence);
        }
        self.end(Outcome::RolledBack, &Actor::Server, reason);
    }

    /// Ends the rollout with all traffic on the version that was stable before it. A content that an operator took
    /// back is not tried again by itself.
    pub(super) fn take_back(&mut self, actor: &Actor, reason: &str) {
        if self.release.is_baking() {
            self.release.stable = self.release.previous.take();
        }
        if let (Actor::Operator(_), Some(rollout)) = (actor, &self.release.rollout) {
            let sentence = format!("an operator took it back: {reason}");
            self.release.barred.insert(rollout.candidate.digest, sentence);
        }
        self.end(Outcome::Aborted, actor, reason);
    }

    fn end(&mut self, outcome: Outcome, actor: &Actor, reason: &str) {
        self.enter(Phase::Ended(outcome), actor, reason);
    }

    pub(super) fn enter(&mut self, phase: Phase, actor: &Actor, reason: &str) {
        let Some(rollout) = &mut self.release.rollout else { return };
        let from = std::mem::replace(&mut rollout.phase, phase);
        if rollout.phase.weight() != from.weight() {
            rollout.epoch += 1;
        }
        rollout.since = self.context.now.wall;
        reason.clone_into(&mut rollout.reason);
        self.note(Some(from.name().to_owned()), actor, reason);
    }

    fn note(&mut self, from: Option<String>, actor: &Actor, reason: &str) {
        let Some(rollout) = self.release.rollout.clone() else { return };
        self.step.transitions.push(Transition {
            at: self.context.now.wall,
            actor: actor.clone(),
            reason: reason.to_owned(),
            from,
            rollout,
        });
    }
}
