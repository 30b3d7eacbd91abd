//! `POST /v1/models/{model}[/versions/{version}|/labels/{label}]:predict`
//!
//! The protocol is TensorFlow Serving's REST interface, of which KServe's v1 is a part.

mod columns;
mod decode;
mod element;
mod encode;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod json;
mod members;
mod nested;
mod progress;
mod rows;
mod special;
mod sticky;
mod trail;

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use self::decode::{DecodeError, Decoded, Expected, Form};
use super::aside::aside;
use super::exchange::{By, Cause, Exchanged, Failure, Question, Record, Time, Wire, exchange};
use super::problem::Problem;
use super::segments::Segments;
use super::{Api, body, models};
use crate::config::LimitsConfig;
use crate::domain::route::{Pin, StickyKey};
use crate::domain::tensor::ValueView;
use crate::serving::{ModelRoute, Outputs, RouteError, Servable};
use crate::telemetry::metrics::{self, Rejection};

#[cfg(feature = "fuzzing")]
pub(crate) use self::fuzzing::decode_anything;

/// The header by which a client asks for less time than the model's settings give.
const TIMEOUT: &str = "x-request-timeout";
/// The header by which a client insists on a version or label.
const PIN: &str = "x-model-pin";

/// `…/{model}:predict`
pub(super) async fn of_model(
    State(api): State<Api>,
    Segments(segment): Segments<String>,
    request: Request,
) -> Response {
    let arrived = Instant::now();
    let target = verb_of(&segment).and_then(|model| Ok((model, header_pin(request.headers())?)));
    match target {
        Ok((model, pin)) => predict(&api, model, pin, request, arrived).await,
        Err(problem) => problem.into_response(),
    }
}

/// `…/{model}/versions/{version}:predict`
pub(super) async fn of_version(
    State(api): State<Api>,
    Segments((model, segment)): Segments<(String, String)>,
    request: Request,
) -> Response {
    let arrived = Instant::now();
    match verb_of(&segment).and_then(models::version_pin) {
        Ok(pin) => predict(&api, &model, Some(pin), request, arrived).await,
        Err(problem) => problem.into_response(),
    }
}

/// `…/{model}/labels/{label}:predict`
pub(super) async fn of_label(
    State(api): State<Api>,
    Segments((model, segment)): Segments<(String, String)>,
    request: Request,
) -> Response {
    let arrived = Instant::now();
    match verb_of(&segment).and_then(models::label_pin) {
        Ok(pin) => predict(&api, &model, Some(pin), request, arrived).await,
        Err(problem) => problem.into_response(),
    }
}

/// What stands before `:predict`.
fn verb_of(segment: &str) -> Result<&str, Problem> {
    match segment.rsplit_once(':') {
        Some((before, "predict")) => Ok(before),
        Some((_, verb @ ("classify" | "regress" | "explain"))) => Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "not_implemented",
            format!("`:{verb}` is not offered; use `:predict`"),
        )),
        Some(_) | None => Err(Problem::bad_request(
            "malformed_request",
            "a POST names what is to be done: `…:predict`",
        )),
    }
}

fn header_pin(headers: &HeaderMap) -> Result<Option<Pin>, Problem> {
    let Some(value) = headers.get(PIN) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    text.parse()
        .map(Some)
        .map_err(|error| Problem::bad_request("invalid_pin", format!("header `{PIN}`: {error}")))
}

async fn predict(
    api: &Api,
    model: &str,
    pin: Option<Pin>,
    request: Request,
    arrived: Instant,
) -> Response {
    let (parts, body) = request.into_parts();
    let Exchanged { reply, by } = match answer(api, model, pin, &parts.headers, body, arrived).await
    {
        Ok(exchanged) => exchanged,
        Err(error) => {
            metrics_not_routed(api, model);
            return models::not_routed(api, model, error).into_response();
        }
    };
    let mut response = match reply {
        Ok(body) => json(body),
        Err(Failure { problem, cause }) => {
            if problem.is_server_failure() {
                log_failure(&by, &parts.headers, &cause);
            }
            problem.into_response()
        }
    };
    by.tell(response.headers_mut());
    response
}

/// Only for models that exist: a client must not be able to make metrics by asking for names.
fn metrics_not_routed(api: &Api, model: &str) {
    if api.registry.model(model).is_some() {
        metrics::request_rejected(model, Rejection::NotReady);
    }
}

async fn answer(
    api: &Api,
    model: &str,
    pin: Option<Pin>,
    headers: &HeaderMap,
    body: Body,
    arrived: Instant,
) -> Result<Exchanged<Vec<u8>>, RouteError> {
    let mut route = api.router.route(model)?;
    let failed = |by: By, problem: Problem| {
        let reply = Err(problem.into());
        Record::begin(&by, arrived).end(&reply);
        Exchanged { reply, by }
    };
    // The key may be a part of the body, and then it decides where the request goes. Without one, the version that
    // cannot be loaded is told before the body is read.
    let body = match (&pin, route.key()) {
        (None, Some(StickyKey::Field(_))) => {
            match body::read(headers, body, &api.http, &api.bodies).await {
                Ok(body) => Received::Whole(body),
                Err(problem) => return Ok(failed(By::stable(route.stable().clone()), problem)),
            }
        }
        (Some(_), _) | (None, Some(StickyKey::Header(_)) | None) => Received::Not(body),
    };
    if let Received::Whole(_) = body {
        route = api.router.route(model)?; // it may have changed meanwhile
    }
    let picked = route.pick(pin.as_ref(), key(&route, headers, &body).as_deref())?;
    drop(route);
    let by = By::of(&picked);
    let deadline = match timeout(headers, picked.servable.limits().deadline) {
        Ok(timeout) => arrived + timeout,
        Err(problem) => return Ok(failed(by, problem)),
    };
    let body = match body {
        Received::Whole(body) => body,
        Received::Not(body) => match body::read(headers, body, &api.http, &api.bodies).await {
            Ok(body) => body,
            Err(problem) => return Ok(failed(by, problem)),
        },
    };
    let wire = JsonWire { body: &body, limits: &api.limits };
    Ok(exchange(api, picked, &wire, Time { arrived, deadline }).await)
}

/// A body that may still have to come.
enum Received {
    Not(Body),
    Whole(body::Whole),
}

/// What the request sticks to a version by, where versions are chosen so and it has that.
fn key(route: &ModelRoute, headers: &HeaderMap, body: &Received) -> Option<Vec<u8>> {
    match (route.key()?, body) {
        (StickyKey::Header(name), _) => Some(headers.get(name)?.as_bytes().to_vec()),
        (StickyKey::Field(name), Received::Whole(body)) => {
            aside(body.len(), || sticky::field(name, body))
        }
        (StickyKey::Field(_), Received::Not(_)) => None,
    }
}

/// A request as this protocol writes it.
struct JsonWire<'b> {
    body: &'b Bytes,
    limits: &'b LimitsConfig,
}

impl Wire for JsonWire<'_> {
    type Form = Form;
    type Reply = Vec<u8>;

    fn read(&self, servable: &Servable) -> Result<Question<Form>, Problem> {
        let expected = Expected {
            signature: servable.signature(),
            naming: servable.naming(),
            limits: self.limits,
        };
        let decoded = aside(self.body.len(), || decode::decode(self.body, expected));
        let Decoded { inputs, form } = decoded.map_err(not_decoded)?;
        let outputs = (0..servable.signature().outputs.len()).collect();
        Ok(Question { inputs, outputs, form })
    }

    fn write(
        &self,
        form: &Form,
        servable: &Servable,
        outputs: &Outputs,
    ) -> Result<Vec<u8>, Problem> {
        let specs = servable.signature().outputs.iter();
        let views = outputs.views();
        let elements: usize = views.iter().map(ValueView::len).sum();
        let outputs: Vec<encode::Named<'_>> = specs
            .zip(views)
            .map(|(spec, output)| encode::Named { name: spec.name(), value: output })
            .collect();
        let classes = &servable.naming().classes;
        aside(elements * BYTES_OF_ELEMENT, || encode::encode(*form, &outputs, classes))
            .map_err(|error| Problem::bad_request("not_per_row", error.to_string()))
    }
}

/// About how many bytes an element takes as text.
const BYTES_OF_ELEMENT: usize = 8;

/// The smaller of what the model's settings give and what the client asks for.
fn timeout(headers: &HeaderMap, deadline: Duration) -> Result<Duration, Problem> {
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

fn not_decoded(error: DecodeError) -> Problem {
    match error {
        DecodeError::Malformed(sentence) => Problem::bad_request("malformed_json", sentence),
        DecodeError::Unfit(sentence) => Problem::bad_request("invalid_input", sentence),
        DecodeError::TooLarge(sentence) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "input_too_large", sentence)
        }
    }
}

fn log_failure(by: &By, headers: &HeaderMap, cause: &Cause) {
    let (model, version) = (by.servable.model(), by.servable.version());
    let request_id = headers.get(super::connection::REQUEST_ID).and_then(|id| id.to_str().ok());
    if let Cause::Infer(error) = cause {
        tracing::error!(
            model.name = %model, model.version = %version, role = %by.role, request.id = request_id,
            "a request to version {version} of `{model}` was not answered: {error}"
        );
    }
}

fn json(body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
