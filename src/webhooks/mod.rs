//! Tells webhooks of every change of every rollout, reliably and in order.
//!
//! ```text
//! delivery::journal ── outbox ──▶ sender, a thread for each hook ── POST, signed ──▶ receiver
//!                        ▲                    │ 2xx: take the row away
//!                        └────────────────────┘ else: wait, and tell the same again
//! ```
//!
//! It stands beside `api`, and not within `delivery`: both tell others what has happened, in the same words, and
//! nothing that decides may wait for them or know who listens. What links the two is the outbox, where rows appear with
//! the changes themselves. A receiver that hangs costs its own thread and nobody else anything.

mod hook;
mod message;
mod receiver;
mod sender;
mod signature;

use std::time::Duration;

use tokio::sync::mpsc;

use self::receiver::Receiver;
use self::sender::Sender;
use crate::delivery::Outbox;

pub use hook::{Hook, HookError};

/// The senders, at work.
#[derive(Debug)]
pub struct Webhooks {
    /// Says nothing; it closes when the last sender has ended.
    ended: mpsc::Receiver<()>,
}

impl Webhooks {
    /// Begins to tell these hooks what is in their outboxes. It goes on until the journal is closed.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start(hooks: Vec<(Hook, Outbox)>) -> std::io::Result<Self> {
        let (at_work, ended) = mpsc::channel(1);
        for (hook, outbox) in hooks {
            let (host, at_work) = (hook.host().to_owned(), at_work.clone());
            let receiver = Receiver::new(hook);
            let sender = Sender::new(host, outbox, move |change, now| receiver.post(change, now));
            std::thread::Builder::new().name("webhook".to_owned()).spawn(move || {
                sender.run();
                drop(at_work);
            })?;
        }
        Ok(Self { ended })
    }

    /// Gives the senders, once the journal is closed, a last chance to tell what waits. What they have not told then
    /// stays in the outbox.
    pub async fn end(mut self, chance: Duration) {
        // Nothing is ever sent, so whatever comes is the end.
        if tokio::time::timeout(chance, self.ended.recv()).await.is_err() {
            tracing::warn!(
                "a webhook takes too long: what it was not told is told after the next start"
            );
        }
    }
}
