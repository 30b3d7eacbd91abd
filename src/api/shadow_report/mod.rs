//! `/shadow/report` and `/shadow/samples/{id}`: how the two versions of a rollout compare.

mod collect;
mod page;
mod sample;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use self::collect::Wanted;
pub use self::page::{PageLinks, render};
use super::problem::Problem;
use super::rollouts::parameter;
use super::segments::Segments;
use super::{Api, admin, pages};

/// `GET /shadow/report`: of every model, of `?model=`, or of one `?rollout=`. JSON, or a page for a browser.
pub(super) async fn report(State(api): State<Api>, uri: Uri, headers: HeaderMap) -> Response {
    let wants_page = match parameter(&uri, "format") {
        Some("html") => true,
        Some("json") => false,
        Some(_) => {
            let sentence = "`format` is `json` or `html`";
            return Problem::bad_request("invalid_format", sentence).into_response();
        }
        None => prefers_html(&headers),
    };
    let wanted = match Wanted::read(parameter(&uri, "model"), parameter(&uri, "rollout")) {
        Ok(wanted) => wanted,
        Err(problem) => return problem.into_response(),
    };
    match on_a_thread_that_may_wait(&api, move |api| collect::answer(api, &wanted)).await {
        Ok(answer) if wants_page => pages::response(page::render(&answer, &api.links)),
        Ok(answer) => admin::with_etag(&headers, &answer),
        Err(problem) => problem.into_response(),
    }
}

/// `GET /shadow/samples/{id}`: one of the worst examples, with what went in and what came out.
pub(super) async fn sample(
    State(api): State<Api>,
    Segments(id): Segments<String>,
    headers: HeaderMap,
) -> Response {
    match on_a_thread_that_may_wait(&api, move |api| sample::answer(api, &id)).await {
        Ok(answer) => admin::with_etag(&headers, &answer),
        Err(problem) => problem.into_response(),
    }
}

/// Evidence is kept behind a lock that a worker may hold while others have the cores; no request may wait for that.
async fn on_a_thread_that_may_wait(
    api: &Api,
    answer: impl FnOnce(&Api) -> Result<Value, Problem> + Send + 'static,
) -> Result<Value, Problem> {
    let api = api.clone();
    tokio::task::spawn_blocking(move || answer(&api)).await.unwrap_or_else(|_| {
        let sentence = "the report could not be made; the server's log says why";
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "report_failed", sentence))
    })
}

/// Whether `Accept` names HTML before JSON, as browsers do.
fn prefers_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let kinds = accept.unwrap_or_default().split(',');
    let weights = kinds.map(|kind| {
        let (name, parameters) = kind.split_once(';').unwrap_or((kind, ""));
        let weight = parameters.trim().strip_prefix("q=").and_then(|q| q.trim().parse().ok());
        (name.trim().to_ascii_lowercase(), weight.unwrap_or(1.0f32))
    });
    let weights: Vec<(String, f32)> = weights.collect();
    let weight = |name: &str| {
        let of = weights.iter().filter(|(known, _)| known == name).map(|(_, weight)| *weight);
        of.fold(0.0, f32::max)
    };
    weight("text/html") > weight("application/json")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_browser_gets_a_page_and_everybody_else_json() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json", false),
            ("*/*", false),
            ("text/html;q=0.5, application/json", false),
            ("application/json;q=0.5, text/html", true),
            ("", false),
        ] {
            let value = HeaderValue::from_static(accept);
            let headers = HeaderMap::from_iter([(header::ACCEPT, value)]);
            assert_eq!(prefers_html(&headers), expected, "{accept}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }
}
