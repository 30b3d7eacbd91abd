//! `GET /v2…`: what the server can do, which models there are, whether they answer, and what they take.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::metadata::{EXTENSIONS, Metadata, PLATFORM, Port, SERVER, VERSION};
use crate::api::Api;
use crate::api::admin::no_such_model;
use crate::api::models::not_routed;
use crate::api::problem::Problem;
use crate::api::segments::Segments;
use crate::domain::lifecycle::VersionState;
use crate::domain::route::Pin;

/// `GET /v2`
pub(in crate::api) async fn server() -> Json<Value> {
    Json(json!({ "name": SERVER, "version": VERSION, "extensions": EXTENSIONS }))
}

/// `GET /v2/models/{model}`
pub(in crate::api) async fn metadata(
    State(api): State<Api>,
    Segments(model): Segments<String>,
) -> Response {
    metadata_response(&api, &model, None)
}

/// `GET /v2/models/{model}/versions/{version or label}`
pub(in crate::api) async fn version_metadata(
    State(api): State<Api>,
    Segments((model, version)): Segments<(String, String)>,
) -> Response {
    match pin(&version) {
        Ok(pin) => metadata_response(&api, &model, Some(&pin)),
        Err(problem) => problem.into_response(),
    }
}

/// `GET /v2/models/{model}/ready`
pub(in crate::api) async fn ready(
    State(api): State<Api>,
    Segments(model): Segments<String>,
) -> Response {
    match api.registry.model(&model) {
        Some(view) => ready_response(view.name.as_str(), api.router.route(&model).is_ok()),
        None => no_such_model(&model).into_response(),
    }
}

/// `GET /v2/models/{model}/versions/{version or label}/ready`
pub(in crate::api) async fn version_ready(
    State(api): State<Api>,
    Segments((model, version)): Segments<(String, String)>,
) -> Response {
    let pin = match pin(&version) {
        Ok(pin) => pin,
        Err(problem) => return problem.into_response(),
    };
    let Some(view) = api.registry.model(&model) else {
        return no_such_model(&model).into_response();
    };
    let route = api.router.route(&model);
    match route.and_then(|route| route.find(Some(&pin)).map(drop)) {
        Ok(()) => ready_response(view.name.as_str(), true),
        // What is known but not loaded is not ready; what nobody knows does not exist.
        Err(error) => {
            let is_known = match &pin {
                Pin::Version(version) => view.versions.iter().any(|known| {
                    known.version == *version && known.state != VersionState::Unloaded
                }),
                Pin::Label(_) => false,
            };
            match is_known {
                true => ready_response(view.name.as_str(), false),
                false => not_routed(&api, &model, error).into_response(),
            }
        }
    }
}

/// Reads the version or label in a path.
pub(in crate::api) fn pin(text: &str) -> Result<Pin, Problem> {
    text.parse().map_err(|error: crate::domain::model::InvalidVersionLabel| {
        Problem::bad_request("invalid_version", error.to_string())
    })
}

/// What a question about a model is answered.
pub(super) fn told(document: Result<Value, Problem>) -> Response {
    match document {
        Ok(document) => Json(document).into_response(),
        Err(problem) => problem.into_response(),
    }
}

fn ready_response(model: &str, ready: bool) -> Response {
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "name": model, "ready": ready }))).into_response()
}

fn metadata_response(api: &Api, model: &str, pin: Option<&Pin>) -> Response {
    let found = api.router.route(model).and_then(|route| {
        let servable = route.find(pin)?.clone();
        Ok(metadata_json(&Metadata::of(&route, &servable, pin.is_some())))
    });
    match found {
        Ok(metadata) => Json(metadata).into_response(),
        Err(error) => not_routed(api, model, error).into_response(),
    }
}

fn metadata_json(metadata: &Metadata<'_>) -> Value {
    let port = |port: &Port<'_>| json!({ "name": port.name, "datatype": port.datatype, "shape": port.shape });
    json!({
        "name": metadata.name,
        "versions": metadata.versions,
        "platform": PLATFORM,
        "inputs": metadata.inputs.iter().map(port).collect::<Vec<_>>(),
        "outputs": metadata.outputs.iter().map(port).collect::<Vec<_>>(),
    })
}
