//! Measures for one rollout what its pairs do to stable's latency, and lets there be fewer when they slow it down.
//!
//! What decides is the domain's business ([`Interference`]). Here stable's requests of each block are counted, as they are
//! answered, by a [`Stopwatch`] whose hands are read at the beginning and at the end of the block.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::blocks::{Block, Blocks, Pass, UnderWay};
use super::subject::Subject;
use crate::config::ShadowConfig;
use crate::domain::analysis::{
    Block as Counted, Interference, Latencies, Marks, Pace, Tally, restart_epoch,
};
use crate::domain::model::{Digest, ModelName};
use crate::domain::rollout::RolloutId;
use crate::domain::sampling::rest_after;
use crate::domain::time::WallTime;
use crate::serving::{Pairing, Servable, Stopwatch, Switch};

/// See the module.
#[derive(Debug)]
pub(super) struct Meter {
    model: ModelName,
    rollout: RolloutId,
    seed: u64,
    /// None where nothing is measured.
    limits: Option<Limits>,
    switch: Arc<Switch>,
    /// What workers go by. They may lose their core at any time, so they take no lock.
    share: AtomicU64,
    not_before: AtomicU64,
    opened: Instant,
    state: Mutex<State>,
}

/// How many blocks tell how long requests take, where it was once known otherwise.
const SEVERAL: u32 = 5;

/// What the settings say of all pairs together.
#[derive(Clone, Copy, Debug)]
struct Limits {
    blocks: Blocks,
    max_rps: f64,
    max_busy: f64,
}

#[derive(Debug)]
struct State {
    evidence: Interference,
    measured: Option<Measured>,
    counting: Option<Counting>,
    saved: Option<(Digest, Marks)>,
}

/// The version of which the latency is measured.
#[derive(Debug)]
struct Measured {
    /// Whoever measures does not keep it loaded.
    servable: Weak<Servable>,
    digest: Digest,
    by: By,
}

#[derive(Debug)]
enum By {
    /// Not yet known how long its requests take: those since then tell, after some blocks.
    Learning {
        since: Box<Latencies>,
        blocks: u32,
    },
    Stopwatch(Arc<Stopwatch>),
}

/// A block that is being counted, and what the hands showed at its beginning.
#[derive(Debug)]
struct Counting {
    block: Block,
    begun: Tally,
}

/// What is written down.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct SavedMeter {
    /// A rollout that tries again what another one did has pairs at full pace again.
    rollout: RolloutId,
    evidence: Interference,
    /// The version that was measured, and by which marks.
    marks: Option<(Digest, Marks)>,
}

impl Meter {
    /// Measures nothing until it is told how.
    pub(super) fn new(subject: &Subject, switch: Arc<Switch>, saved: Option<SavedMeter>) -> Self {
        let rollout = subject.rollout;
        let saved = saved.filter(|saved| saved.rollout == rollout);
        let (evidence, marks) = match saved {
            Some(SavedMeter { evidence, marks, .. }) => (evidence, marks),
            None => (Interference::new(Some(restart_epoch(subject.longest))), None),
        };
        Self {
            model: subject.model.clone(),
            rollout,
            seed: Pairing::seed_of(rollout),
            limits: None,
            switch,
            share: AtomicU64::new(sixty_fourths(evidence.pace())),
            not_before: AtomicU64::new(0),
            opened: Instant::now(),
            state: Mutex::new(State { evidence, measured: None, counting: None, saved: marks }),
        }
    }

    /// From now on there are blocks without pairs, where the settings say so.
    pub(super) fn start(&mut self, config: &ShadowConfig, now: WallTime) {
        let limits = |blocks| Limits { blocks, max_rps: config.max_rps, max_busy: config.max_busy };
        self.limits = Blocks::new(config).map(limits);
        if let Some(limits) = &self.limits {
            self.switch.set(limits.blocks.at(now, self.seed).has_pairs);
        }
    }

    /// This version answers now, and `before` is how long its requests took before the rollout, where that is known.
    pub(super) fn measure(&self, servable: &Arc<Servable>, before: Option<&Latencies>) {
        if self.limits.is_none() {
            return;
        }
        let mut state = self.lock();
        let digest = servable.digest();
        if let Some(measured) = &mut state.measured {
            if measured.servable.as_ptr() == Arc::as_ptr(servable) {
                return;
            }
            measured.let_go();
        }
        // The same version under other settings goes on to be held against the same.
        let marks = match &state.measured {
            Some(Measured { digest: known, by: By::Stopwatch(stopwatch), .. })
                if *known == digest =>
            {
                Some(stopwatch.marks().clone())
            }
            Some(_) => None,
            None => {
                let saved = state.saved.take().filter(|(known, _)| *known == digest);
                saved.map(|(_, marks)| marks).or_else(|| Marks::of(before?))
            }
        };
        let by = match marks {
            Some(marks) => By::Stopwatch(Arc::new(Stopwatch::new(marks))),
            None => By::learning(servable, 1),
        };
        let measured = Measured { servable: Arc::downgrade(servable), digest, by };
        measured.hold();
        state.measured = Some(measured);
        state.counting = None;
    }

    /// A block is over: counts it, and turns pairs on or off for the next one.
    pub(super) fn turn(&self, now: WallTime) {
        let Some(Limits { blocks, .. }) = &self.limits else { return };
        let mut state = self.lock();
        let present = blocks.at(now, self.seed);
        let counted = state.counting.take();
        let tally = state.tally().zip(counted);
        self.switch.set(present.has_pairs);
        if let Some(measured) = &mut state.measured {
            measured.learn();
        }
        let Some((tally, Counting { block, begun })) = tally else { return };
        // Whoever was asleep for longer does not know what he counted.
        if block.number + 1 != present.number {
            return;
        }
        let (has_pairs, chance) = (block.has_pairs, blocks.chance());
        let counted = Counted { has_pairs, chance, tally: tally.since(&begun) };
        let paced = state.evidence.observe(&counted, self.opened.elapsed());
        state.look_elsewhere();
        drop(state);
        if let Some(pace) = paced {
            self.back_off(pace);
        }
    }

    /// From now on the present block is counted.
    pub(super) fn begin(&self, now: WallTime) {
        let Some(Limits { blocks, .. }) = &self.limits else { return };
        let mut state = self.lock();
        let block = blocks.at(now, self.seed);
        let begun = state.tally();
        state.counting = begun.map(|begun| Counting { block, begun });
    }

    fn back_off(&self, pace: Pace) {
        self.share.store(sixty_fourths(pace), Ordering::Relaxed);
        let (model, rollout) = (&self.model, self.rollout);
        let then = match pace {
            Pace::Full => "nothing changes",
            Pace::Halved => "there are half as many from now on",
            Pace::OffPeakOnly => "there are as few as possible until the rollout is over",
        };
        tracing::warn!(
            model.name = %model, rollout = %rollout,
            "pairs slow the stable version of `{model}` down by more than 2 %: {then}"
        );
    }

    /// Lets a worker run a pair; or says how long it has to wait.
    pub(super) fn admit<'u>(
        &self,
        under_way: &'u UnderWay,
        worker: usize,
        clock: impl Fn() -> WallTime,
    ) -> Result<Pass<'u>, Duration> {
        let Some(Limits { blocks, .. }) = &self.limits else { return Ok(Pass::FREE) };
        let not_before = self.not_before.load(Ordering::Relaxed);
        let early = not_before.saturating_sub(clock().0);
        if early > 0 {
            return Err(Duration::from_millis(early));
        }
        let pass = under_way.pass(worker, || blocks.at(clock(), self.seed));
        pass.ok_or_else(|| blocks.left(clock()))
    }

    /// A pair has taken so much of a core: the next one waits, where there are to be fewer.
    pub(super) fn ran(&self, busy: Duration, now: WallTime) {
        let Some(Limits { max_rps, max_busy, .. }) = self.limits else { return };
        let share = self.share.load(Ordering::Relaxed) as f64 / 64.0;
        if share < 1.0 {
            let rest = rest_after(busy, max_busy * share);
            let rest = rest.max(Duration::from_secs_f64(1.0 / (max_rps * share)));
            let rest = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
            self.not_before.store(now.0.saturating_add(rest), Ordering::Relaxed);
        }
    }

    /// Whether there are fewer pairs than the settings allow.
    pub(super) fn holds_back(&self) -> bool {
        self.share.load(Ordering::Relaxed) < 64
    }

    /// How often there were to be fewer pairs; none where nothing is measured.
    pub(super) fn times_backed_off(&self) -> Option<u32> {
        self.limits.map(|_| self.lock().evidence.pace().times_backed_off())
    }

    /// How many blocks were counted.
    pub(super) fn blocks(&self) -> u64 {
        self.lock().evidence.blocks()
    }

    /// To be written down; none where nothing is measured.
    pub(super) fn saved(&self) -> Option<SavedMeter> {
        self.limits?;
        let state = self.lock();
        let marks = match &state.measured {
            Some(Measured { digest, by: By::Stopwatch(stopwatch), .. }) => {
                Some((*digest, stopwatch.marks().clone()))
            }
            Some(Measured { by: By::Learning { .. }, .. }) => None,
            None => state.saved.clone(),
        };
        let (rollout, evidence) = (self.rollout, state.evidence.clone());
        Some(SavedMeter { rollout, evidence, marks })
    }

    /// The rollout is over.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        let marks = state.measured.take().and_then(|measured| {
            measured.let_go();
            match measured.by {
                By::Stopwatch(stopwatch) => Some((measured.digest, stopwatch.marks().clone())),
                By::Learning { .. } => None,
            }
        });
        state.saved = marks;
        state.counting = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tally(&self) -> Option<Tally> {
        match &self.measured.as_ref()?.by {
            By::Stopwatch(stopwatch) => Some(stopwatch.tally()),
            By::Learning { .. } => None,
        }
    }

    /// Takes other marks where requests have become much slower or faster than they were.
    fn look_elsewhere(&mut self) {
        if self.evidence.needs_other_marks()
            && let Some(measured) = &mut self.measured
            && let Some(servable) = measured.servable.upgrade()
        {
            measured.let_go();
            measured.by = By::learning(&servable, SEVERAL);
            self.evidence.has_other_marks();
        }
    }
}

impl By {
    fn learning(servable: &Servable, blocks: u32) -> Self {
        Self::Learning { since: Box::new(servable.latencies()), blocks }
    }
}

impl Measured {
    /// Takes marks once it is known how long requests take.
    fn learn(&mut self) {
        let By::Learning { since, blocks } = &mut self.by else { return };
        *blocks = blocks.saturating_sub(1);
        let is_over = *blocks == 0;
        let Some(servable) = self.servable.upgrade() else { return };
        let marks = Marks::of(&servable.latencies().since(since)).filter(|_| is_over);
        if let Some(marks) = marks {
            self.by = By::Stopwatch(Arc::new(Stopwatch::new(marks)));
            self.hold();
        }
    }

    fn hold(&self) {
        if let (By::Stopwatch(stopwatch), Some(servable)) = (&self.by, self.servable.upgrade()) {
            servable.time_with(Some(stopwatch.clone()));
        }
    }

    fn let_go(&self) {
        if let Some(servable) = self.servable.upgrade() {
            servable.time_with(None);
        }
    }
}

impl SavedMeter {
    /// As the report tells it.
    pub(super) fn json(&self) -> Value {
        let evidence = &self.evidence;
        let [usual, slow] = evidence.slowdowns();
        json!({
            "blocks": evidence.blocks(),
            "slowdown_upper95": usual.upper,
            "slowdown_p99_upper95": slow.upper,
            "needs": usual.needs,
            "e": evidence.log_evidence().exp().min(f64::MAX),
            "backed_off": evidence.pace().times_backed_off(),
        })
    }
}

/// How much of what the settings allow. Until there is a time that is known to be quiet, the least is a sixty-fourth.
fn sixty_fourths(pace: Pace) -> u64 {
    match pace {
        Pace::Full => 64,
        Pace::Halved => 32,
        Pace::OffPeakOnly => 1,
    }
}

#[cfg(test)]
mod tests;
