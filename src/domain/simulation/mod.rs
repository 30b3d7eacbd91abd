//! Plays rollouts on described traffic, on a clock that is only counted: what would this recipe do to a candidate like that?
//!
//! What decides is the real thing: [`Release::step`](super::rollout::Release::step) walks through the stages, and
//! [`judge`](super::analysis::judge) judges what was seen. Only the traffic is made up, from a [`Traffic`] and a seed. It is
//! drawn as counts, in slices of five seconds; requests one by one only where a key or a row of failures matters.
//!
//! A [`Scene`] is one kind of rollout, and [`Scene::play`] one of them. Beside it a [`Rule`] plays what other tools
//! do with the same traffic, and a [`Summary`] says what all of it comes to.

mod chance;
mod fate;
mod kayenta;
mod keys;
mod live;
mod pairs;
mod rule;
mod scene;
mod summary;
mod traffic;

pub use chance::Chance;
pub use fate::{Fate, Run};
pub use rule::{Rule, UnknownRule};
pub use scene::{Scene, Told};
pub use summary::{Percentiles, Share, Summary};
pub use traffic::{Errors, Latency, Outage, Sticky, Traffic};

use std::time::Duration;

/// How long a slice of traffic is; the evidence is judged after each.
pub const LOOK: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
