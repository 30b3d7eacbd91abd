//! The settings of one model: `models/NAME/model.toml`, or `models/NAME.toml` in the flat layout.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::error::ConfigError;
use super::gates::GatesConfig;
use super::layers::Overlay;
use super::rollout::RolloutConfig;
use super::section::{Findings, Section};
use super::source::{Entry, parse};
use super::triton::{Declared, WarmUpSample};
use super::value::{
    Parsed, Wrong, alternatives, duration, list_of, names, number, one_of, positive_duration, some,
    whole,
};
use crate::domain::batching::Batching;
use crate::domain::comparison::OutputKind;
use crate::domain::model::VersionLabel;

/// All settings of one model, complete and consistent; its default is a model without settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelConfig {
    /// `features`: the columns of the one input, by name (none).
    pub features: Vec<String>,
    /// `labels`: the names of the classes where the model has none (none).
    pub labels: Vec<String>,
    /// `versions`: what is kept loaded besides what rollouts need (stable).
    pub versions: VersionsKept,
    /// `[scheduler]`: how requests wait and run together.
    pub scheduler: ModelSchedulerConfig,
    /// `[session]`: how ONNX Runtime runs the model.
    pub session: SessionConfig,
    /// `[rollout]`: the recipe of a release.
    pub rollout: RolloutConfig,
    /// `[gates]`: the limits that a release is judged by.
    pub gates: GatesConfig,
    /// `[outputs.NAME]`: how outputs are compared, where that is not to be inferred.
    pub outputs: BTreeMap<String, OutputConfig>,
    /// What `config.pbtxt` declares the model to take and give, to be compared with the model (nothing).
    pub declared: Declared,
    /// Requests that each version answers before it is ready, which only `config.pbtxt` can name (none).
    pub warm_up: Vec<WarmUpSample>,
    /// Sentences to warn with: settings that were made, and that this version does not act on yet.
    pub inactive: Vec<String>,
}

/// What is kept loaded for pinned requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VersionsKept {
    /// The stable version.
    #[default]
    Stable,
    /// Every version that is there.
    All,
    /// So many, the newest that can be served. Only `config.pbtxt` has a word for this.
    Newest(usize),
    /// These.
    Only(Vec<VersionLabel>),
}

/// `[scheduler]` of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSchedulerConfig {
    /// Whether requests run together (auto).
    pub batching: Batching,
    /// Rows that run together (64).
    pub max_batch_size: usize,
    /// How long a batch waits to become fuller (0 ms).
    pub max_queue_delay: Duration,
    /// Runs at once; 0, the default, for as many as there are workers.
    pub max_concurrency: usize,
    /// Requests that wait (1024); more are refused.
    pub max_queue: usize,
    /// From arrival to answer (10 s).
    pub deadline: Duration,
}

/// `[session]`: how ONNX Runtime runs the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Threads of one run; 0, the default, for what is measured at the warm-up.
    pub intra_op_threads: usize,
    /// Who executes the model, the first that can (the CPU).
    pub providers: Vec<Provider>,
    /// How far the graph is optimized. Only `config.pbtxt` has a word for this (all that there is).
    pub optimization: GraphOptimization,
    /// Whether the memory of a run is kept for the next; none where the trial finds out what is faster. Only
    /// `config.pbtxt` has a word for this, too (none).
    pub keeps_memory: Option<bool>,
}

/// How far ONNX Runtime rewrites a graph into one that gives the same answers faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GraphOptimization {
    /// Not at all.
    Off,
    /// What is known before a run is computed once, and what nobody uses is left out.
    Basic,
    /// Nodes are joined as well.
    Extended,
    /// All that there is.
    #[default]
    All,
}

/// Who executes a model; those that this build has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// The CPU.
    Cpu,
}

/// `[outputs.NAME]`: how an output is compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputConfig {
    /// What it means; `None` where that is to be inferred.
    pub kind: Option<OutputKind>,
    /// The absolute difference that counts as equal; `None` for what suits the type.
    pub absolute: Option<f64>,
    /// The same relative to stable's answer; `None` for what suits the type.
    pub relative: Option<f64>,
}

impl Provider {
    /// All that this build has, with their names.
    const BUILT_IN: &[(&str, Provider)] = &[("cpu", Provider::Cpu)];
}

impl Default for ModelSchedulerConfig {
    fn default() -> Self {
        Self {
            batching: Batching::Auto,
            max_batch_size: 64,
            max_queue_delay: Duration::ZERO,
            max_concurrency: 0,
            max_queue: 1024,
            deadline: Duration::from_secs(10),
        }
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            intra_op_threads: 0,
            providers: vec![Provider::Cpu],
            optimization: GraphOptimization::All,
            keeps_memory: None,
        }
    }
}

impl ModelConfig {
    /// Understands the text of a settings file; `file_name` is what problems call it.
    pub fn parse(text: &str, file_name: &str) -> Result<ModelConfig, ConfigError> {
        Self::default().overlaid(text, file_name)
    }

    /// Lays such a text over what is set already.
    pub(super) fn overlaid(self, text: &str, file_name: &str) -> Result<ModelConfig, ConfigError> {
        let tree = parse(text, Path::new(file_name))
            .map_err(|problem| ConfigError::Invalid(vec![problem]))?;
        let (config, mut findings) = Findings::read(tree, Overlay::new(), |root| {
            let mut config = self.clone();
            config.read(root);
            config
        });
        if findings.is_clean() {
            config.scheduler.refuse_clashes(&mut findings);
            config.rollout.refuse_clashes(&mut findings);
            config.gates.refuse_clashes(&mut findings);
        }
        findings.into_result().map(|()| config)
    }

    fn read(&mut self, root: &mut Section<'_>) {
        root.read("features", &mut self.features, names);
        root.read("labels", &mut self.labels, names);
        root.read("versions", &mut self.versions, versions_kept);
        root.section("scheduler", |section| self.scheduler.read(section));
        root.section("session", |section| self.session.read(section));
        root.section("rollout", |section| self.rollout.read(section));
        root.section("gates", |section| self.gates.read(section, self.rollout.change));
        root.named_sections("outputs", |name, section| {
            let mut output = OutputConfig::default();
            output.read(section);
            self.outputs.insert(name.to_owned(), output);
        });
    }
}

fn versions_kept(entry: &Entry) -> Parsed<VersionsKept> {
    match entry.text() {
        Some("stable") => return Ok(VersionsKept::Stable),
        Some("all") => return Ok(VersionsKept::All),
        Some(_) | None => {}
    }
    let mut labels = list_of(entry, "labels such as [\"1\", \"2\"], \"stable\" or \"all\"", label)?;
    if labels.is_empty() {
        return Err(Wrong::because(entry, "must not be an empty list".to_owned()));
    }
    labels.sort();
    labels.dedup();
    Ok(VersionsKept::Only(labels))
}

fn label(entry: &Entry) -> Parsed<VersionLabel> {
    let Some(text) = entry.text() else {
        return Err(Wrong::expected(entry, "a version in quotes such as \"1\""));
    };
    text.parse().map_err(|error| Wrong::because(entry, format!("cannot be kept: {error}")))
}

fn provider(entry: &Entry) -> Parsed<Provider> {
    let find = |text| Provider::BUILT_IN.iter().find(|(word, _)| *word == text);
    let found = entry.text().and_then(find).map(|(_, provider)| *provider);
    found.ok_or_else(|| {
        let words = alternatives(Provider::BUILT_IN.iter().map(|(word, _)| *word));
        let expected = format!("an execution provider of this build ({words})");
        Wrong::expected(entry, expected)
    })
}

fn providers(entry: &Entry) -> Parsed<Vec<Provider>> {
    let providers = list_of(entry, "execution providers such as [\"cpu\"]", provider)?;
    if providers.is_empty() {
        return Err(Wrong::because(entry, "must not be an empty list".to_owned()));
    }
    if (1..providers.len()).any(|index| providers[..index].contains(&providers[index])) {
        return Err(Wrong::because(entry, "names a provider twice".to_owned()));
    }
    Ok(providers)
}

impl ModelSchedulerConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        let choices =
            one_of(&[("auto", Batching::Auto), ("on", Batching::On), ("off", Batching::Off)]);
        section.read("batching", &mut self.batching, choices);
        section.read("max_batch_size", &mut self.max_batch_size, whole(1..=65_536));
        section.read("max_queue_delay", &mut self.max_queue_delay, duration);
        section.read("max_concurrency", &mut self.max_concurrency, whole(0..=1024));
        section.read("max_queue", &mut self.max_queue, whole(1..=1_048_576));
        section.read("deadline", &mut self.deadline, positive_duration);
    }

    fn refuse_clashes(&self, findings: &mut Findings) {
        if self.max_queue_delay >= self.deadline {
            let text = "`scheduler.max_queue_delay` must be shorter than `scheduler.deadline`";
            findings.clash(&["scheduler.max_queue_delay", "scheduler.deadline"], text);
        }
    }
}

impl SessionConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        section.read("intra_op_threads", &mut self.intra_op_threads, whole(0..=1024));
        section.read("providers", &mut self.providers, providers);
    }
}

impl OutputConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        let kinds = one_of(&[
            ("class-label", OutputKind::ClassLabel),
            ("class-probabilities", OutputKind::ClassProbabilities),
            ("regression", OutputKind::Regression),
            ("embedding", OutputKind::Embedding),
            ("numeric", OutputKind::Numeric),
        ]);
        section.read("kind", &mut self.kind, some(kinds));
        section.read("absolute", &mut self.absolute, some(number(0.0..)));
        section.read("relative", &mut self.relative, some(number(0.0..)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::route::StickyKey;
    use crate::domain::sampling::Sample;
    use proptest::prelude::*;

    /// The block of the interface notes, to the letter.
    const EXAMPLE: &str = include_str!("examples/model.toml");

    fn parse(text: &str) -> Result<ModelConfig, String> {
        ModelConfig::parse(text, "iris.toml").map_err(|error| error.to_string())
    }

    fn complaint(text: &str) -> String {
        parse(text).unwrap_err()
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn nothing_set_is_the_default() {
        assert_eq!(parse("").unwrap(), ModelConfig::default());
    }

    #[test]
    fn the_documented_file_states_the_defaults() {
        let mut config = parse(EXAMPLE).unwrap();
        config.inactive.clear();
        let default = ModelConfig::default();
        let key = Some(StickyKey::Header("x-user-id".to_owned()));
        let probabilities = OutputConfig {
            kind: Some(OutputKind::ClassProbabilities),
            absolute: Some(1e-5),
            relative: Some(1e-3),
        };
        let documented = ModelConfig {
            features: texts(&["sepal_length", "sepal_width", "petal_length", "petal_width"]),
            labels: texts(&["setosa", "versicolor", "virginica"]),
            rollout: RolloutConfig { key, ..default.rollout.clone() },
            outputs: BTreeMap::from([("probabilities".to_owned(), probabilities)]),
            ..default
        };
        assert_eq!(config, documented);
    }

    #[test]
    fn other_spellings_that_settings_allow() {
        let config = parse(
            "versions = ['10', '2', '2']\nrollout.shadow.sample = 'adaptive'\nrollout.key.field = 'user_id'",
        )
        .unwrap();
        let labels = ["2", "10"].map(|label| label.parse().unwrap()).to_vec();
        assert_eq!(config.versions, VersionsKept::Only(labels));
        assert_eq!(config.rollout.shadow.sample, Sample::Adaptive);
        assert_eq!(config.rollout.key, Some(StickyKey::Field("user_id".to_owned())));
    }

    #[test]
    fn all_problems_are_told_at_once_in_their_order() {
        let text = "features = ['a', '']\nlabels = ['x', 'x']\nversions = ['1', 'latest']\n\
                    [scheduler]\nbatching = true\nmax_batch_size = 0\nmax_queue = 0\ndeadline = '0s'\n\
                    [session]\nproviders = ['cuda']\n\
                    [rollout]\nkey = {}\nshadow = { sample = 1.5, min_pair = 3 }\n\
                    steps = [\n  5,\n  0,\n  { weight = 101 },\n  { min_tiem = '1s' },\n  'x',\n]\n\
                    [gates]\nalpha = 0\nbeta = 0.6\nerrors = { ratio = 0.5, flor = 1 }\n\
                    [outputs.y]\nkind = 'class'\nabsolute = nan\n[rollouts]\nstrategy = 'canary'";
        insta::assert_snapshot!(complaint(text), @r#"
        iris.toml:1: `features[1]` must be a text that is not empty, got `""`
        iris.toml:2: `labels` has "x" twice
        iris.toml:3: `versions[1]` cannot be kept: `latest` is not a version: the word is reserved for routing
        iris.toml:5: `scheduler.batching` must be "auto", "on" or "off", got `true`
        iris.toml:6: `scheduler.max_batch_size` must be a whole number from 1 to 65536, got `0`
        iris.toml:7: `scheduler.max_queue` must be a whole number from 1 to 1048576, got `0`
        iris.toml:8: `scheduler.deadline` must be a duration above zero, got `"0s"`
        iris.toml:10: `session.providers[0]` must be an execution provider of this build ("cpu"), got `"cuda"`
        iris.toml:12: `rollout.key` must have `header` or `field`
        iris.toml:13: `rollout.shadow.sample` must be a number from 0 to 1 or "adaptive", got `1.5`
        iris.toml:13: unknown key `rollout.shadow.min_pair`; did you mean `rollout.shadow.min_pairs`?
        iris.toml:16: `rollout.steps[1]` must be a number above 0 and at most 100, got `0`
        iris.toml:17: `rollout.steps[2].weight` must be a number above 0 and at most 100, got `101`
        iris.toml:18: `rollout.steps[3].weight` is missing
        iris.toml:18: unknown key `rollout.steps[3].min_tiem`; did you mean `rollout.steps[3].min_time`?
        iris.toml:19: `rollout.steps[4]` must be a number above 0 and at most 100, got `"x"`
        iris.toml:22: `gates.alpha` must be a number above 0 and at most 0.5, got `0`
        iris.toml:23: `gates.beta` must be a number above 0 and at most 0.5, got `0.6`
        iris.toml:24: `gates.errors.ratio` must be a number of at least 1, got `0.5`
        iris.toml:24: unknown key `gates.errors.flor`; did you mean `gates.errors.floor`?
        iris.toml:26: `outputs.y.kind` must be "class-label", "class-probabilities", "regression", "embedding" or "numeric", got `"class"`
        iris.toml:27: `outputs.y.absolute` must be a number of at least 0, got `NaN`
        iris.toml:28: unknown key `rollouts`; did you mean `rollout`?
        "#);
    }

    #[test]
    fn a_batch_does_not_wait_beyond_the_deadline() {
        assert_eq!(
            complaint("scheduler.max_queue_delay = '10s'"),
            "iris.toml:1: `scheduler.max_queue_delay` must be shorter than `scheduler.deadline`"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = parse(&text);
        }

        #[test]
        fn no_damage_to_a_good_file_makes_it_panic(
            cut in 0..EXAMPLE.len(),
            length in 0..40_usize,
            patch in "[\\[\\]{}\"'=.,#0-9a-z \n-]{0,6}|\\PC{0,6}",
        ) {
            let end = (cut + length).min(EXAMPLE.len());
            if let (Some(before), Some(after)) = (EXAMPLE.get(..cut), EXAMPLE.get(end..))
                && let Err(problems) = parse(&format!("{before}{patch}{after}"))
            {
                prop_assert!(problems.lines().all(|line| line.starts_with("iris.toml:")));
            }
        }
    }
}
