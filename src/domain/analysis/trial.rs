//! Brings all that is known of a candidate together, from live requests and from pairs, to one verdict.
//!
//! What takes a candidate back is the mean of the evidence on all subjects, which is a fortune itself however they depend
//! on each other. What lets it pass is that every gate's own proof is complete: then nothing has to be corrected
//! for how many there are.

use super::evidence::PairEvidence;
use super::gates::{GateState, GateStatus, Gates, needs};
use super::interval::interval;
use super::live::LiveEvidence;
use super::mixture::{Bet, log_total, log_value, normalised};
use super::reasons::{self, Missing, accusation, what_is_missing, what_is_proven};
use super::sample_ratio::DOUBT;
use super::subjects::{PairErrorsRole, Subject};
use super::verdict::{Alarm, Doubt, Metric, MetricEvidence, Verdict};
use crate::domain::weight::Weight;

/// A candidate, what is known of it, and what it is judged for.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'e> {
    /// The limits of the rollout.
    pub gates: &'e Gates,
    /// What live requests have shown. None in a rollout without shares of the traffic; one that has them tells this
    /// from its beginning, also while nothing was seen: a stake that is moved later is no fair bet.
    pub live: Option<&'e LiveEvidence>,
    /// What pairs have shown; likewise.
    pub pairs: Option<&'e PairEvidence>,
    /// The share of the traffic that the candidate gets when it passes. None while only one version answers: then pairs
    /// have to prove that it does not fail more often.
    pub next: Option<Weight>,
    /// What takes it back whatever the evidence.
    pub alarm: Option<Alarm<'e>>,
    /// Whether stable answers much more slowly than before the rollout.
    pub stable_suffers: bool,
    /// How fast evidence comes in.
    pub rates: Rates,
}

/// How much evidence there is in a second, where that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Requests to the candidate.
    pub requests: Option<f64>,
    /// Pairs.
    pub pairs: Option<f64>,
}

/// A verdict, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What is to be done.
    pub verdict: Verdict,
    /// Where each gate stands, and what else takes the candidate back.
    pub gates: Vec<GateState>,
    /// How much each metric tells against the candidate.
    pub by_metric: Vec<MetricEvidence>,
    /// The log of the evidence against it, of all metrics together.
    pub log_fail: f64,
    /// The log of the proof of the gate that is furthest from passing.
    pub log_pass: f64,
}

/// Judges a candidate by all that is known of it.
pub fn judge(trial: &Trial<'_>) -> Judged {
    let subjects = trial.weighed();
    let (gates, by_metric) = (trial.gate_states(&subjects), by_metric(&subjects));
    Judged {
        verdict: trial.verdict(&subjects, &gates, &by_metric),
        gates,
        by_metric,
        log_fail: log_fail(&subjects),
        log_pass: log_pass(&subjects),
    }
}

/// A subject, and what it tells.
struct Weighed<'e> {
    subject: Subject<'e>,
    /// Its share of the whole stake.
    stake: f64,
    log_fail: f64,
    log_pass: f64,
}

impl Weighed<'_> {
    fn bet(&self) -> Bet {
        Bet { weight: self.stake, growth: self.log_fail }
    }

    /// How much of the whole evidence is its own.
    fn told(&self) -> f64 {
        self.stake.ln() + self.log_fail
    }
}

impl<'e> Trial<'e> {
    fn of_pairs(pairs: &'e PairEvidence, rate: Option<f64>) -> Self {
        Self {
            gates: &pairs.gates,
            live: None,
            pairs: Some(pairs),
            next: None,
            alarm: None,
            stable_suffers: false,
            rates: Rates { requests: None, pairs: rate },
        }
    }

    fn verdict(
        &self,
        subjects: &[Weighed<'_>],
        gates: &[GateState],
        by_metric: &[MetricEvidence],
    ) -> Verdict {
        let fail = |reason| Verdict::Fail { reason, by_metric: by_metric.to_vec() };
        if let Some(alarm) = self.alarm {
            return fail(reasons::alarm(alarm));
        }
        if let Some(broken) = self.pairs.and_then(|pairs| pairs.contract_broken.as_deref()) {
            return fail(reasons::alarm(Alarm::Contract(broken)));
        }
        if let Some(culprit) = self.culprit(subjects) {
            return fail(accusation(culprit.subject));
        }
        if let Some(live) = self.live.filter(|live| live.sample_ratio() >= -DOUBT.ln()) {
            let reason = reasons::sample_ratio(live);
            return Verdict::Hold { doubt: Doubt::SampleRatio, reason };
        }
        if self.stable_suffers {
            let reason = reasons::stable_suffers();
            return Verdict::Hold { doubt: Doubt::StableSuffers, reason };
        }
        // What is not looked at has not passed.
        if !gates.is_empty() && gates.iter().all(|gate| gate.status == GateStatus::Passed) {
            return Verdict::Pass { reason: what_is_proven(gates, self.next) };
        }
        let Missing { pairs, requests } = Missing::of(gates);
        let reason = what_is_missing(gates, self.rates);
        Verdict::Inconclusive { reason, needs: pairs, needs_requests: requests }
    }

    /// What takes the candidate back, if anything does: the subject that tells most.
    fn culprit<'w>(&self, subjects: &'w [Weighed<'e>]) -> Option<&'w Weighed<'e>> {
        if log_fail(subjects) < self.gates.log_reject() {
            return None;
        }
        staked(subjects).max_by(|a, b| a.told().total_cmp(&b.told()))
    }

    /// The state of all gates, and of what has none and takes the candidate back.
    fn gate_states(&self, subjects: &[Weighed<'e>]) -> Vec<GateState> {
        let culprit = self.culprit(subjects).map(|culprit| culprit.subject.name());
        let states = subjects.iter().map(|weighed| {
            let name = weighed.subject.name();
            let is_enough = weighed.told() >= self.gates.log_reject();
            let status = if is_enough || culprit.as_ref() == Some(&name) {
                GateStatus::Failed
            } else if weighed.log_pass >= self.gates.log_prove() {
                GateStatus::Passed
            } else {
                GateStatus::Open
            };
            (weighed, name, status)
        });
        let shown = states.filter(|(weighed, _, status)| {
            weighed.subject.has_gate() || *status == GateStatus::Failed
        });
        shown.map(|(weighed, name, status)| self.gate_state(weighed, name, status)).collect()
    }

    fn gate_state(&self, weighed: &Weighed<'_>, name: String, status: GateStatus) -> GateState {
        let Weighed { subject, log_fail, log_pass, .. } = *weighed;
        let (cases, count) = subject.seen();
        let (limit, prove) = subject.limits();
        let live = subject.shares();
        GateState {
            name,
            status,
            pairs: if live.is_some() { 0 } else { cases },
            count,
            estimate: (cases > 0).then(|| count / cases as f64),
            limit,
            prove,
            interval: interval(cases as f64, count),
            log_pass,
            log_fail,
            needs: needs(log_pass, self.gates.log_prove(), cases),
            live,
        }
    }

    /// All subjects, and what is staked on each.
    fn weighed(&self) -> Vec<Weighed<'e>> {
        let outputs = self
            .pairs
            .map_or(0, |pairs| pairs.outputs.iter().filter(|output| output.has_stake).count());
        let mut weighed: Vec<_> = self
            .subjects()
            .map(|subject| Weighed {
                subject,
                stake: subject.stake(self.gates, outputs),
                log_fail: subject.log_fail(),
                log_pass: subject.log_pass(),
            })
            .collect();
        let whole: f64 = weighed.iter().map(|weighed| weighed.stake).sum();
        weighed.iter_mut().for_each(|weighed| weighed.stake /= whole);
        weighed
    }

    fn subjects(&self) -> impl Iterator<Item = Subject<'e>> + use<'e> {
        let next = self.next;
        let role = match (self.live, next) {
            (None, _) => PairErrorsRole::Alone,
            (Some(_), None) => PairErrorsRole::BesideLive,
            (Some(_), Some(_)) => PairErrorsRole::BehindLive,
        };
        let live = self.live.map(|live| Subject::LiveErrors { live, next });
        live.into_iter().chain(self.pairs.into_iter().flat_map(move |pairs| of_pairs(pairs, role)))
    }
}

fn of_pairs(pairs: &PairEvidence, role: PairErrorsRole) -> impl Iterator<Item = Subject<'_>> {
    let PairEvidence { gates, schedule, errors, latency, outputs, rehearsal, .. } = pairs;
    let errors = Subject::PairErrors { errors, limits: &gates.errors, role, schedule };
    let latency = Subject::Latency { latency, limits: &gates.latency, schedule };
    let outputs = gates.outputs.iter().flat_map(move |limits| {
        outputs.iter().map(move |output| Subject::Output { output, limits, schedule })
    });
    let limits = &gates.errors;
    let rehearsal = rehearsal.iter().map(move |rehearsal| Subject::Rehearsal { rehearsal, limits });
    [errors, latency].into_iter().chain(outputs).chain(rehearsal)
}

fn staked<'w, 'e>(subjects: &'w [Weighed<'e>]) -> impl Iterator<Item = &'w Weighed<'e>> + Clone {
    subjects.iter().filter(|weighed| weighed.stake > 0.0)
}

/// The log of the evidence that the candidate is to be taken back: the mean over all subjects.
fn log_fail(subjects: &[Weighed<'_>]) -> f64 {
    if subjects.is_empty() {
        return 0.0;
    }
    log_total(staked(subjects).map(Weighed::bet))
}

/// The log of the proof that is furthest from complete.
fn log_pass(subjects: &[Weighed<'_>]) -> f64 {
    let gated = subjects.iter().filter(|weighed| weighed.subject.has_gate());
    gated.map(|weighed| weighed.log_pass).fold(f64::INFINITY, f64::min)
}

fn by_metric(subjects: &[Weighed<'_>]) -> Vec<MetricEvidence> {
    let of = |metric: Metric| {
        let its = staked(subjects).filter(|weighed| weighed.subject.metric() == metric);
        let bets = normalised(its.map(Weighed::bet).collect());
        let log_evidence = log_value(&bets);
        (!bets.is_empty()).then_some(MetricEvidence { metric, log_evidence })
    };
    Metric::ALL.into_iter().filter_map(of).collect()
}

/// What follows from pairs alone.
impl PairEvidence {
    /// What is to be done, as far as pairs can tell. `rate` is how many pairs there are in a second.
    pub fn judge(&self, rate: Option<f64>) -> Verdict {
        judge(&Trial::of_pairs(self, rate)).verdict
    }

    /// Where the candidate stands with each limit.
    pub fn gates(&self) -> Vec<GateState> {
        let trial = Trial::of_pairs(self, None);
        trial.gate_states(&trial.weighed())
    }

    /// The log of the evidence that the candidate is to be taken back: the mean over all subjects.
    pub fn log_fail(&self) -> f64 {
        log_fail(&Trial::of_pairs(self, None).weighed())
    }

    /// The log of the proof that is furthest from complete.
    pub fn log_pass(&self) -> f64 {
        log_pass(&Trial::of_pairs(self, None).weighed())
    }

    /// How much each metric tells.
    pub fn by_metric(&self) -> Vec<MetricEvidence> {
        by_metric(&Trial::of_pairs(self, None).weighed())
    }
}
