//! Every route, in one table: what it answers to, and whom it is for.
//!
//! The router of each listener is made from this table and from nothing else, and what is not for clients stands behind
//! the guard. So a route that is added cannot be forgotten there, and tests can ask all of them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::handler::Handler;
use axum::middleware::from_fn;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router as Routes};

use super::guard::{self, Guard};
use super::openapi::Described;
use super::v2::{configuration, repository, statistics};
use super::{
    Api, admin, encoding, events, health, models, openapi, predict, problem, rollouts,
    shadow_report, v2,
};

/// Whom a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever asks a listener for clients or for operators.
    Everybody,
    /// Who wants predictions.
    Clients,
    /// Who runs the server.
    Operators,
    /// Operators as well, and whoever collects measurements where these have a listener of their own.
    Scrapers,
}

impl Audience {
    /// Whether its routes are on a listener for these.
    pub(super) fn is_on(self, listener: &[Self]) -> bool {
        match self {
            Self::Everybody => {
                [Self::Clients, Self::Operators].iter().any(|it| listener.contains(it))
            }
            Self::Clients | Self::Operators | Self::Scrapers => listener.contains(&self),
        }
    }

    /// Whether the guard stands before its routes on a listener for these.
    pub(super) fn is_guarded_on(self, listener: &[Self]) -> bool {
        match self {
            Self::Everybody | Self::Clients => !listener.contains(&Self::Clients),
            Self::Operators | Self::Scrapers => true,
        }
    }

    /// `everybody`, `clients`, `operators` or `scrapers`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Everybody => "everybody",
            Self::Clients => "clients",
            Self::Operators => "operators",
            Self::Scrapers => "scrapers",
        }
    }
}

/// A line of the table.
#[derive(Debug)]
pub struct Route {
    /// Whom it is for.
    pub audience: Audience,
    /// `GET` or `POST`. Who may `GET` may ask for the `HEAD`.
    pub method: &'static str,
    /// The path, with `{…}` for a segment that may be anything.
    pub path: &'static str,
    answer: MethodRouter<Api, Infallible>,
}

/// All there are. What each is for, and what it takes and gives, is said in `openapi/parts/`.
pub fn table() -> Vec<Route> {
    use Audience::{Clients, Everybody, Operators, Scrapers};
    vec![
        get(Clients, "/v1/models", models::list),
        // `{model}:predict` is one segment of the path, which the route reads.
        get(Clients, "/v1/models/{model}", models::status),
        post(Clients, "/v1/models/{model}", predict::of_model),
        get(Clients, "/v1/models/{model}/metadata", models::metadata),
        get(Clients, "/v1/models/{model}/versions/{version}", models::version_status),
        post(Clients, "/v1/models/{model}/versions/{version}", predict::of_version),
        get(Clients, "/v1/models/{model}/versions/{version}/metadata", models::version_metadata),
        get(Clients, "/v1/models/{model}/labels/{label}", models::label_status),
        post(Clients, "/v1/models/{model}/labels/{label}", predict::of_label),
        get(Clients, "/v1/models/{model}/labels/{label}/metadata", models::label_metadata),
        get(Clients, "/v2", v2::server),
        get(Clients, "/v2/health/live", health::live),
        get(Clients, "/v2/health/ready", health::ready),
        get(Clients, "/v2/models", models::list),
        get(Clients, "/v2/models/stats", statistics::of_all),
        get(Clients, "/v2/models/{model}", v2::metadata),
        get(Clients, "/v2/models/{model}/config", configuration::of_model),
        get(Clients, "/v2/models/{model}/stats", statistics::of_model),
        get(Clients, "/v2/models/{model}/ready", v2::ready),
        post(Clients, "/v2/models/{model}/infer", v2::infer),
        // The version may be a label; the two cannot be confused.
        get(Clients, "/v2/models/{model}/versions/{version}", v2::version_metadata),
        get(Clients, "/v2/models/{model}/versions/{version}/config", configuration::of_version),
        get(Clients, "/v2/models/{model}/versions/{version}/ready", v2::version_ready),
        get(Clients, "/v2/models/{model}/versions/{version}/stats", statistics::of_version),
        post(Clients, "/v2/models/{model}/versions/{version}/infer", v2::infer_version),
        post(Clients, "/v2/repository/index", repository::index),
        post(Operators, "/v2/repository/models/{model}/load", repository::load_route),
        post(Operators, "/v2/repository/models/{model}/unload", repository::unload_route),
        get(Operators, "/admin/v1/models", admin::models),
        get(Operators, "/admin/v1/models/{model}", admin::model),
        post(
            Operators,
            "/admin/v1/models/{model}/versions/{version}/retry",
            rollouts::retry_version,
        ),
        get(Operators, "/admin/v1/models/{model}/rollout", rollouts::rollout),
        post(Operators, "/admin/v1/models/{model}/rollout/{verb}", rollouts::command),
        get(Operators, "/admin/v1/models/{model}/rollouts", rollouts::rollouts),
        get(Operators, "/admin/v1/models/{model}/rollouts/{id}", rollouts::past_rollout),
        get(Operators, "/admin/v1/events", events::all),
        get(Operators, "/shadow/report", shadow_report::report),
        get(Operators, "/shadow/samples/{id}", shadow_report::sample),
        get(Scrapers, "/metrics", admin::metrics),
        get(Everybody, "/openapi.json", openapi::document),
        get(Everybody, "/docs", openapi::docs),
    ]
}

/// What a listener answers: the routes for these audiences. `guard` stands before those that are not for clients and,
/// on a listener that is not for clients at all, before everything.
pub fn routes(api: Api, audiences: &[Audience], guard: Guard) -> Routes {
    of(audiences, guard).with_state(api)
}

fn of(audiences: &[Audience], guard: Guard) -> Routes<Api> {
    let described = Arc::new(Described::new(audiences, guard.wants_token()));
    let (guarded, open): (Vec<Route>, Vec<Route>) = table()
        .into_iter()
        .filter(|route| route.audience.is_on(audiences))
        .map(|route| route.telling_of(&described))
        .partition(|route| route.audience.is_guarded_on(audiences));
    let elsewhere = Routes::new().fallback(problem::no_such_route);
    let guard = axum::middleware::from_fn_with_state(Arc::new(guard), guard::check);
    if open.is_empty() {
        return with(elsewhere, guarded).layer(guard);
    }
    with(elsewhere, open).merge(with(Routes::new(), guarded).layer(guard))
}

impl Route {
    /// What is on more than one listener answers differently on each.
    fn telling_of(self, listener: &Arc<Described>) -> Self {
        match self.audience {
            Audience::Everybody => {
                Self { answer: self.answer.layer(Extension(listener.clone())), ..self }
            }
            Audience::Clients | Audience::Operators | Audience::Scrapers => self,
        }
    }
}

fn with(routes: Routes<Api>, table: Vec<Route>) -> Routes<Api> {
    let add = |routes: Routes<Api>, Route { path, answer, .. }| routes.route(path, answer);
    table.into_iter().fold(routes, add).method_not_allowed_fallback(problem::wrong_method)
}

fn get<H: Handler<T, Api>, T: 'static>(
    audience: Audience,
    path: &'static str,
    handler: H,
) -> Route {
    let answer = on(MethodFilter::GET, handler).layer(from_fn(encoding::layer));
    Route { audience, method: "GET", path, answer }
}

fn post<H: Handler<T, Api>, T: 'static>(
    audience: Audience,
    path: &'static str,
    handler: H,
) -> Route {
    Route { audience, method: "POST", path, answer: on(MethodFilter::POST, handler) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Audience::{Clients, Operators, Scrapers};
    use super::*;

    /// The paths that a router knows, of which only its debug form tells.
    fn paths(audiences: &[Audience]) -> BTreeSet<String> {
        let told = format!("{:?}", of(audiences, Guard::Everybody));
        let (told, _) = told.split_once("fallback_router").unwrap();
        let texts = told.split('"').skip(1).step_by(2);
        texts.filter(|text| text.starts_with('/')).map(str::to_owned).collect()
    }

    #[test]
    fn a_listener_knows_the_routes_of_its_audiences_and_no_others() {
        let all: [&[Audience]; 5] = [
            &[Clients],
            &[Operators],
            &[Scrapers],
            &[Operators, Scrapers],
            &[Clients, Operators, Scrapers],
        ];
        for audiences in all {
            let table = table().into_iter().filter(|route| route.audience.is_on(audiences));
            let expected: BTreeSet<String> = table.map(|route| route.path.to_owned()).collect();
            assert_eq!(paths(audiences), expected, "{audiences:?}");
        }
    }

    #[test]
    fn a_path_is_for_one_audience() {
        for (number, route) in table().iter().enumerate() {
            let others = &table()[..number];
            let others = others.iter().filter(|other| other.path == route.path);
            for other in others {
                assert_eq!(other.audience, route.audience, "{}", route.path);
                assert_ne!(other.method, route.method, "{}", route.path);
            }
        }
    }
}
