//! The loop that brings what is loaded in line with what is in the folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use super::layout::{self, FoundModel, FoundVersion};
use super::loader::Loader;
use super::registry::Registry;
use crate::config::{ModelConfig, VersionsKept};
use crate::domain::lifecycle::VersionState;
use crate::domain::model::{ModelName, VersionLabel};
use crate::onnx::Runtime;
use crate::serving::{ModelRoute, Router, Servable};
use crate::telemetry::metrics;

/// The models' folder, being watched over by a thread of its own. Ends when it is dropped.
#[derive(Debug)]
pub struct Repository {
    wakes: Sender<Wake>,
}

/// What the repository works with.
#[derive(Debug)]
pub struct RepositoryParts {
    /// The models' folder.
    pub models: PathBuf,
    /// How long a warm-up may take.
    pub load_timeout: Duration,
    /// What loads models.
    pub runtime: Runtime,
    /// Where it is written down what is known.
    pub registry: Arc<Registry>,
    /// What sends requests to versions.
    pub router: Arc<Router>,
}

#[derive(Debug)]
struct Wake;

impl Repository {
    /// Starts the loop with a first look, and calls `first_look_done` once everything seen by it has been
    /// loaded or given up.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start(
        parts: RepositoryParts,
        first_look_done: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (wakes, woken) = channel();
        let repository = Self { wakes };
        repository.wake();
        std::thread::Builder::new().name("repository".to_owned()).spawn(move || {
            let reconciler = Reconciler {
                loader: Loader { runtime: parts.runtime, load_timeout: parts.load_timeout },
                models: parts.models,
                registry: parts.registry,
                router: parts.router,
            };
            reconciler.run(&woken, first_look_done);
        })?;
        Ok(repository)
    }

    /// Has the loop look at the folder: at once, or after what it is doing.
    pub fn wake(&self) {
        // Nobody listens any more only when the process is about to end.
        let _ = self.wakes.send(Wake);
    }
}

struct Reconciler {
    models: PathBuf,
    loader: Loader,
    registry: Arc<Registry>,
    router: Arc<Router>,
}

impl Reconciler {
    fn run(&self, woken: &Receiver<Wake>, first_look_done: impl FnOnce()) {
        let mut first_look_done = Some(first_look_done);
        while let Ok(Wake) = woken.recv() {
            // However often it was woken meanwhile, one look sees it all.
            while woken.try_recv().is_ok() {}
            self.reconcile();
            if let Some(done) = first_look_done.take() {
                done();
            }
        }
    }

    fn reconcile(&self) {
        let look = match layout::look(&self.models) {
            Ok(look) => look,
            Err(error) => {
                let folder = self.models.display();
                tracing::error!(
                    "the models' folder `{folder}` cannot be read, nothing changes: {error}"
                );
                return;
            }
        };
        for warning in &look.warnings {
            tracing::warn!("{warning}");
        }
        self.registry.begin_look();
        for (name, found) in &look.models {
            self.reconcile_model(name, found);
        }
        if look.models.is_empty() {
            tracing::warn!("there are no models in `{}`", self.models.display());
        }
    }

    /// Loads what is new of a model: the newest version that can be loaded becomes stable, where none is yet.
    fn reconcile_model(&self, name: &ModelName, found: &FoundModel) {
        let now = SystemTime::now();
        let new: Vec<(&VersionLabel, &FoundVersion)> = found
            .versions
            .iter()
            .filter(|(label, version)| self.registry.saw(name, label, &version.file, now))
            .rev()
            .collect();
        let settings = match settings(found) {
            Ok(settings) => settings,
            Err(reason) => return self.refuse(name, &new, &reason),
        };
        for sentence in &settings.inactive {
            tracing::warn!(model.name = %name, "settings of `{name}`: {sentence}");
        }
        let mut route =
            self.router.snapshot().model(name.as_str()).map(|route| ModelRoute::clone(route));
        for (label, version) in new {
            let is_kept = match &settings.versions {
                VersionsKept::Stable => false,
                VersionsKept::All => true,
                VersionsKept::Only(labels) => labels.contains(label),
            };
            if route.is_some() && !is_kept {
                continue; // known, and loaded when somebody asks for it
            }
            let Some(servable) = self.load(name, label, version, &settings) else { continue };
            let next = match route.take() {
                Some(route) => route.with_pinnable(servable),
                None => ModelRoute::to(servable),
            };
            self.router.show(name, next.clone());
            route = Some(next);
        }
    }

    fn refuse(&self, name: &ModelName, versions: &[(&VersionLabel, &FoundVersion)], reason: &str) {
        if !versions.is_empty() {
            tracing::error!(model.name = %name, "`{name}` is not served: {reason}");
        }
        for (label, _) in versions {
            let state = VersionState::Refused(reason.to_owned());
            self.registry.enter(name, label, state, SystemTime::now());
        }
    }

    fn load(
        &self,
        name: &ModelName,
        label: &VersionLabel,
        found: &FoundVersion,
        settings: &ModelConfig,
    ) -> Option<Arc<Servable>> {
        let started = Instant::now();
        let enter = |state| self.registry.enter(name, label, state, SystemTime::now());
        match self.loader.load(name, label, found, settings, enter) {
            Ok(loaded) => {
                let elapsed = started.elapsed();
                self.registry.update(name, label, |known| {
                    known.digest = Some(loaded.servable.digest());
                    known.bytes = Some(loaded.bytes);
                    known.load_time = Some(elapsed);
                    known.signature = Some(loaded.servable.signature().clone());
                });
                enter(VersionState::Ready);
                metrics::version_loaded(name, elapsed);
                tracing::info!(
                    model.name = %name, model.version = %label, duration_ms = elapsed.as_millis() as u64,
                    "version {label} of `{name}` is ready"
                );
                Some(loaded.servable)
            }
            Err(failure) => {
                let state = failure.state(found);
                tracing::error!(
                    model.name = %name, model.version = %label, state = state.name(),
                    "version {label} of `{name}` is not served: {}", state.reason().unwrap_or_default()
                );
                metrics::load_failed(name);
                enter(state);
                None
            }
        }
    }
}

/// The model's settings, or the sentence that says why it cannot be served.
fn settings(found: &FoundModel) -> Result<ModelConfig, String> {
    if let Some(problem) = &found.problem {
        return Err(problem.clone());
    }
    let Some(path) = &found.settings else { return Ok(ModelConfig::default()) };
    let name = file_name(path);
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    ModelConfig::parse(&text, &name).map_err(|error| error.to_string())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
