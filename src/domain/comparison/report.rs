//! What is told of a comparison: a part of the shadow report, as data. What there is nothing to tell of is left out.

use serde::{Deserialize, Serialize};

use super::pair::{ContractKind, Metric};
use super::rule::OutputKind;
use super::sketch::Sketch;

/// All that a comparison has to tell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparisonReport {
    /// How much a version differs from itself.
    pub noise: NoiseReport,
    /// The outputs, in the order of the rules.
    pub outputs: Vec<OutputReport>,
    /// How long the runs took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyReport>,
    /// Runs that failed.
    pub errors: ErrorCounts,
    /// What no candidate may do, and this one did.
    pub contract: Vec<ContractReport>,
    /// Parts of the traffic, those that differ beyond what is tolerated first; at most 32.
    pub slices: Vec<SliceReport>,
    /// The worst examples; at most 50.
    pub worst: Vec<WorstReport>,
}

/// How much live answers differ from another run of the version that gave them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoiseReport {
    /// Pairs with a live answer to compare with.
    pub pairs: u64,
    /// Whether all of them were the same to the last bit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit_identical: Option<bool>,
    /// By how much they differ on average, by the rule of the output that differs most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flip_rate: Option<f64>,
    /// The largest absolute difference of a number in a pair, exceeded by one pair in a thousand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_abs_p999: Option<f64>,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputReport {
    /// Its name.
    pub name: String,
    /// What it means, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<OutputKind>,
    /// The element type of stable's answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// The dimensions of stable's answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<Axis>>,
    /// How many rows were compared.
    pub rows: u64,
    /// What its kind is measured by.
    pub metrics: Metrics,
    /// Which classes became which, those that stayed included; at most 50 kinds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<TransitionReport>,
    /// How often each class was chosen; at most 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub class_share: Vec<ClassShare>,
    /// Flips by how sure stable was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub margins: Vec<MarginReport>,
    /// A uniform sample of stable's and the candidate's numbers; at most 200.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scatter: Vec<[f32; 2]>,
    /// Distributions, as values and the shares that are at most these.
    pub ecdf: Ecdfs,
}

/// One dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Axis {
    /// Always this size.
    Size(usize),
    /// `N` for the rows, `?` for what varies besides.
    Name(&'static str),
}

/// What outputs are measured by; each kind has its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// Rows with another class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flips: Option<Share>,
    /// Of those the ones that stable was sure of: by more than 0.2 ahead of its second class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confident_flips: Option<Count>,
    /// Elements within the tolerance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_tolerance: Option<Share>,
    /// The largest absolute difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_abs: Option<f64>,
    /// The mean absolute difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_abs: Option<f64>,
    /// The largest difference relative to stable's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rel: Option<f64>,
    /// The mean difference; positive where the candidate is above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias: Option<f64>,
    /// The root of the mean square of the differences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmse: Option<f64>,
    /// The largest absolute difference of each row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abs: Option<Quantiles>,
    /// The length of each row's difference relative to the length of stable's row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rel_l2: Option<Quantiles>,
    /// The cosine of the angle between the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosine: Option<Quantiles>,
    /// The five most likely classes: how many of those on either list are on both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top5_overlap: Option<Quantiles>,
    /// The Jensen-Shannon divergence of the probabilities, in bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub js: Option<Quantiles>,
    /// How much surer the candidate is of its class than stable of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence_shift: Option<Mean>,
    /// Elements that are NaN or infinite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nan: Option<NotFinite>,
}

/// k of n.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// How many there are.
    pub n: u64,
    /// How many of them are meant.
    pub k: u64,
    /// k / n.
    pub rate: f64,
}

impl Share {
    /// The share, unless it is one of nothing.
    pub(super) fn of(n: u64, k: u64) -> Option<Self> {
        (n > 0).then(|| Self { n, k, rate: k as f64 / n as f64 })
    }
}

/// A number of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How often.
    pub k: u64,
}

/// A mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
}

/// Elements that are NaN or infinite, by version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NotFinite {
    /// Stable's.
    pub stable: u64,
    /// The candidate's.
    pub candidate: u64,
}

/// Quantiles of a distribution, those that say something about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// One in a hundred is at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p1: Option<f64>,
    /// One in twenty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p5: Option<f64>,
    /// Half of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    /// Nine in ten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p90: Option<f64>,
    /// All but one in twenty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    /// All but one in a hundred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    /// The mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
}

impl Quantiles {
    /// Middle and upper end, of what is bad when it is large.
    pub(super) fn upper(sketch: &Sketch) -> Option<Self> {
        let p50 = Some(sketch.quantile(0.5)?);
        let (p90, p99) = (sketch.quantile(0.9), sketch.quantile(0.99));
        Some(Self { p50, p90, p99, ..Self::default() })
    }
}

/// How often a class became another, or stayed what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransitionReport {
    /// Stable's class.
    pub from: String,
    /// The candidate's.
    pub to: String,
    /// In how many rows, at least.
    pub k: u64,
}

/// How often a class was chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassShare {
    /// The class.
    pub class: String,
    /// In which share of the rows by stable.
    pub stable: f64,
    /// In which by the candidate.
    pub candidate: f64,
}

/// Flips among rows in which stable was about equally sure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MarginReport {
    /// By how much the first class was ahead of the second, up to this and down to the range before.
    pub up_to: f64,
    /// How many rows.
    pub n: u64,
    /// How many of them flipped.
    pub k: u64,
}

/// Empirical distributions, each of at most 64 points.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ecdfs {
    /// The largest absolute difference of each row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub abs: Vec<[f64; 2]>,
    /// The largest absolute difference, in each pair, of the live answer to another run of the same version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub noise: Vec<[f64; 2]>,
    /// The cosine of the angle between the rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cosine: Vec<[f64; 2]>,
}

/// How long the runs of pairs took in which both answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencyReport {
    /// How many pairs.
    pub pairs: u64,
    /// The natural logarithm of the candidate's time over stable's.
    pub log_ratio: Quantiles,
    /// Stable's time in milliseconds.
    pub stable_ms: Quantiles,
    /// The candidate's.
    pub candidate_ms: Quantiles,
    /// The distribution of the logarithms; at most 64 points.
    pub ecdf: Vec<[f64; 2]>,
}

/// Pairs in which a run failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ErrorCounts {
    /// The candidate's alone.
    pub candidate_only: u64,
    /// Stable's alone.
    pub stable_only: u64,
    /// Both.
    pub both: u64,
    /// Pairs in which a run was cut off; they are among those above.
    pub timeouts: u64,
}

/// One kind of violation in one output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContractReport {
    /// Which rule was broken.
    pub kind: ContractKind,
    /// The output.
    pub output: String,
    /// In how many pairs.
    pub pairs: u64,
    /// When first (RFC 3339).
    pub first: String,
    /// What was seen then.
    pub detail: String,
}

/// One part of the traffic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SliceReport {
    /// `output:NAME=CLASS` by stable's answer, `input:…` by size, `rows:…` by rows.
    pub key: String,
    /// How many pairs are in it.
    pub pairs: u64,
    /// By how much they differ on average, each by the rule of the output that differs most.
    pub rate: f64,
    /// The natural logarithm of the evidence that this is more than what is tolerated.
    pub log_evidence: f64,
    /// Whether that is enough, considering how many slices were looked at.
    pub flagged: bool,
}

/// One of the worst examples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorstReport {
    /// The name of the sample.
    pub id: String,
    /// The output that differs.
    pub output: String,
    /// How it differs.
    pub metric: Metric,
    /// How much.
    pub score: f64,
    /// When (RFC 3339).
    pub at: String,
    /// The number that the server gave the request.
    pub request_number: u64,
    /// Stable's answer in the worst row, in short.
    pub stable: String,
    /// The candidate's.
    pub candidate: String,
    /// Whether the inputs were kept.
    pub has_inputs: bool,
}
