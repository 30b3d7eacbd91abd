//! A change as it is told, whichever way: in a stream of events, in the history, to a webhook.

use serde_json::{Value, json};

use super::board::{Announcement, FewerPairs};
use crate::domain::rollout::Transition;

/// One change, as it is kept and told.
pub fn transition_document(model: &str, seq: u64, transition: &Transition) -> Value {
    let rollout = &transition.rollout;
    json!({
        "seq": seq,
        "at": transition.at.to_string(),
        "model": model,
        "rollout": rollout.id.to_string(),
        "stable": rollout.stable.as_ref().map(|stable| stable.label.as_str()),
        "candidate": rollout.candidate.label.as_str(),
        "from": transition.from,
        "to": rollout.phase.name(),
        "actor": transition.actor.to_string(),
        "reason": transition.reason,
    })
}

impl Announcement {
    /// See [`transition_document`].
    pub fn document(&self) -> Value {
        transition_document(self.model.as_str(), self.seq, &self.transition)
    }
}

impl FewerPairs {
    /// As it is told in a stream of events.
    pub fn document(&self) -> Value {
        json!({
            "at": self.at.to_string(),
            "model": self.model.as_str(),
            "rollout": self.rollout.to_string(),
            "backed_off": self.times,
            "reason": "pairs slow the stable version down by more than 2 %, so there are to be fewer",
        })
    }
}
