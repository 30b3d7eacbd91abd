//! What the server's pages have in common: how they look, and what they must not be able to do.
//!
//! `pages.css` has their colours and letters; what only one of them needs stands in its own style behind that.

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// How a content security policy names a script or style that may be used: by its hash.
pub(super) fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// Answers with a page, and says what a page cannot say of itself.
pub(super) fn response(page: String) -> Response {
    let headers = [(header::X_FRAME_OPTIONS, "DENY"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, Html(page)).into_response()
}
