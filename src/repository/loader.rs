//! From a content in the store to a warm, loaded version.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::check::{Checker, Facts, Spread};
use super::declared::as_declared;
use super::features::check_features;
use super::not_loaded::NotLoaded;
use super::registry::Registry;
use super::warm_up::{stopped_after, warm_up, warm_up_on};
use super::warm_up_samples::run_samples;
use crate::config::{self, ModelConfig, SessionConfig};
use crate::domain::batching::{Alone, Batching};
use crate::domain::lifecycle::VersionState;
use crate::domain::model::{ModelName, VersionLabel};
use crate::domain::rollout::{Contract, LoadFailure, Revision};
use crate::domain::signature::Signature;
use crate::domain::tensor::Tensor;
use crate::onnx::{GraphOptimization, RunError, Runtime, Session, SessionOptions, StopFlag};
use crate::serving::{Naming, QueueLimits, Servable, ServableParts, ServableSettings};
use crate::telemetry::metrics;

/// Threads that try versions, and one that loads them, one at a time, so that a load never takes more than one core
/// from requests. Cheap to clone; they end with the last handle.
#[derive(Clone, Debug)]
pub struct Loader(Sender<LoadOrder>);

/// How many versions are tried at the same time: one that takes its time does not hold up the others.
const CHECKERS: usize = 2;

/// What a [`Loader`] works with.
#[derive(Debug)]
pub struct LoaderParts {
    /// What tries each version first, where that is wanted.
    pub checker: Option<Checker>,
    /// Bytes that the process may have once a version is loaded; none where nothing is known.
    pub memory_budget: Option<u64>,
    /// What loads models.
    pub runtime: Runtime,
    /// How long a warm-up may take.
    pub load_timeout: Duration,
    /// Where it is written down how far a load is.
    pub registry: Arc<Registry>,
    /// What the model was asked before.
    pub recorded: RecordedRequests,
}

/// Gives the inputs of some requests that a model was asked before, and that fit this signature.
pub struct RecordedRequests(Box<Recorded>);

type Recorded = dyn Fn(&ModelName, &Signature) -> Vec<Vec<Tensor>> + Send + Sync;

impl RecordedRequests {
    /// From wherever they are kept.
    pub fn from(
        recorded: impl Fn(&ModelName, &Signature) -> Vec<Vec<Tensor>> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(recorded))
    }
}

impl fmt::Debug for RecordedRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedRequests").finish_non_exhaustive()
    }
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

impl LoadOrder {
    pub(super) fn path(&self) -> Result<&Path, NotLoaded> {
        self.path.as_deref().ok_or(NotLoaded::NotKept)
    }
}

impl From<&ModelConfig> for ServableSettings {
    fn from(config: &ModelConfig) -> Self {
        Self {
            naming: Naming { features: config.features.clone(), classes: config.labels.clone() },
            limits: QueueLimits {
                max_queue: config.scheduler.max_queue,
                max_concurrency: config.scheduler.max_concurrency,
                deadline: config.scheduler.deadline,
                max_queue_delay: config.scheduler.max_queue_delay,
            },
            batching: config.scheduler.batching,
            max_batch_rows: config.scheduler.max_batch_size,
            max_request_rows: config.declared.is_batched.then_some(config.scheduler.max_batch_size),
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

impl Loader {
    /// Starts the threads. `on_done` is told how each load ended.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start(
        parts: LoaderParts,
        on_done: impl Fn(LoadDone) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (orders, ordered) = channel::<LoadOrder>();
        let (check, checked) = sync_channel(CHECKERS);
        let (parts, ordered) = (Arc::new(parts), Arc::new(Mutex::new(ordered)));
        for _ in 0..CHECKERS {
            let (parts, ordered, check) = (parts.clone(), ordered.clone(), check.clone());
            std::thread::Builder::new().name("checker".to_owned()).spawn(move || {
                // The lock is held while there is nothing to do, and only then.
                let next = || ordered.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(order) = next() {
                    let facts = parts.check(&order);
                    if check.send((order, facts)).is_err() {
                        return;
                    }
                }
            })?;
        }
        std::thread::Builder::new().name("loader".to_owned()).spawn(move || {
            while let Ok((order, facts)) = checked.recv() {
                let outcome = parts.load_and_note(&order, facts);
                on_done(LoadDone { order, outcome });
            }
        })?;
        Ok(Self(orders))
    }

    /// Has a version loaded, after most of what was ordered before.
    pub fn load(&self, order: LoadOrder) {
        // When the thread is gone the process is about to end.
        let _ = self.0.send(order);
    }
}

impl LoaderParts {
    /// Loads a version that has passed its check, and writes down how it went.
    fn load_and_note(
        &self,
        order: &LoadOrder,
        checked: Result<Option<Facts>, NotLoaded>,
    ) -> Result<Arc<Servable>, LoadFailure> {
        let (model, Revision { label, digest }) = (&order.model, &order.revision);
        let enter = |state| self.registry.enter(model, digest, state, SystemTime::now());
        let started = Instant::now();
        let outcome = checked.and_then(|facts| self.load(order, facts.as_ref(), enter));
        let elapsed = started.elapsed();
        let error = match outcome {
            Ok(servable) => {
                self.registry.update(model, digest, |known| known.load_time = Some(elapsed));
                enter(VersionState::Ready);
                metrics::version_loaded(model, elapsed);
                metrics::version_memory(model, label, self.registry.memory(model, label));
                tracing::info!(
                    model.name = %model, model.version = %label, duration_ms = elapsed.as_millis() as u64,
                    "version {label} of `{model}` is ready"
                );
                return Ok(servable);
            }
            Err(error) => error,
        };
        metrics::load_failed(model);
        tracing::error!(
            model.name = %model, model.version = %label, cause = error.words(),
            "version {label} of `{model}` is not served: {error}"
        );
        let failure = LoadFailure::from(error);
        enter(match &failure {
            LoadFailure::Broken(reason) => VersionState::Quarantined(reason.clone()),
            LoadFailure::Passing(reason)
            | LoadFailure::NoRoom(reason)
            | LoadFailure::Unfit(reason) => VersionState::Refused(reason.clone()),
        });
        Err(failure)
    }

    fn load(
        &self,
        order: &LoadOrder,
        facts: Option<&Facts>,
        enter: impl Fn(VersionState),
    ) -> Result<Arc<Servable>, NotLoaded> {
        let LoadOrder { model, revision, config, .. } = order;
        enter(VersionState::Loading);
        let path = order.path()?;
        if let Some(facts) = facts {
            self.admit(facts.peak)?;
        }
        let SessionConfig { intra_op_threads, optimization, keeps_memory, .. } = config.session;
        let options = SessionOptions {
            intra_op_threads: intra_op_threads.max(1),
            keeps_memory: keeps_memory.unwrap_or(facts.is_some_and(|facts| facts.arena)),
            optimization: match optimization {
                config::GraphOptimization::Off => GraphOptimization::Off,
                config::GraphOptimization::Basic => GraphOptimization::Basic,
                config::GraphOptimization::Extended => GraphOptimization::Extended,
                config::GraphOptimization::All => GraphOptimization::All,
            },
        };
        let promise = self.promise(order);
        let session = Session::load(&self.runtime, path, options).map_err(NotLoaded::Broken)?;
        let presented = as_declared(&config.declared, session.signature()).map_err(|reason| {
            // Whoever has to put the declaration right wants to see what the model has.
            self.registry.update(model, &revision.digest, |known| {
                known.signature.get_or_insert_with(|| session.signature().clone());
            });
            NotLoaded::Misfit(reason)
        })?;
        let session = session.presented_as(presented);
        self.registry.update(model, &revision.digest, |known| {
            known.signature = Some(session.signature().clone());
        });
        if let Some(promise) = promise {
            promise.check(session.signature()).map_err(NotLoaded::Unfit)?;
        }
        check_features(&config.features, session.signature()).map_err(NotLoaded::Misfit)?;
        enter(VersionState::WarmingUp);
        self.warm_up(&session, model, &revision.label)?;
        run_samples(&session, &config.warm_up, self.load_timeout)?;
        let probed = match facts {
            Some(facts) => facts.rows.clone(),
            None => self.probe_rows(&session),
        };
        tell_of_rows(order, &probed);
        tell_of_threads(order, facts);
        if let Some(Facts { memory, .. }) = facts {
            self.registry.update(model, &revision.digest, |known| known.memory = Some(*memory));
        }
        Ok(Arc::new(Servable::new(ServableParts {
            model: model.clone(),
            version: revision.label.clone(),
            digest: revision.digest,
            session: Arc::new(session),
            probed,
            settings: ServableSettings::from(config),
        })))
    }

    /// No client is to pay for the first runs. Where it is known what the model is asked, that is what it runs first: it
    /// has the sizes that are to come. A model that does not like zeros is not broken: it is served as it is, and the log
    /// says so.
    fn warm_up(
        &self,
        session: &Session,
        model: &ModelName,
        version: &VersionLabel,
    ) -> Result<(), NotLoaded> {
        let recorded = (self.recorded.0)(model, session.signature());
        let run = |stop: &StopFlag| match warm_up_on(session, &recorded, stop)? {
            true => Ok(()),
            false => warm_up(session, stop).map(drop),
        };
        match stopped_after(self.load_timeout, run).flatten() {
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

    /// Finds out whether requests can run together.
    fn probe_rows(&self, session: &Session) -> Result<(), Alone> {
        stopped_after(self.load_timeout, |stop| session.probe_rows(stop))
            .unwrap_or_else(|error| Err(Alone::NotProbed { reason: error.to_string() }))
    }
}

/// The log says why requests cannot run together, unless nobody wants them to.
fn tell_of_rows(order: &LoadOrder, probed: &Result<(), Alone>) {
    if let (Err(alone), Batching::Auto) = (probed, order.config.scheduler.batching) {
        let (model, version) = (&order.model, &order.revision.label);
        tracing::info!(
            model.name = %model, model.version = %version,
            "requests for version {version} of `{model}` run one by one: {alone}"
        );
    }
}

/// What one thread for each run costs a model that could use more is said, where nobody has chosen: whoever sets it knows
/// whether requests come one at a time.
fn tell_of_threads(order: &LoadOrder, facts: Option<&Facts>) {
    let Some(Facts { run_time: Some(on_one), spread: Some(spread), .. }) = facts else { return };
    if order.config.session.intra_op_threads == 0 {
        let (model, version) = (&order.model, &order.revision.label);
        let Spread { threads, run_time } = spread;
        tracing::info!(
            model.name = %model, model.version = %version,
            "a run of version {version} of `{model}` takes {on_one:.1?} on one thread and {run_time:.1?} on {threads}: \
             where requests come one at a time, `intra_op_threads = {threads}` in [session] makes them faster"
        );
    }
}
