//! The metrics: each defined once, and recorded by a function that names the event.

pub mod capture;
#[cfg(test)]
mod dashboard;
pub mod webhooks;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, IntoF64, Unit, counter, describe_counter, describe_gauge,
    describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::statistics::{Execution, Handling, Statistics, Told};
use crate::domain::lifecycle::VersionState;
use crate::domain::model::{ModelName, VersionLabel};
use crate::domain::rollout::Phase;
use crate::domain::route::Role;

const REQUESTS: &str = "greenroom_requests_total";
const REQUEST_DURATION: &str = "greenroom_request_duration_seconds";
const QUEUE_DURATION: &str = "greenroom_queue_duration_seconds";
const RUN_DURATION: &str = "greenroom_run_duration_seconds";
const BATCH_ROWS: &str = "greenroom_batch_rows";
const QUEUE_REQUESTS: &str = "greenroom_queue_requests";
const REJECTED: &str = "greenroom_rejected_total";
const LOADS: &str = "greenroom_loads_total";
const LOAD_DURATION: &str = "greenroom_load_duration_seconds";
const VERSIONS: &str = "greenroom_versions";
const VERSION_MEMORY: &str = "greenroom_version_memory_bytes";
const ROLLOUT_PHASE: &str = "greenroom_rollout_phase";
const ROLLOUT_WEIGHT: &str = "greenroom_rollout_weight";
const ROLLOUTS: &str = "greenroom_rollouts_total";
const LOG_EVIDENCE: &str = "greenroom_rollout_log_evidence";
const PAIRS: &str = "greenroom_shadow_pairs_total";
const PAIRS_DROPPED: &str = "greenroom_shadow_dropped_total";
const PAIRS_DEFERRED: &str = "greenroom_shadow_deferred_requests";
const PAIRS_BACKED_OFF: &str = "greenroom_shadow_backed_off";
const DISAGREEMENT: &str = "greenroom_shadow_disagreement_ratio";

/// Upper bounds of the histograms' buckets in seconds: from 50 µs, as fast as a small model answers, to the
/// longest deadlines.
const SECONDS: [f64; 19] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0,
    2.0, 5.0, 10.0, 30.0, 60.0,
];

/// Upper bounds of the buckets for the rows of a run.
const ROWS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// How a routed request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    Ok,
    /// The request could not be understood or does not fit the model.
    BadRequest,
    /// Too many were waiting.
    Rejected,
    /// The deadline passed.
    Timeout,
    /// A version on trial had no answer, and the trusted one gave it.
    Rescued,
    /// The model or the server failed.
    Failed,
    /// The client left before there was an answer.
    Abandoned,
}

impl Outcome {
    pub(super) const ALL: [Self; 7] = [
        Self::Ok,
        Self::BadRequest,
        Self::Rejected,
        Self::Timeout,
        Self::Rescued,
        Self::Failed,
        Self::Abandoned,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::BadRequest => "bad_request",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::Rescued => "rescued",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// All metrics of the process.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

/// The metrics cannot be recorded.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be recorded: {0}")]
pub struct MetricsError(String);

impl Metrics {
    /// Starts recording. Call it once, before anything is measured.
    ///
    /// # Errors
    /// [`MetricsError`] when the process records metrics already.
    pub fn install() -> Result<Self, MetricsError> {
        let error =
            |error: metrics_exporter_prometheus::BuildError| MetricsError(error.to_string());
        let recorder = [REQUEST_DURATION, QUEUE_DURATION, RUN_DURATION, LOAD_DURATION]
            .into_iter()
            .try_fold(PrometheusBuilder::new(), |builder, name| {
                builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), &SECONDS)
            })
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Full(BATCH_ROWS.to_owned()), &ROWS)
            })
            .map_err(error)?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|error| MetricsError(error.to_string()))?;
        describe();
        Ok(Self(handle))
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what was recorded since the last call into the buckets. Without it memory grows.
    pub fn run_upkeep(&self) {
        // It goes through all versions, asked or not: with a thousand that is 10 ms of a core.
        if HAS_NEWS.swap(false, Ordering::Relaxed) {
            self.0.run_upkeep();
        }
    }
}

/// Whether a histogram was recorded to since the last upkeep.
static HAS_NEWS: AtomicBool = AtomicBool::new(false);

/// Records a value. It is told after that: the other way round an upkeep in between would miss it.
fn record(histogram: &Histogram, value: impl IntoF64) {
    histogram.record(value);
    if !HAS_NEWS.load(Ordering::Relaxed) {
        HAS_NEWS.store(true, Ordering::Relaxed);
    }
}

fn describe() {
    describe_counter!(REQUESTS, Unit::Count, "Inference requests by how they ended.");
    describe_histogram!(REQUEST_DURATION, Unit::Seconds, "From a request's arrival to its answer.");
    describe_histogram!(QUEUE_DURATION, Unit::Seconds, "How long requests waited for a thread.");
    describe_histogram!(RUN_DURATION, Unit::Seconds, "How long ONNX Runtime took.");
    describe_histogram!(BATCH_ROWS, Unit::Count, "Rows that ran together.");
    describe_gauge!(QUEUE_REQUESTS, Unit::Count, "Requests that wait for a thread.");
    describe_counter!(REJECTED, Unit::Count, "Requests that were refused before they ran.");
    describe_counter!(LOADS, Unit::Count, "Attempts to load a version by how they ended.");
    describe_histogram!(
        LOAD_DURATION,
        Unit::Seconds,
        "From the start of a load to a warm version."
    );
    describe_gauge!(VERSIONS, Unit::Count, "Versions by state.");
    describe_gauge!(VERSION_MEMORY, Unit::Bytes, "Memory that a loaded version takes.");
    describe_gauge!(
        ROLLOUT_PHASE,
        "1 for the phase of the model's running or last rollout, else 0."
    );
    describe_gauge!(ROLLOUT_WEIGHT, Unit::Percent, "The candidate's share of the traffic.");
    describe_counter!(ROLLOUTS, Unit::Count, "Rollouts that ended, by their outcome.");
    describe_gauge!(LOG_EVIDENCE, "The natural log of the evidence against a candidate, by gate.");
    describe_counter!(PAIRS, Unit::Count, "Requests that were run on both versions of a rollout.");
    describe_counter!(PAIRS_DROPPED, Unit::Count, "Sampled requests that were not run again.");
    describe_gauge!(PAIRS_DEFERRED, Unit::Count, "Sampled requests that wait on the disk.");
    describe_gauge!(PAIRS_BACKED_OFF, "How often there were to be fewer pairs of a rollout.");
    describe_gauge!(DISAGREEMENT, "The share of pairs in which an output differed.");
    webhooks::describe();
    capture::describe();
}

/// The numbers of one version, with their places looked up once.
pub struct VersionMeter {
    stable: RoleMeter,
    /// Made with the first request: most versions never see one.
    candidate: LazyRoleMeter,
    pinned: LazyRoleMeter,
    queue_duration: Histogram,
    queue_requests: Gauge,
    batch_rows: Histogram,
    statistics: Statistics,
}

type LazyRoleMeter = LazyLock<RoleMeter, Box<dyn FnOnce() -> RoleMeter + Send>>;

struct RoleMeter {
    requests: [Counter; Outcome::ALL.len()],
    request_duration: Histogram,
    run_duration: Histogram,
}

impl VersionMeter {
    /// Looks the places up.
    pub fn new(model: &ModelName, version: &VersionLabel) -> Self {
        let model_label = model.to_string();
        let on_demand = |role| {
            let (model, version) = (model.clone(), version.clone());
            let make = move || RoleMeter::new(&model, &version, role);
            LazyRoleMeter::new(Box::new(make))
        };
        Self {
            stable: RoleMeter::new(model, version, Role::Stable),
            candidate: on_demand(Role::Candidate),
            pinned: on_demand(Role::Pinned),
            queue_duration: histogram!(QUEUE_DURATION, "model" => model_label.clone()),
            queue_requests: gauge!(QUEUE_REQUESTS, "model" => model_label.clone()),
            batch_rows: histogram!(BATCH_ROWS, "model" => model_label),
            statistics: Statistics::default(),
        }
    }

    /// A request that was routed to the version has ended.
    pub fn answered(&self, role: Role, outcome: Outcome, elapsed: Duration, handling: Handling) {
        self.statistics.ended(outcome, elapsed, handling);
        let meter = self.role(role);
        meter.requests[outcome as usize].increment(1);
        record(&meter.request_duration, elapsed);
    }

    /// A request has waited, and is run.
    pub fn waited(&self, waited: Duration) {
        record(&self.queue_duration, waited);
    }

    /// An execution is over.
    pub fn ran(&self, role: Role, execution: &Execution) {
        self.statistics.ran(execution);
        record(&self.batch_rows, execution.rows as f64);
        record(&self.role(role).run_duration, execution.running);
    }

    /// What the version has done since it was loaded.
    pub fn statistics(&self) -> Told {
        self.statistics.told()
    }

    /// So many requests wait, as seen when the metrics are read.
    pub fn waiting(&self, requests: usize) {
        self.queue_requests.set(requests as f64);
    }

    fn role(&self, role: Role) -> &RoleMeter {
        match role {
            Role::Stable => &self.stable,
            Role::Candidate => &self.candidate,
            Role::Pinned => &self.pinned,
        }
    }
}

impl RoleMeter {
    fn new(model: &ModelName, version: &VersionLabel, role: Role) -> Self {
        let labels = || {
            [
                ("model", model.to_string()),
                ("version", version.to_string()),
                ("role", role.to_string()),
            ]
        };
        let [model_label, version_label, role_label] = labels();
        Self {
            requests: Outcome::ALL.map(|outcome| {
                let labels = [
                    model_label.clone(),
                    version_label.clone(),
                    role_label.clone(),
                    ("outcome", outcome.name().to_owned()),
                ];
                counter!(REQUESTS, &labels)
            }),
            request_duration: histogram!(REQUEST_DURATION, &labels()),
            run_duration: histogram!(RUN_DURATION, &labels()),
        }
    }
}

impl std::fmt::Debug for VersionMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VersionMeter").finish_non_exhaustive()
    }
}

/// Why a request was refused before it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// As many as may wait were waiting.
    QueueFull,
    /// No version of the model could answer.
    NotReady,
}

/// A request for a model was refused before it ran.
pub fn request_rejected(model: &str, rejection: Rejection) {
    let reason = match rejection {
        Rejection::QueueFull => "queue_full",
        Rejection::NotReady => "not_ready",
    };
    counter!(REJECTED, "model" => model.to_owned(), "reason" => reason).increment(1);
}

/// A version was loaded and warmed up.
pub fn version_loaded(model: &ModelName, elapsed: Duration) {
    counter!(LOADS, "model" => model.to_string(), "outcome" => "ok").increment(1);
    record(&histogram!(LOAD_DURATION, "model" => model.to_string()), elapsed);
}

/// How many bytes a version takes, where that is known: 0 once it is unloaded.
pub fn version_memory(model: &ModelName, version: &VersionLabel, bytes: Option<u64>) {
    let Some(bytes) = bytes else { return };
    let (model, version) = (model.to_string(), version.to_string());
    gauge!(VERSION_MEMORY, "model" => model, "version" => version).set(bytes as f64);
}

/// A version could not be loaded.
pub fn load_failed(model: &ModelName) {
    counter!(LOADS, "model" => model.to_string(), "outcome" => "failed").increment(1);
}

/// The states of a model's versions, all of them, as they are now.
pub fn version_states<'a>(
    model: &ModelName,
    states: impl Iterator<Item = &'a VersionState> + Clone,
) {
    for name in VersionState::NAMES {
        let count = states.clone().filter(|state| state.name() == name).count();
        gauge!(VERSIONS, "model" => model.to_string(), "state" => name).set(count as f64);
    }
}

/// A request was run on both versions of a rollout.
pub fn pair_compared(model: &ModelName, agreed: bool) {
    let outcome = if agreed { "agreed" } else { "differed" };
    counter!(PAIRS, "model" => model.to_string(), "outcome" => outcome).increment(1);
}

/// So many sampled requests of a model have not become pairs, for this reason, since the rollout began.
pub fn pairs_dropped(model: &ModelName, reason: &'static str, total: u64) {
    counter!(PAIRS_DROPPED, "model" => model.to_string(), "reason" => reason).absolute(total);
}

/// So many sampled requests of a model wait on the disk; nothing where none ever do.
pub fn pairs_deferred(model: &ModelName, waiting: Option<u64>) {
    if let Some(waiting) = waiting {
        gauge!(PAIRS_DEFERRED, "model" => model.to_string()).set(waiting as f64);
    }
}

/// So often there were to be fewer pairs of a model's rollout, because they slowed the stable version down.
pub fn pairs_backed_off(model: &ModelName, times: u32) {
    gauge!(PAIRS_BACKED_OFF, "model" => model.to_string()).set(f64::from(times));
}

/// The share of a rollout's pairs in which an output differed.
pub fn outputs_disagree(model: &ModelName, output: &str, share: f64) {
    gauge!(DISAGREEMENT, "model" => model.to_string(), "output" => output.to_owned()).set(share);
}

/// The natural log of the evidence against a candidate by one gate.
pub fn evidence(model: &ModelName, gate: &str, log_evidence: f64) {
    gauge!(LOG_EVIDENCE, "model" => model.to_string(), "gate" => gate.to_owned()).set(log_evidence);
}

/// A model's rollout has entered a phase.
pub fn rollout_changed(model: &ModelName, phase: &Phase) {
    for name in Phase::NAMES {
        let is_in_it = if name == phase.name() { 1.0 } else { 0.0 };
        gauge!(ROLLOUT_PHASE, "model" => model.to_string(), "phase" => name).set(is_in_it);
    }
    gauge!(ROLLOUT_WEIGHT, "model" => model.to_string()).set(phase.weight().per_cent());
    if !phase.is_live() {
        counter!(ROLLOUTS, "model" => model.to_string(), "outcome" => phase.name()).increment(1);
    }
}
