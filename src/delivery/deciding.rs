//! Asking the domain.

use std::collections::BTreeMap;

use super::journal::Numbered;
use super::plan::plan;
use super::settings::Settings;
use crate::domain::model::ModelName;
use crate::domain::rollout::{CommandRefused, Context, Event, Release, RolloutId, Step};
use crate::domain::time::Moment;

/// The numbers that come next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) rollout: RolloutId,
    /// Of transitions.
    pub(super) seq: u64,
}

/// What a decision needs to know.
pub(super) struct Deciding<'c> {
    pub(super) settings: &'c BTreeMap<ModelName, Settings>,
    pub(super) numbers: &'c mut Numbers,
    pub(super) now: Moment,
    /// Whether there are recorded requests of a model.
    pub(super) has_recordings: &'c dyn Fn(&ModelName) -> bool,
}

impl Deciding<'_> {
    /// One decision. Numbers that it used move on.
    pub(super) fn step(
        &mut self,
        model: &ModelName,
        release: &mut Release,
        event: Event,
    ) -> Result<Vec<Numbered>, CommandRefused> {
        let plan =
            self.settings.get(model).map(|settings| plan(&settings.config())).unwrap_or_default();
        let has_recordings = match &event {
            // Only a version that is ready can be rehearsed.
            Event::Loaded(_) => (self.has_recordings)(model),
            Event::Seen(_)
            | Event::Gone(_)
            | Event::AllGone
            | Event::LoadFailed(..)
            | Event::Judged(_)
            | Event::Rehearsed(_)
            | Event::Crashed(_)
            | Event::Command(_)
            | Event::Withdrawn { .. }
            | Event::WantedAgain { .. }
            | Event::RoomMade
            | Event::SettingsChanged
            | Event::Tick => false,
        };
        let next_id = self.numbers.rollout;
        let context = Context { now: self.now, plan: &plan, next_id, has_recordings };
        let Step { transitions, used } = release.step(event, context)?;
        if let Some(RolloutId(used)) = used {
            self.numbers.rollout = RolloutId(used + 1);
        }
        let numbered: Vec<Numbered> = (self.numbers.seq..).zip(transitions).collect();
        self.numbers.seq += numbered.len() as u64;
        Ok(numbered)
    }
}
