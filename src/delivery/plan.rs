//! From a model's settings to the recipe of its rollouts.

use crate::config::{GatesConfig, ModelConfig, OutputConfig, RolloutConfig};
use crate::domain::analysis::{ErrorLimits, Gates, LatencyLimits, OutputLimits};
use crate::domain::comparison::OutputRule;
use crate::domain::rollout::{PairPlan, Plan};

/// The recipe that a rollout begins with now.
pub fn plan(config: &ModelConfig) -> Plan {
    let RolloutConfig { strategy, change, shadow, steps, key, .. } = config.rollout.clone();
    let RolloutConfig {
        max_time, on_inconclusive, bake, keep_previous, signature, fallback, ..
    } = config.rollout;
    Plan {
        strategy,
        bake,
        keep_previous,
        steps,
        max_time,
        signature,
        key,
        fallback,
        breaker: config.gates.breaker,
        pairs: PairPlan {
            rehearse: config.rollout.rehearse as u64,
            sample: shadow.sample,
            min_pairs: shadow.min_pairs as u64,
            max_time: shadow.max_time,
            on_inconclusive,
            change,
            gates: gates(&config.gates),
            outputs: config.outputs.iter().map(|(name, config)| rule(name, config)).collect(),
            classes: config.labels.clone(),
        },
    }
}

fn gates(config: &GatesConfig) -> Gates {
    let outputs = config.outputs.as_ref();
    Gates {
        alpha: config.alpha,
        beta: config.beta,
        errors: ErrorLimits {
            ratio: config.errors.ratio,
            floor: config.errors.floor,
            ..Gates::default().errors
        },
        latency: LatencyLimits { margin: config.latency.margin, floor: config.latency.floor },
        outputs: outputs.map(|gate| OutputLimits { reject: gate.reject, prove: gate.prove }),
        harm_budget: config.errors.harm_budget,
        ..Gates::default()
    }
}

fn rule(name: &str, config: &OutputConfig) -> OutputRule {
    let OutputConfig { kind, absolute, relative } = *config;
    OutputRule { kind, absolute, relative, ..OutputRule::inferred(name) }
}
