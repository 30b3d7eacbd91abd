//! What is seen of the live requests of a rollout: who failed, on which version, under which share of the traffic.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::cohorts::{ArmCounts, Cohorts};
use super::keys::{Counts, Keys};
use super::warm_up::WarmUp;
use crate::domain::comparison::Arm;
use crate::domain::rollout::Share;
use crate::domain::weight::Weight;

/// So many failures one after another that the trusted version had an answer for are enough.
const TOO_MANY: u32 = 5;

/// Counts what happens to the requests of one rollout, over all its shares of the traffic.
pub struct Observer {
    cells: Mutex<Vec<Cell>>,
    warm_up: WarmUp,
    keys: Option<Keys>,
    /// The number of the next request. Goes on after a restart, so that draws are not repeated.
    requests: AtomicU64,
    /// Outputs, by their places, in which the trusted version has answered what is no finite number.
    stable_not_finite: AtomicU64,
    /// Failures of the candidate since its last answer.
    in_a_row: AtomicU32,
    breaks: bool,
    has_tripped: AtomicBool,
    on_trip: Box<dyn Fn() + Send + Sync>,
    /// No request takes longer before it is scored.
    longest: Duration,
    created: Instant,
    /// How many seconds after `created` a lapse was last told in the log.
    told: AtomicU64,
}

/// Requests that had the same chance of going to the candidate.
#[derive(Clone, Debug)]
struct Cell {
    share: Share,
    /// Set for keys that were on stable when the candidate had this smaller share.
    after: Weight,
    cohorts: Arc<Cohorts>,
}

/// What an [`Observer`] is made of.
pub struct ObserverParts {
    /// What was written down before.
    pub saved: Option<Observed>,
    /// Whether requests stick to a version by a key.
    pub is_sticky: bool,
    /// Whether failures in a row are told at once.
    pub breaks: bool,
    /// Called once, when there were too many failures in a row.
    pub on_trip: Box<dyn Fn() + Send + Sync>,
    /// No request takes longer before it is scored.
    pub longest: Duration,
}

/// What was seen so far.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Observed {
    /// By the chance that the requests had of going to the candidate.
    pub cells: Vec<ObservedCell>,
    /// How many requests were drawn for.
    pub requests: u64,
    /// See [`Observer`].
    stable_not_finite: u64,
    /// Whether there were more keys than can be told apart: then nothing is concluded from the counts.
    pub too_many_keys: bool,
}

/// Requests that had the same chance of going to the candidate, and what came of them.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct ObservedCell {
    /// Which share of the rollout it was.
    pub epoch: u32,
    /// The candidate's share then.
    pub weight: Weight,
    /// For keys that were on stable before: the share at which they were.
    pub after: Weight,
    /// What came of them.
    pub counts: ArmCounts,
    /// How many requests the candidate has ended, also those that say nothing.
    pub ended: u64,
}

impl ObservedCell {
    /// The chance of going to the candidate.
    pub fn chance(&self) -> f64 {
        let (weight, after) = (self.weight.fraction(), self.after.fraction());
        (weight - after) / (1.0 - after)
    }
}

impl Observed {
    /// The same, for a rollout that goes on from it with shares of its own.
    pub fn of_another_rollout(mut self) -> Self {
        // Its own begin with 1.
        self.cells.iter_mut().for_each(|cell| cell.epoch = 0);
        self
    }

    /// The counts of all shares together.
    pub fn totals(&self) -> ArmCounts {
        let none = ArmCounts::default();
        self.cells.iter().fold(none, |sum, cell| sum.plus(&cell.counts))
    }

    /// How many requests the candidate has ended under one share.
    pub fn ended_in(&self, epoch: u32) -> u64 {
        self.cells.iter().filter(|cell| cell.epoch == epoch).map(|cell| cell.ended).sum()
    }

    /// The counts under one share.
    pub fn of_epoch(&self, epoch: u32) -> ArmCounts {
        let cells = self.cells.iter().filter(|cell| cell.epoch == epoch);
        cells.fold(ArmCounts::default(), |sum, cell| sum.plus(&cell.counts))
    }
}

impl Observer {
    /// Begins, or goes on from what was written down.
    pub fn new(parts: ObserverParts, now: Instant) -> Self {
        let ObserverParts { saved, is_sticky, breaks, on_trip, longest } = parts;
        let Observed { cells, requests, stable_not_finite, too_many_keys: _ } =
            saved.unwrap_or_default();
        let cells = cells.into_iter().map(|saved| Cell {
            share: Share { weight: saved.weight, epoch: saved.epoch },
            after: saved.after,
            cohorts: Arc::new(Cohorts::new(saved.counts, saved.ended, longest, now)),
        });
        Self {
            cells: Mutex::new(cells.collect()),
            warm_up: WarmUp::new(now),
            keys: is_sticky.then(Keys::new),
            requests: AtomicU64::new(requests),
            stable_not_finite: AtomicU64::new(stable_not_finite),
            in_a_row: AtomicU32::new(0),
            breaks,
            has_tripped: AtomicBool::new(false),
            on_trip,
            longest,
            created: now,
            told: AtomicU64::new(u64::MAX),
        }
    }

    /// What was seen up to now, apart from what has not ended.
    pub fn observed(&self, now: Instant) -> Observed {
        let cells = self.cells().clone();
        let cells = cells.iter().map(|cell| ObservedCell {
            epoch: cell.share.epoch,
            weight: cell.share.weight,
            after: cell.after,
            counts: cell.cohorts.count(now),
            ended: cell.cohorts.ended(),
        });
        Observed {
            cells: cells.collect(),
            requests: self.requests.load(Ordering::Relaxed),
            stable_not_finite: self.stable_not_finite.load(Ordering::Relaxed),
            too_many_keys: self.keys.as_ref().is_some_and(Keys::is_full),
        }
    }

    /// So many failures in a row were too many; none where there were not.
    pub fn tripped(&self) -> Option<u32> {
        self.has_tripped.load(Ordering::Relaxed).then_some(TOO_MANY)
    }

    /// True once a second: a bad candidate must not flood the log.
    pub(super) fn may_be_told(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.created).as_secs();
        self.told.swap(second, Ordering::Relaxed) != second
    }

    /// The number of the next request.
    pub(super) fn next_number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// Where requests are counted that have the share itself as their chance.
    pub(super) fn cohorts_of(&self, share: Share, now: Instant) -> Arc<Cohorts> {
        self.cell(share, Weight::NONE, now)
    }

    fn cell(&self, share: Share, after: Weight, now: Instant) -> Arc<Cohorts> {
        let mut cells = self.cells();
        let known = cells.iter().rfind(|cell| cell.share == share && cell.after == after);
        if let Some(cell) = known {
            return cell.cohorts.clone();
        }
        let cohorts = Arc::new(Cohorts::new(ArmCounts::default(), 0, self.longest, now));
        cells.push(Cell { share, after, cohorts: cohorts.clone() });
        cohorts
    }

    /// Where a request is counted; none when it is not. `usual` is where those without a key are.
    pub(super) fn counts_in(
        &self,
        usual: &Arc<Cohorts>,
        key: Option<u64>,
        arm: Arm,
        share: Share,
        now: Instant,
    ) -> Option<Arc<Cohorts>> {
        if arm == Arm::Candidate {
            self.warm_up.candidate_begins(now);
        }
        if !self.warm_up.is_over(now) {
            return None;
        }
        let (Some(keys), Some(key)) = (&self.keys, key) else { return Some(usual.clone()) };
        match keys.count(key, arm, share.weight) {
            Counts::AsNew => Some(usual.clone()),
            Counts::After(before) => Some(self.cell(share, before, now)),
            Counts::NoMore => None,
        }
    }

    /// The candidate has answered.
    pub(super) fn candidate_answered(&self) {
        self.warm_up.candidate_ended();
        if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    /// The candidate has failed on a request. `stable_answered`: and the trusted version has not.
    pub(super) fn candidate_failed(&self, stable_answered: bool) {
        self.warm_up.candidate_ended();
        if !stable_answered {
            return; // it may be the request's fault
        }
        let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        if self.breaks && in_a_row >= TOO_MANY && !self.has_tripped.swap(true, Ordering::Relaxed) {
            (self.on_trip)();
        }
    }

    /// The trusted version has answered with something that is no finite number, in these outputs.
    pub(super) fn stable_is_not_finite(&self, outputs: u64) {
        if outputs & !self.stable_not_finite.load(Ordering::Relaxed) != 0 {
            self.stable_not_finite.fetch_or(outputs, Ordering::Relaxed);
        }
    }

    /// Of these outputs, those in which the trusted version has never done so.
    pub(super) fn unheard_of(&self, outputs: u64) -> u64 {
        outputs & !self.stable_not_finite.load(Ordering::Relaxed)
    }

    fn cells(&self) -> MutexGuard<'_, Vec<Cell>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").field("cells", &self.cells).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observer(
        is_sticky: bool,
        saved: Option<Observed>,
        on_trip: impl Fn() + Send + Sync + 'static,
    ) -> Observer {
        let longest = Duration::from_secs(6);
        let parts =
            ObserverParts { saved, is_sticky, breaks: true, on_trip: Box::new(on_trip), longest };
        let observer = Observer::new(parts, Instant::now());
        for _ in 0..20 {
            observer.candidate_answered(); // it is warm
        }
        observer
    }

    fn share(per_cent: u8, epoch: u32) -> Share {
        Share { weight: Weight::whole(per_cent), epoch }
    }

    fn request(observer: &Observer, key: Option<u64>, arm: Arm, share: Share) -> bool {
        let now = Instant::now();
        let usual = observer.cohorts_of(share, now);
        let counted = observer.counts_in(&usual, key, arm, share, now);
        if let Some(cohorts) = &counted {
            let place = cohorts.start(arm, now);
            cohorts.end(arm, place, false);
        }
        counted.is_some()
    }

    fn seen(observer: &Observer) -> Observed {
        observer.observed(Instant::now() + Duration::from_secs(2))
    }

    #[test]
    fn counts_of_each_share_are_kept_apart() {
        let observer = observer(false, None, || ());
        for _ in 0..3 {
            request(&observer, None, Arm::Stable, share(5, 1));
        }
        request(&observer, None, Arm::Candidate, share(10, 2));
        let observed = seen(&observer);
        let stable = observed.of_epoch(1).stable.requests;
        assert_eq!((stable, observed.of_epoch(2).candidate.requests), (3, 1));
        assert_eq!(observed.totals().stable.requests, 3);
        assert_eq!(observed.cells[1].chance(), 0.1);
    }

    #[test]
    fn a_key_counts_by_the_chance_that_it_had() {
        let observer = observer(true, None, || ());
        assert!(request(&observer, Some(1), Arm::Stable, share(20, 1)));
        assert!(!request(&observer, Some(1), Arm::Stable, share(20, 1)));
        assert!(request(&observer, Some(1), Arm::Candidate, share(60, 2)));
        assert!(!request(&observer, Some(1), Arm::Candidate, share(60, 2)));
        assert!(request(&observer, None, Arm::Stable, share(60, 2)), "one without a key is new");
        let observed = seen(&observer);
        let chances: Vec<f64> = observed.cells.iter().map(ObservedCell::chance).collect();
        assert!((chances[2] - 0.5).abs() < 1e-12, "{chances:?}");
        assert_eq!(observed.cells[2].counts.candidate.requests, 1);
        assert_eq!(observed.of_epoch(2).stable.requests, 1);
    }

    #[test]
    fn what_was_written_down_is_gone_on_from() {
        let first = observer(false, None, || ());
        request(&first, None, Arm::Stable, share(5, 1));
        first.next_number();
        first.stable_is_not_finite(0b10);
        let written = serde_json::to_string(&seen(&first)).unwrap();
        let second = observer(false, serde_json::from_str(&written).unwrap(), || ());
        request(&second, None, Arm::Stable, share(5, 1));
        assert_eq!(seen(&second).of_epoch(1).stable.requests, 2);
        assert_eq!(second.next_number(), 1);
        assert_eq!(second.unheard_of(0b11), 0b01);
    }

    #[test]
    fn failures_in_a_row_trip_it_once_where_stable_had_an_answer() {
        let trips = Arc::new(AtomicU32::new(0));
        let counted = trips.clone();
        let observer = observer(false, None, move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        for _ in 0..100 {
            observer.candidate_failed(false);
        }
        for _ in 0..4 {
            observer.candidate_failed(true);
        }
        observer.candidate_answered();
        for _ in 0..4 {
            observer.candidate_failed(true);
        }
        assert_eq!(observer.tripped(), None);
        observer.candidate_failed(true);
        observer.candidate_failed(true);
        assert_eq!(observer.tripped(), Some(5));
        assert_eq!(trips.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn nothing_counts_before_the_candidate_is_warm() {
        let parts = ObserverParts {
            saved: None,
            is_sticky: false,
            breaks: true,
            on_trip: Box::new(|| ()),
            longest: Duration::from_secs(6),
        };
        let observer = Observer::new(parts, Instant::now());
        assert!(!request(&observer, None, Arm::Stable, share(5, 1)));
        assert!(!request(&observer, None, Arm::Candidate, share(5, 1)));
    }
}
