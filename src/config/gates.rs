//! The limits that a model's rollouts are judged by: `[gates]`.

use std::time::Duration;

use super::section::{Findings, Section};
use super::value::{above, above_to, duration, number, switch};
use crate::domain::comparison::Change;

/// `[gates]`: the limits that a rollout is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct GatesConfig {
    /// The chance that a candidate as good as stable is rolled back (0.05).
    pub alpha: f64,
    /// For each gate, the chance that a candidate beyond its limit passes (0.05).
    pub beta: f64,
    /// Whether consecutive failures roll back at once (yes).
    pub breaker: bool,
    /// On the share of failed requests.
    pub errors: ErrorGate,
    /// On the time of a run.
    pub latency: LatencyGate,
    /// On the share of pairs that disagree: by `rollout.change` 0.005 and 0.02 (equivalent) or 0.10
    /// and 0.15 (retrained). `None` for a new task, whose outputs are not judged.
    pub outputs: Option<OutputGate>,
}

/// `gates.errors`
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorGate {
    /// The candidate may fail this many times as often as stable (1.2).
    pub ratio: f64,
    /// A share of failures that is always forgiven (0.001).
    pub floor: f64,
    /// A share of failures beyond stable's that is never forgiven (0.01).
    pub harm_budget: f64,
}

/// `gates.latency`
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyGate {
    /// The share by which the candidate may be slower (0.25).
    pub margin: f64,
    /// A difference that is always forgiven (1 ms).
    pub floor: Duration,
}

/// `gates.outputs`
#[derive(Clone, Debug, PartialEq)]
pub struct OutputGate {
    /// A share of disagreement above this is a failure.
    pub reject: f64,
    /// A share of disagreement below this must be proven to pass.
    pub prove: f64,
}

impl Default for GatesConfig {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            beta: 0.05,
            breaker: true,
            errors: ErrorGate { ratio: 1.2, floor: 0.001, harm_budget: 0.01 },
            latency: LatencyGate { margin: 0.25, floor: Duration::from_millis(1) },
            outputs: OutputGate::of(Change::Retrained),
        }
    }
}

impl OutputGate {
    /// What holds where the settings do not say.
    fn of(change: Change) -> Option<Self> {
        match change {
            Change::Equivalent => Some(Self { reject: 0.005, prove: 0.02 }),
            Change::Retrained => Some(Self { reject: 0.10, prove: 0.15 }),
            Change::NewTask => None,
        }
    }
}

impl GatesConfig {
    pub(super) fn read(&mut self, section: &mut Section<'_>, change: Change) {
        section.read("alpha", &mut self.alpha, number(above_to(0.0, 0.5)));
        section.read("beta", &mut self.beta, number(above_to(0.0, 0.5)));
        section.read("breaker", &mut self.breaker, switch);
        section.section("errors", |section| {
            section.read("ratio", &mut self.errors.ratio, number(1.0..));
            section.read("floor", &mut self.errors.floor, number(0.0..=1.0));
            section.read("harm_budget", &mut self.errors.harm_budget, number(above_to(0.0, 1.0)));
        });
        section.section("latency", |section| {
            section.read("margin", &mut self.latency.margin, number(above(0.0)));
            section.read("floor", &mut self.latency.floor, duration);
        });
        self.outputs = OutputGate::of(change);
        section.section("outputs", |section| match &mut self.outputs {
            Some(gate) => gate.read(section),
            None => {
                OutputGate { reject: 0.0, prove: 1.0 }.read(section);
                if section.is_there() {
                    section.complain(
                        "`gates.outputs` has no meaning while `rollout.change` is \"new-task\": \
                         outputs of a new task are not judged",
                    );
                }
            }
        });
    }

    pub(super) fn refuse_clashes(&self, findings: &mut Findings) {
        if let Some(OutputGate { reject, prove }) = &self.outputs
            && reject >= prove
        {
            let text = format!(
                "`gates.outputs.reject` ({reject}) must be below `gates.outputs.prove` ({prove})"
            );
            findings.clash(&["gates.outputs.reject", "gates.outputs.prove"], text);
        }
    }
}

impl OutputGate {
    fn read(&mut self, section: &mut Section<'_>) {
        section.read("reject", &mut self.reject, number(above_to(0.0, 1.0)));
        section.read("prove", &mut self.prove, number(above_to(0.0, 1.0)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::ModelConfig;
    use super::*;

    fn gate(text: &str) -> Result<Option<OutputGate>, String> {
        let config = ModelConfig::parse(text, "iris.toml").map_err(|error| error.to_string())?;
        Ok(config.gates.outputs)
    }

    #[test]
    fn what_is_judged_follows_the_change() {
        let limits = |reject, prove| Ok(Some(OutputGate { reject, prove }));
        assert_eq!(gate(""), limits(0.10, 0.15));
        assert_eq!(gate("rollout.change = 'equivalent'"), limits(0.005, 0.02));
        assert_eq!(gate("rollout.change = 'new-task'"), Ok(None));
        assert_eq!(gate("gates.outputs.reject = 0.12"), limits(0.12, 0.15));
    }

    #[test]
    fn limits_that_contradict_themselves_are_refused() {
        assert_eq!(
            gate("gates.outputs.reject = 0.2").unwrap_err(),
            "iris.toml:1: `gates.outputs.reject` (0.2) must be below `gates.outputs.prove` (0.15)"
        );
        assert_eq!(
            gate("rollout.change = 'new-task'\ngates.outputs.reject = 0.2").unwrap_err(),
            "iris.toml:2: `gates.outputs` has no meaning while `rollout.change` is \"new-task\": outputs of a new task are not judged"
        );
    }
}
