//! From a content in the store to a warm, loaded version.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use super::contract::{self, ContractError, ContractLimits};
use super::registry::Registry;
use crate::config::ModelConfig;
use crate::domain::batching::{Alone, Batching};
use crate::domain::lifecycle::VersionState;
use crate::domain::model::{ModelName, VersionLabel};
use crate::domain::rollout::{Contract, LoadFailure, Revision, Unfit};
use crate::domain::signature::{Dim, Signature, TensorSpec};
use crate::domain::tensor::{Tensor, element_count};
use crate::domain::wording::without_paths;
use crate::onnx::{LoadError, RunError, Runtime, Session, SessionOptions, StopFlag};
use crate::serving::{Naming, QueueLimits, Servable, ServableParts, ServableSettings};
use crate::telemetry::metrics;

/// A thread that loads versions, one at a time, so that a load never takes more than one core from requests.
/// Cheap to clone; it ends with the last handle.
#[derive(Clone, Debug)]
pub struct Loader(Sender<LoadOrder>);

/// What a [`Loader`] works with.
#[derive(Debug)]
pub struct LoaderParts {
    /// What loads models.
    pub runtime: Runtime,
    /// How long a warm-up may take.
    pub load_timeout: Duration,
    /// Where it is written down how far a load is.
    pub registry: Arc<Registry>,
}

/// A version that is to be loaded.
#[derive(Clone, Debug)]
pub struct LoadOrder {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub revision: Revision,
    /// Where its content lies; none when it is not kept any more.
    pub path: Option<PathBuf>,
    /// The file that it came from, as it is shown.
    pub file: String,
    /// The model's settings.
    pub config: ModelConfig,
    /// What it is held to, if it is.
    pub held_to: Option<Contract>,
    /// Where the content of the version lies whose place it is to take.
    pub stable_path: Option<PathBuf>,
}

impl From<&ModelConfig> for ServableSettings {
    fn from(config: &ModelConfig) -> Self {
        Self {
            naming: Naming { features: config.features.clone(), classes: config.labels.clone() },
            limits: QueueLimits {
                max_queue: config.scheduler.max_queue,
                max_concurrency: config.scheduler.max_concurrency,
                deadline: config.scheduler.deadline,
            },
            batching: config.scheduler.batching,
            max_batch_rows: config.scheduler.max_batch_size,
        }
    }
}

/// How a load ended.
#[derive(Debug)]
pub struct LoadDone {
    /// What was to be loaded.
    pub order: LoadOrder,
    /// A version that can answer, or why there is none.
    pub outcome: Result<Arc<Servable>, LoadFailure>,
}

/// Why a version was not loaded.
#[derive(Debug, thiserror::Error)]
enum NotLoaded {
    /// Its content is not there any more.
    #[error("its content is not kept any more (`repository.keep_revisions`)")]
    NotKept,
    /// Its file is not what a model's file must be.
    #[error(transparent)]
    NoContract(ContractError),
    /// The model cannot be used.
    #[error(transparent)]
    Broken(LoadError),
    /// The model's settings do not fit it.
    #[error("{0}")]
    Misfit(String),
    /// Clients of the stable version could not go on with it.
    #[error(transparent)]
    Unfit(Unfit),
    /// It did not get warm in time.
    #[error("a trial run took longer than {}", humantime::format_duration(*.0))]
    TooSlow(Duration),
}

impl NotLoaded {
    /// The reason as it is shown. The library names files by their full paths, which are nobody's business.
    fn reason(&self, order: &LoadOrder) -> String {
        let reason = self.to_string();
        match (self, &order.path) {
            (Self::Broken(_), Some(path)) => {
                without_paths(&reason.replace(&path.display().to_string(), &order.file))
            }
            // The words are ours, and names of tensors often look like paths.
            (
                Self::NoContract(_)
                | Self::Misfit(_)
                | Self::Unfit(_)
                | Self::TooSlow(_)
                | Self::NotKept,
                _,
            )
            | (Self::Broken(_), None) => reason,
        }
    }
}

impl Loader {
    /// Starts the thread. `on_done` is told how each load ended.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start(
        parts: LoaderParts,
        on_done: impl Fn(LoadDone) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (orders, ordered) = channel::<LoadOrder>();
        std::thread::Builder::new().name("loader".to_owned()).spawn(move || {
            while let Ok(order) = ordered.recv() {
                let outcome = parts.load_and_note(&order);
                on_done(LoadDone { order, outcome });
            }
        })?;
        Ok(Self(orders))
    }

    /// Has a version loaded, after what was ordered before.
    pub fn load(&self, order: LoadOrder) {
        // When the thread is gone the process is about to end.
        let _ = self.0.send(order);
    }
}

impl LoaderParts {
    /// Loads a version, and writes down how it went.
    fn load_and_note(&self, order: &LoadOrder) -> Result<Arc<Servable>, LoadFailure> {
        let (model, Revision { label, digest }) = (&order.model, &order.revision);
        let enter = |state| self.registry.enter(model, digest, state, SystemTime::now());
        let started = Instant::now();
        let outcome = self.load(order, enter);
        let elapsed = started.elapsed();
        let error = match outcome {
            Ok(servable) => {
                self.registry.update(model, digest, |known| {
                    known.load_time = Some(elapsed);
                });
                enter(VersionState::Ready);
                metrics::version_loaded(model, elapsed);
                tracing::info!(
                    model.name = %model, model.version = %label, duration_ms = elapsed.as_millis() as u64,
                    "version {label} of `{model}` is ready"
                );
                return Ok(servable);
            }
            Err(error) => error,
        };
        let reason = error.reason(order);
        metrics::load_failed(model);
        tracing::error!(
            model.name = %model, model.version = %label,
            "version {label} of `{model}` is not served: {reason}"
        );
        let failure = match error {
            // The store's own file cannot be read: that says nothing of the model.
            NotLoaded::NoContract(ContractError::Unreadable(_)) => {
                LoadFailure::Passing(reason.clone())
            }
            NotLoaded::NoContract(_) | NotLoaded::Broken(_) | NotLoaded::NotKept => {
                LoadFailure::Broken(reason.clone())
            }
            NotLoaded::Misfit(_) | NotLoaded::TooSlow(_) => LoadFailure::Passing(reason.clone()),
            NotLoaded::Unfit(_) => LoadFailure::Unfit(reason.clone()),
        };
        enter(match failure {
            LoadFailure::Broken(_) => VersionState::Quarantined(reason),
            LoadFailure::Passing(_) | LoadFailure::Unfit(_) => VersionState::Refused(reason),
        });
        Err(failure)
    }

    fn load(
        &self,
        order: &LoadOrder,
        enter: impl Fn(VersionState),
    ) -> Result<Arc<Servable>, NotLoaded> {
        let LoadOrder { model, revision, config, .. } = order;
        enter(VersionState::Checking);
        let path = order.path.as_deref().ok_or(NotLoaded::NotKept)?;
        let folder = path.parent().ok_or(NotLoaded::NotKept)?;
        contract::check(folder, &ContractLimits::default()).map_err(NotLoaded::NoContract)?;
        enter(VersionState::Loading);
        let options = SessionOptions { intra_op_threads: config.session.intra_op_threads.max(1) };
        let promise = self.promise(order);
        let session = Session::load(&self.runtime, path, options).map_err(NotLoaded::Broken)?;
        self.registry.update(model, &revision.digest, |known| {
            known.signature = Some(session.signature().clone());
        });
        if let Some(promise) = promise {
            promise.check(session.signature()).map_err(NotLoaded::Unfit)?;
        }
        check_features(&config.features, session.signature())?;
        enter(VersionState::WarmingUp);
        self.warm_up(&session, model, &revision.label)?;
        let probed = self.probe_rows(&session, order);
        Ok(Arc::new(Servable::new(ServableParts {
            model: model.clone(),
            version: revision.label.clone(),
            digest: revision.digest,
            session: Arc::new(session),
            probed,
            settings: ServableSettings::from(config),
        })))
    }

    /// Runs the model on zeros until it is as fast as it gets, so that no client pays for its first runs.
    ///
    /// A model that does not like zeros is not broken: it is served as it is, and the log says so.
    fn warm_up(
        &self,
        session: &Session,
        model: &ModelName,
        version: &VersionLabel,
    ) -> Result<(), NotLoaded> {
        const ENOUGH_RUNS: usize = 30;
        const ENOUGH_TIME: Duration = Duration::from_millis(500);
        let signature = session.signature();
        let Some(inputs) = signature.inputs.iter().map(zeros).collect::<Option<Vec<_>>>() else {
            return Ok(()); // nothing is known of a shape, or it is huge
        };
        let outputs: Vec<usize> = (0..signature.outputs.len()).collect();
        let outcome = self.within_timeout(|stop| {
            let begun = Instant::now();
            let mut best = Duration::MAX;
            for run in 0..ENOUGH_RUNS {
                let started = Instant::now();
                session.run(&inputs, &outputs, stop)?;
                let elapsed = started.elapsed();
                let has_settled = run >= 3 && elapsed * 10 >= best * 9;
                if has_settled || begun.elapsed() > ENOUGH_TIME {
                    break;
                }
                best = best.min(elapsed);
            }
            Ok(())
        });
        match outcome {
            Ok(()) => Ok(()),
            Err(RunError::Stopped) => Err(NotLoaded::TooSlow(self.load_timeout)),
            Err(RunError::Failed { message }) => {
                tracing::info!(
                    model.name = %model, model.version = %version, cause = message,
                    "version {version} of `{model}` is served without a warm-up: it fails on zeros"
                );
                Ok(())
            }
        }
    }

    /// Finds out whether requests can run together. The log says why where they cannot, unless nobody wants it.
    fn probe_rows(&self, session: &Session, order: &LoadOrder) -> Result<(), Alone> {
        let mut probed = Ok(());
        let outcome = self.within_timeout(|stop| {
            probed = session.probe_rows(stop);
            Ok(())
        });
        if let Err(error) = outcome {
            probed = Err(Alone::NotProbed { reason: error.to_string() });
        }
        if let (Err(alone), Batching::Auto) = (&probed, order.config.scheduler.batching) {
            let (model, version) = (&order.model, &order.revision.label);
            tracing::info!(
                model.name = %model, model.version = %version,
                "requests for version {version} of `{model}` run one by one: {alone}"
            );
        }
        probed
    }

    /// Raises the flag that `work` is given when it takes too long.
    fn within_timeout(
        &self,
        work: impl FnOnce(&StopFlag) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let stop = StopFlag::new()?;
        let (done, is_done) = channel::<()>();
        std::thread::scope(|scope| {
            let stop = &stop;
            scope.spawn(move || {
                if is_done.recv_timeout(self.load_timeout) == Err(RecvTimeoutError::Timeout) {
                    stop.raise();
                }
            });
            let outcome = work(stop);
            drop(done);
            outcome
        })
    }
}

/// A tensor of zeros that fits the input, with 1 for each open dimension.
fn zeros(spec: &TensorSpec) -> Option<Tensor> {
    const MOST_ELEMENTS: usize = 1 << 24;
    let shape: Vec<usize> = spec
        .shape
        .dims()?
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => *size,
            Dim::Symbol(_) | Dim::Any => 1,
        })
        .collect();
    let count = element_count(&shape).filter(|&count| count <= MOST_ELEMENTS)?;
    Tensor::new(shape, spec.dtype.zeros(count)).ok()
}

/// Names for the columns need one input that has so many columns.
fn check_features(features: &[String], signature: &Signature) -> Result<(), NotLoaded> {
    if features.is_empty() {
        return Ok(());
    }
    let [input] = &signature.inputs[..] else {
        let sentence = format!(
            "`features` in the settings names the columns of the one input, but the model has {} inputs",
            signature.inputs.len()
        );
        return Err(NotLoaded::Misfit(sentence));
    };
    let fits = input.shape.dims().is_none_or(|dims| match dims {
        [_, Dim::Fixed(columns)] => *columns == features.len(),
        [_, Dim::Symbol(_) | Dim::Any] => true,
        _ => false,
    });
    if fits {
        return Ok(());
    }
    Err(NotLoaded::Misfit(format!(
        "`features` in the settings names {} columns, but input `{}` is {input}",
        features.len(),
        input.name
    )))
}
