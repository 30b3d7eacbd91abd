//! The settings of the server: what there is and what holds where nobody says otherwise.
//!
//! Sizes are in bytes. How the settings are read and what may not be combined is in `load`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::quiet::TimeWindow;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// All settings of the server, complete and consistent; [`ServerConfig::load`] makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// `models`: the folder of the models (`models`).
    pub models: PathBuf,
    /// `state`: the folder of what the server remembers (`.greenroom`).
    pub state: PathBuf,
    /// `[http]`: the HTTP listener and its limits.
    pub http: HttpConfig,
    /// `[grpc]`: the gRPC listener and its limits.
    pub grpc: GrpcConfig,
    /// `[limits]`: of one request.
    pub limits: LimitsConfig,
    /// `[scheduler]`: the threads that run models.
    pub scheduler: ServerSchedulerConfig,
    /// `[repository]`: how new files are found and tried.
    pub repository: RepositoryConfig,
    /// `[shadow]`: how much pairs may cost.
    pub shadow: ShadowConfig,
    /// `[capture]`: which requests are kept on disk.
    pub capture: CaptureConfig,
    /// `[admin]`: the listener of the admin routes.
    pub admin: AdminConfig,
    /// `[metrics]`: the listener of `/metrics`.
    pub metrics: MetricsConfig,
    /// `[shutdown]`: how the server ends.
    pub shutdown: ShutdownConfig,
    /// `[[webhooks]]`: who is told about rollouts (nobody); only in the settings file.
    pub webhooks: Vec<WebhookConfig>,
    /// `onnxruntime`: the library of ONNX Runtime, where it is not to be searched for.
    pub onnxruntime: Option<PathBuf>,
    /// `[log]`: what is logged, and how.
    pub log: LogConfig,
    /// `metrics.compat`: names of metrics as another server has them, besides our own.
    pub metrics_compat: Option<MetricsCompat>,
    /// Sentences to warn with: settings that were made, and that this version does not act on yet.
    pub inactive: Vec<String>,
}

/// `[http]`: the HTTP listener, and limits that hold before anything is allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where it listens (`127.0.0.1:8000`); port 0 is any free one.
    pub listen: SocketAddr,
    /// Bytes of a request's body, also after decompression (64 MiB).
    pub max_body: usize,
    /// Bytes of a request's line and headers (16 KiB); at least 8 KiB.
    pub max_header: usize,
    /// Within which the headers must have arrived (10 s).
    pub header_timeout: Duration,
    /// Within which the body must have arrived, and within which a client must take more of its answer (30 s).
    pub body_timeout: Duration,
    /// Connections at once; `None`, the default, for as many as there are descriptors for, but 10 000 at most.
    pub max_connections: Option<usize>,
}

/// `[grpc]`: the gRPC listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcConfig {
    /// Where it listens (`127.0.0.1:8001`); `None` for `off`.
    pub listen: Option<SocketAddr>,
    /// Bytes of one message (64 MiB).
    pub max_message: usize,
}

/// `[limits]`: of one request; more is refused with the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Arrays and objects inside each other (32).
    pub json_depth: usize,
    /// Inputs of one request (64).
    pub inputs: usize,
    /// Elements of all its tensors together (16 777 216).
    pub elements: usize,
    /// Bytes of all its text elements together (16 MiB).
    pub string_bytes: usize,
}

/// `[scheduler]` of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSchedulerConfig {
    /// Worker threads; 0, the default, for as many as the cgroup has cores.
    pub threads: usize,
}

/// `[repository]`: how new files are found and tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryConfig {
    /// Between two looks at the folder (2 s).
    pub poll: Duration,
    /// How long a file must have been still before it is taken (500 ms).
    pub settle: Duration,
    /// How long a version may take to load (5 min).
    pub load_timeout: Duration,
    /// Whether a child process tries a version first (yes).
    pub trial: bool,
    /// Whether events of the file system come on top of the looks (yes).
    pub events: bool,
    /// Bytes that the server may have once a version is loaded; 0, the default, for 80 % of what the cgroup or the
    /// machine has.
    pub memory_budget: u64,
    /// The program that tries versions, where it is not the one that runs; never a setting.
    pub trial_program: Option<PathBuf>,
    /// Contents kept of each model for undo (10).
    pub keep_revisions: usize,
}

/// `[shadow]`: how much pairs may cost.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadowConfig {
    /// When pairs run (live).
    pub mode: ShadowMode,
    /// When deferred pairs run besides quiet times, by the clock of the machine (none).
    pub window: Option<TimeWindow>,
    /// Pairs per second (100).
    pub max_rps: f64,
    /// Share of one core (0.5).
    pub max_busy: f64,
    /// Threads that run pairs (1).
    pub threads: usize,
    /// Pairs that wait (256).
    pub queue_jobs: usize,
    /// Bytes of the pairs that wait (64 MiB).
    pub queue_bytes: usize,
    /// How long a pair may wait before it is dropped (30 s).
    pub max_age: Duration,
    /// Share of the time without pairs, by which it is seen what pairs do to stable's latency; 0 for none (0.1).
    pub off: f64,
    /// The blocks that this time is made of (10 s).
    pub block: Duration,
}

/// When pairs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowMode {
    /// Soon after their request.
    Live,
    /// When the server is quiet, or in the time window.
    Deferred,
}

/// `[capture]`: which requests are kept on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureConfig {
    /// What is kept (nothing).
    pub mode: CaptureMode,
    /// Share of the requests, from 0 to 1 (0.01).
    pub sample: f64,
    /// Inputs that are never written, by name (none).
    pub redact: Vec<String>,
    /// Bytes on disk (1 GiB).
    pub max_bytes: u64,
    /// How long a request is kept (72 h).
    pub max_age: Duration,
}

/// What is kept of a captured request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureMode {
    /// Nothing.
    Off,
    /// Inputs and outputs.
    On,
    /// Their digests.
    Hash,
}

/// `[admin]`: the listener of the admin routes. [`ServerConfig::admin_listener`] says whether it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens (`127.0.0.1:8002`), if it does.
    pub listen: SocketAddr,
    /// Whether a flag asked for the listener, so that it is used also while HTTP is loopback.
    pub own_listener: bool,
    /// The file of the bearer token; must be there when the address in use is not loopback.
    pub token_file: Option<PathBuf>,
}

/// Where the admin routes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminListener {
    /// On the HTTP listener, which is loopback.
    OnHttp,
    /// On a listener of their own.
    Own(SocketAddr),
}

/// `[metrics]`: the listener of `/metrics`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Where it is (with the admin routes).
    pub listen: MetricsListen,
}

/// Where `/metrics` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricsListen {
    /// With the admin routes, wherever those are.
    #[default]
    SameAsAdmin,
    /// On a listener of its own, so that it can be scraped from elsewhere.
    Addr(SocketAddr),
}

/// `[shutdown]`: how the server ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// How long it is not ready but still answers, for a load balancer to notice (0 s).
    pub drain: Duration,
    /// How long running requests may take afterwards (30 s).
    pub grace: Duration,
}

/// One of `[[webhooks]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Where events are posted: `http://` or `https://`.
    pub url: String,
    /// The file of the secret that signs them.
    pub secret_file: Option<PathBuf>,
}

/// `[log]`: what is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// How lines look; where it is not set: human on a terminal, else JSON.
    pub format: Option<LogFormat>,
    /// From which level on (info).
    pub level: LogLevel,
    /// Whether each request is a line (no).
    pub access: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For eyes.
    Human,
    /// One object per line.
    Json,
}

/// From which level on lines are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// Also what may fail soon.
    Warn,
    /// Also what changed.
    #[default]
    Info,
    /// Also how it came to it.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level as filters write it: `info`.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// Whose names of metrics are shown besides our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsCompat {
    /// NVIDIA Triton's (`nv_inference_…`).
    Triton,
}

impl ServerConfig {
    /// Where the admin routes are: on the HTTP listener while that is loopback and nobody asked for an
    /// address of their own, else on their own.
    pub fn admin_listener(&self) -> AdminListener {
        if is_loopback(self.http.listen) && !self.admin.own_listener {
            AdminListener::OnHttp
        } else {
            AdminListener::Own(self.admin.listen)
        }
    }
}

/// Whether only this machine can reach the address; `::ffff:127.0.0.1` is one of those.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            models: "models".into(),
            state: ".greenroom".into(),
            http: HttpConfig::default(),
            grpc: GrpcConfig::default(),
            limits: LimitsConfig::default(),
            scheduler: ServerSchedulerConfig::default(),
            repository: RepositoryConfig::default(),
            shadow: ShadowConfig::default(),
            capture: CaptureConfig::default(),
            admin: AdminConfig::default(),
            metrics: MetricsConfig::default(),
            shutdown: ShutdownConfig::default(),
            webhooks: Vec::new(),
            onnxruntime: None,
            log: LogConfig::default(),
            metrics_compat: None,
            inactive: Vec::new(),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: loopback(8000),
            max_body: 64 * MIB,
            max_header: 16 * KIB,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            max_connections: None,
        }
    }
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self { listen: Some(loopback(8001)), max_message: 64 * MIB }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { json_depth: 32, inputs: 64, elements: 16_777_216, string_bytes: 16 * MIB }
    }
}

impl Default for RepositoryConfig {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(2),
            settle: Duration::from_millis(500),
            load_timeout: Duration::from_mins(5),
            trial: true,
            events: true,
            memory_budget: 0,
            trial_program: None,
            keep_revisions: 10,
        }
    }
}

impl Default for ShadowConfig {
    fn default() -> Self {
        Self {
            mode: ShadowMode::Live,
            window: None,
            max_rps: 100.0,
            max_busy: 0.5,
            threads: 1,
            queue_jobs: 256,
            queue_bytes: 64 * MIB,
            max_age: Duration::from_secs(30),
            off: 0.1,
            block: Duration::from_secs(10),
        }
    }
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            mode: CaptureMode::Off,
            sample: 0.01,
            redact: Vec::new(),
            max_bytes: 1 << 30,
            max_age: Duration::from_hours(72),
        }
    }
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: loopback(8002), own_listener: false, token_file: None }
    }
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { drain: Duration::ZERO, grace: Duration::from_secs(30) }
    }
}
