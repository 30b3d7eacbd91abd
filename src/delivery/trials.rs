//! The versions that share the traffic of a model with the one that is trusted, and what is seen of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::handle::Delivery;
use super::journal::{Evidence, JournalReader};
use super::pairings::{Document, Versions};
use crate::domain::analysis::{
    Alarm, Latencies, LatencyGuard, LiveCell, LiveCounts, LiveEvidence, Lookback, restart_epoch,
};
use crate::domain::model::ModelName;
use crate::domain::rollout::{Rollout, RolloutId, Share, Strategy};
use crate::serving::{
    Counts, Observed, ObservedCell, Observer, ObserverParts, Overdue, Servable, Trial, TrialParts,
    patience,
};
use crate::shadow::Rate;

/// One for each model with a rollout that has, or had, live traffic.
#[derive(Debug)]
pub(super) struct Trials {
    journal: JournalReader,
    /// Who is told at once when a candidate fails all the time.
    delivery: Delivery,
    open: HashMap<ModelName, Open>,
    /// What is over, and still to be written down for the last time.
    closed: Vec<Closed>,
    /// How long the trusted versions took, over the last hour.
    hours: HashMap<ModelName, Lookback>,
    began: Instant,
}

#[derive(Debug)]
struct Closed {
    model: ModelName,
    rollout: RolloutId,
    observer: Arc<Observer>,
    evidence: Option<LiveEvidence>,
    guard: Option<LatencyGuard>,
}

#[derive(Debug)]
struct Open {
    rollout: RolloutId,
    observer: Arc<Observer>,
    candidate: Arc<Servable>,
    trusted: Arc<Servable>,
    guard: Option<LatencyGuard>,
    /// None while the candidate has no traffic.
    trial: Option<Arc<Trial>>,
    /// What its requests tell, in a rollout that gives it shares of the traffic.
    evidence: Option<LiveEvidence>,
    /// Whether one run that does not end is enough.
    breaks: bool,
    opened: Instant,
    rate: Rate,
    /// What was written down last.
    saved: Observed,
}

/// A candidate's live requests, as they are seen now.
#[derive(Debug)]
pub(super) struct Seen<'t> {
    pub(super) rollout: RolloutId,
    pub(super) observed: Observed,
    pub(super) evidence: Option<&'t LiveEvidence>,
    /// What no statistics are needed for.
    pub(super) alarm: Option<Alarm<'static>>,
    /// Whether the trusted version answers much more slowly than before.
    pub(super) stable_suffers: bool,
    /// Requests to the candidate in a second.
    pub(super) rate: Option<f64>,
}

/// What is written down.
#[derive(Debug, Deserialize, Serialize)]
struct Saved<E, G> {
    observed: Observed,
    evidence: Option<E>,
    guard: Option<G>,
}

impl Trials {
    pub(super) fn new(journal: JournalReader, delivery: Delivery) -> Self {
        let (open, closed, hours) = (HashMap::new(), Vec::new(), HashMap::new());
        Self { journal, delivery, open, closed, hours, began: Instant::now() }
    }

    /// Takes note of how long a model's trusted version takes. To be told once in a minute.
    pub(super) fn take_time(&mut self, model: &ModelName, stable: &Servable) {
        let latencies = stable.latencies();
        // Most models of many are hardly ever asked.
        if latencies.total() > 0 || self.hours.contains_key(model) {
            let hour = self.hours.entry(model.clone()).or_insert_with(Lookback::hour);
            hour.observe(self.began.elapsed(), &latencies);
        }
    }

    /// How long a model's trusted version took in the last hour; none where it was never asked.
    pub(super) fn hour_before(
        &mut self,
        model: &ModelName,
        stable: &Servable,
    ) -> Option<Latencies> {
        self.take_time(model, stable);
        let hour = self.hours.get_mut(model)?;
        Some(hour.observe(self.began.elapsed(), &stable.latencies()))
    }

    /// The traffic that these two versions share; none where the candidate has no share. With it a trial that is over,
    /// to be ended once nobody is sent to it any more.
    pub(super) fn of(
        &mut self,
        model: &ModelName,
        rollout: &Rollout,
        versions: &Versions,
        share: Option<Share>,
    ) -> (Option<Arc<Trial>>, Option<Arc<Trial>>) {
        let is_other = self.open.get(model).is_some_and(|open| open.rollout != rollout.id);
        let mut over = if is_other { self.end(model) } else { None };
        // Also before it has any: what live requests tell has its part in the verdict from the beginning.
        let has_shares = rollout.plan.strategy == Strategy::Canary;
        if (share.is_some() || has_shares) && !self.open.contains_key(model) {
            let open = self.begin(model, rollout, versions);
            self.open.insert(model.clone(), open);
        }
        let Some(share) = share else {
            over = over.or_else(|| self.open.get_mut(model).and_then(|open| open.trial.take()));
            return (None, over);
        };
        let Some(open) = self.open.get_mut(model) else { return (None, over) };
        let parts = TrialParts {
            rollout: rollout.id,
            share,
            key: rollout.plan.key.clone(),
            candidate: versions.candidate.clone(),
            trusted: versions.stable.clone(),
            rescues: rollout.plan.fallback,
            observer: open.observer.clone(),
        };
        if let Some(trial) = open.trial.as_ref().filter(|trial| trial.is_of(&parts)) {
            return (Some(trial.clone()), over);
        }
        // Who waits for the same candidate under another share waits on.
        let is_same = Arc::ptr_eq(&open.candidate, &versions.candidate);
        let trial = Arc::new(Trial::new(parts, Instant::now()));
        let before = open.trial.replace(trial.clone());
        open.candidate = versions.candidate.clone();
        open.trusted = versions.stable.clone();
        (Some(trial), over.or(before.filter(|_| !is_same)))
    }

    /// No version of this model is on trial any more. Gives the trial that is over, to be ended once nobody is sent to
    /// it any more.
    pub(super) fn end(&mut self, model: &ModelName) -> Option<Arc<Trial>> {
        let Open { rollout, observer, trial, evidence, guard, .. } = self.open.remove(model)?;
        self.closed.push(Closed { model: model.clone(), rollout, observer, evidence, guard });
        trial
    }

    fn begin(&mut self, model: &ModelName, rollout: &Rollout, versions: &Versions) -> Open {
        let saved = self.saved(rollout.id).or_else(|| {
            // Whoever tries again does not get another throw of the dice.
            let parent = rollout.parent.filter(|_| !rollout.is_fresh)?;
            let saved = self.saved(parent)?;
            Some(Saved { observed: saved.observed.of_another_rollout(), ..saved })
        });
        let delivery = self.delivery.clone();
        let deadline = versions.candidate.limits().deadline.max(versions.stable.limits().deadline);
        let (observed, evidence, guard) = match saved {
            Some(Saved { observed, evidence, guard }) => (Some(observed), evidence, guard),
            None => (None, None, None),
        };
        let guard =
            guard.or_else(|| Some(LatencyGuard::new(&self.hour_before(model, &versions.stable)?)));
        let parts = ObserverParts {
            saved: observed,
            is_sticky: rollout.plan.key.is_some(),
            breaks: rollout.plan.breaker,
            on_trip: Box::new(move || delivery.tripped()),
            longest: patience(deadline),
        };
        let now = Instant::now();
        Open {
            rollout: rollout.id,
            observer: Arc::new(Observer::new(parts, now)),
            candidate: versions.candidate.clone(),
            trusted: versions.stable.clone(),
            guard,
            trial: None,
            evidence: evidence_for(rollout, evidence),
            breaks: rollout.plan.breaker,
            opened: now,
            rate: Rate::default(),
            saved: Observed::default(),
        }
    }

    fn saved(&self, rollout: RolloutId) -> Option<Saved<LiveEvidence, LatencyGuard>> {
        let read = self.journal.evidence(Evidence::Observations, rollout);
        let understood = read
            .map(|document| document.map(|document| serde_json::from_str(&document)).transpose());
        match understood {
            Ok(Ok(saved)) => saved,
            Ok(Err(error)) => {
                tracing::warn!("what was seen of rollout {rollout} cannot be understood: {error}");
                None
            }
            Err(error) => {
                tracing::warn!("what was seen of rollout {rollout} cannot be read: {error}");
                None
            }
        }
    }

    /// Whether there is anything to judge or to write down.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.closed.is_empty()
    }

    /// Whether something is over that was not written down yet.
    pub(super) fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// The models with a candidate that has, or had, traffic.
    pub(super) fn models(&self) -> impl Iterator<Item = &ModelName> {
        self.open.keys()
    }

    /// What is seen of a model's candidate.
    pub(super) fn see(&mut self, model: &ModelName) -> Option<Seen<'_>> {
        let open = self.open.get_mut(model)?;
        let now = Instant::now();
        let observed = open.observer.observed(now);
        if let Some(evidence) = &mut open.evidence {
            evidence.advance(now.duration_since(open.opened));
            evidence.set(&cells(&observed));
        }
        let stable_suffers = open.guard.as_mut().is_some_and(|guard| {
            guard.observe(now.duration_since(open.opened), &open.trusted.latencies());
            guard.stable_suffers()
        });
        let requests = observed.cells.iter().map(|cell| cell.ended).sum();
        let rate = open.rate.observe(now, requests);
        let tripped = open.observer.tripped().map(|failures| Alarm::Breaker { failures });
        let alarm = tripped.or(does_not_end(&open.candidate, open.breaks).then_some(Alarm::Stuck));
        let (rollout, evidence) = (open.rollout, open.evidence.as_ref());
        Some(Seen { rollout, observed, evidence, alarm, stable_suffers, rate })
    }

    /// What has changed since it was last written down, and what is over.
    pub(super) fn documents(&mut self) -> Vec<Document> {
        let now = Instant::now();
        let mut documents = Vec::new();
        for (model, open) in &mut self.open {
            let observed = open.observer.observed(now);
            if observed != open.saved {
                let (evidence, guard) = (open.evidence.as_ref(), open.guard.as_ref());
                let saved = Saved { observed: observed.clone(), evidence, guard };
                documents.extend(document(model, open.rollout, &saved));
                open.saved = observed;
            }
        }
        for closed in &self.closed {
            let Closed { model, rollout, observer, evidence, guard } = closed;
            let (evidence, guard) = (evidence.as_ref(), guard.as_ref());
            let saved = Saved { observed: observer.observed(now), evidence, guard };
            documents.extend(document(model, *rollout, &saved));
        }
        documents
    }

    /// These documents are on the disk.
    pub(super) fn are_saved(&mut self, documents: &[Document]) {
        let is_saved = |of: &RolloutId| documents.iter().any(|document| document.rollout == *of);
        self.closed.retain(|closed| !is_saved(&closed.rollout));
    }
}

/// Whether runs of a version do not end. One is enough that goes on for several times as long as its request had, if
/// its thread had a core to end it on; so many are in any case that the version takes the threads of others.
fn does_not_end(candidate: &Servable, one_is_enough: bool) -> bool {
    const SEVERAL: u32 = 3;
    const MOST: usize = 4;
    const HAD_A_CORE: Duration = Duration::from_millis(50);
    let limit = candidate.limits().deadline * SEVERAL;
    let is_stuck = |overdue: Overdue| {
        overdue.elapsed >= limit && overdue.worked.is_none_or(|worked| worked >= HAD_A_CORE)
    };
    candidate.stranded() >= MOST
        || one_is_enough && candidate.longest_overdue(Instant::now()).is_some_and(is_stuck)
}

fn document(
    model: &ModelName,
    rollout: RolloutId,
    saved: &Saved<&LiveEvidence, &LatencyGuard>,
) -> Option<Document> {
    let text = serde_json::to_string(saved).ok()?;
    Some(Document { model: model.clone(), rollout, text, worked_off: None })
}

/// What live requests tell: none yet, or what they had told before under the same limits.
fn evidence_for(rollout: &Rollout, saved: Option<LiveEvidence>) -> Option<LiveEvidence> {
    match rollout.plan.strategy {
        Strategy::Canary => {
            let gates = &rollout.plan.pairs.gates;
            let saved = saved.filter(|saved| saved.limits() == gates);
            let epoch = restart_epoch(rollout.plan.longest());
            Some(saved.unwrap_or_else(|| LiveEvidence::new(gates.clone(), Some(epoch))))
        }
        Strategy::Recreate | Strategy::BlueGreen | Strategy::Shadow => None,
    }
}

fn cells(observed: &Observed) -> Vec<LiveCell> {
    let counts = |counts: Counts| LiveCounts { requests: counts.requests, failed: counts.failed };
    let cell = |cell: &ObservedCell| LiveCell {
        weight: cell.chance(),
        candidate: counts(cell.counts.candidate),
        stable: counts(cell.counts.stable),
    };
    observed.cells.iter().map(cell).collect()
}
