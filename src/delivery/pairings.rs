//! The comparisons of the rollouts that run: which two versions they are of, and what comes of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::backlog::Backlog;
use super::board::FewerPairs;
use super::journal::JournalReader;
use crate::domain::analysis::Latencies;
use crate::domain::comparison::Arm;
use crate::domain::model::ModelName;
use crate::domain::rollout::{Decision, Phase, Rollout, RolloutId};
use crate::domain::sampling::Sample;
use crate::domain::time::WallTime;
use crate::serving::{Pairing, PairingParts, Servable};
use crate::shadow::{Beside, Shadow, Standing, Study, Subject, Written};
use crate::telemetry::metrics;

/// One for each model of which two versions are compared.
#[derive(Debug)]
pub(super) struct Pairings {
    shadow: Arc<Shadow>,
    backlog: Arc<Backlog>,
    journal: JournalReader,
    open: HashMap<ModelName, Open>,
    /// The last rollout of each model for which anything was compared, as long as it may be again.
    may_go_on: HashMap<ModelName, RolloutId>,
    /// What is over, and still to be written down for the last time.
    closed: Vec<Arc<Study>>,
}

#[derive(Debug)]
struct Open {
    pairing: Arc<Pairing>,
    study: Arc<Study>,
    sample: Sample,
    min_pairs: u64,
    /// How much of it was written down.
    saved: [u64; 3],
    /// How often it was told that there are to be fewer pairs.
    backed_off: u32,
}

/// The two versions, loaded.
#[derive(Debug)]
pub(super) struct Versions {
    pub(super) stable: Arc<Servable>,
    pub(super) candidate: Arc<Servable>,
}

impl Pairings {
    pub(super) fn new(shadow: Arc<Shadow>, backlog: Arc<Backlog>, journal: JournalReader) -> Self {
        let (open, may_go_on, closed) = (HashMap::new(), HashMap::new(), Vec::new());
        Self { shadow, backlog, journal, open, may_go_on, closed }
    }

    /// This rollout of a model goes on, or none: what waits for another is not needed any more.
    pub(super) fn goes_on(&mut self, model: &ModelName, rollout: Option<RolloutId>) {
        if let Some(before) = self.may_go_on.get(model).copied().filter(|it| Some(*it) != rollout) {
            self.may_go_on.remove(model);
            self.backlog.close(before);
            metrics::pairs_deferred(model, self.backlog.waiting(before));
        }
    }

    /// The comparison of these two versions; none where no requests are sampled.
    pub(super) fn of(
        &mut self,
        model: &ModelName,
        rollout: &Rollout,
        versions: Versions,
    ) -> Option<Arc<Pairing>> {
        let is_rehearsing = matches!(rollout.phase.stage(), Phase::Rehearsing(_));
        if rollout.plan.pairs.sample == Sample::Share(0.0) && !is_rehearsing {
            self.end(model);
            return None;
        }
        let is_known = self.open.get(model).is_some_and(|open| open.is_of(rollout, &versions));
        if !is_known {
            let open = self.begin(model, rollout, versions);
            self.open.insert(model.clone(), open);
        }
        self.open.get(model).map(|open| open.pairing.clone())
    }

    /// This version answers a model's live requests now, which took so long before the rollout: what pairs do to that is
    /// measured.
    pub(super) fn measure(
        &self,
        model: &ModelName,
        stable: &Arc<Servable>,
        before: Option<&Latencies>,
    ) {
        if let Some(open) = self.open.get(model) {
            open.study.measure(stable, before);
        }
    }

    /// Nothing is compared for this model any more.
    pub(super) fn end(&mut self, model: &ModelName) {
        if let Some(open) = self.open.remove(model) {
            self.close(open);
        }
    }

    fn close(&mut self, open: Open) {
        open.pairing.sample(0.0);
        self.shadow.close(open.study.rollout());
        self.backlog.rest(open.study.rollout());
        self.closed.push(open.study);
    }

    fn begin(&mut self, model: &ModelName, rollout: &Rollout, versions: Versions) -> Open {
        let pairs = &rollout.plan.pairs;
        let before = self.open.remove(model);
        let study = match before {
            // Another session of the same versions: the evidence is the same.
            Some(open) if open.study.rollout() == rollout.id => open.study,
            Some(open) => {
                self.close(open);
                self.open_study(model, rollout, &versions)
            }
            None => self.open_study(model, rollout, &versions),
        };
        let Versions { stable, candidate } = versions;
        let (requests, switch) = (study.counts().requests(), study.counts().switch());
        let parts = PairingParts { rollout: rollout.id, stable, candidate, requests, switch };
        let pairing = Arc::new(Pairing::new(parts));
        self.backlog.open(&study, &pairing);
        self.may_go_on.insert(model.clone(), rollout.id);
        pairing.sample(pairs.sample.share(false));
        let (sample, min_pairs, saved) = (pairs.sample, pairs.min_pairs, [0; 3]);
        let backed_off = study.times_backed_off().unwrap_or(0);
        Open { pairing, study, sample, min_pairs, saved, backed_off }
    }

    fn open_study(&self, model: &ModelName, rollout: &Rollout, versions: &Versions) -> Arc<Study> {
        let pairs = &rollout.plan.pairs;
        let subject = Subject {
            model: model.clone(),
            rollout: rollout.id,
            change: pairs.change,
            gates: pairs.gates.clone(),
            rules: pairs.outputs.clone(),
            classes: pairs.classes.clone(),
            longest: rollout.plan.longest(),
            is_rehearsed: matches!(rollout.phase.stage(), Phase::Rehearsing(_)),
            stable: versions.stable.signature().clone(),
            candidate: versions.candidate.signature().clone(),
        };
        let saved = self.saved(rollout.id).or_else(|| {
            // Whoever tries again does not get another throw of the dice.
            rollout.parent.filter(|_| !rollout.is_fresh).and_then(|parent| self.saved(parent))
        });
        self.shadow.open(Study::open(subject, saved.as_deref()))
    }

    fn saved(&self, rollout: RolloutId) -> Option<String> {
        self.journal.study(rollout).unwrap_or_else(|error| {
            tracing::warn!("what was compared for rollout {rollout} cannot be read: {error}");
            None
        })
    }

    /// Whether there is anything to judge or to write down.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.closed.is_empty()
    }

    /// Whether something is over that was not written down yet.
    pub(super) fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// The models of which two versions are compared.
    pub(super) fn models(&self) -> impl Iterator<Item = &ModelName> {
        self.open.keys()
    }

    /// What a model's comparison comes to now; none when a worker is in the middle of adding to it, or nothing is
    /// compared.
    pub(super) fn judge(
        &self,
        model: &ModelName,
        now: WallTime,
        beside: Beside<'_>,
    ) -> Option<Arc<Standing>> {
        let open = self.open.get(model)?;
        let standing = open.study.judge(now, beside)?;
        for (reason, dropped) in open.study.dropped() {
            metrics::pairs_dropped(model, reason, dropped);
        }
        metrics::pairs_deferred(model, self.backlog.waiting(open.study.rollout()));
        if let Some(times) = open.study.times_backed_off() {
            metrics::pairs_backed_off(model, times);
        }
        let has_enough = match standing.decision() {
            Decision::Pass => standing.pairs >= open.min_pairs,
            Decision::Fail | Decision::Inconclusive | Decision::Hold => false,
        };
        open.pairing.sample(open.sample.share(has_enough));
        Some(standing)
    }

    /// The rollouts that are to have fewer pairs since this was asked the last time.
    pub(super) fn backed_off(&mut self, at: WallTime) -> Vec<FewerPairs> {
        let news = self.open.iter_mut().filter_map(|(model, open)| {
            let times = open.study.times_backed_off()?;
            let rollout = open.study.rollout();
            let before = std::mem::replace(&mut open.backed_off, times);
            (times > before).then(|| FewerPairs { at, model: model.clone(), rollout, times })
        });
        news.collect()
    }

    /// Whether a model's versions are compared.
    pub(super) fn is_open(&self, model: &ModelName) -> bool {
        self.open.contains_key(model)
    }

    /// What has changed since it was last written down, and what is over.
    pub(super) fn documents(&mut self, now: WallTime) -> Vec<Document> {
        let mut documents = Vec::new();
        for open in self.open.values_mut() {
            let extent = open.study.extent();
            if extent != open.saved
                && let Some(document) = Document::of(&open.study, now)
            {
                open.saved = extent;
                documents.push(document);
            }
        }
        documents.extend(self.closed.iter().filter_map(|study| Document::of(study, now)));
        documents
    }

    /// These documents are on the disk.
    pub(super) fn are_saved(&mut self, documents: &[Document]) {
        let is_saved = |study: &Arc<Study>| {
            documents.iter().any(|document| document.rollout == study.rollout())
        };
        self.closed.retain(|study| !is_saved(study));
        for document in documents {
            if let Some(number) = document.worked_off {
                self.backlog.saved(document.rollout, number);
            }
        }
    }
}

/// A comparison, as it is written down.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) model: ModelName,
    pub(super) rollout: RolloutId,
    pub(super) text: String,
    /// The number of the last request in it that had been put aside.
    pub(super) worked_off: Option<u64>,
}

impl Document {
    /// None while a worker is in the middle of adding to it.
    fn of(study: &Study, now: WallTime) -> Option<Self> {
        let (model, rollout) = (study.subject().model.clone(), study.rollout());
        let Written { text, worked_off } = study.document(now)?;
        Some(Self { model, rollout, text, worked_off })
    }
}

impl Open {
    fn is_of(&self, rollout: &Rollout, versions: &Versions) -> bool {
        let is_same = |arm, servable| Arc::ptr_eq(self.pairing.servable(arm), servable);
        self.study.rollout() == rollout.id
            && is_same(Arm::Stable, &versions.stable)
            && is_same(Arm::Candidate, &versions.candidate)
    }
}
