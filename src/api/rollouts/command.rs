//! An operator's request, from its path, header and body; and why it was not followed.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::problem::Problem;
use crate::delivery::CommandError;
use crate::domain::model::VersionLabel;
use crate::domain::rollout::{Actor, Command, CommandRefused, Strategy, Verb};
use crate::domain::weight::Weight;
use crate::domain::wording::{is_harmless, printable};

/// What operators can ask for.
const VERBS: [Verb; 8] = [
    Verb::Start,
    Verb::Promote,
    Verb::Pause,
    Verb::Resume,
    Verb::Weight,
    Verb::Abort,
    Verb::Undo,
    Verb::Retry,
];

/// What the path asks for.
pub(super) fn verb(word: &str) -> Result<Verb, Problem> {
    VERBS.into_iter().find(|verb| verb.name() == word).ok_or_else(|| {
        let known: Vec<&str> = VERBS.iter().map(|verb| verb.name()).collect();
        let sentence = format!("a rollout knows {}, not what was asked for", known.join(", "));
        Problem::not_found("no_such_verb", sentence)
    })
}

/// The body. Everything may be left out, and so may the body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    reason: Option<String>,
    actor: Option<String>,
    to: Option<VersionLabel>,
    version: Option<VersionLabel>,
    strategy: Option<Strategy>,
    full: Option<bool>,
    fresh: Option<bool>,
    weight: Option<f64>,
}

const MAX_REASON: usize = 1000;
const MAX_ACTOR: usize = 128;

/// Reads what is to be done with a rollout.
pub(super) fn read(verb: Verb, body: &[u8]) -> Result<Command, Problem> {
    let wish = Wish::read(body)?;
    wish.check(verb)?;
    let weight = weight(verb, wish.weight)?;
    let plain = wish.plain(verb)?;
    Ok(Command {
        version: wish.to.or(wish.version),
        strategy: wish.strategy,
        weight,
        full: wish.full.unwrap_or(false),
        fresh: wish.fresh.unwrap_or(false),
        ..plain
    })
}

/// Reads who wants a version to be tried again, and why. There is nothing else to be said.
pub(super) fn read_retry(version: VersionLabel, body: &[u8]) -> Result<Command, Problem> {
    let wish = Wish::read(body)?;
    if let Some((field, of)) = wish.given().next() {
        let sentence =
            format!("`{field}` is for `{of}` of a rollout, not for `retry` of a version");
        return Err(Problem::bad_request("field_does_not_fit", sentence));
    }
    Ok(Command { version: Some(version), ..wish.plain(Verb::Retry)? })
}

impl Wish {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|error| {
            let why = printable(&error.to_string(), 300);
            Problem::bad_request("invalid_body", format!("the body cannot be understood: {why}"))
        })
    }

    /// What is said beside who and why, and the verb that it is for.
    fn given(&self) -> impl Iterator<Item = (&'static str, Verb)> {
        let fields = [
            ("to", self.to.is_some(), Verb::Undo),
            ("version", self.version.is_some(), Verb::Start),
            ("strategy", self.strategy.is_some(), Verb::Start),
            ("full", self.full.is_some(), Verb::Promote),
            ("fresh", self.fresh.is_some(), Verb::Retry),
            ("weight", self.weight.is_some(), Verb::Weight),
        ];
        fields.into_iter().filter_map(|(field, is_given, of)| is_given.then_some((field, of)))
    }

    /// A field that would have no effect is not taken silently.
    fn check(&self, verb: Verb) -> Result<(), Problem> {
        match self.given().find(|(_, of)| *of != verb) {
            None => Ok(()),
            Some((field, of)) => {
                let sentence = format!("`{field}` is for `{of}`, not for `{verb}`");
                Err(Problem::bad_request("field_does_not_fit", sentence))
            }
        }
    }

    /// Who and why, and nothing else.
    fn plain(&self, verb: Verb) -> Result<Command, Problem> {
        let reason = line("reason", self.reason.as_deref(), MAX_REASON)?;
        let actor = line("actor", self.actor.as_deref(), MAX_ACTOR)?;
        let actor = Actor::Operator(actor.unwrap_or_else(|| "operator".to_owned()));
        let reason = reason.unwrap_or_else(|| "no reason was given".to_owned());
        Ok(Command::plain(verb, actor, reason))
    }
}

fn weight(verb: Verb, given: Option<f64>) -> Result<Option<Weight>, Problem> {
    let invalid = |sentence: &str| Problem::bad_request("invalid_weight", sentence);
    match given {
        Some(per_cent) => Weight::from_per_cent(per_cent)
            .map(Some)
            .map_err(|error| invalid(&format!("`weight`: {error}"))),
        None if verb == Verb::Weight => Err(invalid(&CommandRefused::NeedsWeight.to_string())),
        None => Ok(None),
    }
}

/// A text that can stand in a log and in a table.
fn line(field: &str, text: Option<&str>, longest: usize) -> Result<Option<String>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let text = text.replace(|c| !is_harmless(c), " ").trim().to_owned();
    if text.chars().count() > longest {
        let sentence = format!("`{field}` is longer than {longest} characters");
        return Err(Problem::bad_request("invalid_body", sentence));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// The state that a caller has seen, and insists on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// Any will do.
    Any,
    /// The one with this number.
    Seq(u64),
    /// One that no rollout can have.
    Nothing,
}

impl IfMatch {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let Some(tag) = headers.get(header::IF_MATCH) else { return Self::Any };
        match tag.to_str().map(str::trim) {
            Ok("*") => Self::Any,
            Ok(tag) => tag.trim_matches('"').parse().map_or(Self::Nothing, Self::Seq),
            Err(_) => Self::Nothing,
        }
    }
}

/// The tag of a rollout: the number of its last change.
pub(super) fn tag(seq: u64) -> String {
    format!("\"{seq}\"")
}

/// Says why a command had no effect.
pub(super) fn refusal(model: &str, error: CommandError) -> Response {
    match error {
        CommandError::UnknownModel => {
            let sentence = format!("model `{model}` does not exist");
            Problem::not_found("no_such_model", sentence).into_response()
        }
        CommandError::Stale { seq } => stale(seq),
        CommandError::Refused(refused) => not_followed(&refused),
        CommandError::NotRecorded(cause) => {
            let sentence =
                format!("nothing was changed, because it cannot be written down: {cause}");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_recorded", sentence).into_response()
        }
        CommandError::ShuttingDown => {
            let sentence = "nothing was changed: the server is shutting down";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", sentence).into_response()
        }
    }
}

/// The rollout has gone on since the caller looked.
pub(super) fn stale(seq: u64) -> Response {
    let sentence = format!("the rollout has changed since you looked: its last change is {seq}");
    let body = json!({ "error": sentence, "code": "stale", "seq": seq });
    let mut response = answer(StatusCode::PRECONDITION_FAILED, &body);
    if let Ok(tag) = HeaderValue::from_str(&tag(seq)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn not_followed(refused: &CommandRefused) -> Response {
    let sentence = refused.to_string();
    match refused {
        CommandRefused::DoesNotFit { fitting, .. } => {
            let verbs: Vec<&str> = fitting.iter().map(|verb| verb.name()).collect();
            let body = json!({ "error": sentence, "code": "verb_does_not_fit", "verbs": verbs });
            answer(StatusCode::CONFLICT, &body)
        }
        CommandRefused::NothingToLift { held, fitting, .. } => {
            let verbs: Vec<&str> = fitting.iter().map(|verb| verb.name()).collect();
            let versions: Vec<&str> = held.iter().map(VersionLabel::as_str).collect();
            let body = json!({
                "error": sentence, "code": "verb_does_not_fit", "verbs": verbs, "versions": versions,
            });
            answer(StatusCode::CONFLICT, &body)
        }
        CommandRefused::NeedsWeight => {
            Problem::bad_request("invalid_weight", sentence).into_response()
        }
        CommandRefused::NeedsFresh { .. } => {
            let body = json!({ "error": sentence, "code": "needs_fresh", "verbs": ["retry"] });
            answer(StatusCode::CONFLICT, &body)
        }
        CommandRefused::UnknownVersion { known, .. } => {
            let known: Vec<&str> = known.iter().map(VersionLabel::as_str).collect();
            let body = json!({ "error": sentence, "code": "no_such_version", "known": known });
            answer(StatusCode::NOT_FOUND, &body)
        }
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
