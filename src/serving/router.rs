//! The one snapshot that every request reads.
//!
//! Routes and the versions that they name change together, in one store: with two, a request could be
//! routed to a version that is gone already.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::error::RouteError;
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
    loaded: BTreeMap<VersionLabel, Arc<Servable>>,
}

/// The version that a request goes to.
#[derive(Clone, Debug)]
pub struct Picked {
    /// The version.
    pub servable: Arc<Servable>,
    /// As what it answers.
    pub role: Role,
}

impl ModelRoute {
    /// All traffic to `stable`.
    pub fn to(stable: Arc<Servable>) -> Self {
        let loaded = BTreeMap::from([(stable.version().clone(), stable.clone())]);
        Self { stable, loaded }
    }

    /// The same traffic, with one more version that callers may pin.
    pub fn with_pinnable(mut self, servable: Arc<Servable>) -> Self {
        self.loaded.insert(servable.version().clone(), servable);
        self
    }

    /// The trusted version.
    pub fn stable(&self) -> &Arc<Servable> {
        &self.stable
    }

    /// Every version that callers may pin, oldest first.
    pub fn loaded(&self) -> impl Iterator<Item = &Arc<Servable>> {
        self.loaded.values()
    }

    fn pick(&self, pin: Option<&Pin>) -> Result<Picked, RouteError> {
        let Some(pin) = pin else {
            return Ok(Picked { servable: self.stable.clone(), role: Role::Stable });
        };
        let servable = match pin {
            Pin::Version(version) => self.loaded.get(version),
            Pin::Label(RouteLabel::Stable) => Some(&self.stable),
            // Until a rollout gives a version one of these parts, they name nothing.
            Pin::Label(RouteLabel::Candidate | RouteLabel::Previous) => None,
        };
        servable
            .map(|servable| Picked { servable: servable.clone(), role: Role::Pinned })
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
}
