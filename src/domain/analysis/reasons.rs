//! Verdicts in words: what was seen, what is tolerated, what is missing.

use super::evidence::OutputEvidence;
use super::gates::{ErrorLimits, GateState, LatencyLimits, OutputLimits};
use super::latency::Latency;
use super::pair_errors::PairErrors;
use super::subjects::Subject;
use super::words;

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
        Subject::Errors(errors, limits) => of_errors(errors, limits),
        Subject::Latency(latency, limits) => of_latency(latency, limits),
        Subject::Output(output, limits) => of_output(output, limits),
    };
    let tolerated = match culprit {
        Subject::Latency(..) => "the half that is tolerated".to_owned(),
        Subject::Errors(..) | Subject::Output(..) => {
            format!("the {} that are tolerated", words::share(limit))
        }
    };
    // Over all the time it may be little: betting anew has found what began late.
    let when = if share > limit { "" } else { "and lately " };
    format!("{seen}, {when}more than {tolerated}")
}

fn of_errors(errors: &PairErrors, limits: &ErrorLimits) -> Accusation {
    let PairErrors { pairs, only_candidate, only_stable, .. } = errors;
    let share = *only_candidate as f64 / *pairs as f64;
    let seen = format!(
        "errors: only the candidate failed in {only_candidate} of {pairs} pairs ({}), only stable \
         in {only_stable}",
        words::share(share)
    );
    Accusation { seen, share, limit: errors.tolerated(limits) }
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
    Accusation { seen: format!("latency: {seen} ({})", words::share(share)), share, limit: 0.5 }
}

fn of_output(output: &OutputEvidence, limits: &OutputLimits) -> Accusation {
    let flips = &output.flips;
    let (count, share) = (words::count(flips.differing), flips.differing / flips.pairs as f64);
    let seen = format!(
        "outputs.{}: {count} of {} pairs answered differently ({})",
        output.name,
        flips.pairs,
        words::share(share)
    );
    if !flips.is_noisy {
        return Accusation { seen, share, limit: limits.reject };
    }
    let excess = words::share(flips.excess().max(0.0));
    let seen = format!("{seen}, {excess} beyond how much answers vary by themselves");
    Accusation { seen, share: share.min(flips.excess()), limit: limits.reject }
}

/// Which limits the candidate is proven to be within.
pub(super) fn what_is_proven(gates: &[GateState], pairs: u64) -> String {
    let names: Vec<_> = gates.iter().map(|gate| gate.name.as_str()).collect();
    format!("{} are proven to be within their limits by {pairs} pairs", words::list(&names))
}

/// What keeps gates open: about how many pairs, and how long that takes at `rate` pairs in a second.
pub(super) fn what_is_missing(
    gates: &[GateState],
    needs: Option<u64>,
    rate: Option<f64>,
) -> String {
    if gates.iter().all(|gate| gate.pairs == 0) {
        return "no pairs yet".to_owned();
    }
    let Some(pairs) = needs else {
        let unknown = gates.iter().filter(|gate| gate.needs.is_none());
        let names: Vec<_> = unknown.map(|gate| gate.name.as_str()).collect();
        let names = words::list(&names);
        return format!("needs more pairs; how many is not yet estimable for {names}");
    };
    let time = rate.filter(|rate| *rate > 0.0).map(|rate| {
        format!(" (about {} at the current rate)", words::duration(pairs as f64 / rate))
    });
    format!("needs about {} more pairs{}", words::about(pairs), time.unwrap_or_default())
}
