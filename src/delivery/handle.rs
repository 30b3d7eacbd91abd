//! How everybody speaks to the controller.

use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::sync::oneshot;

use super::board::ReleaseView;
use crate::domain::model::ModelName;
use crate::domain::rollout::{Actor, Command, CommandRefused, Event};
use crate::repository::{LoadDone, Looked};

/// The handle by which everybody speaks to the controller. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Delivery {
    messages: Sender<Message>,
}

/// Why a command had no effect.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such model.
    #[error("there is no such model")]
    UnknownModel,
    /// The model has changed since the caller looked.
    #[error("the model has changed since; its last change is {seq}")]
    Stale {
        /// The number of the last change.
        seq: u64,
    },
    /// The command does not fit.
    #[error(transparent)]
    Refused(#[from] CommandRefused),
    /// It could not be written down, so it was not done.
    #[error("the change cannot be written down, so it was not made: {0}")]
    NotRecorded(String),
    /// The server is going away.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// What the controller is told.
#[derive(Debug)]
pub(super) enum Message {
    Looked(Looked),
    Load(Box<LoadDone>),
    Ask { model: ModelName, event: Event, if_match: Option<u64>, reply: Reply },
    Tripped,
    Freed(ModelName),
    Stop,
}

/// Where the answer to a command goes.
pub(super) type Reply = oneshot::Sender<Result<ReleaseView, CommandError>>;

impl Delivery {
    /// A channel to a controller that is not running yet.
    pub fn channel() -> (Self, Inbox) {
        let (messages, inbox) = channel();
        (Self { messages }, Inbox(inbox))
    }

    /// Tells what a look at the models' folder found out.
    pub fn looked(&self, looked: Looked) {
        // Nobody listens any more only when the process is about to end.
        let _ = self.messages.send(Message::Looked(looked));
    }

    /// Tells how a load ended.
    pub fn load_done(&self, done: LoadDone) {
        let _ = self.messages.send(Message::Load(Box::new(done)));
    }

    /// Tells that a candidate fails all the time.
    pub(super) fn tripped(&self) {
        let _ = self.messages.send(Message::Tripped);
    }

    /// Tells that a version was unloaded, and its memory is free.
    pub(super) fn freed(&self, model: &ModelName) {
        let _ = self.messages.send(Message::Freed(model.clone()));
    }

    /// Does what an operator wants, and gives the state after it.
    ///
    /// # Errors
    /// [`CommandError`], and nothing was changed.
    pub async fn command(
        &self,
        model: &ModelName,
        command: Command,
        if_match: Option<u64>,
    ) -> Result<ReleaseView, CommandError> {
        self.ask(model, Event::Command(command), if_match).await
    }

    /// Unloads a model until it is wanted again, and gives the state after it.
    ///
    /// # Errors
    /// [`CommandError`], and nothing was changed.
    pub async fn withdraw(
        &self,
        model: &ModelName,
        actor: Actor,
        reason: String,
    ) -> Result<ReleaseView, CommandError> {
        self.ask(model, Event::Withdrawn { actor, reason }, None).await
    }

    /// Has a model loaded again, and tried again what failed in passing. Gives the state after it.
    ///
    /// # Errors
    /// [`CommandError`], and nothing was changed.
    pub async fn want_again(
        &self,
        model: &ModelName,
        actor: Actor,
        reason: String,
    ) -> Result<ReleaseView, CommandError> {
        self.ask(model, Event::WantedAgain { actor, reason }, None).await
    }

    async fn ask(
        &self,
        model: &ModelName,
        event: Event,
        if_match: Option<u64>,
    ) -> Result<ReleaseView, CommandError> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Ask { model: model.clone(), event, if_match, reply };
        self.messages.send(message).map_err(|_| CommandError::ShuttingDown)?;
        answer.await.map_err(|_| CommandError::ShuttingDown)?
    }

    /// Ends the controller after what it has been told so far.
    pub fn stop(&self) {
        let _ = self.messages.send(Message::Stop);
    }
}

/// The other end of [`Delivery`], until the controller runs.
#[derive(Debug)]
pub struct Inbox(pub(super) Receiver<Message>);
