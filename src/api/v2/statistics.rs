//! What the loaded versions have done, as the statistics extension of the protocol tells it, whatever the wire.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::models::{pin, told};
use crate::api::Api;
use crate::api::models::not_routed;
use crate::api::problem::Problem;
use crate::api::segments::Segments;
use crate::domain::route::Pin;
use crate::repository::ModelView;
use crate::serving::{ModelRoute, Servable};
use crate::telemetry::statistics::{Batches, Tally, Told};

/// One loaded version and what it has done.
#[derive(Debug)]
pub(in crate::api) struct Line {
    pub(in crate::api) model: String,
    pub(in crate::api) version: String,
    pub(in crate::api) told: Told,
    /// Bytes that it takes, where that is known.
    pub(in crate::api) memory: Option<u64>,
}

/// `GET /v2/models/stats`
pub(in crate::api) async fn of_all(State(api): State<Api>) -> Json<Value> {
    Json(document(&all(&api)))
}

/// `GET /v2/models/{model}/stats`
pub(in crate::api) async fn of_model(
    State(api): State<Api>,
    Segments(model): Segments<String>,
) -> Response {
    response(of(&api, &model, None))
}

/// `GET /v2/models/{model}/versions/{version or label}/stats`
pub(in crate::api) async fn of_version(
    State(api): State<Api>,
    Segments((model, version)): Segments<(String, String)>,
) -> Response {
    response(pin(&version).and_then(|pin| of(&api, &model, Some(&pin))))
}

fn response(lines: Result<Vec<Line>, Problem>) -> Response {
    told(lines.map(|lines| document(&lines)))
}

/// Of every loaded version of every model.
pub(in crate::api) fn all(api: &Api) -> Vec<Line> {
    let router = api.router.snapshot();
    let mut all: Vec<Line> = router.models().flat_map(|(_, route)| lines(api, route)).collect();
    all.sort_by(|left, right| left.model.cmp(&right.model));
    all
}

/// Of every loaded version of a model, or of the one that is asked for.
pub(in crate::api) fn of(api: &Api, model: &str, pin: Option<&Pin>) -> Result<Vec<Line>, Problem> {
    let found = api.router.route(model).and_then(|route| match pin {
        None => Ok(lines(api, &route)),
        Some(pin) => {
            let view = api.registry.model(model);
            Ok(vec![line(route.find(Some(pin))?, view.as_ref())])
        }
    });
    found.map_err(|error| not_routed(api, model, error))
}

fn lines(api: &Api, route: &ModelRoute) -> Vec<Line> {
    let view = api.registry.model(route.stable().model().as_str());
    route.loaded().map(|servable| line(servable, view.as_ref())).collect()
}

fn line(servable: &Servable, view: Option<&ModelView>) -> Line {
    let known = view.into_iter().flat_map(|view| &view.versions);
    let known = known.filter(|known| known.digest == servable.digest());
    Line {
        model: servable.model().to_string(),
        version: servable.version().to_string(),
        told: servable.meter().statistics(),
        memory: known.filter_map(|known| known.memory).next(),
    }
}

fn document(lines: &[Line]) -> Value {
    let lines: Vec<Value> = lines.iter().map(line_document).collect();
    json!({ "model_stats": lines })
}

fn line_document(line: &Line) -> Value {
    let Line { model, version, told, memory } = line;
    let none = Tally::default();
    json!({
        "name": model,
        "version": version,
        "last_inference": told.last,
        "inference_count": told.inferences,
        "execution_count": told.executions,
        "inference_stats": {
            "success": tally(told.success),
            "fail": tally(told.failure()),
            "queue": tally(told.queue),
            "compute_input": tally(told.reading),
            "compute_infer": tally(told.running),
            "compute_output": tally(told.writing),
            "cache_hit": tally(none),
            "cache_miss": tally(none),
        },
        "response_stats": {},
        "batch_stats": told.batches.iter().map(batch_document).collect::<Vec<_>>(),
        "memory_usage": memory.map(|bytes| json!({ "type": "CPU", "id": 0, "byte_size": bytes }))
            .into_iter().collect::<Vec<_>>(),
    })
}

fn batch_document((rows, batches): &(usize, Batches)) -> Value {
    json!({
        "batch_size": rows,
        "compute_input": tally(batches.gathering),
        "compute_infer": tally(batches.running),
        "compute_output": tally(batches.sharing()),
    })
}

fn tally(tally: Tally) -> Value {
    json!({ "count": tally.count, "ns": tally.nanoseconds })
}
