//! Verdicts in words: what was seen, what is tolerated, what is missing.

use super::evidence::OutputEvidence;
use super::gates::{ErrorLimits, GateState, LatencyLimits, OutputLimits};
use super::latency::Latency;
use super::live::{LiveCounts, LiveEvidence};
use super::pair_errors::PairErrors;
use super::rehearsal::Rehearsal;
use super::subjects::Subject;
use super::trial::Rates;
use super::verdict::Alarm;
use super::words;
use crate::domain::weight::Weight;

/// What was seen, and what is tolerated.
struct Accusation {
    seen: String,
    /// The share that was seen, over all the time.
    share: f64,
    /// The share that is tolerated.
    limit: f64,
}

/// Why this subject takes the candidate back.
pub(super) fn accusation(culprit: Subject<'_>) -> String {
    let Accusation { seen, share, limit } = match culprit {
        Subject::LiveErrors { live, .. } => of_live(live),
        Subject::PairErrors { errors, limits, .. } => of_pair_errors(errors, limits),
        Subject::Latency { latency, limits, .. } => of_latency(latency, limits),
        Subject::Output { output, limits, .. } => of_output(output, limits),
        Subject::Rehearsal { rehearsal, limits } => of_rehearsal(rehearsal, limits),
    };
    let tolerated = match culprit {
        Subject::Latency { .. } => "the half that is tolerated".to_owned(),
        Subject::LiveErrors { .. }
        | Subject::PairErrors { .. }
        | Subject::Output { .. }
        | Subject::Rehearsal { .. } => {
            format!("the {} that are tolerated", words::share(limit))
        }
    };
    // Over all the time it may be little: betting anew has found what began late.
    let when = if share > limit { "" } else { "and lately " };
    format!("{}: {seen}, {when}more than {tolerated}", culprit.name())
}

fn of_live(live: &LiveEvidence) -> Accusation {
    let (candidate, stable) = (live.candidate(), live.stable());
    let of = |LiveCounts { requests, failed }| format!("{} of {}", failed, requests);
    let share = candidate.share().unwrap_or(0.0);
    let of_stable = stable.share().map(|share| format!(" ({})", words::share(share)));
    let seen = format!(
        "the candidate failed in {} live requests ({}), stable in {}{}",
        of(candidate),
        words::share(share),
        of(stable),
        of_stable.unwrap_or_default()
    );
    Accusation { seen, share, limit: live.tolerated() }
}

fn of_pair_errors(errors: &PairErrors, limits: &ErrorLimits) -> Accusation {
    let PairErrors { pairs, only_candidate, only_stable, .. } = errors;
    let share = *only_candidate as f64 / *pairs as f64;
    let seen = format!(
        "only the candidate failed in {only_candidate} of {pairs} pairs ({}), only stable in \
         {only_stable}",
        words::share(share)
    );
    Accusation { seen, share, limit: errors.tolerated(limits) }
}

fn of_rehearsal(rehearsal: &Rehearsal, limits: &ErrorLimits) -> Accusation {
    let Rehearsal { pairs, only_candidate, only_stable } = rehearsal;
    let share = *only_candidate as f64 / *pairs as f64;
    let seen = format!(
        "only the candidate failed in {only_candidate} of {pairs} recorded requests ({}), only \
         stable in {only_stable}",
        words::share(share)
    );
    Accusation { seen, share, limit: rehearsal.tolerated(limits) }
}

fn of_latency(latency: &Latency, limits: &LatencyLimits) -> Accusation {
    let margin = words::share(limits.margin);
    let (seen, slow, pairs) = match latency.telling_factor() {
        Some((factor, apart)) => {
            let (slow, far) = (apart.candidate_slow, apart.candidate_slow + apart.stable_slow);
            let seen = format!(
                "of {far} pairs with times a factor of {factor} apart beyond the margin of \
                 {margin}, the candidate was the slow one in {slow}"
            );
            (seen, slow, far)
        }
        None => {
            let (slow, pairs) = (latency.slower, latency.pairs);
            let seen =
                format!("the candidate took over {margin} longer in {slow} of {pairs} pairs");
            (seen, slow, pairs)
        }
    };
    let share = slow as f64 / pairs as f64;
    Accusation { seen: format!("{seen} ({})", words::share(share)), share, limit: 0.5 }
}

fn of_output(output: &OutputEvidence, limits: &OutputLimits) -> Accusation {
    let flips = &output.flips;
    let (count, share) = (words::count(flips.differing), flips.differing / flips.pairs as f64);
    let seen =
        format!("{count} of {} pairs answered differently ({})", flips.pairs, words::share(share));
    if !flips.is_noisy {
        return Accusation { seen, share, limit: limits.reject };
    }
    let excess = words::share(flips.excess().max(0.0));
    let seen = format!("{seen}, {excess} beyond how much answers vary by themselves");
    Accusation { seen, share: share.min(flips.excess()), limit: limits.reject }
}

/// Why the candidate is taken back whatever the evidence.
pub(super) fn alarm(alarm: Alarm<'_>) -> String {
    match alarm {
        Alarm::Breaker { failures } => {
            format!(
                "the candidate failed in {failures} requests in a row, all of which stable answered"
            )
        }
        Alarm::Stuck => "a run of the candidate did not end, and could not be stopped".to_owned(),
        Alarm::Contract(broken) => format!("contract: {broken}"),
    }
}

/// Why the router is not believed.
pub(super) fn sample_ratio(live: &LiveEvidence) -> String {
    let (candidate, stable) = (live.candidate().requests, live.stable().requests);
    format!(
        "the candidate had {candidate} of {} live requests where chance would give it about {}: \
         something else decides who asks it, so the versions cannot be compared",
        candidate + stable,
        live.expected().round()
    )
}

/// Why a rollout that slows stable down is held.
pub(super) fn stable_suffers() -> String {
    "one in a hundred of stable's answers takes more than twice as long as before the rollout, \
     maybe because the candidate takes its share of the machine"
        .to_owned()
}

/// Which limits the candidate is proven to be within, by how much, and for what share of the traffic.
pub(super) fn what_is_proven(gates: &[GateState], next: Option<Weight>) -> String {
    let names: Vec<_> = gates.iter().map(|gate| gate.name.as_str()).collect();
    let cases = |counted: Counted| counted.gates(gates).map(GateState::cases).max();
    let by = Counted::ALL
        .map(|counted| cases(counted).map(|cases| format!("{cases} {}", counted.name())));
    let by: Vec<_> = by.into_iter().flatten().collect();
    let next = next.map(|next| format!(" for {next} of the traffic")).unwrap_or_default();
    let (names, by) = (words::list(&names), words::list(&by));
    format!("{names} are proven to be within their limits{next} by {by}")
}

/// What keeps gates open: about how much more evidence, and how long that takes.
pub(super) fn what_is_missing(gates: &[GateState], rates: Rates) -> String {
    let counted: Vec<_> =
        Counted::ALL.into_iter().filter(|counted| counted.gates(gates).next().is_some()).collect();
    if counted.is_empty() {
        return "nothing is compared, so nothing is proven".to_owned();
    }
    if gates.iter().all(|gate| gate.cases() == 0) {
        let none: Vec<_> = counted.iter().map(|counted| format!("no {}", counted.name())).collect();
        return format!("{} yet", words::list(&none));
    }
    let missing = Missing::of(gates);
    let counted: Vec<_> =
        counted.into_iter().filter(|counted| missing.of_those(*counted) != Some(0)).collect();
    let unknown: Vec<_> =
        gates.iter().filter(|gate| gate.needs.is_none()).map(|gate| gate.name.as_str()).collect();
    if !unknown.is_empty() {
        let counted: Vec<_> = counted.iter().map(|counted| counted.name()).collect();
        let (counted, unknown) = (words::list(&counted), words::list(&unknown));
        return format!("needs more {counted}; how many is not yet estimable for {unknown}");
    }
    let needs = counted.iter().filter_map(|counted| {
        let (count, rate) = (missing.of_those(*counted)?, counted.rate(rates));
        let time = rate.filter(|rate| *rate > 0.0).map(|rate| {
            format!(" (about {} at the current rate)", words::duration(count as f64 / rate))
        });
        let count = words::about(count);
        Some(format!("about {count} more {}{}", counted.name(), time.unwrap_or_default()))
    });
    format!("needs {}", words::list(&needs.collect::<Vec<_>>()))
}

/// About how much evidence keeps gates open; none where that is not yet estimable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
    pub(super) requests: Option<u64>,
    pub(super) pairs: Option<u64>,
}

impl Missing {
    pub(super) fn of(gates: &[GateState]) -> Self {
        let most = |counted: Counted| {
            counted.gates(gates).try_fold(0, |most, gate| Some(gate.needs?.max(most)))
        };
        Self { requests: most(Counted::Requests), pairs: most(Counted::Pairs) }
    }

    fn of_those(self, counted: Counted) -> Option<u64> {
        match counted {
            Counted::Requests => self.requests,
            Counted::Pairs => self.pairs,
        }
    }
}

/// What a gate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    Requests,
    Pairs,
}

impl Counted {
    const ALL: [Self; 2] = [Self::Requests, Self::Pairs];

    fn of(gate: &GateState) -> Self {
        if gate.live.is_some() { Self::Requests } else { Self::Pairs }
    }

    fn gates(self, gates: &[GateState]) -> impl Iterator<Item = &GateState> {
        gates.iter().filter(move |gate| Self::of(gate) == self)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Requests => "candidate requests",
            Self::Pairs => "pairs",
        }
    }

    fn rate(self, rates: Rates) -> Option<f64> {
        match self {
            Self::Requests => rates.requests,
            Self::Pairs => rates.pairs,
        }
    }
}
