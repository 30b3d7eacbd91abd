//! All that is decided about one model, and how it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::event::{Event, Step};
use super::plan::{Plan, Strategy};
use super::record::{Phase, Revision, Rollout, RolloutId};
use super::verbs::CommandRefused;
use crate::domain::model::{Digest, VersionLabel};
use crate::domain::time::{Countdown, Moment};
use crate::domain::weight::Weight;

/// The state of one model's releases. Written down it is all that a restart needs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
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
    /// What clients of the stable version could not go on with, and why: not tried again by itself.
    #[serde(default)]
    pub(super) unfit: BTreeMap<Digest, String>,
    /// The running rollout, or the last one.
    pub(super) rollout: Option<Rollout>,
    /// An operator unloaded it: nothing of it is loaded until an operator wants it again, or a newer version comes.
    #[serde(default)]
    pub(super) is_withdrawn: bool,
    /// Runs once the last file is gone.
    pub(super) leaving: Option<Countdown>,
    /// What failed in passing, until it is tried again.
    #[serde(skip)]
    pub(super) backoff: BTreeMap<Digest, Countdown>,
    /// Those of them that wait for room.
    #[serde(skip)]
    pub(super) cramped: BTreeSet<Digest>,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// All traffic.
    pub stable: Revision,
    /// On trial.
    pub candidate: Option<Revision>,
    /// Warm for an undo, and for those who pin it.
    pub previous: Option<Revision>,
    /// The two versions on which sampled requests are run again.
    pub pair: Option<Pair>,
    /// How much of the traffic the candidate of that pair has, where it has any.
    pub share: Option<Share>,
}

/// A candidate's share of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// How much.
    pub weight: Weight,
    /// Which share of the rollout it is: what is counted under one is not mixed with another.
    pub epoch: u32,
}

/// Two versions that are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The one that is trusted.
    pub stable: Revision,
    /// The one on trial.
    pub candidate: Revision,
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
    /// Whether there are recorded requests of the model, which a candidate can be rehearsed on.
    pub has_recordings: bool,
}

impl Release {
    /// Changes the state by an event. Nothing is changed when a command is refused.
    ///
    /// # Errors
    /// [`CommandRefused`] for a command that does not fit.
    pub fn step(&mut self, event: Event, context: Context<'_>) -> Result<Step, CommandRefused> {
        let mut change = Change::new(self, context);
        match event {
            Event::Seen(seen) => change.seen(&seen),
            Event::Gone(place) => change.gone(&place),
            Event::AllGone => change.all_gone(),
            Event::Loaded(digest) => change.loaded(digest),
            Event::LoadFailed(digest, failure) => change.load_failed(digest, failure),
            Event::Judged(judgement) => change.judged(&judgement),
            Event::Rehearsed(reason) => change.rehearsed(&reason),
            Event::Crashed(attribution) => change.crashed(&attribution),
            Event::Command(command) => change.command(command)?,
            Event::Withdrawn { actor, reason } => change.withdraw(&actor, &reason),
            Event::WantedAgain { actor, reason } => change.want_again(actor, reason),
            Event::RoomMade => change.room_made(),
            Event::SettingsChanged => change.settings_changed(),
            Event::Tick => change.tick(),
        }
        change.begin_where_nothing_answers();
        Ok(change.done())
    }

    /// Counts on after a restart.
    pub fn resume(&mut self, now: Moment) {
        self.countdowns().for_each(|countdown| countdown.resume(now));
    }

    /// Takes the time that has passed off all countdowns, so that what is written down holds now.
    pub fn count_to(&mut self, now: Moment) {
        self.countdowns().for_each(|countdown| countdown.count_to(now));
    }

    /// What runs out, and is written down.
    fn countdowns(&mut self) -> impl Iterator<Item = &mut Countdown> {
        let of_phase = self.rollout.iter_mut().flat_map(|rollout| rollout.phase.countdowns_mut());
        of_phase.chain(&mut self.keep).chain(&mut self.leaving)
    }

    /// Where requests go; none while no version is to answer.
    pub fn route(&self) -> Option<Route> {
        if self.is_between() || self.is_withdrawn {
            return None;
        }
        let stable = self.stable.clone()?;
        let previous = self.warm_previous().cloned();
        let on_trial = self.live().filter(|rollout| rollout.phase.is_on_trial());
        let candidate = on_trial.map(|rollout| rollout.candidate.clone());
        let pair = match (&candidate, &previous) {
            (Some(candidate), _) => {
                Some(Pair { stable: stable.clone(), candidate: candidate.clone() })
            }
            (None, Some(previous)) if self.is_baking() => {
                Some(Pair { stable: previous.clone(), candidate: stable.clone() })
            }
            (None, Some(_) | None) => None,
        };
        let live = self.live().filter(|_| pair.is_some());
        let share = live.map(|it| Share { weight: it.phase.weight(), epoch: it.epoch });
        let share = share.filter(|share| share.weight > Weight::NONE);
        Some(Route { stable, candidate, previous, pair, share })
    }

    /// Whether the old version has made room for one that is still being loaded.
    pub fn is_between(&self) -> bool {
        self.live().is_some_and(|rollout| {
            rollout.phase == Phase::Loading && rollout.plan.strategy == Strategy::Recreate
        })
    }

    /// What must be loaded, the most urgent first.
    pub fn wanted(&self, now: Moment) -> Vec<Revision> {
        if self.is_withdrawn {
            return Vec::new();
        }
        let candidate = self.live().map(|rollout| &rollout.candidate);
        let mut wanted: Vec<Revision> = Vec::new();
        let kept = match self.is_between() {
            true => [None, candidate, None],
            false => [self.stable.as_ref(), candidate, self.warm_previous()],
        };
        for revision in kept.into_iter().flatten() {
            if !self.is_put_off(&revision.digest, now) && !wanted.contains(revision) {
                wanted.push(revision.clone());
            }
        }
        wanted
    }

    /// Whether a content failed to load a moment ago, and is to be tried again later.
    pub fn is_put_off(&self, digest: &Digest, now: Moment) -> bool {
        self.backoff.get(digest).is_some_and(|backoff| !backoff.is_over(now))
    }

    /// When on the monotonic clock the next [`Event::Tick`] is due.
    pub fn next_tick(&self) -> Option<Duration> {
        let of_phase = self.live().and_then(|rollout| rollout.phase.countdown());
        let countdowns = [of_phase, self.keep.as_ref(), self.leaving.as_ref()];
        countdowns
            .into_iter()
            .flatten()
            .chain(self.backoff.values())
            .filter_map(Countdown::ends)
            .min()
    }

    /// Whether a version waits for memory.
    pub fn waits_for_room(&self) -> bool {
        self.cramped.iter().any(|digest| self.backoff.contains_key(digest))
    }

    /// Whether an operator unloaded the model, so that nothing of it is loaded.
    pub fn is_withdrawn(&self) -> bool {
        self.is_withdrawn
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
        let held_against = [&self.broken, &self.barred, &self.unfit];
        held_against.into_iter().find_map(|why| why.get(digest)).map(String::as_str)
    }

    /// Why a content cannot be loaded, where that is known.
    pub fn broken(&self, digest: &Digest) -> Option<&str> {
        self.broken.get(digest).map(String::as_str)
    }

    /// Why clients of the stable version could not go on with a content, where that is known.
    pub fn unfit(&self, digest: &Digest) -> Option<&str> {
        self.unfit.get(digest).map(String::as_str)
    }

    /// The version before is warm while the new one is being watched, and for a while after.
    fn warm_previous(&self) -> Option<&Revision> {
        self.previous.as_ref().filter(|_| self.is_baking() || self.keep.is_some())
    }

    pub(super) fn is_baking(&self) -> bool {
        self.live().is_some_and(|rollout| matches!(rollout.phase.stage(), Phase::Baking(_)))
    }
}
