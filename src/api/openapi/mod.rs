//! `/openapi.json` and `/docs`: what a listener answers, described for programs and for people.
//!
//! Each listener describes its own routes and no others. What is said of a route stands in `parts/`, in the file of its
//! group, under `METHOD /path`: there a new route is added, as the test below will ask for.

mod document;
mod page;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use super::routes::Audience;
use super::{Api, admin, pages};

/// The listener that is described, and its description once somebody has asked for it.
#[derive(Debug)]
pub(super) struct Described {
    /// For whom it has routes.
    pub(super) audiences: Vec<Audience>,
    /// Whether what is not for clients wants a token.
    pub(super) wants_token: bool,
    document: OnceLock<Value>,
    page: OnceLock<String>,
}

impl Described {
    pub(super) fn new(audiences: &[Audience], wants_token: bool) -> Self {
        let (document, page) = (OnceLock::new(), OnceLock::new());
        Self { audiences: audiences.to_vec(), wants_token, document, page }
    }

    fn document(&self) -> &Value {
        self.document.get_or_init(|| document::document(self))
    }
}

/// `GET /openapi.json`
pub(super) async fn document(
    Extension(described): Extension<Arc<Described>>,
    headers: HeaderMap,
) -> Response {
    admin::with_etag(&headers, described.document())
}

/// `GET /docs`
pub(super) async fn docs(
    State(api): State<Api>,
    Extension(described): Extension<Arc<Described>>,
) -> Response {
    let is_for_clients = described.audiences.contains(&Audience::Clients);
    let address = if is_for_clients { &api.links.inference } else { &api.links.admin };
    let page = described.page.get_or_init(|| page::render(described.document(), address));
    pages::response(page.clone())
}
