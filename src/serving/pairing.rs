//! Two versions of a model that are compared, and which requests are run on both.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::servable::Servable;
use crate::domain::comparison::Arm;
use crate::domain::rollout::RolloutId;
use crate::domain::sampling::{Purpose, bound, draw};

/// Two versions of a model, and the choice of requests on which they are compared. A request that is not chosen
/// costs one addition and one hash.
pub struct Pairing {
    rollout: RolloutId,
    seed: u64,
    stable: Arc<Servable>,
    candidate: Arc<Servable>,
    /// The draws below it are chosen.
    bound: AtomicU64,
    /// How many requests there were so far; also the number of the next one.
    requests: Arc<AtomicU64>,
    switch: Arc<Switch>,
}

/// Whether any are chosen: now and then none is, to see what pairs cost.
#[derive(Debug, Default)]
pub struct Switch {
    is_off: AtomicBool,
    /// How many would have been chosen meanwhile.
    passed_over: AtomicU64,
}

/// A request that is to be run on both versions.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// The two versions.
    pub pairing: Arc<Pairing>,
    /// The request's number within the rollout.
    pub number: u64,
    /// Which of the two has answered it, and in whose order its inputs are.
    pub answered: Arm,
}

/// What a [`Pairing`] is made of.
#[derive(Debug)]
pub struct PairingParts {
    /// The rollout that compares them.
    pub rollout: RolloutId,
    /// The version that is trusted.
    pub stable: Arc<Servable>,
    /// The version on trial.
    pub candidate: Arc<Servable>,
    /// The count of requests, which goes on over all pairings of a rollout.
    pub requests: Arc<AtomicU64>,
    /// Whether any are chosen.
    pub switch: Arc<Switch>,
}

impl Switch {
    /// On, after so many were passed over.
    pub fn after(passed_over: u64) -> Self {
        Self { is_off: AtomicBool::new(false), passed_over: AtomicU64::new(passed_over) }
    }

    /// Turns it on or off.
    pub fn set(&self, is_on: bool) {
        self.is_off.store(!is_on, Ordering::Relaxed);
    }

    /// How many requests were not chosen because it was off.
    pub fn passed_over(&self) -> u64 {
        self.passed_over.load(Ordering::Relaxed)
    }
}

impl Pairing {
    /// Samples nothing yet.
    pub fn new(parts: PairingParts) -> Self {
        let PairingParts { rollout, stable, candidate, requests, switch } = parts;
        let (seed, bound) = (Self::seed_of(rollout), AtomicU64::new(0));
        Self { rollout, seed, stable, candidate, bound, requests, switch }
    }

    /// What all draws for a rollout begin with. Different for each, and known to everybody: nobody can choose by it, since
    /// requests are numbered here.
    pub fn seed_of(rollout: RolloutId) -> u64 {
        draw(rollout.0, 0, Purpose::Sample)
    }

    /// Chooses this share of requests from now on.
    pub fn sample(&self, share: f64) {
        self.bound.store(bound(share), Ordering::Relaxed);
    }

    /// Counts a request that goes to one of the two, and says whether it is chosen, and then under which number.
    pub(super) fn choose(self: &Arc<Self>, answered: Arm) -> Option<Sampled> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let is_chosen =
            draw(number, self.seed, Purpose::Sample) < self.bound.load(Ordering::Relaxed);
        if is_chosen && self.switch.is_off.load(Ordering::Relaxed) {
            self.switch.passed_over.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        is_chosen.then(|| Sampled { pairing: self.clone(), number, answered })
    }

    /// Counts a request that stable was asked some time before, and that is to be run on both again.
    pub fn recall(self: &Arc<Self>) -> Sampled {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        Sampled { pairing: self.clone(), number, answered: Arm::Stable }
    }

    /// Which of the two a version is.
    pub(super) fn arm_of(&self, servable: &Servable) -> Arm {
        if servable.digest() == self.candidate.digest() { Arm::Candidate } else { Arm::Stable }
    }

    /// The rollout that compares them.
    pub fn rollout(&self) -> RolloutId {
        self.rollout
    }

    /// One of the two versions.
    pub fn servable(&self, arm: Arm) -> &Arc<Servable> {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Candidate => &self.candidate,
        }
    }

    /// What is drawn for one of the requests.
    pub fn draw(&self, number: u64, purpose: Purpose) -> u64 {
        draw(number, self.seed, purpose)
    }
}

impl fmt::Debug for Pairing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pairing")
            .field("rollout", &self.rollout)
            .field("stable", &self.stable)
            .field("candidate", &self.candidate)
            .finish_non_exhaustive()
    }
}
