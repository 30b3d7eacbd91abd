//! A version on trial: which live requests it gets, what is seen of them, and who answers when it does not.
//!
//! ```text
//! router ── draw ──▶ Assigned ── begins ──▶ Watched ── answered, failed, called off ──▶ Observer ──▶ verdict
//!            │ by number or key               │ no answer by 0.6 × its time, an error, NaN:
//!            ▼                                ▼
//!      stable or candidate            the trusted version answers in its place
//! ```
//!
//! Both versions are scored by one rule: no answer by the point at which the candidate is given up is a failure, for
//! the trusted version as well, although it may still answer its client. Otherwise an identical candidate would seem
//! to fail more often.

mod cohorts;
mod keys;
mod observer;
mod warm_up;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use self::cohorts::{ArmCounts, Counts};
pub use self::observer::{Observed, ObservedCell, Observer, ObserverParts};

use self::cohorts::{Cohorts, Place};
use super::servable::Servable;
use crate::domain::comparison::Arm;
use crate::domain::rollout::{RolloutId, Share};
use crate::domain::route::StickyKey;
use crate::domain::sampling::{Purpose, draw, draw_for_key};

/// The part of a request's time that the candidate has. The rest is for the trusted version.
const PATIENCE: f64 = 0.6;

/// Two versions that share the traffic of a model. One for each share.
pub struct Trial {
    share: Share,
    seed: u64,
    key: Option<StickyKey>,
    candidate: Arc<Servable>,
    trusted: Arc<Servable>,
    rescues: bool,
    observer: Arc<Observer>,
    cohorts: Arc<Cohorts>,
    /// Set when the candidate is to answer nobody any more.
    is_over: watch::Sender<bool>,
}

/// What a [`Trial`] is made of.
#[derive(Debug)]
pub struct TrialParts {
    /// The rollout.
    pub rollout: RolloutId,
    /// The candidate's share of the traffic.
    pub share: Share,
    /// By what requests stick to a version.
    pub key: Option<StickyKey>,
    /// The version on trial.
    pub candidate: Arc<Servable>,
    /// The version that is trusted.
    pub trusted: Arc<Servable>,
    /// Whether the trusted version answers where the candidate does not.
    pub rescues: bool,
    /// What counts the requests.
    pub observer: Arc<Observer>,
}

/// A request that was drawn for.
#[derive(Clone, Debug)]
pub struct Assigned {
    trial: Arc<Trial>,
    arm: Arm,
    /// The hash of its key.
    key: Option<u64>,
}

impl Trial {
    /// The share begins.
    pub fn new(parts: TrialParts, now: Instant) -> Self {
        let TrialParts { rollout, share, key, candidate, trusted, rescues, observer } = parts;
        // The same for all shares of a rollout and after a restart: who is on the candidate stays there. Different for
        // each rollout: nobody is always the first.
        let seed = draw(rollout.0, 0, Purpose::Arm);
        let cohorts = observer.cohorts_of(share, now);
        let is_over = watch::Sender::new(false);
        Self { share, seed, key, candidate, trusted, rescues, observer, cohorts, is_over }
    }

    /// By what requests stick to a version; none where each is drawn for.
    pub fn key(&self) -> Option<&StickyKey> {
        self.key.as_ref()
    }

    /// Draws for a request. One without a key is drawn for by itself.
    pub(super) fn assign(self: &Arc<Self>, key: Option<&[u8]>) -> Assigned {
        let key = key.map(|key| draw_for_key(key, self.seed, Purpose::Arm));
        let drawn =
            key.unwrap_or_else(|| draw(self.observer.next_number(), self.seed, Purpose::Arm));
        let arm = if self.share.weight.takes(drawn) { Arm::Candidate } else { Arm::Stable };
        Assigned { trial: self.clone(), arm, key }
    }

    /// The candidate answers nobody any more: who still waits for it gets an answer of the trusted version.
    pub fn end(&self) {
        self.is_over.send_replace(true);
    }

    /// Whether this is the version on trial.
    pub fn is_about(&self, servable: &Servable) -> bool {
        self.candidate.digest() == servable.digest()
    }

    /// Whether it is the same trial: of these versions, with this share, counted here.
    pub fn is_of(&self, parts: &TrialParts) -> bool {
        self.share == parts.share
            && Arc::ptr_eq(&self.candidate, &parts.candidate)
            && Arc::ptr_eq(&self.trusted, &parts.trusted)
            && Arc::ptr_eq(&self.observer, &parts.observer)
    }

    fn servable(&self, arm: Arm) -> &Arc<Servable> {
        match arm {
            Arm::Stable => &self.trusted,
            Arm::Candidate => &self.candidate,
        }
    }
}

impl Assigned {
    /// Which of the two versions it goes to.
    pub fn arm(&self) -> Arm {
        self.arm
    }

    /// The version that it goes to.
    pub fn servable(&self) -> &Arc<Servable> {
        self.trial.servable(self.arm)
    }

    /// The version that answers in its place, where that is another and is to do so.
    pub fn rescuer(&self) -> Option<&Arc<Servable>> {
        match self.arm {
            Arm::Candidate if self.trial.rescues => Some(&self.trial.trusted),
            Arm::Candidate | Arm::Stable => None,
        }
    }

    /// The request is understood and begins to wait for its version, which has until `deadline`.
    pub fn begin(self, now: Instant, deadline: Instant) -> Watched {
        let Self { trial, arm, key } = self;
        let counted = trial.observer.counts_in(&trial.cohorts, key, arm, trial.share, now);
        let counted = counted.map(|cohorts| {
            let place = cohorts.start(arm, now);
            (cohorts, place)
        });
        let time = deadline.saturating_duration_since(now);
        let given_up = now + time.mul_f64(PATIENCE);
        Watched { is_over: trial.is_over.subscribe(), trial, arm, counted, given_up }
    }
}

/// A request that waits for its version. Dropped without a word, its client has left.
pub struct Watched {
    trial: Arc<Trial>,
    arm: Arm,
    counted: Option<(Arc<Cohorts>, Place)>,
    given_up: Instant,
    is_over: watch::Receiver<bool>,
}

impl Watched {
    /// Which of the two versions it waits for.
    pub fn arm(&self) -> Arm {
        self.arm
    }

    /// Whether this is one of the few lapses that are told in the log.
    pub fn may_be_told(&self) -> bool {
        self.trial.observer.may_be_told(Instant::now())
    }

    /// When the candidate is given up, and when the trusted version counts as having failed.
    pub fn given_up(&self) -> Instant {
        self.given_up
    }

    /// Waits until the candidate is to answer nobody any more.
    pub async fn trial_is_over(&mut self) {
        if self.is_over.wait_for(|is_over| *is_over).await.is_err() {
            std::future::pending::<()>().await; // the trial is held by `self`, so this does not happen
        }
    }

    /// Of the outputs in which the candidate has answered something that is no finite number, those in which the
    /// trusted version has never done so.
    pub fn unheard_of(&self, outputs: u64) -> u64 {
        self.trial.observer.unheard_of(outputs)
    }

    /// The trusted version has answered something that is no finite number in these outputs.
    pub fn stable_is_not_finite(&self, outputs: u64) {
        if outputs != 0 {
            self.trial.observer.stable_is_not_finite(outputs);
        }
    }

    /// The version has answered.
    pub fn answered(mut self, now: Instant) {
        let has_failed = now >= self.given_up;
        match self.arm {
            Arm::Candidate if has_failed => self.candidate_failed(false),
            Arm::Candidate => {
                self.trial.observer.candidate_answered();
                self.trial.cohorts.candidate_ended();
            }
            Arm::Stable => {}
        }
        self.score(has_failed);
    }

    /// The version has failed. `rescued`: and the trusted version has answered in its place.
    pub fn failed(mut self, rescued: bool) {
        if self.arm == Arm::Candidate {
            self.candidate_failed(rescued);
        }
        self.score(true);
    }

    /// It says nothing about the version, whatever came of it.
    pub fn call_off(mut self) {
        if let Some((cohorts, place)) = self.counted.take() {
            cohorts.call_off(self.arm, place);
        }
    }

    fn candidate_failed(&self, rescued: bool) {
        self.trial.observer.candidate_failed(rescued);
        self.trial.cohorts.candidate_ended();
    }

    fn score(&mut self, has_failed: bool) {
        if let Some((cohorts, place)) = self.counted.take() {
            cohorts.end(self.arm, place, has_failed);
        }
    }
}

impl Drop for Watched {
    /// A client that leaves after the point at which the version has failed leaves because of that; one that leaves
    /// earlier says nothing.
    fn drop(&mut self) {
        let Some((cohorts, place)) = self.counted.take() else { return };
        if Instant::now() >= self.given_up {
            cohorts.end(self.arm, place, true);
        } else {
            cohorts.call_off(self.arm, place);
        }
    }
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial")
            .field("share", &self.share)
            .field("key", &self.key)
            .field("candidate", &self.candidate)
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("trial", &self.trial)
            .field("arm", &self.arm)
            .finish_non_exhaustive()
    }
}

/// The longest that a version has for a request whose whole time is `deadline`.
pub fn patience(deadline: Duration) -> Duration {
    deadline.mul_f64(PATIENCE)
}

#[cfg(test)]
mod tests;
