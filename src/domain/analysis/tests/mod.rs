//! What holds for the analysis as a whole: properties, and simulated rollouts.

mod cells;
pub(super) mod chance;
mod errors_table;
mod flips_table;
mod gambler;
mod guarantees;
mod interference;
mod latency_table;
mod live_properties;
mod live_rollouts;
mod live_stories;
mod live_table;
mod plan_table;
mod properties;
mod rollouts;
mod sticky_table;
mod stories;

use std::time::Duration;

use super::*;

/// The values of the reference have six decimals.
#[track_caller]
pub(super) fn assert_near(value: f64, expected: f64) {
    assert!((value - expected).abs() < 6e-7, "{value} instead of {expected}");
}

/// A run that took so many milliseconds.
pub(super) fn answered(milliseconds: u64) -> RunOutcome {
    RunOutcome::Answered { time: Some(Duration::from_millis(milliseconds)) }
}

/// A pair without outputs.
pub(super) fn pair(stable: RunOutcome, candidate: RunOutcome) -> PairOutcome {
    PairOutcome { stable, candidate, outputs: Vec::new(), contract_broken: None }
}

/// At this weight, so many requests and failures of the candidate and of stable.
pub(super) fn cell(weight: f64, candidate: (u64, u64), stable: (u64, u64)) -> LiveCell {
    let counts = |(requests, failed)| LiveCounts { requests, failed };
    LiveCell { weight, candidate: counts(candidate), stable: counts(stable) }
}
