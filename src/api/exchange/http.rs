//! A request that comes over HTTP: which version it asks for, what it sticks to a version by, how long it may take and,
//! when it is answered, who has done so.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};

use super::outcome::{By, Cause, Failure, Record};
use super::{Exchanged, Time, Wire, exchange};
use crate::api::encoding::{self, Encoding};
use crate::api::problem::Problem;
use crate::api::{Api, body, connection, models};
use crate::config::LimitsConfig;
use crate::domain::route::{Pin, StickyKey};
use crate::serving::{ModelRoute, RouteError};
use crate::telemetry::metrics::{self, Rejection};

/// The header by which a client asks for less time than the model's settings give.
const TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");
/// The header by which a client insists on a version or label.
const PIN: HeaderName = HeaderName::from_static("x-model-pin");

/// A [`Wire`] of requests that come over HTTP.
pub(in crate::api) trait HttpWire<'l>: Wire + Sized {
    /// Takes a request, of which the whole body is there.
    fn receive(
        headers: &HeaderMap,
        body: body::Whole,
        limits: &'l LimitsConfig,
    ) -> Result<Self, Problem>;

    /// The member of the body by which requests stick to a version, where there is one.
    fn field(&self, name: &str) -> Option<Vec<u8>>;

    /// The answer as it goes out.
    fn respond(reply: Self::Reply) -> Response;
}

/// What is asked, and of which model.
pub(in crate::api) struct Asked<'r> {
    pub(in crate::api) model: &'r str,
    /// The version that the client insists on.
    pub(in crate::api) pin: Option<Pin>,
    pub(in crate::api) request: Request,
    pub(in crate::api) arrived: Instant,
}

/// Answers a request.
pub(in crate::api) async fn answer<'l, W: HttpWire<'l>>(
    api: &'l Api,
    asked: Asked<'_>,
) -> Response {
    let Asked { model, pin, request, arrived } = asked;
    let (parts, body) = request.into_parts();
    let Exchanged { reply, by } =
        match exchanged::<W>(api, model, pin, &parts.headers, body, arrived).await {
            Ok(exchanged) => exchanged,
            Err(error) => {
                metrics_not_routed(api, model);
                return models::not_routed(api, model, error).into_response();
            }
        };
    let mut response = match reply {
        Ok(reply) => W::respond(reply),
        Err(Failure { problem, cause }) => {
            if problem.is_server_failure() {
                log_failure(&by, &parts.headers, &cause);
            }
            problem.into_response()
        }
    };
    by.tell(response.headers_mut());
    match Encoding::accepted(&parts.headers) {
        Some(encoding) => encoding::compressed(response, encoding).await,
        None => response,
    }
}

/// The version or label in the header, where there is one.
pub(in crate::api) fn header_pin(headers: &HeaderMap) -> Result<Option<Pin>, Problem> {
    let Some(value) = headers.get(PIN) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    text.parse()
        .map(Some)
        .map_err(|error| Problem::bad_request("invalid_pin", format!("header `{PIN}`: {error}")))
}

/// Only for models that exist: a client must not be able to make metrics by asking for names.
pub(in crate::api) fn metrics_not_routed(api: &Api, model: &str) {
    if api.registry.model(model).is_some() {
        metrics::request_rejected(model, Rejection::NotReady);
    }
}

async fn exchanged<'l, W: HttpWire<'l>>(
    api: &'l Api,
    model: &str,
    pin: Option<Pin>,
    headers: &HeaderMap,
    body: Body,
    arrived: Instant,
) -> Result<Exchanged<W::Reply>, RouteError> {
    let mut route = api.router.route(model)?;
    let failed = |by: By, problem: Problem| {
        let reply = Err(problem.into());
        Record::begin(&by, arrived).end(&reply);
        Exchanged { reply, by }
    };
    // The key may be a part of the body, and then it decides where the request goes. Without one, the version that
    // cannot be loaded is told before the body is read.
    let received = match (&pin, route.key()) {
        (None, Some(StickyKey::Field(_))) => match receive::<W>(api, headers, body).await {
            Ok(wire) => Received::Whole(wire),
            Err(problem) => return Ok(failed(By::stable(route.stable().clone()), problem)),
        },
        (Some(_), _) | (None, Some(StickyKey::Header(_)) | None) => Received::Not(body),
    };
    if let Received::Whole(_) = received {
        route = api.router.route(model)?; // it may have changed meanwhile
    }
    let picked = route.pick(pin.as_ref(), key(&route, headers, &received).as_deref())?;
    drop(route);
    let by = By::of(&picked);
    let deadline = match timeout(headers, picked.servable.limits().deadline) {
        Ok(timeout) => arrived + timeout,
        Err(problem) => return Ok(failed(by, problem)),
    };
    let wire = match received {
        Received::Whole(wire) => wire,
        Received::Not(body) => match receive::<W>(api, headers, body).await {
            Ok(wire) => wire,
            Err(problem) => return Ok(failed(by, problem)),
        },
    };
    Ok(exchange(api, picked, &wire, Time { arrived, deadline }).await)
}

/// A body that may still have to come.
enum Received<W> {
    Not(Body),
    Whole(W),
}

async fn receive<'l, W: HttpWire<'l>>(
    api: &'l Api,
    headers: &HeaderMap,
    body: Body,
) -> Result<W, Problem> {
    let body = body::read(headers, body, &api.http, &api.bodies).await?;
    W::receive(headers, body, &api.limits)
}

/// What the request sticks to a version by, where versions are chosen so and it has that.
fn key<'l, W: HttpWire<'l>>(
    route: &ModelRoute,
    headers: &HeaderMap,
    received: &Received<W>,
) -> Option<Vec<u8>> {
    match (route.key()?, received) {
        (StickyKey::Header(name), _) => Some(headers.get(name)?.as_bytes().to_vec()),
        (StickyKey::Field(name), Received::Whole(wire)) => wire.field(name),
        (StickyKey::Field(_), Received::Not(_)) => None,
    }
}

/// The smaller of what the model's settings give and what the client asks for.
pub(in crate::api) fn timeout(
    headers: &HeaderMap,
    deadline: Duration,
) -> Result<Duration, Problem> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(deadline) };
    let asked = value.to_str().ok().and_then(|text| humantime::parse_duration(text.trim()).ok());
    match asked {
        Some(asked) if !asked.is_zero() => Ok(asked.min(deadline)),
        Some(_) | None => Err(Problem::bad_request(
            "invalid_timeout",
            format!("header `{TIMEOUT}`: expected a duration such as `200ms`"),
        )),
    }
}

/// Says in the log why a version gave no answer.
pub(in crate::api) fn log_failure(by: &By, headers: &HeaderMap, cause: &Cause) {
    let (model, version) = (by.servable.model(), by.servable.version());
    let request_id = headers.get(connection::REQUEST_ID).and_then(|id| id.to_str().ok());
    if let Cause::Infer(error) = cause {
        tracing::error!(
            model.name = %model, model.version = %version, role = %by.role, request.id = request_id,
            "a request to version {version} of `{model}` was not answered: {error}"
        );
    }
}
