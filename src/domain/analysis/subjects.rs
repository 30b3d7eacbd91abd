//! What is judged by itself: errors of live requests and of pairs, latency, and each output.
//!
//! Each has evidence against the candidate and a proof for it, and knows what was seen of it and what is tolerated.

use super::evidence::OutputEvidence;
use super::gates::{ErrorLimits, Gates, LatencyLimits, LiveShares, OutputLimits};
use super::latency::Latency;
use super::live::LiveEvidence;
use super::pair_errors::PairErrors;
use super::rehearsal::Rehearsal;
use super::restarts::Schedule;
use super::verdict::Metric;
use crate::domain::weight::Weight;

/// One subject, with what was seen of it and what is tolerated.
#[derive(Clone, Copy)]
pub(super) enum Subject<'e> {
    LiveErrors {
        live: &'e LiveEvidence,
        /// What the candidate is to be proven good enough for. None where it is not to get more traffic.
        next: Option<Weight>,
    },
    PairErrors {
        errors: &'e PairErrors,
        limits: &'e ErrorLimits,
        /// Whether live requests are judged as well.
        role: PairErrorsRole,
        schedule: &'e Schedule,
    },
    Latency {
        latency: &'e Latency,
        limits: &'e LatencyLimits,
        schedule: &'e Schedule,
    },
    Output {
        output: &'e OutputEvidence,
        limits: &'e OutputLimits,
        schedule: &'e Schedule,
    },
    Rehearsal {
        rehearsal: &'e Rehearsal,
        limits: &'e ErrorLimits,
    },
}

/// What is asked of the errors on pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairErrorsRole {
    /// They are the only errors there are.
    Alone,
    /// Live requests are judged as well, and there is nothing to prove by them: both versions do not answer.
    BesideLive,
    /// What is to be proven is proven by live requests.
    BehindLive,
}

impl Subject<'_> {
    pub(super) fn metric(self) -> Metric {
        match self {
            Self::LiveErrors { .. } => Metric::Errors,
            Self::PairErrors { role: PairErrorsRole::Alone, .. } => Metric::Errors,
            Self::PairErrors {
                role: PairErrorsRole::BesideLive | PairErrorsRole::BehindLive,
                ..
            } => Metric::PairErrors,
            Self::Latency { .. } => Metric::Latency,
            Self::Output { .. } => Metric::Outputs,
            Self::Rehearsal { .. } => Metric::Rehearsal,
        }
    }

    /// The name of its gate.
    pub(super) fn name(self) -> String {
        match self {
            Self::LiveErrors { .. }
            | Self::PairErrors { .. }
            | Self::Latency { .. }
            | Self::Rehearsal { .. } => self.metric().name().to_owned(),
            Self::Output { output, .. } => format!("outputs.{}", output.name),
        }
    }

    /// What is staked on it, beside the others. `outputs` is the number of outputs that have a stake.
    pub(super) fn stake(self, gates: &Gates, outputs: usize) -> f64 {
        let stakes = &gates.stakes;
        match self {
            Self::LiveErrors { .. } => stakes.live_errors,
            Self::PairErrors { .. } => stakes.pair_errors,
            Self::Latency { .. } => stakes.latency,
            Self::Output { output, .. } if output.has_stake => stakes.outputs / outputs as f64,
            Self::Output { .. } => 0.0,
            Self::Rehearsal { .. } => stakes.rehearsal,
        }
    }

    /// Whether it must be proven to be within its limit.
    pub(super) fn has_gate(self) -> bool {
        match self {
            Self::LiveErrors { next, .. } => next.is_some(),
            Self::PairErrors { role, .. } => role != PairErrorsRole::BehindLive,
            Self::Latency { .. } => true,
            Self::Output { output, .. } => output.is_judged,
            Self::Rehearsal { .. } => false,
        }
    }

    pub(super) fn log_fail(self) -> f64 {
        match self {
            Self::LiveErrors { live, .. } => live.log_fail(),
            Self::PairErrors { errors, limits, schedule, .. } => errors.log_fail(limits, schedule),
            Self::Latency { latency, schedule, .. } => latency.log_fail(schedule),
            Self::Output { output, limits, schedule } => output.flips.log_fail(limits, schedule),
            Self::Rehearsal { rehearsal, limits } => rehearsal.log_fail(limits),
        }
    }

    pub(super) fn log_pass(self) -> f64 {
        match self {
            Self::LiveErrors { live, next } => next.map_or(0.0, |next| live.log_pass(next)),
            Self::PairErrors { errors, limits, .. } => errors.log_pass(limits),
            Self::Latency { latency, .. } => latency.log_pass(),
            Self::Output { output, limits, .. } => output.flips.log_pass(limits),
            // So few requests prove nothing.
            Self::Rehearsal { .. } => 0.0,
        }
    }

    /// How often it was looked at, and in how many of these times something was worse.
    pub(super) fn seen(self) -> (u64, f64) {
        match self {
            Self::LiveErrors { live, .. } => {
                let candidate = live.candidate();
                (candidate.requests, candidate.failed as f64)
            }
            Self::PairErrors { errors, .. } => (errors.pairs, errors.only_candidate as f64),
            Self::Latency { latency, .. } => (latency.pairs, latency.slower as f64),
            Self::Output { output, .. } => (output.flips.pairs, output.flips.differing),
            Self::Rehearsal { rehearsal, .. } => (rehearsal.pairs, rehearsal.only_candidate as f64),
        }
    }

    /// The share that is tolerated, and the one that must be proven not to be reached.
    pub(super) fn limits(self) -> (f64, f64) {
        match self {
            Self::LiveErrors { live, next } => {
                let excess = next.map_or(0.0, |next| live.largest_excess(next));
                (live.tolerated(), live.share_of_stable().unwrap_or(0.0) + excess)
            }
            Self::PairErrors { errors, limits, .. } => {
                (errors.tolerated(limits), errors.share_of_stable() + limits.pair_excess)
            }
            Self::Latency { .. } => (0.5, 0.5),
            Self::Output { limits, .. } => (limits.reject, limits.prove),
            Self::Rehearsal { rehearsal, limits } => {
                let tolerated = rehearsal.tolerated(limits);
                (tolerated, tolerated)
            }
        }
    }

    /// Who failed, where live requests are counted.
    pub(super) fn shares(self) -> Option<LiveShares> {
        match self {
            Self::LiveErrors { live, .. } => Some(LiveShares {
                candidate: live.candidate(),
                stable: live.stable(),
                excess_below: live.excess_below(),
            }),
            Self::PairErrors { .. }
            | Self::Latency { .. }
            | Self::Output { .. }
            | Self::Rehearsal { .. } => None,
        }
    }
}
