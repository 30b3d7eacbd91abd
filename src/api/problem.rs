//! What went wrong, as a client is told: a status and `{"error": "sentence", "code": "snake_case"}`.
//!
//! Sentences say what the client can change. What it cannot (the library's words, a path) stays in the log.

use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::domain::wording::printable;

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    sentence: String,
    retry_after: Option<Duration>,
    ends_connection: bool,
    allow: Option<&'static str>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, sentence: impl Into<String>) -> Self {
        Self {
            status,
            code,
            sentence: sentence.into(),
            retry_after: None,
            ends_connection: false,
            allow: None,
        }
    }

    pub(super) fn bad_request(code: &'static str, sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, sentence)
    }

    pub(super) fn not_found(code: &'static str, sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, sentence)
    }

    /// Says when to try again; at least a second, which is what the header can say.
    pub(super) fn retry_after(mut self, duration: Duration) -> Self {
        self.retry_after = Some(duration);
        self
    }

    /// Says which method is right.
    pub(super) fn allowing(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// Says that the connection is of no more use: what is left of the request was not read.
    pub(super) fn ending_connection(mut self) -> Self {
        self.ends_connection = true;
        self
    }

    /// What the client is told.
    pub(super) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the server, and not the client, is to blame.
    pub(super) fn is_server_failure(&self) -> bool {
        self.status.is_server_error()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.sentence, "code": self.code }).to_string();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(duration) = self.retry_after {
            let seconds = duration.as_secs_f64().ceil().clamp(1.0, 60.0) as u64;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if self.ends_connection {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// No route has this path. Below `/v1/` the answer is that of TensorFlow Serving.
pub(super) async fn no_such_route(method: Method, uri: Uri) -> Problem {
    let (method, path) = told(&method, &uri);
    if path.starts_with("/v1/") {
        let sentence = format!("Malformed request: {method} {path}");
        return Problem::bad_request("malformed_request", sentence);
    }
    Problem::not_found("no_such_route", format!("there is nothing at {path}"))
}

/// The path is right and the method is not. axum adds the `Allow` header.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let (method, path) = told(&method, &uri);
    let sentence = format!("{method} is not what {path} is for; see the `allow` header");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", sentence)
}

/// What was asked for, as a sentence can repeat it.
fn told(method: &Method, uri: &Uri) -> (String, String) {
    (printable(method.as_str(), 20), printable(uri.path(), 200))
}
