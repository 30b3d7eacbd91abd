//! What is judged by itself: errors, latency, and each output.
//!
//! Each has evidence against the candidate and a proof for it. What takes the candidate back is the mean of the
//! evidence, which is a fortune itself however the subjects depend on each other; what lets it pass is that every
//! subject's own proof is complete.

use super::evidence::{OutputEvidence, PairEvidence};
use super::gates::{ErrorLimits, GateState, GateStatus, LatencyLimits, OutputLimits, needs};
use super::interval::interval;
use super::latency::Latency;
use super::mixture::{Bet, log_value, normalised};
use super::pair_errors::PairErrors;
use super::restarts::Schedule;
use super::verdict::Metric;

/// One subject, with what was seen of it and what is tolerated.
#[derive(Clone, Copy)]
pub(super) enum Subject<'e> {
    Errors(&'e PairErrors, &'e ErrorLimits),
    Latency(&'e Latency, &'e LatencyLimits),
    Output(&'e OutputEvidence, &'e OutputLimits),
}

impl Subject<'_> {
    pub(super) fn metric(self) -> Metric {
        match self {
            Self::Errors(..) => Metric::Errors,
            Self::Latency(..) => Metric::Latency,
            Self::Output(..) => Metric::Outputs,
        }
    }

    /// The name of its gate.
    pub(super) fn gate(self) -> String {
        match self {
            Self::Errors(..) | Self::Latency(..) => self.metric().name().to_owned(),
            Self::Output(output, _) => format!("outputs.{}", output.name),
        }
    }

    fn has_stake(self) -> bool {
        match self {
            Self::Errors(..) | Self::Latency(..) => true,
            Self::Output(output, _) => output.has_stake,
        }
    }

    fn has_gate(self) -> bool {
        match self {
            Self::Errors(..) | Self::Latency(..) => true,
            Self::Output(output, _) => output.is_judged,
        }
    }

    fn log_fail(self, schedule: &Schedule) -> f64 {
        match self {
            Self::Errors(errors, limits) => errors.log_fail(limits, schedule),
            Self::Latency(latency, _) => latency.log_fail(schedule),
            Self::Output(output, limits) => output.flips.log_fail(limits, schedule),
        }
    }

    fn log_pass(self) -> f64 {
        match self {
            Self::Errors(errors, limits) => errors.log_pass(limits),
            Self::Latency(latency, _) => latency.log_pass(),
            Self::Output(output, limits) => output.flips.log_pass(limits),
        }
    }

    /// Its counts.
    fn seen(self) -> (u64, f64) {
        match self {
            Self::Errors(errors, _) => (errors.pairs, errors.only_candidate as f64),
            Self::Latency(latency, _) => (latency.pairs, latency.slower as f64),
            Self::Output(output, _) => (output.flips.pairs, output.flips.differing),
        }
    }

    /// The share that is tolerated, and the one that must be proven not to be reached.
    fn limits(self) -> (f64, f64) {
        match self {
            Self::Errors(errors, limits) => {
                (errors.tolerated(limits), errors.share_of_stable() + limits.pair_excess)
            }
            Self::Latency(..) => (0.5, 0.5),
            Self::Output(_, limits) => (limits.reject, limits.prove),
        }
    }
}

impl PairEvidence {
    /// Where the candidate stands with each limit.
    pub fn gates(&self) -> Vec<GateState> {
        let is_enough = |bet: &Bet| bet.weight.ln() + bet.growth >= self.gates.log_reject();
        let stakes = self.stakes().into_iter().filter(|(_, bet)| is_enough(bet));
        let failed: Vec<String> =
            stakes.map(|(subject, _)| subject).chain(self.culprit()).map(Subject::gate).collect();
        self.gated().map(|subject| self.gate_state(subject, &failed)).collect()
    }

    /// The log of the evidence that the candidate is to be taken back: the mean over all subjects.
    pub fn log_fail(&self) -> f64 {
        let bets: Vec<Bet> = self.stakes().into_iter().map(|(_, bet)| bet).collect();
        log_value(&bets)
    }

    /// The log of the proof that is furthest from complete.
    pub fn log_pass(&self) -> f64 {
        self.gated().map(Subject::log_pass).fold(f64::INFINITY, f64::min)
    }

    /// What takes the candidate back, if anything does: the subject that tells most.
    pub(super) fn culprit(&self) -> Option<Subject<'_>> {
        if self.log_fail() < self.gates.log_reject() {
            return None;
        }
        let told = |bet: &Bet| bet.weight.ln() + bet.growth;
        let most = self.stakes().into_iter().max_by(|(_, a), (_, b)| told(a).total_cmp(&told(b)));
        most.map(|(subject, _)| subject)
    }

    /// What the stake is on, how much of it, and what that has grown to.
    pub(super) fn stakes(&self) -> Vec<(Subject<'_>, Bet)> {
        let subjects: Vec<_> = self.subjects().filter(|subject| subject.has_stake()).collect();
        let outputs = self.outputs.iter().filter(|output| output.has_stake).count();
        let bet = |subject: &Subject<'_>| {
            let weight = match subject {
                Subject::Errors(..) | Subject::Latency(..) => subject.metric().weight(),
                Subject::Output(..) => subject.metric().weight() / outputs as f64,
            };
            Bet { weight, growth: subject.log_fail(&self.schedule) }
        };
        let bets = normalised(subjects.iter().map(bet).collect());
        subjects.into_iter().zip(bets).collect()
    }

    /// What must be proven.
    fn gated(&self) -> impl Iterator<Item = Subject<'_>> {
        self.subjects().filter(|subject| subject.has_gate())
    }

    fn subjects(&self) -> impl Iterator<Item = Subject<'_>> {
        let errors = Subject::Errors(&self.errors, &self.gates.errors);
        let latency = Subject::Latency(&self.latency, &self.gates.latency);
        let outputs = self.gates.outputs.iter().flat_map(|limits| {
            self.outputs.iter().map(move |output| Subject::Output(output, limits))
        });
        [errors, latency].into_iter().chain(outputs)
    }

    fn gate_state(&self, subject: Subject<'_>, failed: &[String]) -> GateState {
        let (name, log_pass) = (subject.gate(), subject.log_pass());
        let (pairs, count) = subject.seen();
        let (limit, prove) = subject.limits();
        let bar = self.gates.log_prove();
        let status = if failed.contains(&name) {
            GateStatus::Failed
        } else if log_pass >= bar {
            GateStatus::Passed
        } else {
            GateStatus::Open
        };
        GateState {
            name,
            status,
            pairs,
            count,
            estimate: (pairs > 0).then(|| count / pairs as f64),
            limit,
            prove,
            interval: interval(pairs as f64, count),
            log_pass,
            log_fail: subject.log_fail(&self.schedule),
            needs: needs(log_pass, bar, pairs),
        }
    }
}
