//! `GET /v1/models…`: which models there are, whether they answer, and what they take.
//!
//! One answer serves both dialects of v1: KServe's clients read `name` and `ready`, TensorFlow Serving's read
//! `model_version_status`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Api;
use super::admin::no_such_model;
use super::problem::Problem;
use super::segments::Segments;
use crate::domain::lifecycle::VersionState;
use crate::domain::model::{InvalidVersionLabel, VersionLabel};
use crate::domain::route::{Pin, RouteLabel};
use crate::domain::signature::{Dim, OutputSpec, Shape, TensorSpec};
use crate::domain::tensor::DType;
use crate::domain::wording::printable;
use crate::repository::{ModelView, VersionView};
use crate::serving::{RouteError, Servable};

/// `GET /v1/models`
pub(super) async fn list(State(api): State<Api>) -> Json<Value> {
    let names: Vec<String> =
        api.registry.models().iter().map(|model| model.name.to_string()).collect();
    Json(json!({ "models": names }))
}

/// `GET /v1/models/{model}`
pub(super) async fn status(State(api): State<Api>, Segments(model): Segments<String>) -> Response {
    if let Some((_, verb)) = model.split_once(':') {
        return asked_with_post(verb).into_response();
    }
    let Some(view) = api.registry.model(&model) else {
        return no_such_model(&model).into_response();
    };
    let ready = api.router.route(&model).is_ok();
    status_response(&view, ready, view.versions.iter())
}

/// `GET /v1/models/{model}/versions/{version}`
pub(super) async fn version_status(
    State(api): State<Api>,
    Segments((model, version)): Segments<(String, String)>,
) -> Response {
    let Some(view) = api.registry.model(&model) else {
        return no_such_model(&model).into_response();
    };
    let Some(known) = view.versions.iter().find(|known| known.version.as_str() == version) else {
        let sentence = format!("`{}` has no such version", view.name);
        return Problem::not_found("no_such_version", sentence).into_response();
    };
    status_response(&view, known.state == VersionState::Ready, std::iter::once(known))
}

/// `GET /v1/models/{model}/labels/{label}`
pub(super) async fn label_status(
    State(api): State<Api>,
    Segments((model, label)): Segments<(String, String)>,
) -> Response {
    let found = label_pin(&label).and_then(|pin| find(&api, &model, Some(&pin)));
    match (found, api.registry.model(&model)) {
        (Ok(servable), Some(view)) => {
            let version = servable.version();
            status_response(
                &view,
                true,
                view.versions.iter().filter(|known| known.version == *version),
            )
        }
        (Ok(_), None) => no_such_model(&model).into_response(),
        (Err(problem), _) => problem.into_response(),
    }
}

/// `GET /v1/models/{model}/metadata`
pub(super) async fn metadata(
    State(api): State<Api>,
    Segments(model): Segments<String>,
) -> Response {
    metadata_response(find(&api, &model, None))
}

/// `GET /v1/models/{model}/versions/{version}/metadata`
pub(super) async fn version_metadata(
    State(api): State<Api>,
    Segments((model, version)): Segments<(String, String)>,
) -> Response {
    metadata_response(version_pin(&version).and_then(|pin| find(&api, &model, Some(&pin))))
}

/// `GET /v1/models/{model}/labels/{label}/metadata`
pub(super) async fn label_metadata(
    State(api): State<Api>,
    Segments((model, label)): Segments<(String, String)>,
) -> Response {
    metadata_response(label_pin(&label).and_then(|pin| find(&api, &model, Some(&pin))))
}

/// A verb is not a thing that could be looked at.
fn asked_with_post(verb: &str) -> Problem {
    let sentence = format!("`:{}` is asked for with POST", printable(verb, 40));
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", sentence).allowing("POST")
}

/// Reads the version in a path.
pub(super) fn version(text: &str) -> Result<VersionLabel, Problem> {
    text.parse().map_err(|error: InvalidVersionLabel| {
        Problem::bad_request("invalid_version", error.to_string())
    })
}

/// Reads a version that a request insists on.
pub(super) fn version_pin(text: &str) -> Result<Pin, Problem> {
    version(text).map(Pin::Version)
}

/// Reads the label in a path.
pub(super) fn label_pin(text: &str) -> Result<Pin, Problem> {
    text.parse::<RouteLabel>()
        .map(Pin::Label)
        .map_err(|error| Problem::not_found("no_such_label", error.to_string()))
}

fn find(api: &Api, model: &str, pin: Option<&Pin>) -> Result<Arc<Servable>, Problem> {
    let found = api.router.route(model).and_then(|route| route.find(pin).cloned());
    found.map_err(|error| not_routed(api, model, error))
}

/// Why no version can be asked: what is wrong is known to the registry.
pub(super) fn not_routed(api: &Api, model: &str, error: RouteError) -> Problem {
    let Some(view) = api.registry.model(model) else {
        if api.readiness.is_starting() {
            return soon(not_ready("the models are still being looked for"));
        }
        return no_such_model(model);
    };
    match error {
        RouteError::NotLoaded { pin, loaded } => {
            let loaded: Vec<String> = loaded.iter().map(ToString::to_string).collect();
            let sentence =
                format!("{pin} of `{}` is not loaded; loaded: {}", view.name, loaded.join(", "));
            Problem::not_found("not_loaded", sentence)
        }
        RouteError::NotServed => {
            let problem = not_ready(&format!("`{}` is not ready: {}", view.name, why_not(&view)));
            // Waiting helps only where something may still come.
            let may_come =
                |known: &VersionView| !matches!(known.state, VersionState::Quarantined(_));
            if view.versions.iter().any(may_come) { soon(problem) } else { problem }
        }
    }
}

fn not_ready(sentence: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", sentence)
}

fn soon(problem: Problem) -> Problem {
    problem.retry_after(Duration::from_secs(1))
}

/// The newest version says it best. Reasons are for operators and stay with them.
fn why_not(view: &ModelView) -> String {
    match view.versions.last() {
        Some(newest) => format!("version {} is {}", newest.version, newest.state),
        None => "it has no versions".to_owned(),
    }
}

fn status_response<'a>(
    view: &ModelView,
    ready: bool,
    versions: impl Iterator<Item = &'a VersionView>,
) -> Response {
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let versions: Vec<Value> = versions.map(version_json).collect();
    let body =
        json!({ "name": view.name.as_str(), "ready": ready, "model_version_status": versions });
    (status, Json(body)).into_response()
}

fn version_json(known: &VersionView) -> Value {
    let (state, error_code) = match known.state {
        VersionState::Found => ("UNKNOWN", "OK"),
        VersionState::Checking => ("START", "OK"),
        VersionState::Loading | VersionState::WarmingUp => ("LOADING", "OK"),
        VersionState::Ready => ("AVAILABLE", "OK"),
        VersionState::Draining => ("UNLOADING", "OK"),
        VersionState::Unloaded => ("END", "OK"),
        VersionState::Quarantined(_) => ("END", "FAILED_PRECONDITION"),
        VersionState::Refused(_) => ("END", "UNAVAILABLE"),
    };
    let message = match error_code {
        "OK" => String::new(),
        _ => format!("version {} is {}", known.version, known.state),
    };
    json!({
        "version": known.version.as_str(),
        "state": state,
        "status": { "error_code": error_code, "error_message": message },
    })
}

fn metadata_response(found: Result<Arc<Servable>, Problem>) -> Response {
    match found {
        Ok(servable) => Json(metadata_json(&servable)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// `GetModelMetadataResponse` as JSON.
fn metadata_json(servable: &Servable) -> Value {
    let signature = servable.signature();
    let inputs: Map<String, Value> =
        signature.inputs.iter().map(|spec| (spec.name.clone(), tensor_json(spec))).collect();
    let outputs: Map<String, Value> =
        signature.outputs.iter().map(|spec| (spec.name().to_owned(), output_json(spec))).collect();
    json!({
        "model_spec": {
            "name": servable.model().as_str(),
            "signature_name": "",
            "version": servable.version().as_str(),
        },
        "metadata": { "signature_def": { "signature_def": { "serving_default": {
            "inputs": inputs,
            "outputs": outputs,
            "method_name": "tensorflow/serving/predict",
        } } } },
    })
}

fn output_json(spec: &OutputSpec) -> Value {
    match spec {
        OutputSpec::Tensor(spec) => tensor_json(spec),
        // TensorFlow has no word for scores by class; what can be said is their type.
        OutputSpec::ClassScores { name, .. } => info_json(name, DType::F32, &Shape(None)),
    }
}

fn tensor_json(spec: &TensorSpec) -> Value {
    info_json(&spec.name, spec.dtype, &spec.shape)
}

fn info_json(name: &str, dtype: DType, shape: &Shape) -> Value {
    let dims: Vec<Value> = shape.dims().unwrap_or_default().iter().map(dim_json).collect();
    json!({
        "name": name,
        "dtype": tensorflow_name(dtype),
        "tensor_shape": { "dim": dims, "unknown_rank": shape.dims().is_none() },
    })
}

fn dim_json(dim: &Dim) -> Value {
    match dim {
        Dim::Fixed(size) => json!({ "size": size.to_string(), "name": "" }),
        Dim::Symbol(name) => json!({ "size": "-1", "name": name }),
        Dim::Any => json!({ "size": "-1", "name": "" }),
    }
}

fn tensorflow_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "DT_BOOL",
        DType::U8 => "DT_UINT8",
        DType::U16 => "DT_UINT16",
        DType::U32 => "DT_UINT32",
        DType::U64 => "DT_UINT64",
        DType::I8 => "DT_INT8",
        DType::I16 => "DT_INT16",
        DType::I32 => "DT_INT32",
        DType::I64 => "DT_INT64",
        DType::F16 => "DT_HALF",
        DType::BF16 => "DT_BFLOAT16",
        DType::F32 => "DT_FLOAT",
        DType::F64 => "DT_DOUBLE",
        DType::String => "DT_STRING",
    }
}
