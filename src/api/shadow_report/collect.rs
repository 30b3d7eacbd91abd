//! Finds the comparisons that were asked for: in memory while they go on, in the journal when they are over.

use std::time::SystemTime;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::admin::no_such_model;
use super::super::problem::Problem;
use crate::api::ApiParts;
use crate::delivery::JournalError;
use crate::domain::model::ModelName;
use crate::domain::rollout::{Rollout, RolloutId};
use crate::domain::time::WallTime;
use crate::shadow::StudyReport;

/// Which reports.
#[derive(Debug)]
pub(super) enum Wanted {
    /// The present or last one of each model.
    Newest,
    /// That of one model.
    OfModel(ModelName),
    /// One, and no other.
    Of(RolloutId),
}

impl Wanted {
    pub(super) fn read(model: Option<&str>, rollout: Option<&str>) -> Result<Self, Problem> {
        match (model, rollout) {
            (_, Some(id)) => id
                .parse()
                .map(Self::Of)
                .map_err(|error| Problem::bad_request("invalid_rollout", format!("{error}"))),
            (Some(model), None) => {
                model.parse().map(Self::OfModel).map_err(|_| no_such_model(model))
            }
            (None, None) => Ok(Self::Newest),
        }
    }
}

pub(super) fn answer(api: &ApiParts, wanted: &Wanted) -> Result<Value, Problem> {
    let ids = match wanted {
        Wanted::Of(id) => {
            let exists = api.shadow.with_samples(*id).is_some()
                || api.journal.rollout(*id).map_err(unreadable)?.is_some();
            if !exists {
                let sentence = format!("there was no rollout {id}");
                return Err(Problem::not_found("no_such_rollout", sentence));
            }
            vec![*id]
        }
        Wanted::OfModel(model) => {
            let name = model.as_str();
            if api.board.release(name).is_none() && api.registry.model(name).is_none() {
                return Err(no_such_model(name));
            }
            let last = api.journal.last_study(model).map_err(unreadable)?;
            api.shadow.of_model(model).max(last).into_iter().collect()
        }
        Wanted::Newest => {
            let mut newest = api.shadow.newest();
            for (model, id) in api.journal.last_studies().map_err(unreadable)? {
                let known = newest.entry(model).or_insert(id);
                *known = id.max(*known);
            }
            let mut ids: Vec<RolloutId> = newest.into_values().collect();
            ids.sort_unstable_by(|a, b| b.cmp(a));
            ids
        }
    };
    let mut reports = Vec::new();
    for id in ids {
        reports.extend(report(api, id)?);
    }
    Ok(json!({ "schema": "shadow.report/1", "reports": reports }))
}

/// The report of one rollout; none when nothing was compared for it.
fn report(api: &ApiParts, id: RolloutId) -> Result<Option<Value>, Problem> {
    let live = api.shadow.with_samples(id);
    let study = match &live {
        Some(study) => StudyReport::of(study, WallTime::from(SystemTime::now())),
        None => match api.journal.study(id).map_err(unreadable)? {
            Some(document) => StudyReport::read(&document).map_err(|error| {
                tracing::error!("what was compared for rollout {id} cannot be read: {error}");
                let sentence = format!("what was compared for rollout {id} cannot be read");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "report_unreadable", sentence)
            })?,
            None => return Ok(None),
        },
    };
    let model = live.map(|study| study.subject().model.clone());
    let now = model.and_then(|model| {
        let view = api.board.release(model.as_str())?;
        let rollout = view.release.rollout().filter(|rollout| rollout.id == id)?.clone();
        Some((model, rollout))
    });
    let Some((model, rollout)) = now.map_or_else(|| past(api, id), |now| Ok(Some(now)))? else {
        return Ok(None);
    };
    let mut report = study.json(model.as_str(), &rollout);
    if let Some(waiting) = api.backlog.waiting(id) {
        report["sampling"]["deferred"] = waiting.into();
    }
    Ok(Some(report))
}

/// A rollout as its last change left it.
fn past(api: &ApiParts, id: RolloutId) -> Result<Option<(ModelName, Rollout)>, Problem> {
    let known = api.journal.rollout(id).map_err(unreadable)?;
    Ok(known.and_then(|(model, transitions)| {
        let (_, last) = transitions.last()?;
        Some((model, last.rollout.clone()))
    }))
}

fn unreadable(error: JournalError) -> Problem {
    tracing::error!("{error}");
    let sentence = "what was compared cannot be read; the server's log says why";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "journal_unreadable", sentence)
}
