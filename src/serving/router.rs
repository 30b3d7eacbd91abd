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
use super::trial::{Assigned, Trial};
use crate::domain::model::{ModelName, VersionLabel};
use crate::domain::rollout::RolloutId;
use crate::domain::route::{Pin, Role, RouteLabel, StickyKey};

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
    trial: Option<Arc<Trial>>,
    rollout: Option<RolloutId>,
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
    /// Set when a version is on trial, and the request tells something about it.
    pub assigned: Option<Assigned>,
    /// The rollout that is under way.
    pub rollout: Option<RolloutId>,
}

impl ModelRoute {
    /// All traffic to `stable`.
    pub fn to(stable: Arc<Servable>) -> Self {
        let loaded = BTreeMap::from([(stable.version().clone(), stable.clone())]);
        let (candidate, previous, pairing, trial, rollout) = (None, None, None, None, None);
        Self { stable, candidate, previous, pairing, trial, rollout, loaded }
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

    /// The traffic shared by two versions, of which the stable one may be the one on trial.
    pub fn with_trial(mut self, trial: Arc<Trial>) -> Self {
        self.trial = Some(trial);
        self
    }

    /// The same traffic, while a rollout is under way.
    pub fn during(mut self, rollout: RolloutId) -> Self {
        self.rollout = Some(rollout);
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

    /// Two versions that share the traffic.
    pub fn trial(&self) -> Option<&Arc<Trial>> {
        self.trial.as_ref()
    }

    /// By what requests stick to a version, while two share the traffic.
    pub fn key(&self) -> Option<&StickyKey> {
        self.trial.as_ref().and_then(|trial| trial.key())
    }

    /// Chooses the version for one request. `key` is what it sticks to a version by, where it has that.
    ///
    /// # Errors
    /// [`RouteError::NotLoaded`] when the version that the caller insists on cannot answer.
    pub fn pick(&self, pin: Option<&Pin>, key: Option<&[u8]>) -> Result<Picked, RouteError> {
        let rollout = self.rollout;
        if pin.is_some() {
            // A caller who chooses the version would choose the evidence.
            let servable = self.find(pin)?.clone();
            let (sampled, assigned) = (None, None);
            return Ok(Picked { servable, role: Role::Pinned, sampled, assigned, rollout });
        }
        let assigned = self.trial.as_ref().map(|trial| trial.assign(key));
        let servable = assigned.as_ref().map_or(&self.stable, Assigned::servable).clone();
        // In the bake the version on trial is the stable one.
        let is_stable = servable.digest() == self.stable.digest();
        let role = if is_stable { Role::Stable } else { Role::Candidate };
        let pairing = self.pairing.as_ref();
        let sampled = pairing.and_then(|pairing| pairing.choose(pairing.arm_of(&servable)));
        Ok(Picked { servable, role, sampled, assigned, rollout })
    }

    /// The version that a caller means, without a request for it: stable where none is named.
    ///
    /// # Errors
    /// [`RouteError::NotLoaded`] when there is no such version.
    pub fn find(&self, pin: Option<&Pin>) -> Result<&Arc<Servable>, RouteError> {
        let Some(pin) = pin else { return Ok(&self.stable) };
        let servable = match pin {
            Pin::Version(version) => self.loaded.get(version),
            Pin::Label(RouteLabel::Stable) => Some(&self.stable),
            Pin::Label(RouteLabel::Previous) => self.previous.as_ref(),
            Pin::Label(RouteLabel::Candidate) => self.candidate.as_ref(),
        };
        servable.ok_or_else(|| RouteError::NotLoaded {
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
    /// Where the requests for a model go now.
    ///
    /// # Errors
    /// [`RouteError::NotServed`] when nothing can answer.
    pub fn route(&self, model: &str) -> Result<Arc<ModelRoute>, RouteError> {
        // No `.await` happens while the guard is held.
        self.snapshot.load().model(model).cloned().ok_or(RouteError::NotServed)
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

    fn pick(router: &Router, text: Option<&str>) -> Result<Picked, RouteError> {
        router.route("adder")?.pick(text.map(pin).as_ref(), None)
    }

    #[test]
    fn a_request_without_a_pin_goes_to_stable() {
        let router = Router::default();
        assert_eq!(pick(&router, None).unwrap_err(), RouteError::NotServed);
        router.show(&model(), ModelRoute::to(servable("2")).with_pinnable(servable("1")));
        let picked = pick(&router, None).unwrap();
        assert_eq!((picked.servable.version().as_str(), picked.role), ("2", Role::Stable));
    }

    #[test]
    fn a_pin_reaches_any_loaded_version_and_says_so() {
        let router = Router::default();
        router.show(&model(), ModelRoute::to(servable("2")).with_pinnable(servable("1")));
        for (text, version) in [("1", "1"), ("2", "2"), ("stable", "2")] {
            let picked = pick(&router, Some(text)).unwrap();
            assert_eq!((picked.servable.version().as_str(), picked.role), (version, Role::Pinned));
        }
        let loaded = vec!["1".parse().unwrap(), "2".parse().unwrap()];
        for text in ["3", "candidate"] {
            let error = pick(&router, Some(text)).unwrap_err();
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
                        let picked = pick(&router, None).unwrap();
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
