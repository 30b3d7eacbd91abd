//! A version that can answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::scheduler::{Overdue, Queue, QueueLimits};
use super::stopwatch::Stopwatch;
use crate::domain::analysis::{BUCKETS, Latencies};
use crate::domain::attribution::Crumb;
use crate::domain::batching::{self, Alone, Batching};
use crate::domain::model::{Digest, ModelName, VersionLabel};
use crate::domain::rollout::RolloutId;
use crate::domain::signature::Signature;
use crate::domain::tensor::Tensor;
use crate::onnx::{Output, RunError, Session, StopFlag};
use crate::system::breadcrumbs;
use crate::telemetry::metrics::VersionMeter;

/// A loaded, warmed-up version, with the requests that wait for it.
pub struct Servable {
    model: ModelName,
    version: VersionLabel,
    digest: Digest,
    session: Arc<Session>,
    probed: Result<(), Alone>,
    settings: ServableSettings,
    meter: Arc<VersionMeter>,
    queue: Queue,
    /// Set when a batch has shown that its requests do not go together after all.
    runs_one_by_one: AtomicBool,
    /// The rollout that it is on trial in; 0: none.
    trial: AtomicU64,
    /// How many requests it has answered, by how long they took.
    latencies: [AtomicU64; BUCKETS],
    /// Counts the same requests more exactly; none where nobody wants to know.
    stopwatch: ArcSwapOption<Stopwatch>,
}

/// What a model's settings say of how its versions answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServableSettings {
    /// Names for features and classes.
    pub naming: Naming,
    /// How much may wait and run.
    pub limits: QueueLimits,
    /// Whether requests run together.
    pub batching: Batching,
    /// Rows that run together at most.
    pub max_batch_rows: usize,
    /// Rows that one request may have; none where that is nobody's business.
    pub max_request_rows: Option<usize>,
}

/// Names that the model itself does not carry, from its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    /// The columns of the one input, where rows may be given by name.
    pub features: Vec<String>,
    /// The names of the classes, by number.
    pub classes: Vec<String>,
}

/// A request that is larger than the settings of its model allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has {rows} rows, and the model takes at most {most} (`max_batch_size`)")]
pub struct TooManyRows {
    /// What it has.
    pub rows: usize,
    /// What it may have.
    pub most: usize,
}

/// What a servable is made of.
#[derive(Debug)]
pub struct ServableParts {
    /// The model that it is a version of.
    pub model: ModelName,
    /// Its label.
    pub version: VersionLabel,
    /// What it is.
    pub digest: Digest,
    /// The loaded model.
    pub session: Arc<Session>,
    /// Whether its rows are independent, as the probe has shown.
    pub probed: Result<(), Alone>,
    /// How it answers.
    pub settings: ServableSettings,
}

impl Servable {
    /// Puts a loaded session to work.
    pub fn new(parts: ServableParts) -> Self {
        let meter = Arc::new(VersionMeter::new(&parts.model, &parts.version));
        Self::measured(parts, meter)
    }

    fn measured(parts: ServableParts, meter: Arc<VersionMeter>) -> Self {
        Self {
            meter,
            queue: Queue::new(parts.settings.limits),
            model: parts.model,
            version: parts.version,
            digest: parts.digest,
            session: parts.session,
            probed: parts.probed,
            settings: parts.settings,
            runs_one_by_one: AtomicBool::new(false),
            trial: AtomicU64::new(0),
            latencies: [const { AtomicU64::new(0) }; BUCKETS],
            stopwatch: ArcSwapOption::empty(),
        }
    }

    /// The same loaded model under other settings; none when they are the same. What waits for this one is still
    /// answered by it.
    pub fn with_settings(&self, settings: ServableSettings) -> Option<Self> {
        (settings != self.settings).then(|| {
            let parts = ServableParts {
                model: self.model.clone(),
                version: self.version.clone(),
                digest: self.digest,
                session: self.session.clone(),
                probed: self.probed.clone(),
                settings,
            };
            let next = Self::measured(parts, self.meter.clone());
            next.set_trial(self.trial());
            next
        })
    }

    /// The model that it is a version of.
    pub fn model(&self) -> &ModelName {
        &self.model
    }

    /// Its label.
    pub fn version(&self) -> &VersionLabel {
        &self.version
    }

    /// What it is.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it takes and gives.
    pub fn signature(&self) -> &Signature {
        self.session.signature()
    }

    /// Names for features and classes.
    pub fn naming(&self) -> &Naming {
        &self.settings.naming
    }

    /// Where its numbers go.
    pub fn meter(&self) -> &VersionMeter {
        &self.meter
    }

    /// How much may wait and run.
    pub fn limits(&self) -> &QueueLimits {
        self.queue.limits()
    }

    /// How many requests wait for it.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// The rollout that it is on trial in, until its bake ends.
    pub fn trial(&self) -> Option<RolloutId> {
        match self.trial.load(Ordering::Relaxed) {
            0 => None,
            number => Some(RolloutId(number)),
        }
    }

    /// Puts it on trial, or ends its trial. Versions on trial run on threads of their own; what waits for this one
    /// moves there with it.
    pub fn set_trial(&self, rollout: Option<RolloutId>) {
        self.trial.store(rollout.map_or(0, |rollout| rollout.0), Ordering::Relaxed);
    }

    /// How many of its runs go on although nobody waits for them and they were told to stop. Takes no lock.
    pub fn stranded(&self) -> usize {
        self.queue.stranded()
    }

    /// What is known of the one of these runs that began first.
    pub fn longest_overdue(&self, now: Instant) -> Option<Overdue> {
        self.queue.longest_overdue(now)
    }

    /// It has answered, as the trusted version, a request that took so long from its arrival on.
    pub fn took(&self, elapsed: Duration) {
        self.latencies[Latencies::bucket(elapsed)].fetch_add(1, Ordering::Relaxed);
        if let Some(stopwatch) = &*self.stopwatch.load() {
            stopwatch.count(elapsed);
        }
    }

    /// From now on such requests are counted by this one too, or by none.
    pub fn time_with(&self, stopwatch: Option<Arc<Stopwatch>>) {
        self.stopwatch.store(stopwatch);
    }

    /// How long such requests took until now.
    pub fn latencies(&self) -> Latencies {
        Latencies::of_counts(self.latencies.each_ref().map(|count| count.load(Ordering::Relaxed)))
    }

    /// How many rows a request has and how many it may have, where it has more.
    pub fn too_many_rows(&self, inputs: &[Tensor]) -> Option<TooManyRows> {
        let most = self.settings.max_request_rows?;
        let first = |tensor: &Tensor| tensor.shape().first().copied();
        let rows = inputs.iter().filter_map(first).max().filter(|rows| *rows > most)?;
        Some(TooManyRows { rows, most })
    }

    /// How many rows may run together; 1 where requests run one by one.
    pub fn max_batch_rows(&self) -> usize {
        let goes_together = match self.settings.batching {
            Batching::Auto => self.probed.is_ok(),
            Batching::On => batching::has_rows(self.signature()).is_ok(),
            Batching::Off => false,
        };
        if goes_together && !self.runs_one_by_one.load(Ordering::Relaxed) {
            self.settings.max_batch_rows
        } else {
            1
        }
    }

    /// How many rows a request may have where its settings say so, or else how many run together; 0 where a request is one
    /// whole, whatever its first dimension. This is what Triton calls `max_batch_size`.
    pub fn max_batch_size(&self) -> usize {
        self.settings.max_request_rows.unwrap_or_else(|| match self.max_batch_rows() {
            1 => 0,
            rows => rows,
        })
    }

    /// From now on no requests run together.
    pub(super) fn run_one_by_one(&self, reason: &str) {
        if !self.runs_one_by_one.swap(true, Ordering::Relaxed) {
            let (model, version) = (&self.model, &self.version);
            tracing::warn!(
                model.name = %model, model.version = %version,
                "requests for version {version} of `{model}` run one by one from now on: {reason}"
            );
        }
    }

    /// Runs inputs on the calling thread, at once. Should the process die of it, the next one finds out.
    ///
    /// # Errors
    /// [`RunError`], as the session gives it.
    pub fn run(
        &self,
        inputs: &[Tensor],
        outputs: &[usize],
        stop: &StopFlag,
    ) -> Result<Vec<Output>, RunError> {
        let _entered = breadcrumbs::enter(&Crumb { digest: self.digest, trial: self.trial() });
        self.session.run(inputs, outputs, stop)
    }

    /// Whether a run does all its work on the thread that asks for it.
    pub fn runs_on_one_thread(&self) -> bool {
        self.session.runs_on_one_thread()
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl fmt::Debug for Servable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servable")
            .field("model", &self.model)
            .field("version", &self.version)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::testing::{limits, servable};

    #[test]
    fn a_version_on_trial_is_so_under_new_settings_too() {
        let servable = servable("2");
        assert_eq!(servable.trial(), None);
        servable.set_trial(Some(RolloutId(7)));
        let limits = QueueLimits { max_queue: 1, ..limits() };
        let changed =
            servable.with_settings(ServableSettings { limits, ..ServableSettings::default() });
        assert_eq!(changed.unwrap().trial(), Some(RolloutId(7)));
        servable.set_trial(None);
        assert_eq!(servable.trial(), None);
    }
}
