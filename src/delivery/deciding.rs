//! Asking the domain.

use std::collections::BTreeMap;

use super::fleet::Settings;
use super::journal::Numbered;
use crate::config::{ModelConfig, RolloutConfig, Strategy as StrategyConfig};
use crate::domain::model::ModelName;
use crate::domain::rollout::{
    CommandRefused, Context, Event, PairPlan, Plan, Release, RolloutId, Step, Strategy,
};
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
