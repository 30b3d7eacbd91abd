//! All that is decided about one model, and how it changes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::arrival::{Arrival, Place, Seen};
use super::event::{Event, LoadFailure, Step};
use super::plan::Plan;
use super::record::{Actor, Outcome, Phase, Revision, Rollout, RolloutId, Transition};
use super::verbs::CommandRefused;
use crate::domain::model::{Digest, VersionLabel};
use crate::domain::time::{Countdown, Moment};

/// How long a model whose files are all gone goes on answering.
const LEAVE_AFTER: Duration = Duration::from_secs(60);
/// How long after a load that failed in passing it is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// The state of one model's releases. Written down it is all that a restart needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Release {
    /// What each label stood for when it was last acted on.
    pub(super) labels: BTreeMap<VersionLabel, Digest>,
    /// The content of `NAME.onnx` that was last acted on.
    pub(super) flat: Option<Digest>,
    /// The greatest label that ever had traffic.
    pub(super) newest_released: Option<VersionLabel>,
    /// The version that answers.
    pub(super) stable: Option<Revision>,
    /// The version that answered before.
    pub(super) previous: Option<Revision>,
    /// While it runs, the previous version stays warm.
    pub(super) keep: Option<Countdown>,
    /// What was taken back, and why: not tried again by itself.
    pub(super) barred: BTreeMap<Digest, String>,
    /// What cannot be loaded, and why.
    pub(super) broken: BTreeMap<Digest, String>,
    /// The running rollout, or the last one.
    pub(super) rollout: Option<Rollout>,
    /// Runs once the last file is gone.
    leaving: Option<Countdown>,
    /// What failed in passing, until it is tried again.
    #[serde(skip)]
    backoff: BTreeMap<Digest, Countdown>,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// All traffic.
    pub stable: Revision,
    /// Warm for an undo, and for those who pin it.
    pub previous: Option<Revision>,
}

/// What a step needs to know besides the event.
#[derive(Clone, Copy, Debug)]
pub struct Context<'c> {
    /// When it is.
    pub now: Moment,
    /// The recipe for a rollout that begins.
    pub plan: &'c Plan,
    /// The number for a rollout that begins.
    pub next_id: RolloutId,
}

impl Release {
    /// Changes the state by an event. Nothing is changed when a command is refused.
    ///
    /// # Errors
    /// [`CommandRefused`] for a command that does not fit.
    pub fn step(&mut self, event: Event, context: Context<'_>) -> Result<Step, CommandRefused> {
        let mut change = Change { release: self, context, step: Step::default() };
        match event {
            Event::Seen(seen) => change.seen(&seen),
            Event::Gone(place) => change.gone(&place),
            Event::AllGone => change.all_gone(),
            Event::Loaded(digest) => change.loaded(digest),
            Event::LoadFailed(digest, failure) => change.load_failed(digest, failure),
            Event::Command(command) => change.command(command)?,
            Event::Tick => change.tick(),
        }
        change.begin_where_nothing_answers();
        Ok(change.step)
    }

    /// Counts on after a restart.
    pub fn resume(&mut self, now: Moment) {
        if let Some(Rollout { phase: Phase::Baking(bake), .. }) = &mut self.rollout {
            bake.resume(now);
        }
        for countdown in [&mut self.keep, &mut self.leaving].into_iter().flatten() {
            countdown.resume(now);
        }
    }

    /// Takes the time that has passed off all countdowns, so that what is written down holds now.
    pub fn count_to(&mut self, now: Moment) {
        if let Some(Rollout { phase: Phase::Baking(bake), .. }) = &mut self.rollout {
            bake.count_to(now);
        }
        for countdown in [&mut self.keep, &mut self.leaving].into_iter().flatten() {
            countdown.count_to(now);
        }
    }

    /// Where requests go; none while no version is to answer.
    pub fn route(&self) -> Option<Route> {
        let stable = self.stable.clone()?;
        Some(Route { stable, previous: self.warm_previous().cloned() })
    }

    /// What must be loaded, the most urgent first.
    pub fn wanted(&self, now: Moment) -> Vec<Revision> {
        let candidate = self.live().map(|rollout| &rollout.candidate);
        let mut wanted: Vec<Revision> = Vec::new();
        for revision in
            [self.stable.as_ref(), candidate, self.warm_previous()].into_iter().flatten()
        {
            let is_waiting =
                self.backoff.get(&revision.digest).is_some_and(|backoff| !backoff.is_over(now));
            if !is_waiting && !wanted.contains(revision) {
                wanted.push(revision.clone());
            }
        }
        wanted
    }

    /// When on the monotonic clock the next [`Event::Tick`] is due.
    pub fn next_tick(&self) -> Option<Duration> {
        let bake = self.live().and_then(|rollout| match &rollout.phase {
            Phase::Baking(bake) => Some(bake),
            Phase::Loading | Phase::Ended(_) => None,
        });
        let countdowns = [bake, self.keep.as_ref(), self.leaving.as_ref()];
        countdowns
            .into_iter()
            .flatten()
            .chain(self.backoff.values())
            .filter_map(Countdown::ends)
            .min()
    }

    /// The version that answers.
    pub fn stable(&self) -> Option<&Revision> {
        self.stable.as_ref()
    }

    /// The version that answered before, warm or not.
    pub fn previous(&self) -> Option<&Revision> {
        self.previous.as_ref()
    }

    /// The running rollout, or the last one.
    pub fn rollout(&self) -> Option<&Rollout> {
        self.rollout.as_ref()
    }

    /// The rollout that is running.
    pub fn live(&self) -> Option<&Rollout> {
        self.rollout.as_ref().filter(|rollout| rollout.phase.is_live())
    }

    /// What each label stands for.
    pub fn labels(&self) -> &BTreeMap<VersionLabel, Digest> {
        &self.labels
    }

    /// Why a content is not tried by itself, where that is so.
    pub fn why_not(&self, digest: &Digest) -> Option<&str> {
        self.broken.get(digest).or_else(|| self.barred.get(digest)).map(String::as_str)
    }

    /// Why a content cannot be loaded, where that is known.
    pub fn broken(&self, digest: &Digest) -> Option<&str> {
        self.broken.get(digest).map(String::as_str)
    }

    /// The version before is warm while the new one is being watched, and for a while after.
    fn warm_previous(&self) -> Option<&Revision> {
        let is_baking =
            self.live().is_some_and(|rollout| matches!(rollout.phase, Phase::Baking(_)));
        self.previous.as_ref().filter(|_| is_baking || self.keep.is_some())
    }
}

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
    pub(super) actor: Actor,
    pub(super) reason: String,
}

impl Change<'_, '_> {
    fn seen(&mut self, seen: &[Seen]) {
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
            let (parent, is_undo, actor) = (None, false, Actor::File);
            self.begin(Beginning { candidate, parent, is_undo, actor, reason });
        }
    }

    fn stable_again(&mut self) {
        if self.release.live().is_some_and(|rollout| rollout.phase == Phase::Loading) {
            self.take_back(&Actor::File, "the stable version's content was put there again");
        }
    }

    fn previous_again(&mut self) {
        let reason = "the previous version's content was put there again";
        if self.is_baking() {
            self.take_back(&Actor::File, reason);
        } else if let Some(candidate) = self.release.previous.clone() {
            let parent = self.release.rollout.as_ref().map(|rollout| rollout.id);
            let (is_undo, actor, reason) = (true, Actor::File, reason.to_owned());
            self.begin(Beginning { candidate, parent, is_undo, actor, reason });
        }
    }

    fn gone(&mut self, place: &Place) {
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

    fn all_gone(&mut self) {
        // One that answers already goes on with the others, until all leave.
        if self.release.live().is_some_and(|rollout| rollout.phase == Phase::Loading) {
            self.take_back(&Actor::File, "its file was deleted");
        }
        self.release.leaving = Some(Countdown::start(LEAVE_AFTER, self.context.now));
    }

    fn loaded(&mut self, digest: Digest) {
        self.release.broken.remove(&digest);
        self.release.backoff.remove(&digest);
        let is_awaited = |rollout: &Rollout| {
            rollout.phase == Phase::Loading && rollout.candidate.digest == digest
        };
        if self.release.live().is_some_and(is_awaited) {
            self.go_live();
        }
    }

    fn load_failed(&mut self, digest: Digest, failure: LoadFailure) {
        let now = self.context.now;
        let reason = match failure {
            LoadFailure::Broken(reason) => {
                self.release.broken.insert(digest, reason.clone());
                reason
            }
            LoadFailure::Passing(reason) => {
                let backoff = Countdown::start(TRY_AGAIN_AFTER, now);
                self.release.backoff.insert(digest, backoff);
                if let Some(rollout) = &mut self.release.rollout
                    && rollout.candidate.digest == digest
                {
                    rollout.reason = reason;
                }
                return;
            }
        };
        let is_candidate = |rollout: &Rollout| {
            rollout.phase == Phase::Loading && rollout.candidate.digest == digest
        };
        if self.release.live().is_some_and(is_candidate) {
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
        if self.is_baking() {
            self.take_back(&Actor::Server, "it cannot be loaded any more");
        } else {
            self.release.stable = self.release.previous.take();
            self.release.keep = None;
        }
    }

    fn tick(&mut self) {
        let now = self.context.now;
        self.release.backoff.retain(|_, backoff| !backoff.is_over(now));
        if let Some(Rollout { phase: Phase::Baking(bake), .. }) = self.release.live()
            && bake.is_over(now)
        {
            self.complete(&Actor::Server, "the bake time is over");
        }
        if self.release.keep.as_ref().is_some_and(|keep| keep.is_over(now)) {
            self.release.keep = None;
        }
        if self.release.leaving.as_ref().is_some_and(|leaving| leaving.is_over(now)) {
            let (barred, broken) = (self.release.barred.clone(), self.release.broken.clone());
            let rollout = self.release.rollout.clone();
            *self.release = Release { barred, broken, rollout, ..Release::default() };
        }
    }

    /// A model that has versions and no stable one takes the newest that is not known to be bad.
    fn begin_where_nothing_answers(&mut self) {
        let release = &*self.release;
        if release.stable.is_some() || release.live().is_some() || release.leaving.is_some() {
            return;
        }
        let is_usable = |digest: &Digest| release.why_not(digest).is_none();
        let newest = release.labels.iter().rev().find(|(_, digest)| is_usable(digest));
        let Some((label, digest)) = newest.map(|(label, digest)| (label.clone(), *digest)) else {
            return;
        };
        let reason = format!("version {label} is the newest that can be tried");
        let candidate = Revision { label, digest };
        self.begin(Beginning {
            candidate,
            parent: None,
            is_undo: false,
            actor: Actor::Server,
            reason,
        });
    }

    /// Begins a rollout; one that is running is superseded.
    pub(super) fn begin(&mut self, beginning: Beginning) {
        if self.release.live().is_some() {
            let reason = format!("version {} came", beginning.candidate.label);
            self.end(Outcome::Superseded, &beginning.actor, &reason);
        }
        let wall = self.context.now.wall;
        let Beginning { candidate, parent, is_undo, actor, reason } = beginning;
        self.step.used = Some(self.context.next_id);
        self.release.rollout = Some(Rollout {
            id: self.context.next_id,
            parent,
            is_undo,
            stable: self.release.stable.clone(),
            candidate,
            plan: self.context.plan.clone(),
            phase: Phase::Loading,
            actor: actor.clone(),
            reason: reason.clone(),
            started: wall,
            since: wall,
        });
        self.note(None, &actor, &reason);
    }

    /// Gives the candidate all traffic.
    fn go_live(&mut self) {
        let now = self.context.now;
        let release = &mut *self.release;
        let Some(rollout) = &release.rollout else { return };
        let (plan, is_undo, actor) = (rollout.plan.clone(), rollout.is_undo, rollout.actor.clone());
        let candidate = rollout.candidate.clone();
        release.barred.remove(&candidate.digest);
        release.newest_released = release.newest_released.take().max(Some(candidate.label.clone()));
        let is_first = release.stable.is_none();
        // Where stable was lost meanwhile, the version that stands in for it may be this one.
        let before = release.stable.replace(candidate.clone());
        let before = before.filter(|before| before.digest != candidate.digest);
        if let (true, Actor::Operator(_), Some(before)) = (is_undo, &actor, &before) {
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
            self.complete(&actor, "it was stable before");
        } else if plan.bake.is_zero() {
            self.complete(&Actor::Server, "there is no bake time");
        } else {
            let bake = Countdown::start(plan.bake, now);
            self.enter(Phase::Baking(bake), &Actor::Server, "loaded and warm; it has all traffic");
        }
    }

    /// Ends the rollout well. The version before stays warm for a while.
    pub(super) fn complete(&mut self, actor: &Actor, reason: &str) {
        let keep = self.release.rollout.as_ref().map(|rollout| rollout.plan.keep_previous);
        if self.release.previous.is_some()
            && let Some(keep) = keep.filter(|keep| !keep.is_zero())
        {
            self.release.keep = Some(Countdown::start(keep, self.context.now));
        }
        self.end(Outcome::Completed { proven: false }, actor, reason);
    }

    /// Ends the rollout with all traffic on the version that was stable before it. A content that an operator took
    /// back is not tried again by itself.
    pub(super) fn take_back(&mut self, actor: &Actor, reason: &str) {
        if self.is_baking() {
            self.release.stable = self.release.previous.take();
        }
        if let (Actor::Operator(_), Some(rollout)) = (actor, &self.release.rollout) {
            let sentence = format!("an operator took it back: {reason}");
            self.release.barred.insert(rollout.candidate.digest, sentence);
        }
        self.end(Outcome::Aborted, actor, reason);
    }

    pub(super) fn is_baking(&self) -> bool {
        self.release.live().is_some_and(|rollout| matches!(rollout.phase, Phase::Baking(_)))
    }

    fn end(&mut self, outcome: Outcome, actor: &Actor, reason: &str) {
        self.enter(Phase::Ended(outcome), actor, reason);
    }

    fn enter(&mut self, phase: Phase, actor: &Actor, reason: &str) {
        let Some(rollout) = &mut self.release.rollout else { return };
        let from = std::mem::replace(&mut rollout.phase, phase);
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
