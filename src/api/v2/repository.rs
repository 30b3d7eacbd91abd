//! The repository extension of the protocol: which versions there are, and models loaded and unloaded at an operator's word,
//! whatever the wire.
//!
//! Models come from files and are released by their plans, so a load gives nobody a version at once: it takes back an
//! unload, has what failed in passing tried again, and waits until the model answers.

use std::time::{Duration, SystemTime};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::api::admin::no_such_model;
use crate::api::json::shortened;
use crate::api::problem::Problem;
use crate::api::segments::Segments;
use crate::api::{Api, body};
use crate::delivery::CommandError;
use crate::domain::lifecycle::VersionState;
use crate::domain::model::ModelName;
use crate::domain::rollout::Actor;
use crate::repository::{ModelView, Registry, VersionView};

/// How often it is looked whether a model answers by now.
const LOOK: Duration = Duration::from_millis(20);

/// One version, and how it stands in Triton's four words for it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) struct Line {
    pub(in crate::api) model: String,
    pub(in crate::api) version: String,
    pub(in crate::api) state: &'static str,
    /// Where it is not ready.
    pub(in crate::api) reason: String,
}

/// Every version of every model, or those that are ready.
pub(in crate::api) fn lines(registry: &Registry, only_ready: bool) -> Vec<Line> {
    let models = registry.models();
    let versions = models
        .iter()
        .flat_map(|model| model.versions.iter().map(|version| line(model.name.as_str(), version)));
    versions.filter(|line| !only_ready || line.state == "READY").collect()
}

/// Reasons beyond the state are for operators, and stay with them.
fn line(model: &str, known: &VersionView) -> Line {
    let state = match known.state {
        VersionState::Ready => "READY",
        VersionState::Checking | VersionState::Loading | VersionState::WarmingUp => "LOADING",
        VersionState::Draining => "UNLOADING",
        VersionState::Found
        | VersionState::Unloaded
        | VersionState::Quarantined(_)
        | VersionState::Refused(_) => "UNAVAILABLE",
    };
    let reason = match state {
        "READY" => String::new(),
        _ => known.state.to_string(),
    };
    Line { model: model.to_owned(), version: known.version.as_str().to_owned(), state, reason }
}

/// What the body of these requests may say.
#[derive(Debug, Default, Deserialize)]
struct Wish {
    ready: Option<bool>,
    parameters: Option<Map<String, Value>>,
}

/// `POST /v2/repository/index`
pub(in crate::api) async fn index(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match wish(&api, &headers, body).await {
        Ok(wish) => {
            Json(document(&lines(&api.registry, wish.ready.unwrap_or(false)))).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// `POST /v2/repository/models/{model}/load`
pub(in crate::api) async fn load_route(
    State(api): State<Api>,
    Segments(model): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let loaded = async {
        let wish = wish(&api, &headers, body).await?;
        let parameters = wish.parameters.unwrap_or_default();
        load(&api, &model, parameters.keys().map(String::as_str)).await
    };
    empty(loaded.await)
}

/// `POST /v2/repository/models/{model}/unload`
pub(in crate::api) async fn unload_route(
    State(api): State<Api>,
    Segments(model): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let unloaded = async {
        wish(&api, &headers, body).await?;
        unload(&api, &model).await
    };
    empty(unloaded.await)
}

fn empty(done: Result<(), Problem>) -> Response {
    match done {
        Ok(()) => StatusCode::OK.into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn wish(api: &Api, headers: &HeaderMap, body: Body) -> Result<Wish, Problem> {
    let body = body::read(headers, body, &api.http, &api.bodies).await?;
    if body.trim_ascii().is_empty() {
        return Ok(Wish::default());
    }
    serde_json::from_slice(&body).map_err(|error| {
        let sentence = format!(
            "expected a JSON object like {{\"ready\": true}}: line {}, column {} is something else",
            error.line(),
            error.column()
        );
        Problem::bad_request("invalid_json", sentence)
    })
}

fn document(lines: &[Line]) -> Value {
    let line = |line: &Line| {
        let Line { model, version, state, reason } = line;
        json!({ "name": model, "version": version, "state": state, "reason": reason })
    };
    lines.iter().map(line).collect()
}

/// Waits until a model answers, and has it loaded where it was unloaded. `parameters` are the names of what was said
/// beside it.
pub(in crate::api) async fn load(
    api: &Api,
    model: &str,
    parameters: impl Iterator<Item = &str>,
) -> Result<(), Problem> {
    for parameter in parameters {
        if parameter == "config" || parameter.starts_with("file:") {
            let sentence = format!(
                "parameters.{}: models and their settings are files in the models' folder, and are not taken from requests",
                shortened(parameter)
            );
            return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "not_offered", sentence));
        }
    }
    let name: ModelName = model.parse().map_err(|_| no_such_model(model))?;
    let began = Instant::now();
    let mut told = None;
    loop {
        let known = api.registry.model(model);
        if known.is_some() && told.is_none() {
            let (actor, reason) = (operator(), "the repository API wants it loaded".to_owned());
            let now = SystemTime::now();
            told = match api.delivery.want_again(&name, actor, reason).await {
                Ok(_) => Some(now),
                // It has been seen, and nothing has been decided about it yet.
                Err(CommandError::UnknownModel) => None,
                Err(error) => return Err(not_done(model, &error)),
            };
        }
        if let (Some(told), Some(view)) = (told, &known) {
            if api.router.route(model).is_ok() {
                return Ok(());
            }
            if let Some(problem) = hopeless(view, told) {
                return Err(problem);
            }
        }
        let patience = match &known {
            None => api.loading.pick_up,
            Some(_) => api.loading.pick_up + api.loading.load,
        };
        if began.elapsed() >= patience {
            return Err(match known {
                None => no_such_model(model),
                Some(_) => {
                    let took = humantime::format_duration(patience);
                    let sentence =
                        format!("`{model}` does not answer after {took}; it goes on being loaded");
                    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", sentence)
                }
            });
        }
        sleep(LOOK).await;
    }
}

/// Why a model, which was wanted then, will not answer before somebody does something about it.
fn hopeless(view: &ModelView, wanted: SystemTime) -> Option<Problem> {
    let newest = view.versions.last()?;
    let reason = match &newest.state {
        VersionState::Quarantined(reason) => reason,
        VersionState::Refused(reason) if newest.since >= wanted => reason,
        // It is about to be tried again.
        VersionState::Refused(_)
        | VersionState::Found
        | VersionState::Checking
        | VersionState::Loading
        | VersionState::WarmingUp
        | VersionState::Ready
        | VersionState::Draining
        | VersionState::Unloaded => return None,
    };
    let sentence =
        format!("version {} of `{}` cannot be loaded: {reason}", newest.version, view.name);
    Some(Problem::bad_request("load_failed", sentence))
}

/// Unloads a model: it answers nothing until it is loaded again, or a newer version of it comes.
pub(in crate::api) async fn unload(api: &Api, model: &str) -> Result<(), Problem> {
    let name: ModelName = model.parse().map_err(|_| no_such_model(model))?;
    let reason = "the repository API wants it unloaded".to_owned();
    let unloaded = api.delivery.withdraw(&name, operator(), reason).await;
    unloaded.map(drop).map_err(|error| not_done(model, &error))
}

/// The protocol has no place for a name.
fn operator() -> Actor {
    Actor::Operator("operator".to_owned())
}

fn not_done(model: &str, error: &CommandError) -> Problem {
    match error {
        CommandError::UnknownModel => no_such_model(model),
        CommandError::Stale { .. } | CommandError::Refused(_) => {
            Problem::new(StatusCode::CONFLICT, "does_not_fit", error.to_string())
        }
        CommandError::NotRecorded(_) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_recorded", error.to_string())
        }
        CommandError::ShuttingDown => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", error.to_string())
        }
    }
}
