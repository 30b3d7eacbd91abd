//! Asking the domain.

use std::collections::BTreeMap;

use super::fleet::Settings;
use crate::config::ModelConfig;
use crate::domain::model::ModelName;
use crate::domain::rollout::{
    CommandRefused, Context, Event, Plan, Release, RolloutId, Step, Strategy, Transition,
};
use crate::domain::time::Moment;

/// What the decisions of one round have in common.
pub(super) struct Deciding<'c> {
    pub(super) settings: &'c BTreeMap<ModelName, Settings>,
    pub(super) next_rollout: &'c mut RolloutId,
    pub(super) now: Moment,
}

impl Deciding<'_> {
    /// One decision. The offered rollout number moves on when it was used.
    pub(super) fn step(
        &mut self,
        model: &ModelName,
        release: &mut Release,
        event: Event,
    ) -> Result<Vec<Transition>, CommandRefused> {
        let plan =
            self.settings.get(model).map(|settings| plan(&settings.config())).unwrap_or_default();
        let context = Context { now: self.now, plan: &plan, next_id: *self.next_rollout };
        let Step { transitions, used } = release.step(event, context)?;
        if let Some(RolloutId(used)) = used {
            *self.next_rollout = RolloutId(used + 1);
        }
        Ok(transitions)
    }
}

fn plan(config: &ModelConfig) -> Plan {
    Plan {
        strategy: Strategy::BlueGreen,
        bake: config.rollout.bake,
        keep_previous: config.rollout.keep_previous,
    }
}
