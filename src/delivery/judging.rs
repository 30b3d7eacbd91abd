//! What all the evidence of a rollout comes to: of pairs, of live requests, and of what needs no statistics.

use std::sync::Arc;

use super::pairings::Pairings;
use super::trials::{Seen, Trials};
use crate::domain::model::ModelName;
use crate::domain::rollout::{Decision, Judgement, Rollout, RolloutId};
use crate::domain::time::WallTime;
use crate::serving::ArmCounts;
use crate::shadow::{Beside, Standing};
use crate::telemetry::metrics;

/// A verdict, and what it rests on, as it may be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The rollout.
    pub rollout: RolloutId,
    /// What follows from the evidence.
    pub judgement: Judgement,
    /// What that rests on.
    pub standing: Arc<Standing>,
    /// What came of live requests, where the candidate has had some.
    pub counts: Option<ArmCounts>,
}

/// Judges by everything that is known of a model's rollout. None while it is being added to: there is a next time.
pub(super) fn judge(
    model: &ModelName,
    rollout: &Rollout,
    pairings: &Pairings,
    trials: &mut Trials,
    now: WallTime,
) -> Option<Judged> {
    let seen = trials.see(model).filter(|seen| seen.rollout == rollout.id);
    let beside = Beside {
        live: seen.as_ref().and_then(|seen| seen.evidence),
        next: rollout.next_weight(),
        alarm: seen.as_ref().and_then(|seen| seen.alarm),
        stable_suffers: seen.as_ref().is_some_and(|seen| seen.stable_suffers),
        requests: seen.as_ref().and_then(|seen| seen.rate),
    };
    let standing = if pairings.is_open(model) {
        pairings.judge(model, now, beside)?
    } else {
        Arc::new(Standing::of(&rollout.plan.pairs.gates, None, None, beside))
    };
    measure(model, &standing);
    let (decision, reason) = decide(&standing, seen.as_ref());
    let requests = seen.as_ref().map_or(0, |seen| seen.observed.ended_in(rollout.epoch));
    let (pairs, epoch) = (standing.pairs, rollout.epoch);
    let judgement = Judgement { decision, reason, pairs, epoch, requests };
    let counts = seen.map(|seen| seen.observed.totals());
    Some(Judged { rollout: rollout.id, judgement, standing, counts })
}

fn decide(standing: &Standing, seen: Option<&Seen<'_>>) -> (Decision, String) {
    let reason = standing.verdict.reason().to_owned();
    match standing.decision() {
        Decision::Pass if seen.is_some_and(|seen| seen.observed.too_many_keys) => {
            let reason = "there are more keys than can be told apart, so nothing is concluded from \
                          live requests";
            (Decision::Inconclusive, reason.to_owned())
        }
        decision @ (Decision::Pass | Decision::Fail | Decision::Inconclusive | Decision::Hold) => {
            (decision, reason)
        }
    }
}

fn measure(model: &ModelName, standing: &Standing) {
    for gate in &standing.gates {
        metrics::evidence(model, &gate.name, gate.log_fail);
        if let (Some(output), Some(share)) = (gate.name.strip_prefix("outputs."), gate.estimate) {
            metrics::outputs_disagree(model, output, share);
        }
    }
}
