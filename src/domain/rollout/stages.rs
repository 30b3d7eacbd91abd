//! From stage to stage: what leads on, what holds, and what gives up.

use super::change::Change;
use super::event::{Decision, Judgement};
use super::plan::{OnInconclusive, StepPlan, Strategy};
use super::record::{Actor, CanaryStep, Phase, Rollout};
use crate::domain::time::Countdown;
use crate::domain::weight::Weight;

impl Change<'_, '_> {
    /// The candidate is ready. What comes next is in the plan; a version that has nothing to be compared with, or
    /// that was stable before, needs no trial.
    pub(super) fn leave_loading(&mut self) {
        let Some(rollout) = &self.release.rollout else { return };
        let needs_trial = match rollout.plan.strategy {
            Strategy::Canary | Strategy::Shadow => {
                self.release.stable.is_some() && !rollout.is_undo
            }
            Strategy::Recreate | Strategy::BlueGreen => false,
        };
        if !needs_trial {
            self.go_live(&Actor::Server, "loaded and warm; it has all traffic");
        } else if !rollout.plan.has_rehearsal() {
            self.begin_trial(&Actor::Server, "loaded and warm");
        } else if self.context.has_recordings {
            let rehearsing = Countdown::start(rollout.plan.pairs.max_time, self.context.now);
            let reason = "loaded and warm; recorded requests are run on it first";
            self.enter(Phase::Rehearsing(rehearsing), &Actor::Server, reason);
        } else {
            let reason = "loaded and warm; there are no recorded requests to rehearse it on";
            self.begin_trial(&Actor::Server, reason);
        }
    }

    /// Recorded requests have shown what they can.
    pub(super) fn rehearsed(&mut self, reason: &str) {
        match self.release.live().map(|rollout| &rollout.phase) {
            Some(Phase::Rehearsing(_)) => self.begin_trial(&Actor::Server, reason),
            Some(
                Phase::Loading
                | Phase::Shadowing(_)
                | Phase::Canary(_)
                | Phase::Paused(_)
                | Phase::Waiting
                | Phase::Baking(_)
                | Phase::Ended(_),
            )
            | None => {}
        }
    }

    /// The first stage with live requests.
    pub(super) fn begin_trial(&mut self, actor: &Actor, reason: &str) {
        let Some(Rollout { plan, .. }) = &self.release.rollout else { return };
        if plan.has_shadow_stage() {
            let shadowing = Countdown::start(plan.pairs.max_time, self.context.now);
            let reason = format!("{reason}; sampled requests are run on it as well");
            self.enter(Phase::Shadowing(shadowing), actor, &reason);
        } else {
            self.lead_on(actor, reason);
        }
    }

    /// What the evidence says. A candidate that is worse goes, whatever else holds it.
    pub(super) fn judged(&mut self, judgement: &Judgement) {
        let Some(Rollout { phase, plan, epoch, .. }) = self.release.live() else { return };
        let has_pairs = judgement.pairs >= plan.pairs.min_pairs;
        match (phase, judgement.decision) {
            (Phase::Loading | Phase::Ended(_), _) => {}
            (
                Phase::Rehearsing(_)
                | Phase::Shadowing(_)
                | Phase::Canary(_)
                | Phase::Waiting
                | Phase::Paused(_)
                | Phase::Baking(_),
                Decision::Fail,
            ) => self.roll_back(&judgement.reason),
            (Phase::Shadowing(_), Decision::Pass) if has_pairs => match plan.strategy {
                Strategy::Canary => self.lead_on(&Actor::Server, &judgement.reason),
                Strategy::Shadow | Strategy::Recreate | Strategy::BlueGreen => {
                    let reason = format!("{}; it waits for `promote`", judgement.reason);
                    self.enter(Phase::Waiting, &Actor::Server, &reason);
                }
            },
            (Phase::Canary(step), Decision::Pass)
                if judgement.epoch == *epoch
                    && judgement.requests >= step.min_requests
                    && step.least.is_over(self.context.now) =>
            {
                self.lead_on(&Actor::Server, &judgement.reason);
            }
            (Phase::Baking(_), Decision::Pass) => {
                if let Some(rollout) = &mut self.release.rollout {
                    rollout.proven = true;
                }
            }
            // A few recorded requests cannot prove much: what they show counts in the stages to come.
            (
                Phase::Rehearsing(_)
                | Phase::Shadowing(_)
                | Phase::Canary(_)
                | Phase::Waiting
                | Phase::Paused(_),
                Decision::Pass,
            )
            | (
                Phase::Rehearsing(_)
                | Phase::Shadowing(_)
                | Phase::Canary(_)
                | Phase::Waiting
                | Phase::Paused(_)
                | Phase::Baking(_),
                Decision::Inconclusive | Decision::Hold,
            ) => {}
        }
    }

    /// On to the next step, or to all traffic.
    pub(super) fn lead_on(&mut self, actor: &Actor, reason: &str) {
        let Some(Rollout { plan, phase, .. }) = &self.release.rollout else { return };
        match plan.step_above(phase.weight()) {
            Some((_, StepPlan { weight, .. })) => self.give(*weight, false, actor, reason),
            None => self.go_live(actor, reason),
        }
    }

    /// Gives the candidate a share of the traffic, under the conditions of the step that this share belongs to.
    fn give(&mut self, weight: Weight, is_held: bool, actor: &Actor, reason: &str) {
        let now = self.context.now;
        let Some(Rollout { plan, .. }) = &self.release.rollout else { return };
        let step = plan.step_at(weight).map(|(_, step)| step).or(plan.steps.first());
        let Some(StepPlan { min_time, min_requests, .. }) = step else { return };
        let step = Phase::Canary(CanaryStep {
            weight,
            least: Countdown::start(*min_time, now),
            most: Countdown::start(plan.max_time, now),
            min_requests: *min_requests,
        });
        let step = if is_held { Phase::Paused(Box::new(step)) } else { step };
        let reason = format!("{reason}; the candidate has {weight} of the traffic");
        self.enter(step, actor, &reason);
    }

    /// The stage has had its time.
    pub(super) fn give_up_waiting(&mut self) {
        let Some(Rollout { plan, phase, .. }) = self.release.live() else { return };
        let now = self.context.now;
        let (after, again) = match phase {
            Phase::Shadowing(_) => {
                let after = plan.pairs.max_time;
                (after, Phase::Shadowing(Countdown::start(after, now)))
            }
            Phase::Canary(step) => {
                let (after, step) = (plan.max_time, step.clone());
                (after, Phase::Canary(CanaryStep { most: Countdown::start(after, now), ..step }))
            }
            Phase::Loading
            | Phase::Rehearsing(_)
            | Phase::Paused(_)
            | Phase::Waiting
            | Phase::Baking(_)
            | Phase::Ended(_) => return,
        };
        let reason = format!("no verdict within {}", humantime::format_duration(after));
        match plan.pairs.on_inconclusive {
            OnInconclusive::Pause => {
                self.enter(Phase::Paused(Box::new(again)), &Actor::Server, &reason);
            }
            OnInconclusive::Promote => self.lead_on(&Actor::Server, &reason),
            OnInconclusive::Abort => self.take_back(&Actor::Server, &reason),
        }
    }

    /// Holds what goes on.
    pub(super) fn pause(&mut self, actor: &Actor, reason: &str) {
        let now = self.context.now;
        let Some(rollout) = &self.release.rollout else { return };
        let mut held = rollout.phase.clone();
        held.countdowns_mut().for_each(|countdown| countdown.count_to(now));
        self.enter(Phase::Paused(Box::new(held)), actor, reason);
    }

    /// Lets what was held go on.
    pub(super) fn resume(&mut self, actor: &Actor, reason: &str) {
        let now = self.context.now;
        let Some(Rollout { phase: Phase::Paused(held), .. }) = &self.release.rollout else {
            return;
        };
        let mut phase = Phase::clone(held);
        phase.countdowns_mut().for_each(|countdown| countdown.resume(now));
        self.enter(phase, actor, reason);
    }

    /// Another share of the traffic. What was held stays held.
    pub(super) fn set_weight(&mut self, weight: Weight, actor: &Actor, reason: &str) {
        let phase = self.release.rollout.as_ref().map(|rollout| &rollout.phase);
        let is_held = matches!(phase, Some(Phase::Paused(_)));
        self.give(weight, is_held, actor, reason);
    }

    /// On to the next step or stage, or to the end. What was held goes on.
    pub(super) fn promote(&mut self, full: bool, actor: &Actor, reason: &str) {
        let stage = self.release.live().map(|rollout| rollout.phase.stage());
        let is_rehearsing = matches!(stage, Some(Phase::Rehearsing(_)));
        if !self.release.is_baking() {
            match full {
                true => self.go_live(actor, reason),
                false if is_rehearsing => return self.begin_trial(actor, reason),
                false => return self.lead_on(actor, reason),
            }
        }
        // A version without a bake is done already.
        if self.release.is_baking() {
            self.complete(actor, reason);
        }
    }
}
