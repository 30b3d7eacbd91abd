//! The one snapshot that every request reads.
//!
//! Routes and the versions that they name change together, in one store: with two, a request could be
//! routed to a version that is gone already.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::error::RouteError;
use super::pairing::{Pairing, Sampled};
use super::servable::Servable;
use crate::domain::model::{ModelName, VersionLabel};
use crate::domain::route::{Pin, Role, RouteLabel};

/// What requests can reach, at one moment. Never changed, only replaced.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    models: HashMap<ModelName, Arc<ModelRoute>>,
}

/// Where the requests for one model go.
#[derive(Clone, Debug)]
pub struct ModelRoute {
    stable: Arc<Servable>,
    candidate: Option<Arc<Servable>>,
    previous: Option<Arc<Servable>>,
    pairing: Option<Arc<Pairing>>,
    loaded: BTreeMap<VersionLabel, Arc<Servable>>,
}

/// The version that a request goes to.
#[derive(Clone, Debug)]
pub struct Picked {
    /// The version.
    pub servable: Arc<Servable>,
    /// As what it answers.
    pub role: Role,
    /// Set when the request is to be run on another version as well, once it is answered.
    pub sampled: Option<Sampled>,
}

impl ModelRoute {
    /// All traffic to `stable`.
    pub fn to(stable: Arc<Servable>) -> Self {
        let loaded = BTreeMap::from([(stable.version().clone(), stable.clone())]);
        Self { stable, candidate: None, previous: None, pairing: None, loaded }
    }

    /// The same traffic, with a version on trial.
    pub fn with_candidate(mut self, candidate: Arc<Servable>) -> Self {
        // A content that replaces another under the same label is reached as `candidate` only.
        self.loaded.entry(candidate.version().clone()).or_insert_with(|| candidate.clone());
        self.candidate = Some(candidate);
        self
    }

    /// The same traffic, of which some is run on two versions.
    pub fn with_pairing(mut self, pairing: Arc<Pairing>) -> Self {
        self.pairing = Some(pairing);
        self
    }

    /// The same traffic, with the version that was stable before.
    pub fn with_previous(mut self, previous: Arc<Servable>) -> Self {
        // Where a label's content was replaced, the label means the new one.
        self.loaded.entry(previous.version().clone()).or_insert_with(|| previous.clone());
        self.previous = Some(previous);
        self
    }

    /// The same traffic, with one more version that callers may pin.
    pub fn with_pinnable(mut self, servable: Arc<Servable>) -> Self {
        self.loaded.entry(servable.version().clone()).or_insert(servable);
        self
    }

    /// The trusted version.
    pub fn stable(&self) -> &Arc<Servable> {
        &self.stable
    }

    /// The version that was stable before.
    pub fn previous(&self) -> Option<&Arc<Servable>> {
        self.previous.as_ref()
    }

    /// Every version that callers may pin, oldest first.
    pub fn loaded(&self) -> impl Iterator<Item = &Arc<Servable>> {
        self.loaded.values()
    }

    fn pick(&self, pin: Option<&Pin>) -> Result<Picked, RouteError> {
        let Some(pin) = pin else {
            let sampled = self.pairing.as_ref().and_then(Pairing::choose);
            return Ok(Picked { servable: self.stable.clone(), role: Role::Stable, sampled });
        };
        let servable = match pin {
            Pin::Version(version) => self.loaded.get(version),
            Pin::Label(RouteLabel::Stable) => Some(&self.stable),
            Pin::Label(RouteLabel::Previous) => self.previous.as_ref(),
            Pin::Label(RouteLabel::Candidate) => self.candidate.as_ref(),
        };
        servable
            // A caller who chooses the version would choose the evidence.
            .map(|servable| Picked {
                servable: servable.clone(),
                role: Role::Pinned,
                sampled: None,
            })
            .ok_or_else(|| RouteError::NotLoaded {
                pin: pin.clone(),
                loaded: self.loaded.keys().cloned().collect(),
            })
    }
}

impl Snapshot {
    /// Where the requests for a model go.
    pub fn model(&self, name: &str) -> Option<&Arc<ModelRoute>> {
        self.models.get(name)
    }

    /// Every model that has a route, in no order.
    pub fn models(&self) -> impl Iterator<Item = (&ModelName, &Arc<ModelRoute>)> {
        self.models.iter()
    }
}

/// Sends requests to versions. Reading takes no lock.
#[derive(Debug, Default)]
pub struct Router {
    snapshot: ArcSwap<Snapshot>,
    /// Writers take turns: each makes its snapshot from the last one.
    writing: Mutex<()>,
}

impl Router {
    /// Chooses the version for one request.
    ///
    /// # Errors
    /// [`RouteError`] when the model, or the version that the caller insists on, cannot answer.
    pub fn pick(&self, model: &str, pin: Option<&Pin>) -> Result<Picked, RouteError> {
        // No `.await` happens while the guard is held.
        self.snapshot.load().model(model).ok_or(RouteError::NotServed)?.pick(pin)
    }

    /// The present state, for those who look at more than one thing.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Shows a model's new route to all requests that come after, in one store. Gives back the route it
    /// replaces, so that the caller, and not some late request, pays for freeing what nothing uses any more.
    pub fn show(&self, model: &ModelName, route: ModelRoute) -> Option<Arc<ModelRoute>> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.snapshot.load());
        let replaced = next.models.insert(model.clone(), Arc::new(route));
        self.snapshot.store(Arc::new(next));
        replaced
    }

    /// Takes a model away: requests that come after find nothing there.
    pub fn remove(&self, model: &ModelName) -> Option<Arc<ModelRoute>> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.snapshot.load());
        let removed = next.models.remove(model)?;
        self.snapshot.store(Arc::new(next));
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::serving::testing::servable;

    fn model() -> ModelName {
        "adder".parse().unwrap()
    }

    fn pin(text: &str) -> Pin {
        text.parse().unwrap()
    }

    #[test]
    fn a_request_without_a_pin_goes_to_stable() {
        let router = Router::default();
        assert_eq!(router.pick("adder", None).unwrap_err(), RouteError::NotServed);
        router.show(&model(), ModelRoute::to(servable("2")).with_pinnable(servable("1")));
        let picked = router.pick("adder", None).unwrap();
        assert_eq!((picked.servable.version().as_str(), picked.role), ("2", Role::Stable));
    }

    #[test]
    fn a_pin_reaches_any_loaded_version_and_says_so() {
        let router = Router::default();
        router.show(&model(), ModelRoute::to(servable("2")).with_pinnable(servable("1")));
        for (text, version) in [("1", "1"), ("2", "2"), ("stable", "2")] {
            let picked = router.pick("adder", Some(&pin(text))).unwrap();
            assert_eq!((picked.servable.version().as_str(), picked.role), (version, Role::Pinned));
        }
        let loaded = vec!["1".parse().unwrap(), "2".parse().unwrap()];
        for text in ["3", "candidate"] {
            let error = router.pick("adder", Some(&pin(text))).unwrap_err();
            assert_eq!(error, RouteError::NotLoaded { pin: pin(text), loaded: loaded.clone() });
        }
    }

    #[test]
    fn no_request_fails_while_versions_come_and_go() {
        let router = Router::default();
        let versions: Vec<_> = (1..=4).map(|version: u32| servable(&version.to_string())).collect();
        router.show(&model(), ModelRoute::to(versions[0].clone()));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let picked = router.pick("adder", None).unwrap();
                        assert_eq!(picked.servable.model(), &model());
                    }
                });
            }
            for round in 0..20_000 {
                router.show(&model(), ModelRoute::to(versions[round % versions.len()].clone()));
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
