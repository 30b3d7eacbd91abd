//! Answers: a request is routed to a version, waits for its turn, and is run.
//!
//! [`Router`] holds the one [`Snapshot`] of everything that a request reads: which models there are and
//! which loaded versions stand behind them. A [`Servable`] is such a version with the queue of the requests
//! that wait for it. The [`Scheduler`] has the threads that run them.
//!
//! Nothing here knows how requests look on the wire, or why a version is stable.

mod error;
mod in_flight;
mod pairing;
mod router;
mod scheduler;
mod servable;
mod stopwatch;
mod trial;

pub use error::{InferError, RouteError, Unanswered};
pub use in_flight::InFlight;
pub use pairing::{Pairing, PairingParts, Sampled, Switch};
pub use router::{ModelRoute, Picked, Router, Snapshot};
pub use scheduler::{Answer, InferRequest, Outputs, Overdue, QueueLimits, Scheduler};
pub use servable::{Naming, Servable, ServableParts, ServableSettings, TooManyRows};
pub use stopwatch::Stopwatch;
pub use trial::{
    ArmCounts, Assigned, Counts, Observed, ObservedCell, Observer, ObserverParts, Trial,
    TrialParts, Watched, patience,
};

#[cfg(test)]
pub(crate) mod testing;
