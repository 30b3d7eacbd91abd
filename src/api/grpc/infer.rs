//! One inference: to which version it goes, by when it is answered, and what the client gets.

use std::time::Instant;

use axum::http::HeaderMap;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Response, Status};

use super::generated::{ModelInferRequest, ModelInferResponse};
use super::wire::GrpcWire;
use super::{deadline, parameters, status};
use crate::api::exchange::{
    By, Exchanged, Failure, Record, Time, exchange, header_pin, log_failure, metrics_not_routed,
    timeout,
};
use crate::api::problem::Problem;
use crate::api::v2::models;
use crate::api::{Api, models as known};
use crate::domain::route::{Pin, StickyKey};
use crate::serving::ModelRoute;

/// Answers a message that came with these headers.
pub(super) async fn infer(
    api: &Api,
    headers: &HeaderMap,
    message: &ModelInferRequest,
    arrived: Instant,
) -> Result<Response<ModelInferResponse>, Status> {
    let pin = pin(&message.model_version, headers).map_err(|problem| status::of(&problem))?;
    let model = message.model_name.as_str();
    let picked = api.router.route(model).and_then(|route| {
        let key = key(&route, headers, message);
        route.pick(pin.as_ref(), key.as_deref())
    });
    let picked = match picked {
        Ok(picked) => picked,
        Err(error) => {
            metrics_not_routed(api, model);
            return Err(status::of(&known::not_routed(api, model, error)));
        }
    };
    let deadline = timeout(headers, picked.servable.limits().deadline).and_then(|given| {
        let asked = deadline::asked(headers)?;
        Ok(arrived + asked.map_or(given, |asked| asked.min(given)))
    });
    let Exchanged { reply, by } = match deadline {
        Ok(deadline) => {
            let wire = GrpcWire { message, limits: &api.limits };
            exchange(api, picked, &wire, Time { arrived, deadline }).await
        }
        Err(problem) => {
            let (by, reply) = (By::of(&picked), Err(problem.into()));
            Record::begin(&by, arrived).end(&reply);
            Exchanged { reply, by }
        }
    };
    let mut metadata = HeaderMap::new();
    by.tell(&mut metadata);
    match reply {
        Ok(reply) => {
            let metadata = MetadataMap::from_headers(metadata);
            Ok(Response::from_parts(metadata, reply, Extensions::default()))
        }
        Err(Failure { problem, cause }) => {
            if problem.is_server_failure() {
                log_failure(&by, headers, &cause);
            }
            Err(status::with(&problem, metadata))
        }
    }
}

/// The version or label in the message or, where there is none, in the metadata.
fn pin(version: &str, headers: &HeaderMap) -> Result<Option<Pin>, Problem> {
    match version {
        "" => header_pin(headers),
        version => models::pin(version).map(Some),
    }
}

/// What the request sticks to a version by, where versions are chosen so and it has that.
fn key(route: &ModelRoute, headers: &HeaderMap, message: &ModelInferRequest) -> Option<Vec<u8>> {
    match route.key()? {
        StickyKey::Header(name) => Some(headers.get(name)?.as_bytes().to_vec()),
        StickyKey::Field(name) => parameters::key(&message.parameters, name),
    }
}
