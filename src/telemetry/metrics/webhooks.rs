//! How webhooks are told of changes.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const DELIVERIES: &str = "greenroom_webhook_deliveries_total";
const WAITING: &str = "greenroom_webhook_deliveries_waiting";

pub(super) fn describe() {
    describe_counter!(DELIVERIES, Unit::Count, "Deliveries to webhooks by what became of them.");
    describe_gauge!(WAITING, Unit::Count, "Deliveries that webhooks have not got yet.");
}

/// What became of telling a webhook of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was told.
    Delivered,
    /// It could not be told this time, and is told again.
    Failed,
    /// It answered that it does not want to be told.
    Gone,
    /// It could not be told for too long.
    Expired,
    /// Too many waited.
    Overflowed,
}

impl Outcome {
    const ALL: [Self; 5] =
        [Self::Delivered, Self::Failed, Self::Gone, Self::Expired, Self::Overflowed];

    fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::Expired => "expired",
            Self::Overflowed => "overflowed",
        }
    }
}

/// There are webhooks, and so many changes are still to be told: all numbers are there from the start.
pub fn begin(waiting: usize) {
    gauge!(WAITING).increment(waiting as f64);
    Outcome::ALL.into_iter().for_each(|outcome| ended(outcome, 0));
}

/// So many more changes are to be told to a webhook.
pub fn more_wait(more: usize) {
    gauge!(WAITING).increment(more as f64);
}

/// So many fewer.
pub fn fewer_wait(fewer: usize) {
    gauge!(WAITING).decrement(fewer as f64);
}

/// Telling a webhook of so many changes has ended so.
pub fn ended(outcome: Outcome, count: usize) {
    counter!(DELIVERIES, "outcome" => outcome.name()).increment(count as u64);
}
