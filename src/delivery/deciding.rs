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
        let context = Context { now: self.now, plan: &plan, next_id: self.numbers.rollout };
        let Step { transitions, used } = release.step(event, context)?;
        if let Some(RolloutId(used)) = used {
            self.numbers.rollout = RolloutId(used + 1);
        }
        let numbered: Vec<Numbered> = (self.numbers.seq..).zip(transitions).collect();
        self.numbers.seq += numbered.len() as u64;
        Ok(numbered)
    }
}
