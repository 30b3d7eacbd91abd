//! Speaks HTTP and gRPC.
//!
//! A request passes through here in this order: `connection` takes it off the wire within the limits and
//! gives it an id; `routes`, the table of all there are, says what answers it, and `guard` whether it may ask; that
//! reads what is asked; what comes back from `serving` is written in the protocol's form; `problem` turns what went
//! wrong into a status and a sentence. Protocols only translate: nothing is decided here.

mod admin;
mod aside;
mod bodies;
mod body;
mod connection;
mod crowd;
mod encoding;
mod events;
mod exchange;
mod grpc;
mod guard;
mod health;
mod json;
mod leftover;
mod models;
mod openapi;
mod pages;
mod patience;
mod predict;
mod problem;
mod rollouts;
mod routes;
mod segments;
mod shadow_report;
mod standing;
mod unsent;
mod v2;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::capture::Capture;
use crate::config::{GrpcConfig, HttpConfig, LimitsConfig, MetricsCompat};
use crate::delivery::{Backlog, Board, Delivery, JournalReader};
use crate::repository::Registry;
use crate::serving::{Router, Scheduler};
use crate::shadow::Shadow;
use crate::telemetry::metrics::Metrics;

pub(crate) use admin::signature_json;
pub use bodies::Bodies;
pub use connection::{ConnectionLimits, Connections};
pub use grpc::routes as grpc_routes;
pub use guard::Guard;
pub use health::Readiness;
pub(crate) use json::mark_words;
#[cfg(feature = "fuzzing")]
pub(crate) use predict::decode_anything;
pub(crate) use predict::{inputs as predict_inputs, whole_by_name};
pub use routes::{Audience, Route, routes, table};
pub use shadow_report::{PageLinks, render as shadow_page};
#[cfg(feature = "fuzzing")]
pub(crate) use v2::infer_anything;

/// What the routes work with. Cheap to clone.
pub type Api = Arc<ApiParts>;

/// How long what is put into the models' folder takes to be ready, at the most.
#[derive(Clone, Copy, Debug)]
pub struct LoadingTimes {
    /// Until it is seen.
    pub pick_up: Duration,
    /// From then on, for one version.
    pub load: Duration,
}

/// See [`Api`].
#[derive(Debug)]
pub struct ApiParts {
    /// Which version a request goes to.
    pub router: Arc<Router>,
    /// What runs requests.
    pub scheduler: Arc<Scheduler>,
    /// What is known of every version.
    pub registry: Arc<Registry>,
    /// How each model's releases stand.
    pub board: Arc<Board>,
    /// What became of the releases before.
    pub journal: JournalReader,
    /// What is known of requests that were run on two versions.
    pub shadow: Arc<Shadow>,
    /// Where requests are left that are to be.
    pub backlog: Arc<Backlog>,
    /// Where requests are left that are recorded.
    pub capture: Capture,
    /// Who does what operators want.
    pub delivery: Delivery,
    /// Becomes true when the server ends, and with it what would go on for ever.
    pub ending: watch::Receiver<bool>,
    /// Whether the server wants traffic.
    pub readiness: Arc<Readiness>,
    /// What is measured.
    pub metrics: Metrics,
    /// Whose names for it are told as well.
    pub metrics_compat: Option<MetricsCompat>,
    /// How long an operator who wants a model waits for it.
    pub loading: LoadingTimes,
    /// Limits of the wire.
    pub http: HttpConfig,
    /// The same of gRPC.
    pub grpc: GrpcConfig,
    /// How much all bodies together may take.
    pub bodies: Arc<Bodies>,
    /// Limits of one request's content.
    pub limits: LimitsConfig,
    /// Where this server is, for those who are told how to ask it.
    pub links: PageLinks,
    /// The names of inputs that are never told to anybody.
    pub redacted: Vec<String>,
}
