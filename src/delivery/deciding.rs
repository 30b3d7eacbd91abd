//! Asking the domain.

use std::collections::BTreeMap;

use super::fleet::Settings;
use crate::config::{ModelConfig, RolloutConfig, Strategy as StrategyConfig};
use crate::domain::model::ModelName;
use crate::domain::rollout::{
    CommandRefused, Context, Event, PairPlan, Plan, Release, RolloutId, Step, Strategy, Transition,
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
    let RolloutConfig { strategy, shadow, on_inconclusive, bake, keep_previous, .. } =
        config.rollout.clone();
    Plan {
        strategy: match strategy {
            StrategyConfig::Shadow => Strategy::Shadow,
            StrategyConfig::BlueGreen | StrategyConfig::Recreate | StrategyConfig::Canary => {
                Strategy::BlueGreen
            }
        },
        bake,
        keep_previous,
        pairs: PairPlan {
            sample: shadow.sample,
            min_pairs: shadow.min_pairs as u64,
            max_time: shadow.max_time,
            on_inconclusive,
        },
    }
}
