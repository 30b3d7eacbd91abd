//! Releases: which version of a model answers, and how a new one gets there.
//!
//! A [`Release`] is all that is decided about one model: its stable version, the one before, what each label
//! stood for when it was last acted on, and the running [`Rollout`]. [`Release::step`] takes an [`Event`] and the
//! time and says what changes; [`Release::route`] and [`Release::wanted`] say what follows from it. Nothing is done
//! here: the controller writes each change down, loads what is wanted and shows the route.

mod arrival;
mod change;
mod contract;
mod crash;
mod event;
mod plan;
mod quarantine;
mod record;
mod release;
mod stages;
mod verbs;

pub use arrival::{Place, Seen};
pub use contract::{Contract, Unfit};
pub use event::{Decision, Event, Judgement, LoadFailure, Step};
pub use plan::{OnInconclusive, PairPlan, Plan, StepPlan, Strategy};
pub use record::{
    Actor, CanaryStep, Outcome, Phase, Revision, Rollout, RolloutId, Transition, Verb,
};
pub use release::{Context, Pair, Release, Route, Share};
pub use verbs::{Command, CommandRefused};

#[cfg(test)]
mod tests;
