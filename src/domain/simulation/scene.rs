//! Plays one rollout, look by look: traffic, verdict, what follows from it.

use std::time::Duration;

use super::LOOK;
use super::chance::Chance;
use super::fate::{Fate, Run};
use super::live::Live;
use super::pairs::Pairs;
use super::traffic::Traffic;
use crate::domain::analysis::{
    Alarm, LiveCounts, LiveEvidence, Rates, Trial, Verdict, judge, restart_epoch,
};
use crate::domain::model::{Digest, VersionLabel};
use crate::domain::rollout::{
    Context, Decision, Event, Judgement, Outcome, Phase, Place, Plan, Release, RolloutId, Seen,
    Step, Strategy, Transition,
};
use crate::domain::time::{Moment, WallTime};
use crate::domain::weight::Weight;

/// A kind of rollout: a recipe, and what it meets.
#[derive(Clone, Debug)]
pub struct Scene<'s> {
    /// The recipe.
    pub plan: &'s Plan,
    /// The traffic, and how the versions do on it.
    pub traffic: &'s Traffic,
    /// How long it is watched.
    pub horizon: Duration,
    /// Whether the candidate's first requests are left out, as the server does.
    pub warms_up: bool,
    /// How long until betting begins anew.
    pub restart: Duration,
}

/// What is to be told of one look.
#[derive(Debug)]
pub struct Told<'t> {
    /// When, from the arrival of the candidate.
    pub at: Duration,
    /// What has changed.
    pub transitions: &'t [Transition],
    /// What follows from the evidence.
    pub decision: Decision,
    /// Why.
    pub reason: &'t str,
    /// All live requests of stable until now.
    pub stable: LiveCounts,
    /// Those of the candidate.
    pub candidate: LiveCounts,
    /// How many pairs there were.
    pub pairs: u64,
}

impl<'s> Scene<'s> {
    /// A rollout as a server would make it.
    pub fn new(plan: &'s Plan, traffic: &'s Traffic, horizon: Duration) -> Self {
        let restart = restart_epoch(plan.longest());
        Self { plan, traffic, horizon, warms_up: true, restart }
    }

    /// One rollout.
    pub fn play(&self, chance: &mut Chance) -> Run {
        self.tell(chance, |_| ())
    }

    /// One rollout, with every look told.
    pub fn tell(&self, chance: &mut Chance, mut tell: impl FnMut(&Told<'_>)) -> Run {
        let mut play = Play::begin(self);
        tell(&play.told(Decision::Inconclusive, ""));
        play.transitions.clear();
        while play.now + LOOK <= self.horizon && !play.is_decided() {
            play.answer(chance);
            let (decision, reason) = play.look();
            tell(&play.told(decision, &reason));
            play.transitions.clear();
        }
        play.end()
    }
}

/// One rollout in the making.
struct Play<'s> {
    scene: &'s Scene<'s>,
    release: Release,
    now: Duration,
    live: Live,
    live_evidence: Option<LiveEvidence>,
    pairs: Option<Pairs>,
    transitions: Vec<Transition>,
    /// When the candidate got all traffic, and how many requests it had had until then.
    went_live: Option<(Duration, u64)>,
    bad_answers: f64,
}

impl<'s> Play<'s> {
    /// Version 1 answers, and version 2 is loaded beside it.
    fn begin(scene: &'s Scene<'s>) -> Self {
        let Scene { plan, traffic, warms_up, restart, .. } = *scene;
        let mut live_evidence = match plan.strategy {
            Strategy::Canary => Some(LiveEvidence::new(plan.pairs.gates.clone(), Some(restart))),
            Strategy::Recreate | Strategy::BlueGreen | Strategy::Shadow => None,
        };
        let mut pairs = Pairs::new(&plan.pairs, restart);
        live_evidence.iter_mut().for_each(|evidence| evidence.advance(Duration::ZERO));
        pairs.iter_mut().for_each(|pairs| pairs.evidence.advance(Duration::ZERO));
        let mut play = Self {
            scene,
            release: Release::default(),
            now: Duration::ZERO,
            live: Live::new(plan, traffic.sticky, warms_up),
            live_evidence,
            pairs,
            transitions: Vec::new(),
            went_live: None,
            bad_answers: 0.0,
        };
        for number in [1, 2] {
            play.transitions.clear();
            let (label, digest) = version(number);
            let seen = Seen { place: Place::Labelled(label), digest };
            play.step(Event::Seen(vec![seen]), number);
            play.step(Event::Loaded(digest), number);
        }
        play
    }

    fn step(&mut self, event: Event, id: u8) {
        let wall = WallTime(self.now.as_millis() as u64);
        let context = Context {
            has_recordings: false,
            now: Moment { monotonic: self.now, wall },
            plan: self.scene.plan,
            next_id: RolloutId(id.into()),
        };
        // Only commands are refused.
        let Step { transitions, .. } = self.release.step(event, context).unwrap_or_default();
        self.transitions.extend(transitions);
        if self.went_live.is_none() && id == 2 && self.weight() == Weight::ALL {
            self.went_live = Some((self.now, self.live.totals()[1].requests));
        }
    }

    /// A slice of traffic.
    fn answer(&mut self, chance: &mut Chance) {
        let Scene { plan, traffic, .. } = *self.scene;
        let route = self.release.route();
        let (pair, share) = route.map_or((None, None), |route| (route.pair, route.share));
        let slice = traffic.slice(self.now, LOOK, chance);
        self.now += LOOK;
        let candidate = self.live.answer(slice, share, chance);
        if !plan.fallback {
            self.bad_answers += candidate as f64 * slice.failing.excess();
        }
        if let (Some(pairs), Some(_)) = (&mut self.pairs, pair) {
            pairs.run(slice, (self.now, LOOK), traffic, chance);
        }
    }

    /// How fast evidence comes in.
    fn rates(&self) -> Rates {
        let rate = self.scene.traffic.rate(self.now);
        let of_pairs = |pairs: &Pairs| (rate * pairs.share()).min(self.scene.traffic.most_pairs);
        Rates {
            requests: Some(rate * self.weight().fraction()),
            pairs: self.pairs.as_ref().map(of_pairs),
        }
    }

    /// Judges, and does what follows.
    fn look(&mut self) -> (Decision, String) {
        let verdict = self.judge();
        let (decision, reason) = verdict.clone();
        if let Some(pairs) = &mut self.pairs {
            pairs.judged(decision);
        }
        let epoch = self.release.rollout().map_or(0, |rollout| rollout.epoch);
        let (pairs, requests) = (self.seen_pairs(), self.live.ended_in(epoch));
        match decision {
            Decision::Pass | Decision::Fail => {
                let judgement = Judgement { decision, reason, pairs, epoch, requests };
                self.step(Event::Judged(judgement), 2);
            }
            Decision::Inconclusive | Decision::Hold => {}
        }
        if self.release.next_tick().is_some_and(|tick| tick <= self.now) {
            self.step(Event::Tick, 2);
        }
        verdict
    }

    fn judge(&mut self) -> (Decision, String) {
        if let Some(evidence) = &mut self.live_evidence {
            evidence.advance(self.now);
            evidence.set(&self.live.cells());
        }
        if let Some(pairs) = &mut self.pairs {
            pairs.evidence.advance(self.now);
        }
        let trial = Trial {
            gates: &self.scene.plan.pairs.gates,
            live: self.live_evidence.as_ref(),
            pairs: self.pairs.as_ref().map(|pairs| &pairs.evidence),
            next: self.release.rollout().and_then(|rollout| rollout.next_weight()),
            alarm: self.live.tripped().map(|failures| Alarm::Breaker { failures }),
            stable_suffers: false,
            rates: self.rates(),
        };
        match judge(&trial).verdict {
            Verdict::Pass { .. } if self.live.too_many_keys() => {
                (Decision::Inconclusive, "there are more keys than can be told apart".to_owned())
            }
            Verdict::Pass { reason } => (Decision::Pass, reason),
            Verdict::Fail { reason, .. } => (Decision::Fail, reason),
            Verdict::Hold { reason, .. } => (Decision::Hold, reason),
            Verdict::Inconclusive { reason, .. } => (Decision::Inconclusive, reason),
        }
    }

    fn seen_pairs(&self) -> u64 {
        self.pairs.as_ref().map_or(0, |pairs| pairs.evidence.pairs())
    }

    fn phase(&self) -> Option<&Phase> {
        self.release.rollout().map(|rollout| &rollout.phase)
    }

    /// The candidate's share of the traffic.
    fn weight(&self) -> Weight {
        self.phase().map_or(Weight::NONE, Phase::weight)
    }

    /// Whether nothing more can happen without an operator.
    fn is_decided(&self) -> bool {
        match self.phase() {
            Some(Phase::Ended(_) | Phase::Waiting) | None => true,
            Some(
                Phase::Loading
                | Phase::Rehearsing(_)
                | Phase::Shadowing(_)
                | Phase::Canary(_)
                | Phase::Paused(_)
                | Phase::Baking(_),
            ) => false,
        }
    }

    fn fate(&self) -> Fate {
        match self.phase().map(Phase::stage) {
            Some(Phase::Ended(Outcome::RolledBack)) => Fate::RolledBack,
            Some(Phase::Ended(Outcome::Completed { .. }) | Phase::Baking(_) | Phase::Waiting) => {
                Fate::Promoted
            }
            Some(
                Phase::Ended(Outcome::Aborted | Outcome::Superseded | Outcome::Refused)
                | Phase::Loading
                | Phase::Rehearsing(_)
                | Phase::Shadowing(_)
                | Phase::Canary(_)
                | Phase::Paused(_),
            )
            | None => Fate::Undecided,
        }
    }

    fn end(mut self) -> Run {
        let fate = self.fate();
        let requests = self.live.totals()[1].requests;
        let at_the_end = (self.now, requests);
        let (decided, candidate_requests) = match fate {
            Fate::Promoted => self.went_live.unwrap_or(at_the_end),
            Fate::RolledBack => at_the_end,
            Fate::Undecided => (self.scene.horizon, requests),
        };
        // A bad version that was let through is bad for the rest of the time, with nobody to answer in its place.
        let has_all = match self.phase() {
            Some(Phase::Ended(Outcome::Completed { .. })) => true,
            Some(
                Phase::Ended(
                    Outcome::RolledBack | Outcome::Aborted | Outcome::Superseded | Outcome::Refused,
                )
                | Phase::Loading
                | Phase::Rehearsing(_)
                | Phase::Shadowing(_)
                | Phase::Canary(_)
                | Phase::Paused(_)
                | Phase::Waiting
                | Phase::Baking(_),
            )
            | None => false,
        };
        if has_all {
            self.bad_answers += self.scene.traffic.bad_answers(self.now, self.scene.horizon);
        }
        let (bad_answers, rescued) = (self.bad_answers, self.live.rescued());
        Run { fate, decided, candidate_requests, bad_answers, rescued }
    }

    fn told<'t>(&'t self, decision: Decision, reason: &'t str) -> Told<'t> {
        let [stable, candidate] = self.live.totals();
        let at = self.now;
        let (transitions, pairs) = (self.transitions.as_slice(), self.seen_pairs());
        Told { at, transitions, decision, reason, stable, candidate, pairs }
    }
}

/// Two versions that differ.
fn version(number: u8) -> (VersionLabel, Digest) {
    let label = number.to_string();
    let label = label.parse().unwrap_or_else(|_| unreachable!("a number is a label"));
    (label, Digest::from_bytes([number; 32]))
}
