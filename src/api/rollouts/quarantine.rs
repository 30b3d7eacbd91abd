//! `POST /admin/v1/models/{model}/versions/{version}/retry`: an operator lifts what is held against a version.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::admin::tagged;
use super::super::problem::Problem;
use super::super::segments::Segments;
use super::super::{Api, models};
use super::{Followed, ask, command};
use crate::delivery::ReleaseView;
use crate::domain::model::VersionLabel;

/// See above.
pub(in crate::api) async fn retry(
    State(api): State<Api>,
    Segments((model, version)): Segments<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match lift(&api, &model, &version, &headers, body).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn lift(
    api: &Api,
    model: &str,
    version: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let version = models::version(version)?;
    let read = |body: &[u8]| command::read_retry(version.clone(), body);
    Ok(match ask(api, model, headers, body, read).await? {
        Followed::To(view) => {
            let told = lifted(model, &version, &view).to_string();
            tagged(&HeaderMap::new(), &command::tag(view.seq), told)
        }
        Followed::Not(refusal) => refusal,
    })
}

/// What comes of it: the rollout in which the version is tried again, where it began one or has one.
pub(super) fn lifted(model: &str, version: &VersionLabel, view: &ReleaseView) -> Value {
    let digest = view.release.labels().get(version);
    let rollout = view.release.live().filter(|it| Some(&it.candidate.digest) == digest);
    let mut told = json!({
        "seq": view.seq,
        "model": model,
        "version": version.as_str(),
        "digest": digest.map(ToString::to_string),
        "rollout": rollout.map(|rollout| rollout.id.to_string()),
    });
    if !view.is_recorded {
        told["recorded"] = json!(false); // the exception that an operator must know of
    }
    told
}
