//! Judges a candidate by what live requests show, and by pairs.
//!
//! *Live requests* tell who fails, while both versions answer: see [`LiveEvidence`]. *Pairs* are requests that both
//! versions ran again, alone, one after the other; they tell of errors, of how long runs take and of what is answered,
//! whoever has the traffic: see [`PairEvidence`]. How long live requests take is not compared: the version with fewer of
//! them has smaller batches, and looks fast. Only stable's own latency is watched ([`LatencyGuard`]), and what pairs do to
//! it is measured ([`Interference`]).
//!
//! A candidate is taken back only on evidence that it is worse than is tolerated, and promoted only on
//! evidence that it is not; everything between is *inconclusive*, and no data is no evidence. All evidence
//! is the fortune of a gambler who bets against a hypothesis at fair odds or worse ("e-process"): while the
//! hypothesis is true, the chance that a stake of 1 ever becomes 1/α is at most α (Ville's inequality). So it may be
//! looked at after every request, for as long as anyone likes, and a mean of such fortunes is one again: [`judge`] brings
//! all of them together.
//!
//! For bets of a fixed size the fortune depends on how often each outcome was seen and not on the order, so a
//! few counters hold all that there is to know. Logarithms are natural ones throughout.
//!
//! The methods stem from A. Ramdas, P. Grünwald, V. Vovk and G. Shafer, *Game-theoretic statistics and safe
//! anytime-valid inference* (2023), I. Waudby-Smith and A. Ramdas, *Estimating means of bounded random
//! variables by betting* (2024), and N. Karampatziakis, P. Mineiro and A. Ramdas, *Off-policy confidence sequences*
//! (2021), where the chance by which a version was drawn is put to use.

mod evidence;
mod gates;
mod interference;
mod interval;
mod latencies;
mod latency;
mod latency_guard;
mod live;
mod mixture;
mod outputs;
mod pair_errors;
mod reasons;
mod rehearsal;
mod restarts;
mod sample_ratio;
mod subjects;
mod trial;
mod verdict;
mod words;

pub use evidence::{OutputOutcome, PairEvidence, PairOutcome, RunOutcome};
pub use gates::{ErrorLimits, GateState, GateStatus, Gates, LatencyLimits, OutputLimits, Stakes};
pub use interference::{
    Bins, Block, Interference, Marks, Pace, QUANTILES, SLOWDOWNS, Slowdown, Tally,
};
pub use latencies::{BUCKETS, Latencies, Lookback};
pub use latency_guard::LatencyGuard;
pub use live::{LiveCell, LiveCounts, LiveEvidence};
pub use restarts::restart_epoch;
pub use trial::{Judged, Rates, Trial, judge};
pub use verdict::{Alarm, Doubt, Metric, MetricEvidence, Verdict};

#[cfg(test)]
mod tests;
