//! A rollout as JSON.

use serde_json::{Value, json};

use crate::delivery::{Announcement, ReleaseView, RolloutHistory};
use crate::domain::rollout::{Outcome, Phase, Plan, Rollout, Strategy, Verb};
use crate::domain::weight::Weight;

/// The running rollout of a model, or its last one; none when there was none yet.
pub(in crate::api) fn current(model: &str, view: &ReleaseView) -> Option<Value> {
    let rollout = view.release.rollout()?;
    let mut told = rollout_json(model, view.seq, rollout, &view.release.verbs());
    if !view.is_recorded {
        told["recorded"] = json!(false); // the exception that an operator must know of
    }
    Some(told)
}

/// A rollout as a change left it. `now` is the state of the model, which may have gone on.
pub(in crate::api) fn changed(announcement: &Announcement, now: Option<&ReleaseView>) -> Value {
    let Announcement { seq, model, transition } = announcement;
    let is_present = |view: &&ReleaseView| view.seq == *seq;
    now.filter(is_present)
        .and_then(|view| current(model.as_str(), view))
        .unwrap_or_else(|| rollout_json(model.as_str(), *seq, &transition.rollout, &[]))
}

/// A rollout of the past. The one that the model still stands at is told as it is now.
pub(super) fn past(model: &str, past: &RolloutHistory, now: Option<&ReleaseView>) -> Value {
    let is_present = |view: &&ReleaseView| {
        view.release.rollout().is_some_and(|rollout| rollout.id == past.rollout.id)
    };
    now.filter(is_present)
        .and_then(|view| current(model, view))
        .unwrap_or_else(|| rollout_json(model, past.seq, &past.rollout, &[]))
}

fn rollout_json(model: &str, seq: u64, rollout: &Rollout, verbs: &[Verb]) -> Value {
    let stable = rollout.stable.as_ref();
    json!({
        "seq": seq,
        "id": rollout.id.to_string(),
        "parent": rollout.parent.map(|parent| parent.to_string()),
        "model": model,
        "strategy": rollout.plan.strategy.name(),
        "stable": stable.map(|stable| stable.label.as_str()),
        "candidate": rollout.candidate.label.as_str(),
        "phase": rollout.phase.name(),
        "stage": stage(&rollout.phase),
        "step": step(rollout),
        "steps": steps(&rollout.plan),
        "weight": per_cent(rollout.phase.weight()),
        "since": rollout.since.to_string(),
        "started": rollout.started.to_string(),
        "verdict": null,
        "gates": [],
        "counts": null,
        "proven": proven(&rollout.phase),
        "verbs": verbs.iter().map(|verb| verb.name()).collect::<Vec<_>>(),
        "reason": rollout.reason,
        "actor": rollout.actor.to_string(),
        "bake_s": rollout.plan.bake.as_secs(),
        "digests": {
            "stable": stable.map(|stable| stable.digest.to_string()),
            "candidate": rollout.candidate.digest.to_string(),
        },
    })
}

/// The part of the plan that is under way.
fn stage(phase: &Phase) -> Option<&'static str> {
    match phase {
        Phase::Loading => Some("load"),
        Phase::Rehearsing(_) => Some("rehearse"),
        Phase::Shadowing(_) | Phase::Waiting => Some("shadow"),
        Phase::Canary(_) => Some("canary"),
        Phase::Paused(held) => stage(held),
        Phase::Baking(_) => Some("bake"),
        Phase::Ended(_) => None,
    }
}

/// The index of the step that is under way, or held.
fn step(rollout: &Rollout) -> Option<usize> {
    match rollout.phase.stage() {
        Phase::Canary(step) => rollout.plan.step_at(step.weight).map(|(index, _)| index),
        Phase::Loading
        | Phase::Rehearsing(_)
        | Phase::Shadowing(_)
        | Phase::Paused(_)
        | Phase::Waiting
        | Phase::Baking(_)
        | Phase::Ended(_) => None,
    }
}

/// The weights of the steps, where the plan has some.
fn steps(plan: &Plan) -> Vec<Value> {
    match plan.strategy {
        Strategy::Canary => plan.steps.iter().map(|step| per_cent(step.weight)).collect(),
        Strategy::Recreate | Strategy::BlueGreen | Strategy::Shadow => Vec::new(),
    }
}

/// Whole numbers are written as such.
fn per_cent(weight: Weight) -> Value {
    let weight = weight.per_cent();
    if weight.fract() == 0.0 { json!(weight as u64) } else { json!(weight) }
}

fn proven(phase: &Phase) -> Option<bool> {
    match phase {
        Phase::Ended(Outcome::Completed { proven }) => Some(*proven),
        Phase::Loading
        | Phase::Rehearsing(_)
        | Phase::Shadowing(_)
        | Phase::Canary(_)
        | Phase::Paused(_)
        | Phase::Waiting
        | Phase::Baking(_)
        | Phase::Ended(
            Outcome::Aborted | Outcome::RolledBack | Outcome::Superseded | Outcome::Refused,
        ) => None,
    }
}
