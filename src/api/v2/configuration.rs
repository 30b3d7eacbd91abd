//! How a version is run, in the terms of Triton's model configuration, whatever the wire.
//!
//! Clients ask for it to learn how many rows they may send, and measuring tools to learn how requests are scheduled. What
//! has no counterpart here is left out.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::metadata::{Metadata, PLATFORM, Port};
use super::models::{pin, told};
use crate::api::Api;
use crate::api::models::not_routed;
use crate::api::problem::Problem;
use crate::api::segments::Segments;
use crate::domain::route::Pin;
use crate::serving::{ModelRoute, Servable};

/// What Triton calls the part of it that runs models of this kind.
pub(in crate::api) const BACKEND: &str = "onnxruntime";

/// How a version is run.
#[derive(Debug)]
pub(in crate::api) struct Configuration {
    pub(in crate::api) model: String,
    /// How many rows a request may have where its settings say so, or else how many run together; 0 where they run one by
    /// one, and then sizes include the rows.
    pub(in crate::api) max_batch_size: usize,
    /// Whether requests run together.
    pub(in crate::api) is_batched: bool,
    pub(in crate::api) inputs: Vec<Part>,
    pub(in crate::api) outputs: Vec<Part>,
    /// How many runs may go on at once.
    pub(in crate::api) concurrency: usize,
}

/// An input or output.
#[derive(Debug)]
pub(in crate::api) struct Part {
    pub(in crate::api) name: String,
    /// As in `TYPE_FP32`.
    pub(in crate::api) data_type: String,
    pub(in crate::api) dims: Vec<i64>,
}

/// `GET /v2/models/{model}/config`
pub(in crate::api) async fn of_model(
    State(api): State<Api>,
    Segments(model): Segments<String>,
) -> Response {
    response(of(&api, &model, None))
}

/// `GET /v2/models/{model}/versions/{version or label}/config`
pub(in crate::api) async fn of_version(
    State(api): State<Api>,
    Segments((model, version)): Segments<(String, String)>,
) -> Response {
    response(pin(&version).and_then(|pin| of(&api, &model, Some(&pin))))
}

fn response(configuration: Result<Configuration, Problem>) -> Response {
    told(configuration.map(|configuration| document(&configuration)))
}

/// Of the version that is asked for, or else of the one that answers.
pub(in crate::api) fn of(
    api: &Api,
    model: &str,
    pin: Option<&Pin>,
) -> Result<Configuration, Problem> {
    let found = api.router.route(model).and_then(|route| {
        let servable = route.find(pin)?.clone();
        Ok(configuration(&route, &servable, api.scheduler.threads()))
    });
    found.map_err(|error| not_routed(api, model, error))
}

fn configuration(route: &ModelRoute, servable: &Servable, threads: usize) -> Configuration {
    let metadata = Metadata::of(route, servable, true);
    let (is_batched, max_batch_size) = (servable.max_batch_rows() > 1, servable.max_batch_size());
    let part = |port: &Port<'_>| Part {
        name: port.name.to_owned(),
        data_type: match port.datatype {
            "BYTES" => "TYPE_STRING".to_owned(),
            datatype => format!("TYPE_{datatype}"),
        },
        dims: port.shape.iter().copied().skip(usize::from(max_batch_size > 0)).collect(),
    };
    Configuration {
        model: metadata.name.to_owned(),
        max_batch_size,
        is_batched,
        inputs: metadata.inputs.iter().map(part).collect(),
        outputs: metadata.outputs.iter().map(part).collect(),
        concurrency: servable.limits().concurrency(threads),
    }
}

fn document(configuration: &Configuration) -> Value {
    let Configuration { model, max_batch_size, is_batched, inputs, outputs, concurrency } =
        configuration;
    let part =
        |part: &Part| json!({ "name": part.name, "data_type": part.data_type, "dims": part.dims });
    let mut document = json!({
        "name": model,
        "platform": PLATFORM,
        "backend": BACKEND,
        "max_batch_size": max_batch_size,
        "input": inputs.iter().map(part).collect::<Vec<_>>(),
        "output": outputs.iter().map(part).collect::<Vec<_>>(),
        "instance_group": [{ "name": model, "kind": "KIND_CPU", "count": concurrency }],
    });
    if *is_batched {
        document["dynamic_batching"] =
            json!({ "preferred_batch_size": [max_batch_size], "max_queue_delay_microseconds": 0 });
    }
    document
}
