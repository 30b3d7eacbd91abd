//! The versions that share the traffic of a model with the one that is trusted, and what is seen of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::handle::Delivery;
use super::journal::{Evidence, JournalReader};
use super::pairings::{Document, Versions};
use crate::domain::model::ModelName;
use crate::domain::rollout::{Rollout, RolloutId, Share};
use crate::serving::{Observed, Observer, ObserverParts, Servable, Trial, TrialParts, patience};

/// One for each model with a rollout that has, or had, live traffic.
#[derive(Debug)]
pub(super) struct Trials {
    journal: JournalReader,
    /// Who is told at once when a candidate fails all the time.
    delivery: Delivery,
    open: HashMap<ModelName, Open>,
    /// What is over, and still to be written down for the last time.
    closed: Vec<(ModelName, RolloutId, Arc<Observer>)>,
}

#[derive(Debug)]
struct Open {
    rollout: RolloutId,
    observer: Arc<Observer>,
    candidate: Arc<Servable>,
    /// None while the candidate has no traffic.
    trial: Option<Arc<Trial>>,
    /// What was written down last.
    saved: Observed,
}

/// A candidate's live requests, as they are seen now.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) rollout: RolloutId,
    pub(super) observed: Observed,
    pub(super) has_tripped: bool,
    pub(super) candidate: Arc<Servable>,
}

impl Trials {
    pub(super) fn new(journal: JournalReader, delivery: Delivery) -> Self {
        Self { journal, delivery, open: HashMap::new(), closed: Vec::new() }
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
        let Some(share) = share else {
            over = over.or_else(|| self.open.get_mut(model).and_then(|open| open.trial.take()));
            return (None, over);
        };
        if !self.open.contains_key(model) {
            let open = self.begin(rollout, versions);
            self.open.insert(model.clone(), open);
        }
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
        (Some(trial), over.or(before.filter(|_| !is_same)))
    }

    /// No version of this model is on trial any more. Gives the trial that is over, to be ended once nobody is sent to
    /// it any more.
    pub(super) fn end(&mut self, model: &ModelName) -> Option<Arc<Trial>> {
        let Open { rollout, observer, trial, .. } = self.open.remove(model)?;
        self.closed.push((model.clone(), rollout, observer));
        trial
    }

    fn begin(&self, rollout: &Rollout, versions: &Versions) -> Open {
        let saved = self.saved(rollout.id).or_else(|| {
            // Whoever tries again does not get another throw of the dice.
            let parent = rollout.parent.filter(|_| !rollout.is_fresh)?;
            self.saved(parent).map(Observed::of_another_rollout)
        });
        let delivery = self.delivery.clone();
        let deadline = versions.candidate.limits().deadline.max(versions.stable.limits().deadline);
        let parts = ObserverParts {
            saved,
            is_sticky: rollout.plan.key.is_some(),
            breaks: rollout.plan.breaker,
            on_trip: Box::new(move || delivery.tripped()),
            longest: patience(deadline),
        };
        Open {
            rollout: rollout.id,
            observer: Arc::new(Observer::new(parts, Instant::now())),
            candidate: versions.candidate.clone(),
            trial: None,
            saved: Observed::default(),
        }
    }

    fn saved(&self, rollout: RolloutId) -> Option<Observed> {
        let read = self.journal.evidence(Evidence::Observations, rollout);
        let understood = read
            .map(|document| document.map(|document| serde_json::from_str(&document)).transpose());
        match understood {
            Ok(Ok(observed)) => observed,
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
    pub(super) fn seen(&self, model: &ModelName) -> Option<Seen> {
        let Open { rollout, observer, candidate, .. } = self.open.get(model)?;
        Some(Seen {
            rollout: *rollout,
            observed: observer.observed(Instant::now()),
            has_tripped: observer.has_tripped(),
            candidate: candidate.clone(),
        })
    }

    /// What has changed since it was last written down, and what is over.
    pub(super) fn documents(&mut self) -> Vec<Document> {
        let now = Instant::now();
        let mut documents = Vec::new();
        for (model, open) in &mut self.open {
            let observed = open.observer.observed(now);
            if observed != open.saved {
                documents.extend(document(model, open.rollout, &observed));
                open.saved = observed;
            }
        }
        for (model, rollout, observer) in &self.closed {
            documents.extend(document(model, *rollout, &observer.observed(now)));
        }
        documents
    }

    /// These documents are on the disk.
    pub(super) fn are_saved(&mut self, documents: &[Document]) {
        let is_saved = |of: &RolloutId| documents.iter().any(|document| document.rollout == *of);
        self.closed.retain(|(_, rollout, _)| !is_saved(rollout));
    }
}

fn document(model: &ModelName, rollout: RolloutId, observed: &Observed) -> Option<Document> {
    let text = serde_json::to_string(observed).ok()?;
    Some(Document { model: model.clone(), rollout, text })
}
