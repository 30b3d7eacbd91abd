//! Sampled requests on their way to become pairs: at once or, in deferred mode, when there is time.
//!
//! ```text
//! api ── offer ──▶ live: Shadow, which runs it soon
//!                  deferred: Spool ── when it is quiet, or in the time window, one by one ──▶ Shadow
//! ```
//!
//! What is put aside is on the disk, so that no burst is too long for it. How far it was worked off is written down with
//! the evidence, in one document: a restart goes on there, and counts nothing twice.

mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::capture::{self, LostBy, NotSpooled, RecorderThread, Spool, Spooled};
use crate::config::ShadowMode;
use crate::domain::rollout::RolloutId;
use crate::domain::sampling::Purpose;
use crate::domain::tensor::Tensor;
use crate::serving::{Outputs, Pairing, Sampled, Servable};
use crate::shadow::{Dropped, Shadow, Study};

/// Where sampled requests are left.
#[derive(Debug)]
pub struct Backlog {
    shadow: Arc<Shadow>,
    /// None where nothing is put aside, and nothing was.
    aside: Option<Arc<Aside>>,
}

/// What a [`Backlog`] works with.
#[derive(Debug)]
pub struct BacklogParts {
    /// Where requests are run on two versions.
    pub shadow: Arc<Shadow>,
    /// Whether they are put aside before that.
    pub mode: ShadowMode,
    /// The names of inputs that are never written.
    pub redact: Vec<String>,
    /// The state folder.
    pub state: PathBuf,
    /// The rollouts that go on. What was put aside for others goes.
    pub go_on: BTreeSet<RolloutId>,
}

/// What is put aside.
#[derive(Debug)]
struct Aside {
    shadow: Arc<Shadow>,
    spool: Spool,
    mode: ShadowMode,
    redact: Vec<String>,
    open: Mutex<BTreeMap<RolloutId, Open>>,
}

/// A rollout for which requests may have been put aside.
#[derive(Debug)]
struct Open {
    /// Its versions; none while nothing is compared.
    pairing: Option<Arc<Pairing>>,
    /// Set until it was looked how far a process before this one has come: to the request with this number.
    resume_after: Option<u64>,
    /// The numbers of requests that a process has put aside and did not come to count.
    uncounted: Range<u64>,
}

impl Backlog {
    /// Starts the threads that write what is put aside, and work it off. Where nothing is put aside any more, what is
    /// left is still worked off.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start(parts: BacklogParts) -> std::io::Result<(Self, Option<RecorderThread>)> {
        let BacklogParts { shadow, mode, redact, state, go_on } = parts;
        let is_needed = match mode {
            ShadowMode::Deferred => true,
            ShadowMode::Live => Spool::is_there(&state),
        };
        if !is_needed {
            return Ok((Self { shadow, aside: None }, None));
        }
        if mode == ShadowMode::Deferred && !redact.is_empty() {
            let names: Vec<String> = redact.iter().map(|name| format!("`{name}`")).collect();
            tracing::warn!(
                "with `shadow.mode = \"deferred\"` requests wait on the disk, where `capture.redact` forbids {}: requests with such an input are not run again",
                names.join(", ")
            );
        }
        shadow.look_for_quiet()?;
        let (spool, thread) = Spool::start(&state, &go_on, redact.clone())?;
        let (shadow_too, open) = (shadow.clone(), Mutex::default());
        let aside = Arc::new(Aside { shadow: shadow_too, spool, mode, redact, open });
        let working = aside.clone();
        std::thread::Builder::new().name("backlog".to_owned()).spawn(move || working.work())?;
        Ok((Self { shadow, aside: Some(aside) }, Some(thread)))
    }

    /// Leaves a request that was answered by this version, to be run again on both. `live` is what the client got; none
    /// where the model failed on the request. Never waits.
    pub fn offer(
        &self,
        sampled: Sampled,
        answered: &Arc<Servable>,
        inputs: Arc<Vec<Tensor>>,
        live: Option<Arc<Outputs>>,
    ) {
        let deferring = self.aside.as_ref().filter(|aside| match aside.mode {
            ShadowMode::Deferred => true,
            ShadowMode::Live => false,
        });
        match deferring {
            Some(aside) => aside.put(&sampled, answered, inputs, live),
            None => self.shadow.offer(sampled, inputs, live),
        }
    }

    /// How many wait on the disk for a rollout; none where nothing does so for any.
    pub fn waiting(&self, rollout: RolloutId) -> Option<u64> {
        self.aside.as_ref().map(|aside| aside.spool.waiting(rollout))
    }

    /// These versions are compared.
    pub(super) fn open(&self, study: &Study, pairing: &Arc<Pairing>) {
        let Some(aside) = &self.aside else { return };
        let highest = aside.spool.open(study.rollout());
        let mut open = aside.open();
        let of_rollout = open.entry(study.rollout()).or_insert_with(|| {
            let requests = study.counts().requests();
            // A process that was killed has not written down all numbers that it has given.
            let next = highest.map_or(0, |highest| highest + 1);
            let known = requests.fetch_max(next, Ordering::Relaxed);
            let (resume_after, uncounted) = (study.worked_off(), known..next);
            Open { pairing: None, resume_after, uncounted }
        });
        of_rollout.pairing = Some(pairing.clone());
    }

    /// Nothing is compared for a rollout now.
    pub(super) fn rest(&self, rollout: RolloutId) {
        let Some(aside) = &self.aside else { return };
        if let Some(of_rollout) = aside.open().get_mut(&rollout) {
            of_rollout.pairing = None;
        }
    }

    /// A rollout is over: what was put aside for it goes.
    pub(super) fn close(&self, rollout: RolloutId) {
        let Some(aside) = &self.aside else { return };
        aside.open().remove(&rollout);
        aside.spool.close(rollout);
    }

    /// What came of all up to the one with this number is written down.
    pub(super) fn saved(&self, rollout: RolloutId, number: u64) {
        if let Some(aside) = &self.aside {
            aside.spool.saved(rollout, number);
        }
    }
}

impl Aside {
    fn open(&self) -> MutexGuard<'_, BTreeMap<RolloutId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(
        &self,
        sampled: &Sampled,
        answered: &Arc<Servable>,
        inputs: Arc<Vec<Tensor>>,
        live: Option<Arc<Outputs>>,
    ) {
        let Sampled { pairing, number, .. } = sampled;
        let rollout = pairing.rollout();
        if !self.shadow.sampled(rollout, &inputs) {
            return; // it is over
        }
        let priority = pairing.draw(*number, Purpose::Capture);
        let spooled = Spooled { rollout, number: *number, priority };
        let names = &answered.signature().inputs;
        if names.iter().any(|input| self.redact.contains(&input.name)) {
            return self.shadow.dropped(rollout, Dropped::Redacted, &inputs);
        }
        if let Err(NotSpooled { reason, with_it }) =
            self.spool.offer(spooled, answered, &inputs, live.as_ref())
        {
            self.shadow.dropped(rollout, why(reason), &inputs);
            with_it.iter().for_each(|(of, count)| self.shadow.lost(*of, why(reason), *count));
        }
    }

    /// Counts what was put aside and then lost.
    fn count_lost(&self) {
        for lost in self.spool.lost() {
            let why = match lost.reason {
                LostBy::Dropped(reason) => why(reason),
                LostBy::Room => Dropped::Disk,
                LostBy::Age => Dropped::Stale,
            };
            self.shadow.lost(lost.rollout, why, lost.count);
        }
    }
}

fn why(reason: capture::Dropped) -> Dropped {
    match reason {
        capture::Dropped::Size => Dropped::Size,
        capture::Dropped::QueueFull => Dropped::QueueFull,
        capture::Dropped::Disk => Dropped::Disk,
    }
}
