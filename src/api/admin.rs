//! `GET /admin/v1/models…` and `/metrics`: what operators and their tools read.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::Api;
use super::problem::Problem;
use super::segments::Segments;
use crate::config::MetricsCompat;
use crate::domain::lifecycle::VersionState;
use crate::domain::model::ModelName;
use crate::domain::rollout::{Release, Revision};
use crate::domain::route::{Role, RouteLabel};
use crate::domain::signature::{Dim, OutputSpec, Shape, Signature, TensorSpec};
use crate::repository::{ModelView, VersionView};
use crate::serving::Servable;
use crate::telemetry::{metrics, triton};

/// `GET /admin/v1/models`
pub(super) async fn models(State(api): State<Api>, headers: HeaderMap) -> Response {
    let told = |view: &ModelView| {
        let release = api.board.release(view.name.as_str()).map(|shown| shown.release);
        model_json(view, release.as_deref())
    };
    let models: Vec<Value> = api.registry.models().iter().map(told).collect();
    with_etag(&headers, &json!({ "models": models }))
}

/// `GET /admin/v1/models/{model}`
pub(super) async fn model(
    State(api): State<Api>,
    Segments(name): Segments<String>,
    headers: HeaderMap,
) -> Response {
    let Some(view) = api.registry.model(&name) else {
        return no_such_model(&name).into_response();
    };
    let release = api.board.release(&name).map(|shown| shown.release);
    with_etag(&headers, &model_json(&view, release.as_deref()))
}

/// Says that there is no model of this name, or that it is no name.
pub(super) fn no_such_model(name: &str) -> Problem {
    let sentence = match name.parse::<ModelName>() {
        Ok(name) => format!("model `{name}` does not exist"),
        Err(error) => error.to_string(),
    };
    Problem::not_found("no_such_model", sentence)
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
    let mut text = api.metrics.render();
    match api.metrics_compat {
        Some(MetricsCompat::Triton) => text.push_str(&triton::text(&of_versions(&api))),
        None => {}
    }
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, text).into_response()
}

/// Every loaded version, in an order that stays.
fn of_versions(api: &Api) -> Vec<triton::Line> {
    let router = api.router.snapshot();
    let mut versions: Vec<&Arc<Servable>> =
        router.models().flat_map(|(_, route)| route.loaded()).collect();
    versions.sort_by_key(|servable| (servable.model(), servable.version()));
    let line = |servable: &Arc<Servable>| triton::Line {
        model: servable.model().to_string(),
        version: servable.version().to_string(),
        told: servable.meter().statistics(),
        waiting: servable.waiting(),
    };
    versions.into_iter().map(line).collect()
}

/// Answers with the value and a tag made from it.
pub(super) fn with_etag(headers: &HeaderMap, value: &Value) -> Response {
    let body = value.to_string();
    let tag = format!("\"{:016x}\"", xxh3_64(body.as_bytes()));
    tagged(headers, &tag, body)
}

/// Answers with the body and its tag, or with "not modified" to one who has it already.
pub(super) fn tagged(headers: &HeaderMap, tag: &str, body: String) -> Response {
    let is_known =
        headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn model_json(view: &ModelView, release: Option<&Release>) -> Value {
    let parts = Parts::of(release);
    let versions: Vec<Value> =
        view.versions.iter().map(|known| version_json(known, &parts)).collect();
    let not_taken: Vec<Value> = view
        .not_taken
        .iter()
        .map(|(file, reason)| json!({ "file": file, "reason": reason }))
        .collect();
    let label = |part: Option<&Revision>| part.map(|revision| revision.label.to_string());
    json!({
        "name": view.name.as_str(),
        "stable": label(parts.stable),
        "candidate": label(parts.candidate),
        "previous": label(parts.previous),
        "versions": versions,
        "rollout": release.and_then(Release::rollout).map(|rollout| rollout.id.to_string()),
        "problem": view.problem,
        "not_taken": not_taken,
    })
}

fn version_json(known: &VersionView, parts: &Parts<'_>) -> Value {
    json!({
        "version": known.version.as_str(),
        "digest": known.digest.to_string(),
        "state": known.state.name(),
        "role": parts.role(known),
        "since": humantime::format_rfc3339_millis(known.since).to_string(),
        "reason": known.state.reason(),
        "file": known.file,
        "file_present": known.file_present,
        "bytes": known.bytes,
        "memory_bytes": known.memory,
        "load_ms": known.load_time.map(|time| time.as_millis() as u64),
        "signature": known.signature.as_ref().map(signature_json),
    })
}

/// Which version has which part in the releases of a model.
#[derive(Debug, Default)]
struct Parts<'r> {
    stable: Option<&'r Revision>,
    candidate: Option<&'r Revision>,
    previous: Option<&'r Revision>,
}

impl<'r> Parts<'r> {
    fn of(release: Option<&'r Release>) -> Self {
        let Some(release) = release else { return Self::default() };
        let stable = release.stable();
        let candidate = release.live().map(|rollout| &rollout.candidate);
        // In its bake a version is stable already.
        let candidate = candidate.filter(|candidate| stable != Some(*candidate));
        Self { stable, candidate, previous: release.previous() }
    }

    /// A version that has no part is there for those who insist on it, once it can answer.
    fn role(&self, known: &VersionView) -> Option<&'static str> {
        let is_it = |part: Option<&Revision>| {
            part.is_some_and(|part| part.label == known.version && part.digest == known.digest)
        };
        let parts = [
            (self.stable, RouteLabel::Stable),
            (self.candidate, RouteLabel::Candidate),
            (self.previous, RouteLabel::Previous),
        ];
        let part = parts.into_iter().find(|(part, _)| is_it(*part)).map(|(_, label)| label.name());
        part.or_else(|| (known.state == VersionState::Ready).then(|| Role::Pinned.name()))
    }
}

/// Names, element types and shapes, as the admin routes show them.
pub(crate) fn signature_json(signature: &Signature) -> Value {
    let inputs: Vec<Value> = signature.inputs.iter().map(tensor_json).collect();
    let outputs: Vec<Value> = signature.outputs.iter().map(output_json).collect();
    json!({ "inputs": inputs, "outputs": outputs })
}

fn output_json(spec: &OutputSpec) -> Value {
    match spec {
        OutputSpec::Tensor(spec) => tensor_json(spec),
        OutputSpec::ClassScores { name, key } => {
            json!({ "name": name, "dtype": key.map_name(), "shape": ["N"] })
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    use super::*;
    use crate::domain::model::Digest;
    use crate::domain::rollout::{Context, Event, Place, Plan, RolloutId, Seen};
    use crate::domain::time::{Moment, WallTime};

    fn digest(content: u8) -> Digest {
        Digest::from_bytes([content; 32])
    }

    fn known(label: &str, content: u8, state: VersionState) -> VersionView {
        VersionView {
            version: label.parse().unwrap(),
            digest: digest(content),
            state,
            since: SystemTime::UNIX_EPOCH,
            file: format!("iris/{label}.onnx"),
            file_present: true,
            bytes: None,
            load_time: None,
            memory: None,
            signature: None,
        }
    }

    /// A model after these events, and what is told of its parts.
    fn told(events: Vec<Event>, versions: Vec<VersionView>) -> Value {
        let mut release = Release::default();
        for (number, event) in (1..).zip(events) {
            let now = Moment { monotonic: std::time::Duration::ZERO, wall: WallTime(0) };
            let context = Context {
                now,
                plan: &Plan::default(),
                next_id: RolloutId(number),
                has_recordings: false,
            };
            release.step(event, context).unwrap();
        }
        let view = ModelView {
            name: "iris".parse().unwrap(),
            versions,
            problem: None,
            not_taken: BTreeMap::new(),
        };
        let json = model_json(&view, Some(&release));
        let versions = json["versions"].as_array().unwrap().iter();
        let roles: Vec<&Value> = versions.map(|version| &version["role"]).collect();
        let parts = ["stable", "candidate", "previous", "rollout"].map(|key| &json[key]);
        json!([parts, roles])
    }

    fn seen(label: &str, content: u8) -> Event {
        let place = Place::Labelled(label.parse().unwrap());
        Event::Seen(vec![Seen { place, digest: digest(content) }])
    }

    fn loaded(content: u8) -> Event {
        Event::Loaded(digest(content))
    }

    #[test]
    fn a_version_that_is_being_loaded_is_the_candidate() {
        let versions =
            vec![known("1", 1, VersionState::Ready), known("2", 2, VersionState::Loading)];
        let told = told(vec![seen("1", 1), loaded(1), seen("2", 2)], versions);
        let expected = json!([["1", "2", null, "r-000003"], ["stable", "candidate"]]);
        assert_eq!(told, expected);
    }

    #[test]
    fn in_its_bake_a_version_is_stable_and_the_one_before_previous() {
        let versions = vec![
            known("0", 9, VersionState::Found),
            known("1", 1, VersionState::Ready),
            known("2", 2, VersionState::Ready),
            known("3", 3, VersionState::Ready),
        ];
        let told = told(vec![seen("1", 1), loaded(1), seen("2", 2), loaded(2)], versions);
        let roles = json!([null, "previous", "stable", "pinned"]);
        assert_eq!(told, json!([["2", null, "1", "r-000003"], roles]));
    }

    #[test]
    fn a_label_whose_content_was_replaced_has_both_parts() {
        let versions = vec![known("1", 1, VersionState::Ready), known("1", 2, VersionState::Ready)];
        let told = told(vec![seen("1", 1), loaded(1), seen("1", 2), loaded(2)], versions);
        assert_eq!(told, json!([["1", null, "1", "r-000003"], ["previous", "stable"]]));
    }

    #[test]
    fn a_model_without_releases_has_no_parts() {
        let versions = vec![known("1", 1, VersionState::Found)];
        let view = ModelView {
            name: "iris".parse().unwrap(),
            versions,
            problem: Some("two".into()),
            not_taken: BTreeMap::new(),
        };
        let json = model_json(&view, None);
        assert_eq!((&json["stable"], &json["rollout"]), (&Value::Null, &Value::Null));
        assert_eq!(json["problem"], "two");
    }
}
