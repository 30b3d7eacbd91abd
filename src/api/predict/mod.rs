//! `POST /v1/models/{model}[/versions/{version}|/labels/{label}]:predict`
//!
//! The protocol is TensorFlow Serving's REST interface, of which KServe's v1 is a part.

mod columns;
mod decode;
mod encode;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod rows;

use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use self::decode::{Decoded, Expected, Form};
use super::aside::aside;
use super::exchange::{Asked, HttpWire, Question, Wire, answer, header_pin};
use super::json::DecodeError;
use super::problem::Problem;
use super::segments::Segments;
use super::{Api, body, json, models};
use crate::config::LimitsConfig;
use crate::domain::route::Pin;
use crate::domain::signature::Signature;
use crate::domain::tensor::{Tensor, ValueView};
use crate::serving::{Naming, Outputs, Servable};

#[cfg(feature = "fuzzing")]
pub(crate) use self::fuzzing::decode_anything;

/// The inputs in a body, as these routes read it, for whoever has bodies without a server.
///
/// # Errors
/// A sentence that begins with the path of the offending element.
pub(crate) fn inputs(
    body: &[u8],
    signature: &Signature,
    naming: &Naming,
    limits: &LimitsConfig,
) -> Result<Vec<Tensor>, String> {
    let decoded = decode::decode(body, Expected { signature, naming, limits });
    decoded.map(|decoded| decoded.inputs).map_err(|error| match error {
        DecodeError::Malformed(sentence)
        | DecodeError::Unfit(sentence)
        | DecodeError::TooLarge(sentence) => sentence,
    })
}

/// Whole values by name, as these routes have them in `inputs` and `outputs`, for whoever keeps requests.
pub(crate) fn whole_by_name(values: Vec<(&str, ValueView<'_>)>) -> Vec<u8> {
    let named = values.into_iter().map(|(name, value)| encode::Named { name, value });
    encode::by_name(&named.collect::<Vec<_>>())
}

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

async fn predict(
    api: &Api,
    model: &str,
    pin: Option<Pin>,
    request: Request,
    arrived: Instant,
) -> Response {
    answer::<JsonWire<'_>>(api, Asked { model, pin, request, arrived }).await
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

/// A request as this protocol writes it.
struct JsonWire<'l> {
    body: body::Whole,
    limits: &'l LimitsConfig,
}

impl<'l> HttpWire<'l> for JsonWire<'l> {
    fn receive(
        _headers: &HeaderMap,
        body: body::Whole,
        limits: &'l LimitsConfig,
    ) -> Result<Self, Problem> {
        Ok(Self { body, limits })
    }

    fn field(&self, name: &str) -> Option<Vec<u8>> {
        aside(self.body.len(), || json::field(name, &self.body))
    }

    fn respond(reply: Vec<u8>) -> Response {
        let mut response = reply.into_response();
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
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
        let decoded = aside(self.body.len(), || decode::decode(&self.body, expected));
        let Decoded { inputs, form } = decoded?;
        let outputs = (0..servable.signature().outputs.len()).collect();
        Ok(Question { inputs, outputs, timeout: None, form })
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

#[cfg(test)]
mod tests;
