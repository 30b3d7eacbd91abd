//! What a webhook is told of a change.

use serde_json::{Value, json};

use crate::delivery::Announcement;

/// A change as it is sent. The same change is the same message, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// By which a receiver knows a message that it has had already.
    pub(super) id: String,
    /// What has happened, for those who look at nothing else: `rollout.baking`.
    pub(super) event: String,
    /// JSON: what the stream of events tells, and the id.
    pub(super) body: String,
}

impl From<&Announcement> for Message {
    fn from(change: &Announcement) -> Self {
        let id = change.seq.to_string();
        let event = format!("rollout.{}", change.transition.rollout.phase.name());
        let mut body = json!({ "id": id });
        if let (Value::Object(body), Value::Object(told)) = (&mut body, change.document()) {
            body.extend(told);
        }
        Self { id, event, body: body.to_string() }
    }
}
