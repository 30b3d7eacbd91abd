//! `/admin/v1/models/{model}/rollout…`: how a release goes, how others went, and what operators do about it; and about a
//! version that is quarantined.

mod command;
mod quarantine;
mod view;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use self::command::IfMatch;
use super::admin::{no_such_model, tagged, with_etag};
use super::problem::Problem;
use super::segments::Segments;
use super::{Api, body, events};
use crate::delivery::{
    JournalError, JournalReader, ReleaseView, RolloutHistory, transition_document,
};
use crate::domain::model::ModelName;
use crate::domain::rollout::{Command, RolloutId};
use crate::serving::Counts;

pub(super) use quarantine::retry as retry_version;
pub(super) use view::{changed, current};

/// How many rollouts of the past are told, where nothing else is asked for.
const SHOWN: usize = 50;
const MOST_SHOWN: usize = 1000;

/// `GET /admin/v1/models/{model}/rollout`, and with `?watch=1` every change of it, too.
pub(super) async fn rollout(
    State(api): State<Api>,
    Segments(model): Segments<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if asks_to_watch(&uri) {
        return match events::watch(&api, &model) {
            Some(events) => events.into_response(),
            None => no_rollout(&api, &model).into_response(),
        };
    }
    match api.board.release(&model) {
        Some(view) => told(&api, &model, &view, &headers),
        None => no_rollout(&api, &model).into_response(),
    }
}

/// `GET /admin/v1/models/{model}/rollouts`, of which `?limit=` tells so many.
pub(super) async fn rollouts(
    State(api): State<Api>,
    Segments(model): Segments<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let name: ModelName = match model.parse() {
        Ok(name) => name,
        Err(_) => return no_such_model(&model).into_response(),
    };
    let limit = match limit(&uri) {
        Ok(limit) => limit,
        Err(problem) => return problem.into_response(),
    };
    let read = move |journal: JournalReader| journal.history(&name, limit);
    let past = match from_journal(&api, read).await {
        Ok(past) => past,
        Err(problem) => return problem.into_response(),
    };
    if past.is_empty() && !is_known(&api, &model) {
        return no_such_model(&model).into_response();
    }
    let now = api.board.release(&model);
    let rollouts: Vec<Value> =
        past.iter().map(|past| view::past(&model, past, now.as_ref())).collect();
    with_etag(&headers, &json!({ "model": model, "rollouts": rollouts }))
}

/// `GET /admin/v1/models/{model}/rollouts/{id}`: with everything that happened to it.
pub(super) async fn past_rollout(
    State(api): State<Api>,
    Segments((model, id)): Segments<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let not_found = |sentence| Problem::not_found("no_such_rollout", sentence);
    let id: RolloutId = match id.parse() {
        Ok(id) => id,
        Err(error) => return not_found(format!("{error}")).into_response(),
    };
    let found = match from_journal(&api, move |journal| journal.rollout(id)).await {
        Ok(found) => found,
        Err(problem) => return problem.into_response(),
    };
    let Some((_, transitions)) = found.filter(|(of, _)| of.as_str() == model) else {
        if is_known(&api, &model) {
            return not_found(format!("model `{model}` had no rollout {id}")).into_response();
        }
        return no_such_model(&model).into_response();
    };
    let Some((seq, last)) = transitions.last() else {
        return not_found(format!("nothing is known of rollout {id}")).into_response();
    };
    let past = RolloutHistory { rollout: last.rollout.clone(), seq: *seq };
    let mut told = view::past(&model, &past, api.board.release(&model).as_ref());
    let of = |(seq, transition): &(u64, _)| transition_document(&model, *seq, transition);
    told["transitions"] = transitions.iter().map(of).collect();
    with_etag(&headers, &told)
}

/// `POST /admin/v1/models/{model}/rollout/{verb}`
pub(super) async fn command(
    State(api): State<Api>,
    Segments((model, verb)): Segments<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match follow(&api, &model, &verb, &headers, body).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn follow(
    api: &Api,
    model: &str,
    verb: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let verb = command::verb(verb)?;
    let read = |body: &[u8]| command::read(verb, body);
    Ok(match ask(api, model, headers, body, read).await? {
        Followed::To(view) => told(api, model, &view, &HeaderMap::new()),
        Followed::Not(refusal) => refusal,
    })
}

/// What came of an operator's request.
enum Followed {
    /// The state that it led to.
    To(ReleaseView),
    /// It does not fit, and nothing was changed.
    Not(Response),
}

/// Has done what a body asks for.
async fn ask(
    api: &Api,
    model: &str,
    headers: &HeaderMap,
    body: Body,
    read: impl FnOnce(&[u8]) -> Result<Command, Problem>,
) -> Result<Followed, Problem> {
    let body = body::read(headers, body, &api.http, &api.bodies).await?;
    let name: ModelName = model.parse().map_err(|_| no_such_model(model))?;
    let command = read(&body)?;
    let if_match = match IfMatch::of(headers) {
        IfMatch::Any => None,
        IfMatch::Seq(seq) => Some(seq),
        IfMatch::Nothing => {
            let view = api.board.release(model).ok_or_else(|| no_such_model(model))?;
            return Ok(Followed::Not(command::stale(view.seq)));
        }
    };
    Ok(match api.delivery.command(&name, command, if_match).await {
        Ok(view) => Followed::To(view),
        Err(error) => Followed::Not(command::refusal(model, error)),
    })
}

fn told(api: &Api, model: &str, view: &ReleaseView, headers: &HeaderMap) -> Response {
    let rollout = current(model, view).map(|rollout| with_verdict(api, model, rollout));
    match rollout {
        Some(rollout) => tagged(headers, &command::tag(view.seq), rollout.to_string()),
        None => no_rollout(api, model).into_response(),
    }
}

/// Adds what the evidence says, where there is some.
pub(super) fn with_verdict(api: &Api, model: &str, mut rollout: Value) -> Value {
    let id = rollout["id"].as_str().and_then(|id| id.parse().ok());
    let Some(judged) = id.and_then(|id| api.board.evidence(model, id)) else { return rollout };
    rollout["verdict"] = json!({
        "decision": judged.judgement.decision.name(),
        "reason": judged.judgement.reason,
        "log_evidence": judged.standing.log_fail,
        "pairs": judged.judgement.pairs,
    });
    rollout["gates"] = json!(judged.standing.gates);
    if let Some(counts) = &judged.counts {
        let arm = |counts: Counts| json!({ "requests": counts.requests, "errors": counts.failed });
        rollout["counts"] =
            json!({ "stable": arm(counts.stable), "candidate": arm(counts.candidate) });
    }
    rollout
}

fn no_rollout(api: &Api, model: &str) -> Problem {
    if is_known(api, model) {
        return Problem::not_found("no_rollout", format!("model `{model}` had no rollout yet"));
    }
    no_such_model(model)
}

fn is_known(api: &Api, model: &str) -> bool {
    api.board.release(model).is_some() || api.registry.model(model).is_some()
}

/// Reads on a thread that may wait for the disk.
async fn from_journal<T: Send + 'static>(
    api: &Api,
    read: impl FnOnce(JournalReader) -> Result<T, JournalError> + Send + 'static,
) -> Result<T, Problem> {
    let journal = api.journal.clone();
    let failed = |sentence: String| {
        tracing::error!("{sentence}");
        let told = "what became of the rollouts before cannot be read; the server's log says why";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "journal_unreadable", told)
    };
    match tokio::task::spawn_blocking(move || read(journal)).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("the journal could not be read to the end".to_owned())),
    }
}

fn asks_to_watch(uri: &Uri) -> bool {
    matches!(parameter(uri, "watch"), Some("" | "1" | "true"))
}

fn limit(uri: &Uri) -> Result<usize, Problem> {
    let Some(text) = parameter(uri, "limit") else { return Ok(SHOWN) };
    text.parse().ok().filter(|limit| (1..=MOST_SHOWN).contains(limit)).ok_or_else(|| {
        let sentence = format!("`limit` is a number from 1 to {MOST_SHOWN}");
        Problem::bad_request("invalid_limit", sentence)
    })
}

/// The value of a parameter of the query; empty for one that has none.
pub(super) fn parameter<'u>(uri: &'u Uri, name: &str) -> Option<&'u str> {
    uri.query()?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find_map(|(known, value)| (known == name).then_some(value))
}

#[cfg(test)]
mod tests;
