//! Gives versions traffic, and writes down why.
//!
//! ```text
//! sightings, loads, commands, time ─▶ controller ── asks ──▶ domain::rollout (decides)
//!                                         │
//!                     prepare, record, show: journal (SQLite) ─▶ router, board, events
//! ```
//!
//! One thread makes all changes, so two operators' commands cannot cross. A change is written to the [`Journal`]
//! before anybody can see it (with one exception, see `round.rs`); then the route is shown with one store. What follows from the state (which
//! versions must be loaded, which are to be unloaded) is worked out anew after each change, so that a restart in
//! the middle of anything simply goes on.

mod backlog;
mod board;
mod clock;
mod controller;
mod crashes;
mod deciding;
mod document;
mod fleet;
mod handle;
mod journal;
mod judging;
mod pairings;
mod plan;
mod rehearsals;
mod round;
mod settings;
mod sightings;
mod trials;

pub use backlog::{Backlog, BacklogParts};
pub use board::{Announcement, Board, FewerPairs, News, ReleaseView};
pub use controller::DeliveryParts;
pub use crashes::{Crashes, inquest};
pub use document::transition_document;
pub use fleet::{Fleet, FleetParts};
pub use handle::{CommandError, Delivery, Inbox};
pub use journal::{
    Change, Journal, JournalError, JournalReader, Numbered, Outbox, Recovered, RolloutHistory,
    Signal, Subscriber,
};
pub use judging::Judged;
pub use plan::plan;
