//! Puts the parts together, and takes them apart again in the right order.

mod listeners;
mod room;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;

use self::listeners::Listeners;
use crate::api::{
    Api, ApiParts, Bodies, ConnectionLimits, Connections, Guard, LoadingTimes, PageLinks, Readiness,
};
use crate::capture::{Capture, RecorderThread, Recordings};
use crate::config::ServerConfig;
use crate::delivery::{
    Backlog, BacklogParts, Board, Crashes, Delivery, DeliveryParts, Fleet, FleetParts, Inbox,
    Journal, JournalError, Outbox, Recovered, inquest,
};
use crate::onnx::{Runtime, RuntimeError};
use crate::repository::{
    Checker, CheckerParts, ContentStore, Loader, LoaderParts, Looked, Reaper, RecordedRequests,
    Registry, Repository, RepositoryParts, StoreError,
};
use crate::serving::{Router, Scheduler};
use crate::shadow::{Lookout, Shadow};
use crate::system::breadcrumbs;
use crate::system::cores::Cores;
use crate::system::{memory, process};
use crate::telemetry::metrics::Metrics;
use crate::webhooks::{Hook, HookError, Webhooks};

pub use self::listeners::Addresses;

/// A server that has everything it needs and listens, but does not answer yet.
#[derive(Debug)]
pub struct App {
    config: ServerConfig,
    runtime: Runtime,
    state: State,
    api: Api,
    ending: watch::Sender<bool>,
    inbox: Inbox,
    recording: Vec<RecorderThread>,
    hooks: Vec<(Hook, Outbox)>,
    listeners: Listeners,
    guard: Guard,
    guard_of_calls: Guard,
    server_file: PathBuf,
}

/// What the state folder holds.
#[derive(Debug)]
struct State {
    store: Arc<ContentStore>,
    journal: Journal,
    recovered: Recovered,
    /// What the last process died of.
    crashes: Crashes,
}

/// How long webhooks may still be told things when all else has ended.
/// For how long a look at the models' folder may take.
const A_LOOK: Duration = Duration::from_secs(1);
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a server does not start. Each is one sentence for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no usable ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The models' folder is not there.
    #[error("the models' folder `{}` cannot be read: {cause}; create it or name another with --models", path.display())]
    Models {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The state folder cannot be written.
    #[error("the state folder `{}` cannot be written: {cause}; name another with --state", path.display())]
    State {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The state folder belongs to another server, or is on a network.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was written down cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An address is taken, or not this machine's.
    #[error("cannot listen on {address} for {what}: {cause}; name another address with {flag}")]
    Listen {
        /// What the listener is for.
        what: &'static str,
        /// Where it was to be.
        address: SocketAddr,
        /// How to change that.
        flag: &'static str,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The admin token cannot be read.
    #[error("the admin token in `{}` cannot be used: {reason}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A webhook's secret cannot be read.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The system has no room for the server's threads.
    #[error("the server's threads cannot be started: {0}")]
    Threads(std::io::Error),
}

impl App {
    /// Finds the library, opens the folders and listens. Nothing is answered and no model is loaded yet.
    ///
    /// # Errors
    /// [`StartError`], for the first thing that is missing.
    pub async fn bind(config: ServerConfig, metrics: Metrics) -> Result<Self, StartError> {
        let runtime = Runtime::load(config.onnxruntime.as_deref())?;
        check_models(&config.models)?;
        let state = |cause| StartError::State { path: config.state.clone(), cause };
        std::fs::create_dir_all(&config.state).map_err(state)?;
        let store = Arc::new(ContentStore::open(&config.state)?);
        let crashes = inquest(&config.state);
        let hooks: Vec<Hook> = config.webhooks.iter().map(Hook::read).collect::<Result<_, _>>()?;
        let mut journal = Journal::open(&config.state)?;
        let outboxes = journal.subscribe(hooks.iter().map(Hook::subscriber).collect())?;
        let hooks = hooks.into_iter().zip(outboxes).collect();
        let recovered = journal.load()?;
        let token = config.admin.token_file.as_deref().map(read_token).transpose()?;
        let listeners = Listeners::bind(&config).await?;
        let Addresses { admin, grpc, .. } = listeners.addresses;
        let guard_of_calls = Guard::of_admin(grpc.unwrap_or(admin), token.clone());
        let guard = Guard::of_admin(admin, token);
        let server_file = config.state.join("server.json");
        let cores = Cores::available();
        let threads = match config.scheduler.threads {
            0 => cores.count,
            threads => threads,
        };
        let (delivery, inbox) = Delivery::channel();
        let (ending, is_ending) = watch::channel(false);
        let scheduler = Arc::new(Scheduler::start(threads).map_err(StartError::Threads)?);
        let lookout = Lookout { in_flight: scheduler.in_flight(), threads };
        let shadow = Shadow::start(&config.shadow, &config.state, lookout);
        let shadow = Arc::new(shadow.map_err(StartError::Threads)?);
        let (capture, capturing) =
            Capture::start(&config.capture, &config.state).map_err(StartError::Threads)?;
        let (backlog, spooling) = Backlog::start(BacklogParts {
            shadow: shadow.clone(),
            mode: config.shadow.mode,
            redact: config.capture.redact.clone(),
            state: config.state.clone(),
            go_on: recovered.live_rollouts(),
        })
        .map_err(StartError::Threads)?;
        let api = Arc::new(ApiParts {
            board: Arc::new(Board::default()),
            journal: journal.reader(),
            delivery,
            ending: is_ending,
            router: Arc::new(Router::default()),
            scheduler,
            shadow,
            backlog: Arc::new(backlog),
            capture,
            registry: Arc::new(Registry::default()),
            readiness: Arc::new(Readiness::default()),
            metrics,
            metrics_compat: config.metrics_compat,
            loading: LoadingTimes {
                pick_up: config.repository.poll + config.repository.settle + A_LOOK,
                load: config.repository.load_timeout,
            },
            http: config.http.clone(),
            grpc: config.grpc.clone(),
            bodies: Bodies::new(config.http.max_body),
            limits: config.limits.clone(),
            links: PageLinks {
                inference: format!("http://{}", listeners.addresses.http),
                admin: format!("http://{}", listeners.addresses.admin),
                admin_wants_token: guard.wants_token(),
            },
            redacted: config.capture.redact.clone(),
        });
        // Last, when nothing can fail any more: it says that there is a server.
        write_server_file(&server_file, listeners.addresses).map_err(state)?;
        let state = State { store, journal, recovered, crashes };
        let app = Self {
            config,
            runtime,
            state,
            api,
            ending,
            inbox,
            recording: [Some(capturing), spooling].into_iter().flatten().collect(),
            hooks,
            listeners,
            guard,
            guard_of_calls,
            server_file,
        };
        app.log_start(cores);
        Ok(app)
    }

    /// Where it listens; tells the real ports where port 0 was asked for.
    pub fn addresses(&self) -> Addresses {
        self.listeners.addresses
    }

    /// ONNX Runtime, which a process loads once: for whoever runs models beside the server, as a bench does.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn log_start(&self, cores: Cores) {
        let Addresses { http, admin, grpc, metrics } = self.listeners.addresses;
        for sentence in &self.config.inactive {
            tracing::warn!("{sentence}");
        }
        tracing::info!(
            "ONNX Runtime {} from `{}`",
            self.runtime.version(),
            self.runtime.library().display()
        );
        tracing::info!(
            "models are in `{}`, the state is in `{}`",
            self.config.models.display(),
            self.config.state.display()
        );
        let threads = self.api.scheduler.threads();
        let asked = self.config.scheduler.threads != 0;
        let why =
            if asked { format!("as asked for; there are {cores}") } else { cores.to_string() };
        tracing::info!(threads, "threads that run models: {threads} ({why})");
        tracing::info!(
            "inference on http://{http}, admin on http://{admin}, metrics on http://{metrics}/metrics"
        );
        if let Some(grpc) = grpc {
            tracing::info!("inference over gRPC on {grpc}");
        }
    }

    /// Loads the models and answers until `shutdown` is done; then ends so that every accepted request is
    /// answered.
    ///
    /// # Errors
    /// [`StartError`], when there is no room for a thread.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
        let (api, config, guard) = (self.api, self.config, self.guard);
        let webhooks = Webhooks::start(self.hooks).map_err(StartError::Threads)?;
        let release = Releasing { api: &api, config: &config, runtime: self.runtime };
        let (repository, controller) =
            release.start(self.state, self.inbox).map_err(StartError::Threads)?;
        let grace = config.shutdown.grace;
        let grpc = self.listeners.take_grpc().map(|(listener, connections)| {
            let limits = ConnectionLimits::new(connections, &config.http);
            let connections = Connections::of_grpc(listener, &api, self.guard_of_calls, limits);
            tokio::spawn(connections.serve(api.ending.clone(), grace))
        });
        let serving: Vec<_> = self
            .listeners
            .with_routes(&api, guard)
            .map(|(listener, routes, connections)| {
                let limits = ConnectionLimits::new(connections, &config.http);
                let connections = Connections::new(listener, routes, limits);
                tokio::spawn(connections.serve(api.ending.clone(), grace))
            })
            .chain(grpc)
            .collect();
        let upkeep = tokio::spawn(keep_up(api.metrics.clone()));
        shutdown.await;
        tracing::info!("shutting down: accepted requests are answered first");
        api.readiness.ending();
        tokio::time::sleep(config.shutdown.drain).await;
        self.ending.send_replace(true);
        let begun = Instant::now();
        for listener in serving {
            // It does not panic, and nobody cancels it.
            let _ = listener.await;
        }
        upkeep.abort();
        drop(repository);
        api.delivery.stop();
        // It writes down what it is about, which takes no longer than the disk.
        let _ = tokio::task::spawn_blocking(move || controller.join()).await;
        let recording = self.recording;
        let ended = tokio::task::spawn_blocking(move || {
            recording.into_iter().for_each(RecorderThread::end);
        });
        let patience = LAST_WORDS.max(grace.saturating_sub(begun.elapsed()));
        if tokio::time::timeout(patience, ended).await.is_err() {
            tracing::warn!("the disk is too slow for the last recorded requests: they are lost");
        }
        // With the controller the journal is closed, and nothing new is to be told.
        webhooks.end(LAST_WORDS.min(grace.saturating_sub(begun.elapsed()))).await;
        // Best effort: a file that stays only names a server that is gone.
        let _ = std::fs::remove_file(&self.server_file);
        breadcrumbs::end();
        tracing::info!("bye");
        Ok(())
    }
}

/// The parts of the release loop, about to be started.
struct Releasing<'a> {
    api: &'a Api,
    config: &'a ServerConfig,
    runtime: Runtime,
}

impl Releasing<'_> {
    /// Starts the threads that bring versions from the folder to the route.
    fn start(self, state: State, inbox: Inbox) -> std::io::Result<(Repository, JoinHandle<()>)> {
        let State { store, journal, recovered, crashes } = state;
        let api = self.api;
        let repository = &self.config.repository;
        let checker = repository.trial.then(|| {
            Checker::new(CheckerParts {
                program: repository.trial_program.clone().unwrap_or_else(process::program),
                library: self.runtime.library().to_path_buf(),
                version: self.runtime.version().to_owned(),
                timeout: repository.load_timeout,
                state: self.config.state.clone(),
            })
        });
        let loader = LoaderParts {
            checker: checker.clone(),
            memory_budget: memory_budget(repository.memory_budget),
            runtime: self.runtime,
            load_timeout: self.config.repository.load_timeout,
            registry: api.registry.clone(),
            recorded: recorded_requests(self.config.state.clone()),
        };
        let delivery = api.delivery.clone();
        let fleet = Fleet::new(FleetParts {
            store: store.clone(),
            checker,
            loader: Loader::start(loader, move |done| delivery.load_done(done))?,
            reaper: Reaper::start()?,
            router: api.router.clone(),
            registry: api.registry.clone(),
            shadow: api.shadow.clone(),
            backlog: api.backlog.clone(),
            journal: api.journal.clone(),
            state: self.config.state.clone(),
            keep_revisions: self.config.repository.keep_revisions,
            delivery: api.delivery.clone(),
        });
        let known = recovered.known_files();
        let (board, ready) = (api.board.clone(), api.clone());
        let folder = self.config.models.clone();
        let controller = inbox.start(
            DeliveryParts { journal, recovered, crashes, fleet, board },
            move || {
                ready.readiness.loaded();
                let models = ready.router.snapshot().models().count();
                tracing::info!(models, "ready: {models} models answer");
                if ready.registry.models().is_empty() {
                    tracing::warn!("there are no models in `{}`", folder.display());
                }
            },
        )?;
        let parts = RepositoryParts {
            models: self.config.models.clone(),
            settle: self.config.repository.settle,
            poll: self.config.repository.poll,
            events: self.config.repository.events,
            store,
            known,
        };
        let delivery = api.delivery.clone();
        let repository = Repository::start(parts, move |looked: Looked| delivery.looked(looked))?;
        Ok((repository, controller))
    }
}

fn check_models(path: &Path) -> Result<(), StartError> {
    std::fs::read_dir(path)
        .map(drop)
        .map_err(|cause| StartError::Models { path: path.to_path_buf(), cause })
}

/// Tells commands, and scripts, where this server is.
fn write_server_file(path: &Path, addresses: Addresses) -> std::io::Result<()> {
    let text = json!({
        "pid": std::process::id(),
        "http": format!("http://{}", addresses.http),
        "grpc": addresses.grpc.map(|address| address.to_string()),
        "admin": format!("http://{}", addresses.admin),
        "metrics": format!("http://{}/metrics", addresses.metrics),
    });
    let new = path.with_extension("json.new");
    std::fs::write(&new, format!("{text:#}\n"))?;
    std::fs::rename(new, path)
}

fn read_token(path: &Path) -> Result<String, StartError> {
    let unusable = |reason: String| StartError::Token { path: path.to_path_buf(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    match text.trim() {
        "" => Err(unusable("the file is empty".to_owned())),
        token => Ok(token.to_owned()),
    }
}

/// What a version is warmed up on: as many of the model's newest recorded requests as tell the sizes to come.
fn recorded_requests(state: PathBuf) -> RecordedRequests {
    const ENOUGH: usize = 16;
    RecordedRequests::from(move |model, signature| {
        let recordings = Recordings::open(&state, model);
        recordings.map(|it| it.newest_inputs(ENOUGH, signature)).unwrap_or_default()
    })
}

/// Bytes that the process may have. A part of what there is stays free, for requests and for what the system keeps of
/// files.
fn memory_budget(set: u64) -> Option<u64> {
    match set {
        0 => memory::available().map(|bytes| bytes / 5 * 4),
        set => Some(set),
    }
}

/// Keeps what is measured in bounded memory.
async fn keep_up(metrics: Metrics) {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}
