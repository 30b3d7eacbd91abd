//! `GET /admin/v1/models…` and `/metrics`: what operators and their tools read.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::Api;
use super::problem::Problem;
use super::segments::Segments;
use crate::domain::lifecycle::VersionState;
use crate::domain::signature::{ClassKey, Dim, OutputSpec, Shape, Signature, TensorSpec};
use crate::repository::{ModelView, VersionView};
use crate::serving::ModelRoute;
use crate::telemetry::metrics;

/// `GET /admin/v1/models`
pub(super) async fn models(State(api): State<Api>, headers: HeaderMap) -> Response {
    let snapshot = api.router.snapshot();
    let models: Vec<Value> = api
        .registry
        .models()
        .iter()
        .map(|view| model_json(view, snapshot.model(view.name.as_str()).map(AsRef::as_ref)))
        .collect();
    with_etag(&headers, json!({ "models": models }))
}

/// `GET /admin/v1/models/{model}`
pub(super) async fn model(
    State(api): State<Api>,
    Segments(name): Segments<String>,
    headers: HeaderMap,
) -> Response {
    let Some(view) = api.registry.model(&name) else {
        return match name.parse::<crate::domain::model::ModelName>() {
            Ok(name) => {
                Problem::not_found("no_such_model", format!("model `{name}` does not exist"))
            }
            Err(error) => Problem::not_found("no_such_model", error.to_string()),
        }
        .into_response();
    };
    let snapshot = api.router.snapshot();
    with_etag(&headers, model_json(&view, snapshot.model(&name).map(AsRef::as_ref)))
}

/// `GET /metrics`
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    for view in api.registry.models() {
        metrics::version_states(&view.name, view.versions.iter().map(|known| &known.state));
    }
    for (_, route) in api.router.snapshot().models() {
        let waiting = route.loaded().map(|servable| servable.waiting()).sum();
        route.stable().meter().waiting(waiting);
    }
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, api.metrics.render()).into_response()
}

/// Answers with the value and a tag of it, or with "not modified" to one who has it already.
fn with_etag(headers: &HeaderMap, value: Value) -> Response {
    let body = value.to_string();
    let tag = format!("\"{:016x}\"", xxh3_64(body.as_bytes()));
    let is_known =
        headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn model_json(view: &ModelView, route: Option<&ModelRoute>) -> Value {
    let versions: Vec<Value> =
        view.versions.iter().map(|known| version_json(known, route)).collect();
    json!({
        "name": view.name.as_str(),
        "stable": route.map(|route| route.stable().version().as_str()),
        "candidate": null,
        "previous": null,
        "versions": versions,
        "rollout": null,
    })
}

fn version_json(known: &VersionView, route: Option<&ModelRoute>) -> Value {
    json!({
        "version": known.version.as_str(),
        "digest": known.digest.map(|digest| digest.to_string()),
        "state": known.state.name(),
        "role": role(known, route),
        "since": humantime::format_rfc3339_millis(known.since).to_string(),
        "reason": known.state.reason(),
        "file": known.file,
        "file_present": known.file_present,
        "bytes": known.bytes,
        "memory_bytes": null,
        "load_ms": known.load_time.map(|time| time.as_millis() as u64),
        "signature": known.signature.as_ref().map(signature_json),
    })
}

/// As what a version would answer now: as stable, or only to those who insist on it.
fn role(known: &VersionView, route: Option<&ModelRoute>) -> Option<&'static str> {
    let is_stable = route.is_some_and(|route| *route.stable().version() == known.version);
    match known.state {
        VersionState::Ready if is_stable => Some("stable"),
        VersionState::Ready => Some("pinned"),
        VersionState::Found
        | VersionState::Checking
        | VersionState::Loading
        | VersionState::WarmingUp
        | VersionState::Draining
        | VersionState::Unloaded
        | VersionState::Quarantined(_)
        | VersionState::Refused(_) => None,
    }
}

fn signature_json(signature: &Signature) -> Value {
    let inputs: Vec<Value> = signature.inputs.iter().map(tensor_json).collect();
    let outputs: Vec<Value> = signature.outputs.iter().map(output_json).collect();
    json!({ "inputs": inputs, "outputs": outputs })
}

fn output_json(spec: &OutputSpec) -> Value {
    match spec {
        OutputSpec::Tensor(spec) => tensor_json(spec),
        OutputSpec::ClassScores { name, key } => {
            let dtype = match key {
                ClassKey::I64 => "map(i64, f32)",
                ClassKey::String => "map(string, f32)",
            };
            json!({ "name": name, "dtype": dtype, "shape": ["N"] })
        }
    }
}

fn tensor_json(spec: &TensorSpec) -> Value {
    json!({ "name": spec.name, "dtype": spec.dtype.name(), "shape": shape_json(&spec.shape) })
}

/// Sizes, names of open dimensions, `"?"` for those without a name; `null` where nothing is declared.
fn shape_json(shape: &Shape) -> Value {
    let dim_json = |dim: &Dim| match dim {
        Dim::Fixed(size) => json!(size),
        Dim::Symbol(name) => json!(name),
        Dim::Any => json!("?"),
    };
    shape.dims().map_or(Value::Null, |dims| dims.iter().map(dim_json).collect())
}
