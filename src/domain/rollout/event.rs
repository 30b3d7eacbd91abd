//! What can happen to a model, and what comes of it.

use super::arrival::{Place, Seen};
use super::record::{Actor, RolloutId, Transition};
use super::verbs::Command;
use crate::domain::attribution::Attribution;
use crate::domain::model::Digest;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Contents are in the store, as files of this model have them.
    Seen(Vec<Seen>),
    /// A file is gone, and others of the model remain.
    Gone(Place),
    /// The model's last file is gone.
    AllGone,
    /// A version is loaded and warm.
    Loaded(Digest),
    /// A version could not be loaded.
    LoadFailed(Digest, LoadFailure),
    /// The evidence of the running rollout was judged.
    Judged(Judgement),
    /// What there was to rehearse the candidate on was run, and nothing was found against it: with what, in words.
    Rehearsed(String),
    /// The last process died, and it is known of what.
    Crashed(Attribution),
    /// An operator wants something.
    Command(Command),
    /// An operator wants the whole model unloaded.
    Withdrawn {
        /// Who.
        actor: Actor,
        /// Why.
        reason: String,
    },
    /// An operator wants the model that was unloaded again, and whatever failed to load tried again.
    WantedAgain {
        /// Who.
        actor: Actor,
        /// Why.
        reason: String,
    },
    /// Memory was handed back.
    RoomMade,
    /// The model has other settings, so what did not fit the old ones may fit now.
    SettingsChanged,
    /// Time has passed.
    Tick,
}

/// What the evidence of a rollout says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What follows.
    pub decision: Decision,
    /// Why, for people.
    pub reason: String,
    /// How many pairs there were.
    pub pairs: u64,
    /// The candidate's share of the traffic that was judged, by its number.
    pub epoch: u32,
    /// How many requests went to the candidate under that share.
    pub requests: u64,
}

/// What follows from the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The candidate is as good as it has to be.
    Pass,
    /// It is worse.
    Fail,
    /// Neither is shown yet.
    Inconclusive,
    /// The evidence cannot be relied on for now.
    Hold,
}

impl Decision {
    /// The word in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Hold => "hold",
        }
    }
}

/// Why a version could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadFailure {
    /// It is broken: the same content will fail again.
    Broken(String),
    /// It failed this time.
    Passing(String),
    /// It can be loaded, but clients of the stable version could not go on with it.
    Unfit(String),
    /// There is no memory for it: it can be loaded once others are gone.
    NoRoom(String),
}

/// What came of an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// What is to be written down and told, in order.
    pub transitions: Vec<Transition>,
    /// Whether the rollout number that was offered is used.
    pub used: Option<RolloutId>,
}
