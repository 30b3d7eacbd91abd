//! The recipe of a model's rollouts: `[rollout]`.

use std::time::Duration;

use super::section::{Findings, Section};
use super::source::Value;
use super::value::{
    duration, header_name, name, one_of, positive_duration, sample, some, switch, weight, whole,
};
use crate::domain::comparison::Change;
use crate::domain::rollout::{OnInconclusive, StepPlan, Strategy};
use crate::domain::route::StickyKey;
use crate::domain::sampling::Sample;
use crate::domain::signature::SignatureRule;
use crate::domain::weight::Weight;

/// `[rollout]`: the recipe of a model's rollouts.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutConfig {
    /// The preset of stages (blue-green).
    pub strategy: Strategy,
    /// What to expect of the outputs (retrained).
    pub change: Change,
    /// Recorded requests that run as pairs first (200); 0 for no rehearsal.
    pub rehearse: usize,
    /// The shadow stage, and which requests become pairs in every stage.
    pub shadow: ShadowStageConfig,
    /// The steps of the canary stage, with growing weights (5, 10, 25, 50 %).
    pub steps: Vec<StepPlan>,
    /// How long a step lasts at least (60 s), where the step itself does not say.
    pub min_time: Duration,
    /// Requests that the candidate answers at least in a step (50), where the step itself does not say.
    pub min_requests: u64,
    /// How long a step may wait for evidence (6 h).
    pub max_time: Duration,
    /// What happens then (pause).
    pub on_inconclusive: OnInconclusive,
    /// How long the new version is watched after it has all traffic (10 min).
    pub bake: Duration,
    /// How long the previous version stays warm after the bake (1 h).
    pub keep_previous: Duration,
    /// How far a new version's signature may differ from the stable one's (strict).
    pub signature: SignatureRule,
    /// By what requests stick to a version; `None`, the default, for random per request.
    pub key: Option<StickyKey>,
    /// Whether stable answers where the candidate failed (yes).
    pub fallback: bool,
}

/// `rollout.shadow`: the shadow stage.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadowStageConfig {
    /// Which requests become pairs, in every stage (0.1 of them).
    pub sample: Sample,
    /// Pairs that the stage needs (500); 0 for no shadow stage.
    pub min_pairs: usize,
    /// How long the stage may take (1 h).
    pub max_time: Duration,
}

impl Default for RolloutConfig {
    fn default() -> Self {
        let (min_time, min_requests) = (Duration::from_secs(60), 50);
        let step = |per_cent| StepPlan { weight: Weight::whole(per_cent), min_time, min_requests };
        Self {
            strategy: Strategy::BlueGreen,
            change: Change::Retrained,
            rehearse: 200,
            shadow: ShadowStageConfig::default(),
            steps: [5, 10, 25, 50].map(step).to_vec(),
            min_time,
            min_requests,
            max_time: Duration::from_hours(6),
            on_inconclusive: OnInconclusive::Pause,
            bake: Duration::from_mins(10),
            keep_previous: Duration::from_hours(1),
            signature: SignatureRule::Strict,
            key: None,
            fallback: true,
        }
    }
}

impl Default for ShadowStageConfig {
    fn default() -> Self {
        Self { sample: Sample::Share(0.1), min_pairs: 500, max_time: Duration::from_hours(1) }
    }
}

impl RolloutConfig {
    pub(super) fn read(&mut self, section: &mut Section<'_>) {
        let strategies = one_of(&[
            ("recreate", Strategy::Recreate),
            ("blue-green", Strategy::BlueGreen),
            ("canary", Strategy::Canary),
            ("shadow", Strategy::Shadow),
        ]);
        let changes = one_of(&[
            ("equivalent", Change::Equivalent),
            ("retrained", Change::Retrained),
            ("new-task", Change::NewTask),
        ]);
        let ends = one_of(&[
            ("pause", OnInconclusive::Pause),
            ("promote", OnInconclusive::Promote),
            ("abort", OnInconclusive::Abort),
        ]);
        let signatures = one_of(&[
            ("strict", SignatureRule::Strict),
            ("additive", SignatureRule::Additive),
            ("any", SignatureRule::Any),
        ]);
        section.read("strategy", &mut self.strategy, strategies);
        section.read("change", &mut self.change, changes);
        section.read("rehearse", &mut self.rehearse, whole(0..));
        section.section("shadow", |section| self.shadow.read(section));
        section.read("min_time", &mut self.min_time, duration);
        section.read("min_requests", &mut self.min_requests, whole(0..));
        section.read("max_time", &mut self.max_time, positive_duration);
        self.read_steps(section);
        section.read("on_inconclusive", &mut self.on_inconclusive, ends);
        section.read("bake", &mut self.bake, duration);
        section.read("keep_previous", &mut self.keep_previous, duration);
        section.read("signature", &mut self.signature, signatures);
        section.section("key", |section| self.key = sticky_key(section));
        section.read("fallback", &mut self.fallback, switch);
    }

    /// The weights of the steps, each with what holds for every step where it says nothing itself.
    fn read_steps(&mut self, section: &mut Section<'_>) {
        let (min_time, min_requests) = (self.min_time, self.min_requests);
        let step = |weight| StepPlan { weight, min_time, min_requests };
        let Some(entries) = section.list("steps") else {
            self.steps = self.steps.iter().map(|default| step(default.weight)).collect();
            return;
        };
        self.steps.clear();
        for (path, entry) in entries {
            match entry.value {
                Value::Table(_) => section.open_entry(path, entry, |section| {
                    let weight = section.require("weight", weight);
                    let mut step = step(weight.unwrap_or(Weight::ALL));
                    section.read("min_time", &mut step.min_time, duration);
                    section.read("min_requests", &mut step.min_requests, whole(0..));
                    self.steps.push(step);
                }),
                _ => self.steps.extend(section.check(&path, &entry, weight).map(step)),
            }
        }
    }

    pub(super) fn refuse_clashes(&self, findings: &mut Findings) {
        if let Some(pair) = self.steps.windows(2).find(|pair| pair[0].weight >= pair[1].weight) {
            let (earlier, later) = (pair[0].weight.per_cent(), pair[1].weight.per_cent());
            let text = format!("`rollout.steps` must grow, but {later} comes after {earlier}");
            findings.clash(&["rollout.steps"], text);
        }
        if let Some(step) = self.steps.iter().find(|step| step.min_time > self.max_time) {
            let (min, max) = (shown(step.min_time), shown(self.max_time));
            let text = format!(
                "`rollout.min_time` ({min}) must not be above `rollout.max_time` ({max}) in any step"
            );
            findings.clash(&["rollout.max_time", "rollout.min_time", "rollout.steps"], text);
        }
        if self.strategy == Strategy::Canary && self.steps.is_empty() {
            let text = "`rollout.steps` must not be empty with the strategy `canary`";
            findings.clash(&["rollout.steps"], text);
        }
        self.refuse_clashes_of_shadow(findings);
    }

    fn refuse_clashes_of_shadow(&self, findings: &mut Findings) {
        let is_skipped = self.shadow.min_pairs == 0;
        let has_stage = match self.strategy {
            Strategy::Canary | Strategy::Shadow => !is_skipped,
            Strategy::Recreate | Strategy::BlueGreen => false,
        };
        if self.strategy == Strategy::Shadow && is_skipped {
            let text = "`rollout.shadow.min_pairs` must not be 0 with the strategy `shadow`";
            findings.clash(&["rollout.shadow.min_pairs"], text);
        }
        if has_stage && self.shadow.sample == Sample::Share(0.0) {
            let text = "`rollout.shadow.sample` is 0, so the shadow stage would wait for ever: set \
                        `rollout.shadow.min_pairs` to 0 as well";
            findings.clash(&["rollout.shadow.sample"], text);
        }
    }
}

fn shown(duration: Duration) -> impl std::fmt::Display {
    humantime::format_duration(duration)
}

fn sticky_key(section: &mut Section<'_>) -> Option<StickyKey> {
    let (mut header, mut field) = (None, None);
    section.read("header", &mut header, some(header_name));
    section.read("field", &mut field, some(name));
    match (header, field) {
        (Some(header), None) => Some(StickyKey::Header(header)),
        (None, Some(field)) => Some(StickyKey::Field(field)),
        (Some(_), Some(_)) => {
            section.complain("`rollout.key` must have `header` or `field`, not both");
            None
        }
        (None, None) => {
            if section.is_there() && !section.is_set("header") && !section.is_set("field") {
                section.complain("`rollout.key` must have `header` or `field`");
            }
            None
        }
    }
}

impl ShadowStageConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        section.read("sample", &mut self.sample, sample);
        section.read("min_pairs", &mut self.min_pairs, whole(0..));
        section.read("max_time", &mut self.max_time, positive_duration);
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::ModelConfig;
    use super::*;

    fn steps(text: &str) -> Vec<StepPlan> {
        ModelConfig::parse(text, "iris.toml").unwrap().rollout.steps
    }

    #[test]
    fn a_step_says_what_differs_from_every_step() {
        let text = "[rollout]\nmin_time = '5m'\nsteps = [0.5, { weight = 10, min_time = '1h' }, { weight = 100, min_requests = 0 }]";
        let minute = |minutes| Duration::from_mins(minutes);
        let step = |per_cent, min_time, min_requests| StepPlan {
            weight: Weight::from_per_cent(per_cent).unwrap(),
            min_time,
            min_requests,
        };
        assert_eq!(
            steps(text),
            [step(0.5, minute(5), 50), step(10.0, minute(60), 50), step(100.0, minute(5), 0)]
        );
        let default = steps("rollout.min_requests = 7");
        assert!(default.iter().all(|step| step.min_requests == 7));
        assert_eq!(default.len(), 4);
    }

    #[test]
    fn a_recipe_that_cannot_work_is_refused() {
        for (text, expected) in [
            (
                "rollout.steps = [5, 10, 10]",
                "iris.toml:1: `rollout.steps` must grow, but 10 comes after 10",
            ),
            (
                "[rollout]\nstrategy = 'canary'\nsteps = []",
                "iris.toml:3: `rollout.steps` must not be empty with the strategy `canary`",
            ),
            (
                "[rollout]\nmax_time = '1h'\nsteps = [{ weight = 5, min_time = '2h' }]",
                "iris.toml:2: `rollout.min_time` (2h) must not be above `rollout.max_time` (1h) in any step",
            ),
            (
                "[rollout]\nstrategy = 'shadow'\nshadow.min_pairs = 0",
                "iris.toml:3: `rollout.shadow.min_pairs` must not be 0 with the strategy `shadow`",
            ),
            (
                "[rollout]\nstrategy = 'canary'\nshadow.sample = 0",
                "iris.toml:3: `rollout.shadow.sample` is 0, so the shadow stage would wait for ever: set `rollout.shadow.min_pairs` to 0 as well",
            ),
            (
                "rollout.key = { header = 'a', field = 'b' }",
                "iris.toml:1: `rollout.key` must have `header` or `field`, not both",
            ),
        ] {
            let error = ModelConfig::parse(text, "iris.toml").unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
        }
    }
}
