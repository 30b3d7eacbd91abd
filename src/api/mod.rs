//! Speaks HTTP: every route on one page.
//!
//! A request passes through here in this order: `connection` takes it off the wire within the limits and
//! gives it an id; a route below reads what is asked; what comes back from `serving` is written in the
//! protocol's form; `problem` turns what went wrong into a status and a sentence. Protocols only translate:
//! nothing is decided here.

mod admin;
mod body;
mod connection;
mod events;
mod exchange;
mod guard;
mod health;
mod models;
mod patience;
mod predict;
mod problem;
mod rollouts;
mod segments;
mod shadow_report;

use std::sync::Arc;

use axum::Router as Routes;
use axum::routing::{get, post};
use tokio::sync::watch;

use crate::config::{HttpConfig, LimitsConfig};
use crate::delivery::{Board, Delivery, JournalReader};
use crate::repository::Registry;
use crate::serving::{Router, Scheduler};
use crate::shadow::Shadow;
use crate::telemetry::metrics::Metrics;

pub use connection::{ConnectionLimits, Connections};
pub use guard::AdminGuard;
pub use health::Readiness;
pub use shadow_report::{PageLinks, render as shadow_page};

/// What the routes work with. Cheap to clone.
pub type Api = Arc<ApiParts>;

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
    /// Where requests are left that are run on two versions.
    pub shadow: Arc<Shadow>,
    /// Who does what operators want.
    pub delivery: Delivery,
    /// Becomes true when the server ends, and with it what would go on for ever.
    pub ending: watch::Receiver<bool>,
    /// Whether the server wants traffic.
    pub readiness: Arc<Readiness>,
    /// What is measured.
    pub metrics: Metrics,
    /// Limits of the wire.
    pub http: HttpConfig,
    /// Limits of one request's content.
    pub limits: LimitsConfig,
    /// Where this server is, for those who are told how to ask it.
    pub links: PageLinks,
    /// The names of inputs that are never told to anybody.
    pub redacted: Vec<String>,
}

/// The routes for clients.
pub fn inference_routes(api: Api) -> Routes {
    Routes::new()
        .route("/v1/models", get(models::list))
        // `{model}:predict` is one segment of the path, which the route reads.
        .route("/v1/models/{model}", get(models::status).post(predict::of_model))
        .route("/v1/models/{model}/metadata", get(models::metadata))
        .route(
            "/v1/models/{model}/versions/{version}",
            get(models::version_status).post(predict::of_version),
        )
        .route("/v1/models/{model}/versions/{version}/metadata", get(models::version_metadata))
        .route(
            "/v1/models/{model}/labels/{label}",
            get(models::label_status).post(predict::of_label),
        )
        .route("/v1/models/{model}/labels/{label}/metadata", get(models::label_metadata))
        .route("/v2/health/live", get(health::live))
        .route("/v2/health/ready", get(health::ready))
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::wrong_method)
        .with_state(api)
}

/// The routes for operators. `guard` stands before all of them.
pub fn admin_routes(api: Api, guard: AdminGuard) -> Routes {
    Routes::new()
        .route("/admin/v1/models", get(admin::models))
        .route("/admin/v1/models/{model}", get(admin::model))
        .route("/admin/v1/models/{model}/rollout", get(rollouts::rollout))
        .route("/admin/v1/models/{model}/rollout/{verb}", post(rollouts::command))
        .route("/admin/v1/models/{model}/rollouts", get(rollouts::rollouts))
        .route("/admin/v1/models/{model}/rollouts/{id}", get(rollouts::past_rollout))
        .route("/admin/v1/events", get(events::all))
        .route("/shadow/report", get(shadow_report::report))
        .route("/shadow/samples/{id}", get(shadow_report::sample))
        .route("/metrics", get(admin::metrics))
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(axum::middleware::from_fn_with_state(Arc::new(guard), guard::check))
        .with_state(api)
}

/// [`admin_routes`] on a listener of their own.
pub fn admin_listener_routes(api: Api, guard: AdminGuard) -> Routes {
    admin_routes(api, guard).fallback(problem::no_such_route)
}

/// `/metrics` alone, for a listener of its own that is scraped from elsewhere.
pub fn metrics_routes(api: Api) -> Routes {
    Routes::new()
        .route("/metrics", get(admin::metrics))
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::wrong_method)
        .with_state(api)
}
