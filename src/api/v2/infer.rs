//! `POST /v2/models/{model}[/versions/{version or label}]/infer`

use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::reply::{self, Form, Reply};
use super::request::{self, Decoded};
use super::wanted::Wanted;
use super::{binary, models};
use crate::api::aside::aside;
use crate::api::body::TEXT_LENGTH;
use crate::api::exchange::{Asked, HttpWire, Question, Wire, answer, header_pin};
use crate::api::problem::Problem;
use crate::api::segments::Segments;
use crate::api::{Api, body, json};
use crate::config::LimitsConfig;
use crate::domain::signature::Signature;
use crate::domain::tensor::ValueView;
use crate::serving::{Outputs, Servable};

/// `…/{model}/infer`
pub(in crate::api) async fn of_model(
    State(api): State<Api>,
    Segments(model): Segments<String>,
    request: Request,
) -> Response {
    let arrived = Instant::now();
    match header_pin(request.headers()) {
        Ok(pin) => {
            let asked = Asked { model: &model, pin, request, arrived };
            answer::<RestWire<'_>>(&api, asked).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// `…/{model}/versions/{version or label}/infer`
pub(in crate::api) async fn of_version(
    State(api): State<Api>,
    Segments((model, version)): Segments<(String, String)>,
    request: Request,
) -> Response {
    let arrived = Instant::now();
    match models::pin(&version) {
        Ok(pin) => {
            let asked = Asked { model: &model, pin: Some(pin), request, arrived };
            answer::<RestWire<'_>>(&api, asked).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// A request as this protocol writes it over HTTP.
struct RestWire<'l> {
    body: body::Whole,
    /// How much of the body is text; none where the whole of it is the one tensor.
    text: Option<usize>,
    limits: &'l LimitsConfig,
}

impl RestWire<'_> {
    fn text(&self) -> &[u8] {
        self.body.get(..self.text.unwrap_or(0)).unwrap_or_default()
    }

    fn decode(&self, signature: &Signature) -> Result<Question<Form>, Problem> {
        let Some(text) = self.text else {
            let inputs = binary::only_input(&self.body, signature, self.limits)?;
            let wanted = Wanted::all(signature);
            let outputs = wanted.iter().map(|wanted| wanted.index).collect();
            let form = Form { id: None, wanted, binary: true };
            return Ok(Question { inputs, outputs, timeout: None, form });
        };
        let decoded = request::decode(self.text(), signature, self.limits)?;
        let Decoded { id, parameters, mut inputs, blobs, mut wanted } = decoded;
        binary::give(&mut inputs, blobs, &self.body, text)?;
        let inputs = inputs.finish(self.limits)?;
        if wanted.is_empty() {
            wanted = Wanted::all(signature);
        }
        let outputs = wanted.iter().map(|wanted| wanted.index).collect();
        let binary = parameters.binary_data_output.unwrap_or(false);
        let form = Form { id, wanted, binary };
        Ok(Question { inputs, outputs, timeout: parameters.timeout, form })
    }
}

impl<'l> HttpWire<'l> for RestWire<'l> {
    fn receive(
        headers: &HeaderMap,
        body: body::Whole,
        limits: &'l LimitsConfig,
    ) -> Result<Self, Problem> {
        let text = match headers.get(TEXT_LENGTH) {
            None => Some(body.len()),
            Some(value) => {
                let length = value.to_str().ok().and_then(|text| text.trim().parse().ok());
                let length = length.filter(|length| *length <= body.len());
                let length = length.ok_or_else(|| not_so_long(body.len()))?;
                Some(length).filter(|length| *length > 0)
            }
        };
        Ok(Self { body, text, limits })
    }

    fn field(&self, name: &str) -> Option<Vec<u8>> {
        let text = self.text();
        aside(text.len(), || json::field(name, text).or_else(|| json::parameter(name, text)))
    }

    fn respond(reply: Reply) -> Response {
        let mut response = reply.body.into_response();
        let headers = response.headers_mut();
        let content_type = match reply.text {
            None => "application/json",
            Some(length) => {
                headers.insert(TEXT_LENGTH, HeaderValue::from(length));
                "application/octet-stream"
            }
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }
}

impl Wire for RestWire<'_> {
    type Form = Form;
    type Reply = Reply;

    fn read(&self, servable: &Servable) -> Result<Question<Form>, Problem> {
        aside(self.body.len(), || self.decode(servable.signature()))
    }

    fn write(&self, form: &Form, servable: &Servable, outputs: &Outputs) -> Result<Reply, Problem> {
        /// About how many bytes an element takes as text.
        const BYTES_OF_ELEMENT: usize = 8;
        let views = outputs.views();
        let elements: usize = views.iter().map(ValueView::len).sum();
        Ok(aside(elements * BYTES_OF_ELEMENT, || reply::write(form, servable, &views)))
    }
}

fn not_so_long(body: usize) -> Problem {
    let sentence = format!(
        "header `{TEXT_LENGTH}`: expected how many bytes of the body are JSON, from 0 to {body}"
    );
    Problem::bad_request("invalid_header", sentence)
}

/// What a client would be told is wrong with a body of which so much is text; none: it is the one tensor.
#[cfg(feature = "fuzzing")]
pub(super) fn decode_for_fuzzing(
    body: bytes::Bytes,
    text: Option<usize>,
    signature: &Signature,
) -> Result<Vec<crate::domain::tensor::Tensor>, String> {
    let limits = LimitsConfig::default();
    let wire = RestWire { body: body::Whole::lone(body), text, limits: &limits };
    let question = wire.decode(signature).map_err(|problem| problem.sentence().to_owned())?;
    Ok(question.inputs)
}
