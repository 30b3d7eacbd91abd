//! What everybody may know of the releases: the present state of each model, and every change as it happens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::judging::Judged;
use crate::domain::model::ModelName;
use crate::domain::rollout::{Release, RolloutId, Transition};
use crate::domain::time::WallTime;

/// How many changes a slow listener may be behind before it misses some, which it is told.
const BACKLOG: usize = 1024;

/// Read by everybody, written by the controller after each change is in the journal.
#[derive(Debug)]
pub struct Board {
    releases: Mutex<BTreeMap<ModelName, ReleaseView>>,
    judged: Mutex<BTreeMap<ModelName, Arc<Judged>>>,
    news: broadcast::Sender<Arc<News>>,
}

/// The state of one model's releases, and the number of the change that led to it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseView {
    /// The number of the last change of this model; grows over all models.
    pub seq: u64,
    /// The state.
    pub release: Arc<Release>,
    /// False while it is not in the journal: what goes back to a trusted version does not wait for that.
    pub is_recorded: bool,
}

/// What those who listen are told.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A rollout changed.
    Change(Box<Announcement>),
    /// There are to be fewer pairs of one, which is no change of it: the journal has nothing to say of it.
    FewerPairs(FewerPairs),
}

/// Pairs slow the stable version down, so there are to be fewer.
#[derive(Clone, Debug, PartialEq)]
pub struct FewerPairs {
    /// Since when.
    pub at: WallTime,
    /// The model.
    pub model: ModelName,
    /// The rollout that has the pairs.
    pub rollout: RolloutId,
    /// How often there were to be fewer.
    pub times: u32,
}

/// A change, as it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Announcement {
    /// Its number in the journal.
    pub seq: u64,
    /// The model.
    pub model: ModelName,
    /// What changed.
    pub transition: Transition,
}

impl Default for Board {
    fn default() -> Self {
        let (releases, judged) = (Mutex::default(), Mutex::default());
        Self { releases, judged, news: broadcast::channel(BACKLOG).0 }
    }
}

impl Board {
    /// One model's state.
    pub fn release(&self, model: &str) -> Option<ReleaseView> {
        self.lock().get(model).cloned()
    }

    /// What the evidence of a rollout came to when it was last judged.
    pub fn evidence(&self, model: &str, rollout: RolloutId) -> Option<Arc<Judged>> {
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.get(model).filter(|judged| judged.rollout == rollout).cloned()
    }

    pub(super) fn judged(&self, model: &ModelName, evidence: Judged) {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.insert(model.clone(), Arc::new(evidence));
    }

    /// Everything that is told from now on.
    pub fn news(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.subscribe()
    }

    pub(super) fn show(&self, model: &ModelName, view: ReleaseView) {
        self.lock().insert(model.clone(), view);
    }

    pub(super) fn announce(&self, news: News) {
        // Nobody listening is no failure.
        let _ = self.news.send(Arc::new(news));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ModelName, ReleaseView>> {
        self.releases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
