//! `POST /v1/models/{model}[/versions/{version}|/labels/{label}]:predict`
//!
//! The protocol is TensorFlow Serving's REST interface, of which KServe's v1 is a part.

mod columns;
mod decode;
mod element;
mod encode;
mod json;
mod members;
mod nested;
mod progress;
mod rows;
mod special;
mod trail;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use self::decode::{DecodeError, Expected};
use super::problem::Problem;
use super::segments::Segments;
use super::{Api, body, models};
use crate::domain::route::{Pin, Role};
use crate::serving::{Answer, InferError, InferRequest, Picked, Servable, Unanswered};
use crate::telemetry::metrics::{self, Outcome, Rejection};

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
    let picked = match api.router.pick(model, pin.as_ref()) {
        Ok(picked) => picked,
        Err(error) => {
            metrics_not_routed(api, model);
            return models::not_routed(api, model, error).into_response();
        }
    };
    let mut record = Record::begin(&picked, arrived);
    let (parts, body) = request.into_parts();
    let answer = answer(api, &picked, &parts.headers, body, arrived).await;
    record.end(&answer);
    let mut response = match answer {
        Ok(body) => json(body),
        Err(Failure { problem, cause }) => {
            if problem.is_server_failure() {
                log_failure(&picked, &parts.headers, &cause);
            }
            problem.into_response()
        }
    };
    add_version(&mut response, &picked);
    response
}

/// Only for models that exist: a client must not be able to make metrics by asking for names.
fn metrics_not_routed(api: &Api, model: &str) {
    if api.registry.model(model).is_some() {
        metrics::request_rejected(model, Rejection::NotReady);
    }
}

/// Why a routed request was not answered, as the client and as the log are told.
struct Failure {
    problem: Problem,
    cause: Cause,
}

/// What the log and the metrics know of a failure.
#[derive(Debug)]
enum Cause {
    Request,
    Infer(InferError),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, cause: Cause::Request }
    }
}

async fn answer(
    api: &Api,
    picked: &Picked,
    headers: &HeaderMap,
    body: Body,
    arrived: Instant,
) -> Result<Vec<u8>, Failure> {
    let servable = &picked.servable;
    let timeout = timeout(headers, servable.limits().deadline)?;
    let body = body::read(headers, body, &api.http).await?;
    let expected = Expected {
        signature: servable.signature(),
        naming: servable.naming(),
        limits: &api.limits,
    };
    let decoded = decode::decode(&body, expected).map_err(not_decoded)?;
    drop(body);
    let request = InferRequest {
        inputs: decoded.inputs,
        outputs: (0..servable.signature().outputs.len()).collect(),
        role: picked.role,
        arrived,
        timeout,
    };
    let answer = match api.scheduler.infer(servable, request).await {
        Ok(answer) => answer,
        Err(Unanswered { error, inputs }) => {
            if let (Some(sampled), Some(inputs)) = (&picked.sampled, inputs) {
                api.shadow.offer(sampled.clone(), inputs, None);
            }
            let problem = not_inferred(&error, servable);
            return Err(Failure { problem, cause: Cause::Infer(error) });
        }
    };
    let outputs: Vec<encode::Named<'_>> = servable
        .signature()
        .outputs
        .iter()
        .zip(answer.outputs.views())
        .map(|(spec, output)| encode::Named { name: spec.name(), value: output })
        .collect();
    let encoded = encode::encode(decoded.form, &outputs, &servable.naming().classes);
    drop(outputs);
    // Everything that the client needs is written: what the run used can go on to be compared.
    if let Some(sampled) = &picked.sampled {
        let Answer { inputs, outputs } = answer;
        api.shadow.offer(sampled.clone(), inputs, Some(outputs));
    }
    encoded.map_err(|error| Problem::bad_request("not_per_row", error.to_string()).into())
}

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

fn not_inferred(error: &InferError, servable: &Servable) -> Problem {
    let (model, version) = (servable.model(), servable.version());
    match error {
        InferError::QueueFull { waiting, retry_after } => {
            let sentence =
                format!("{waiting} requests for `{model}` are waiting already; try again later");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", sentence)
                .retry_after(*retry_after)
        }
        InferError::DeadlineExceeded(timeout) => {
            let timeout = humantime::format_duration(*timeout);
            let sentence = format!("`{model}` did not answer within {timeout}");
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", sentence)
        }
        InferError::RunFailed(_) => {
            let sentence = format!(
                "version {version} of `{model}` failed on this request; the server's log says why, under the request's id"
            );
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "run_failed", sentence)
        }
        InferError::Stuck => {
            let sentence = format!(
                "version {version} of `{model}` does not answer: the runs before this request do not come to an end"
            );
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "version_stuck", sentence)
        }
        InferError::ShuttingDown => {
            let sentence = "the server is shutting down";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", sentence)
                .retry_after(Duration::from_secs(1))
        }
    }
}

fn log_failure(picked: &Picked, headers: &HeaderMap, cause: &Cause) {
    let (model, version) = (picked.servable.model(), picked.servable.version());
    let request_id = headers.get(super::connection::REQUEST_ID).and_then(|id| id.to_str().ok());
    if let Cause::Infer(error) = cause {
        tracing::error!(
            model.name = %model, model.version = %version, role = %picked.role, request.id = request_id,
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

/// Says which version answered, and as what.
fn add_version(response: &mut Response, picked: &Picked) {
    let headers = response.headers_mut();
    if let Ok(version) = HeaderValue::from_str(picked.servable.version().as_str()) {
        headers.insert("x-model-version", version);
    }
    headers.insert("x-model-role", HeaderValue::from_static(picked.role.name()));
}

/// Makes sure that each routed request is counted once, also one whose client leaves.
struct Record {
    servable: Arc<Servable>,
    role: Role,
    arrived: Instant,
    outcome: Outcome,
}

impl Record {
    fn begin(picked: &Picked, arrived: Instant) -> Self {
        Self {
            servable: picked.servable.clone(),
            role: picked.role,
            arrived,
            outcome: Outcome::Abandoned,
        }
    }

    fn end(&mut self, answer: &Result<Vec<u8>, Failure>) {
        self.outcome = match answer {
            Ok(_) => Outcome::Ok,
            Err(Failure { cause: Cause::Request, .. }) => Outcome::BadRequest,
            Err(Failure { cause: Cause::Infer(error), .. }) => match error {
                InferError::QueueFull { .. } => {
                    metrics::request_rejected(self.servable.model().as_str(), Rejection::QueueFull);
                    Outcome::Rejected
                }
                InferError::DeadlineExceeded(_) => Outcome::Timeout,
                InferError::RunFailed(_) | InferError::Stuck | InferError::ShuttingDown => {
                    Outcome::Failed
                }
            },
        };
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.servable.meter().answered(self.role, self.outcome, self.arrived.elapsed());
    }
}

#[cfg(test)]
mod tests;
