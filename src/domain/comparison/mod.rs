//! What the two runs of a pair show: whether the outputs of a candidate are those of stable, and if not, how they differ.
//!
//! A [`Comparison`] takes the pairs of a rollout one by one. Of each it says at once what it showed ([`Observed`]): for
//! each output how much it differs and how much of that is noise, and whether a rule was broken that holds for every
//! candidate. That is what verdicts are made of. Beside it sums up all that helps a person to understand them, and
//! tells it as a [`ComparisonReport`].
//!
//! How an output is compared depends on what it means ([`OutputKind`]): a label that changed is a change, a number that
//! differs in its sixth digit is none. Where nobody says what an output means, its type, its shape and the first answers
//! of stable do.

mod accumulate;
mod chance;
mod classes;
mod contract;
mod differences;
mod form;
mod kind;
mod labels;
mod latency;
mod noise;
mod numbers;
mod opinion;
mod outcome;
mod output;
mod pair;
mod probabilities;
mod report;
mod reservoir;
mod rows;
mod rule;
mod scale;
mod sketch;
mod slices;
mod transitions;
mod worst;

pub use accumulate::Comparison;
pub use pair::{
    Arm, ContractKind, ContractViolation, Difference, Live, Metric, Observed, Outputs, Pair, Run,
};
pub use report::{
    Axis, ClassShare, ComparisonReport, ContractReport, Count, Ecdfs, ErrorCounts, LatencyReport,
    MarginReport, Mean, Metrics, NoiseReport, NotFinite, OutputReport, Quantiles, Share,
    SliceReport, TransitionReport, WorstReport,
};
pub use rule::{Change, OutputKind, OutputRule};

#[cfg(test)]
mod tests;
