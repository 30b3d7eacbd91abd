//! Judges a candidate by pairs: requests that both versions ran again, alone, one after the other.
//!
//! A candidate is taken back only on evidence that it is worse than is tolerated, and promoted only on
//! evidence that it is not; everything between is *inconclusive*, and no data is no evidence. All evidence
//! is the fortune of a gambler who bets against a hypothesis at fair odds or worse ("e-process"): while the
//! hypothesis is true, the chance that a stake of 1 ever becomes 1/α is at most α (Ville's inequality). So it may be
//! looked at after every pair, for as long as anyone likes, and a mean of such fortunes is one again.
//!
//! For bets of a fixed size the fortune depends on how often each outcome was seen and not on the order, so a
//! few counters hold all that there is to know: see [`PairEvidence`]. Logarithms are natural ones throughout.
//!
//! The methods stem from A. Ramdas, P. Grünwald, V. Vovk and G. Shafer, *Game-theoretic statistics and safe
//! anytime-valid inference* (2023), and I. Waudby-Smith and A. Ramdas, *Estimating means of bounded random
//! variables by betting* (2024).

mod evidence;
mod gates;
mod interval;
mod latency;
mod live;
mod mixture;
mod outputs;
mod pair_errors;
mod reasons;
mod restarts;
mod sample_ratio;
mod subjects;
mod trial;
mod verdict;
mod words;

pub use evidence::{OutputOutcome, PairEvidence, PairOutcome, RunOutcome};
pub use gates::{ErrorLimits, GateState, GateStatus, Gates, LatencyLimits, OutputLimits, Stakes};
pub use live::{LiveCell, LiveCounts, LiveEvidence};
pub use restarts::restart_epoch;
pub use trial::{Judged, Rates, Trial, judge};
pub use verdict::{Alarm, Doubt, Metric, MetricEvidence, Verdict};

#[cfg(test)]
mod tests;
