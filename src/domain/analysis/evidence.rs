//! What the pairs of a rollout have shown so far.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::gates::Gates;
use super::latency::{Latency, Times};
use super::outputs::{Difference, Flips};
use super::pair_errors::{Failed, PairErrors};
use super::rehearsal::Rehearsal;
use super::restarts::Schedule;

/// What one pair showed.
#[derive(Clone, Debug, PartialEq)]
pub struct PairOutcome {
    /// Of the run on stable.
    pub stable: RunOutcome,
    /// Of the run on the candidate.
    pub candidate: RunOutcome,
    /// Of each output, in the order of the signature; empty where a run failed.
    pub outputs: Vec<OutputOutcome>,
    /// How the candidate's answer breaks the contract, if it does.
    pub contract_broken: Option<String>,
}

/// How one run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// With an answer, after so much time: the thread's CPU time where the run has one thread.
    Answered {
        /// How long it took; none where that says nothing about it alone.
        time: Option<Duration>,
    },
    /// Without one.
    Failed,
}

/// What one pair showed of one output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputOutcome {
    /// The share of the rows in which the versions differ, or how far apart they are, from 0 to 1.
    pub differs: f64,
    /// The same of the live answer and the run again of the version that gave it. None where there is no live answer;
    /// that counts as no noise.
    pub noise: Option<f64>,
    /// Whether this pair counts: not while it is still being learned what a difference is.
    pub judged: bool,
}

/// All that the pairs of a rollout have shown: counters, and what restarts need to know.
///
/// It is written down as it is and read back after a restart of the server. It does not grow.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct PairEvidence {
    pub(super) gates: Gates,
    pub(super) schedule: Schedule,
    pub(super) errors: PairErrors,
    pub(super) latency: Latency,
    /// In the order of the signature; empty where outputs are not judged.
    pub(super) outputs: Vec<OutputEvidence>,
    pub(super) contract_broken: Option<String>,
    /// What failed in the rehearsal. None where there is none: that is settled before the first pair.
    #[serde(default)]
    pub(super) rehearsal: Option<Rehearsal>,
}

/// What they have shown of one output.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct OutputEvidence {
    pub(super) name: String,
    /// Whether it has a gate.
    pub(super) is_judged: bool,
    /// Whether some of the stake is on it. That is settled before the first pair: to move a stake when the others have
    /// begun to win or lose would be no fair bet.
    pub(super) has_stake: bool,
    pub(super) flips: Flips,
}

impl PairEvidence {
    /// None yet. `outputs` are the names of all outputs in the order of the signature, each on trial until
    /// [`PairEvidence::only_show`] says otherwise; `epoch` is how long until betting begins anew
    /// ([`restart_epoch`](super::restart_epoch)), or none where pairs have no time, as those from a file.
    pub fn new(outputs: Vec<String>, gates: Gates, epoch: Option<Duration>) -> Self {
        let schedule = Schedule::new(epoch);
        let outputs = if gates.outputs.is_some() { outputs } else { Vec::new() };
        let on_trial = |name| OutputEvidence {
            name,
            is_judged: true,
            has_stake: true,
            flips: Flips::new(&schedule),
        };
        Self {
            outputs: outputs.into_iter().map(on_trial).collect(),
            errors: PairErrors::new(&schedule),
            latency: Latency::new(&schedule),
            contract_broken: None,
            rehearsal: None,
            gates,
            schedule,
        }
    }

    /// The same, of a candidate that is rehearsed first.
    pub fn rehearsing(self) -> Self {
        Self { rehearsal: Some(Rehearsal::default()), ..self }
    }

    /// From now on this output is not judged: it has no gate. Told before the first pair counts, nothing is staked on
    /// it; told later, its stake is left where it is.
    pub fn only_show(&mut self, output: &str) {
        let is_new = self.pairs() == 0;
        for shown in self.outputs.iter_mut().filter(|known| known.name == output) {
            shown.is_judged = false;
            shown.has_stake &= !is_new;
        }
    }

    /// Counts the pair of a recorded request. `now` is as for [`PairEvidence::observe`].
    pub fn observe_rehearsed(&mut self, pair: &PairOutcome, now: Duration) {
        self.observe(pair, now);
        if let Some(rehearsal) = &mut self.rehearsal {
            rehearsal.observe(failed(pair));
        }
    }

    /// Counts a pair. `now` is any monotonic clock's; it may be another one after a restart of the server.
    pub fn observe(&mut self, pair: &PairOutcome, now: Duration) {
        self.advance(now);
        self.errors.observe(failed(pair));
        if let (
            RunOutcome::Answered { time: Some(stable) },
            RunOutcome::Answered { time: Some(candidate) },
        ) = (pair.stable, pair.candidate)
        {
            self.latency.observe(Times { stable, candidate }, &self.gates.latency);
        }
        for (known, outcome) in self.outputs.iter_mut().zip(&pair.outputs) {
            if known.is_judged && outcome.judged {
                known.flips.observe(outcome.difference());
            }
        }
        if self.contract_broken.is_none() {
            self.contract_broken.clone_from(&pair.contract_broken);
        }
    }

    /// Time has passed: betting begins anew where an epoch is over.
    pub fn advance(&mut self, now: Duration) {
        let Some(stake) = self.schedule.advance(now) else { return };
        self.errors.restart(stake, &self.gates.errors);
        self.latency.restart(stake);
        if let Some(limits) = &self.gates.outputs {
            for output in &mut self.outputs {
                output.flips.restart(stake, limits);
            }
        }
    }

    /// How many pairs there were.
    pub fn pairs(&self) -> u64 {
        self.errors.pairs
    }

    /// The limits that it is gathered for.
    pub fn limits(&self) -> &Gates {
        &self.gates
    }
}

fn failed(pair: &PairOutcome) -> Failed {
    Failed {
        stable: pair.stable == RunOutcome::Failed,
        candidate: pair.candidate == RunOutcome::Failed,
    }
}

impl OutputOutcome {
    /// What is not a share differs wholly: nobody has shown that it is equal.
    fn difference(&self) -> Difference {
        let share = |value: f64| if value.is_nan() { 1.0 } else { value.clamp(0.0, 1.0) };
        Difference { versions: share(self.differs), noise: self.noise.map_or(0.0, share) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::analysis::tests::{answered, pair};

    fn evidence() -> PairEvidence {
        PairEvidence::new(vec!["label".into(), "score".into()], Gates::default(), None)
    }

    #[test]
    fn times_are_compared_where_both_versions_answered() {
        let mut evidence = evidence();
        evidence.observe(&pair(answered(10), answered(20)), Duration::ZERO);
        evidence.observe(&pair(answered(10), RunOutcome::Failed), Duration::ZERO);
        evidence.observe(&pair(RunOutcome::Failed, answered(10)), Duration::ZERO);
        assert_eq!(evidence.pairs(), 3);
        assert_eq!((evidence.latency.pairs, evidence.latency.slower), (1, 1));
        assert_eq!((evidence.errors.only_candidate, evidence.errors.only_stable), (1, 1));
    }

    #[test]
    fn each_output_counts_for_itself_and_only_where_it_is_judged() {
        let mut evidence = evidence();
        let outcome = |differs, judged| OutputOutcome { differs, noise: None, judged };
        let mut pair = pair(answered(10), answered(10));
        pair.outputs = vec![outcome(1.0, true), outcome(1.0, false)];
        evidence.observe(&pair, Duration::ZERO);
        pair.outputs = vec![outcome(0.5, true), outcome(0.0, true)];
        evidence.observe(&pair, Duration::ZERO);
        let seen =
            evidence.outputs.iter().map(|output| (output.flips.pairs, output.flips.differing));
        assert_eq!(seen.collect::<Vec<_>>(), [(2, 1.5), (1, 0.0)]);
    }

    #[test]
    fn what_is_no_share_differs_wholly() {
        let outcome = OutputOutcome { differs: f64::NAN, noise: Some(-0.1), judged: true };
        assert_eq!((outcome.difference().versions, outcome.difference().noise), (1.0, 0.0));
        let outcome = OutputOutcome { differs: 1.0 + 1e-9, noise: None, judged: true };
        assert_eq!(outcome.difference().versions, 1.0);
    }

    #[test]
    fn outputs_of_a_new_task_are_not_judged() {
        let gates = Gates { outputs: None, ..Gates::default() };
        let mut evidence = PairEvidence::new(vec!["label".into()], gates, None);
        let mut pair = pair(answered(10), answered(10));
        pair.outputs = vec![OutputOutcome { differs: 1.0, noise: None, judged: true }];
        evidence.observe(&pair, Duration::ZERO);
        assert_eq!(evidence.outputs, []);
    }
}
