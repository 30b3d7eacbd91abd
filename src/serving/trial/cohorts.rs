//! Counts requests and failures by the second in which the requests began.
//!
//! Counted when they end, slow requests would be missing for as long as they run, and a candidate that fails slowly
//! would look better than it is. So what is counted are cohorts: all requests that began in the same second, once all
//! of them have ended or have had their time. A request costs one addition when it begins and one or two when it ends.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::domain::comparison::Arm;

/// How many cohorts there are at once. Those that are counted make room for the next ones.
const SLOTS: usize = 64;
/// The time that a request may take lies within so many cohorts.
const WITHIN: u32 = 48;

/// The requests of both versions under one chance of going to the candidate.
#[derive(Debug)]
pub(super) struct Cohorts {
    began: Instant,
    /// How long a cohort lasts.
    width: Duration,
    slots: [Slot; SLOTS],
    counted: Mutex<ArmCounts>,
    /// How many requests the candidate has ended, also those that are not counted.
    ended: AtomicU64,
}

#[derive(Debug, Default)]
struct Slot {
    stable: SlotCounts,
    candidate: SlotCounts,
}

#[derive(Debug, Default)]
struct SlotCounts {
    started: AtomicU32,
    done: AtomicU32,
    failed: AtomicU32,
}

/// Requests, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Counts {
    /// All that are counted.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
}

/// The counts of both versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ArmCounts {
    /// Of the trusted version.
    pub stable: Counts,
    /// Of the version on trial.
    pub candidate: Counts,
}

impl ArmCounts {
    /// Of one of the two.
    pub fn of(&self, arm: Arm) -> Counts {
        match arm {
            Arm::Stable => self.stable,
            Arm::Candidate => self.candidate,
        }
    }

    /// Both together.
    pub fn plus(&self, other: &Self) -> Self {
        let plus = |a: Counts, b: Counts| Counts {
            requests: a.requests + b.requests,
            failed: a.failed + b.failed,
        };
        Self {
            stable: plus(self.stable, other.stable),
            candidate: plus(self.candidate, other.candidate),
        }
    }
}

/// The cohort that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

impl Cohorts {
    /// Goes on from what is counted. No request may take longer than `longest`.
    pub(super) fn new(counted: ArmCounts, ended: u64, longest: Duration, now: Instant) -> Self {
        Self {
            began: now,
            width: (longest / WITHIN).max(Duration::from_secs(1)),
            slots: std::array::from_fn(|_| Slot::default()),
            counted: Mutex::new(counted),
            ended: AtomicU64::new(ended),
        }
    }

    /// A request begins.
    pub(super) fn start(&self, arm: Arm, now: Instant) -> Place {
        let place = self.number(now) % SLOTS;
        self.slots[place].of(arm).started.fetch_add(1, Ordering::Relaxed);
        Place(place)
    }

    /// It has ended.
    pub(super) fn end(&self, arm: Arm, place: Place, has_failed: bool) {
        let slot = self.slots[place.0].of(arm);
        if has_failed {
            slot.failed.fetch_add(1, Ordering::Relaxed);
        }
        // Last: a cohort of which all are done is counted.
        slot.done.fetch_add(1, Ordering::Release);
    }

    /// It says nothing, and is as if it had never begun.
    pub(super) fn call_off(&self, arm: Arm, place: Place) {
        take_off(&self.slots[place.0].of(arm).started, 1);
    }

    /// The candidate has ended a request, whether that is counted or not.
    pub(super) fn candidate_ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests the candidate has ended.
    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Counts the cohorts that are complete, and those that have had their time; gives what is counted.
    pub(super) fn count(&self, now: Instant) -> ArmCounts {
        let mut counted = self.lock();
        let present = self.number(now);
        // A cohort whose slot has come round again would be mistaken for the present one.
        for number in present.saturating_sub(SLOTS - 1)..present {
            let age = present - number;
            let slot = &self.slots[number % SLOTS];
            slot.stable.count(age, &mut counted.stable);
            slot.candidate.count(age, &mut counted.candidate);
        }
        *counted
    }

    fn number(&self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.began).as_nanos();
        usize::try_from(passed / self.width.as_nanos()).unwrap_or(usize::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, ArmCounts> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn of(&self, arm: Arm) -> &SlotCounts {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Candidate => &self.candidate,
        }
    }
}

impl SlotCounts {
    /// What ends after its cohort was counted is left in the slot and counted with the next look.
    fn count(&self, age: usize, counts: &mut Counts) {
        let done = self.done.load(Ordering::Acquire);
        let is_complete = done >= self.started.load(Ordering::Relaxed);
        let has_had_its_time = age > WITHIN as usize + 1;
        if done == 0 || !(is_complete || has_had_its_time) {
            return;
        }
        counts.failed += u64::from(self.failed.swap(0, Ordering::Relaxed));
        let done = self.done.swap(0, Ordering::Relaxed);
        counts.requests += u64::from(done);
        if has_had_its_time {
            self.started.store(0, Ordering::Relaxed);
        } else {
            take_off(&self.started, done);
        }
    }
}

/// Never below zero: what ends late was taken off with its cohort.
fn take_off(started: &AtomicU32, requests: u32) {
    let less = |started: u32| Some(started.saturating_sub(requests));
    let _ = started.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(6);

    struct Story {
        cohorts: Cohorts,
        start: Instant,
    }

    impl Story {
        fn new() -> Self {
            let start = Instant::now();
            Self { cohorts: Cohorts::new(ArmCounts::default(), 0, LONGEST, start), start }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn candidate(&self, millis: u64) -> (u64, u64) {
            let Counts { requests, failed } = self.cohorts.count(self.at(millis)).candidate;
            (requests, failed)
        }
    }

    #[test]
    fn a_cohort_counts_once_all_of_it_have_ended() {
        let story = Story::new();
        let cohorts = &story.cohorts;
        let quick = cohorts.start(Arm::Candidate, story.at(100));
        let slow = cohorts.start(Arm::Candidate, story.at(900));
        cohorts.end(Arm::Candidate, quick, false);
        assert_eq!(story.candidate(950), (0, 0), "its second is not over");
        assert_eq!(story.candidate(3000), (0, 0), "one still runs");
        cohorts.end(Arm::Candidate, slow, true);
        assert_eq!(story.candidate(3000), (2, 1));
        assert_eq!(story.candidate(3000), (2, 1), "it is counted once");
        assert_eq!(cohorts.count(story.at(3000)).stable, Counts::default());
    }

    #[test]
    fn one_that_never_ends_does_not_hold_up_its_cohort_for_ever() {
        let story = Story::new();
        let cohorts = &story.cohorts;
        let late = cohorts.start(Arm::Candidate, story.at(0));
        let done = cohorts.start(Arm::Candidate, story.at(0));
        cohorts.end(Arm::Candidate, done, false);
        assert_eq!(story.candidate(40_000), (0, 0));
        assert_eq!(story.candidate(55_000), (1, 0));
        cohorts.end(Arm::Candidate, late, true);
        assert_eq!(story.candidate(56_000), (2, 1), "what ends late is not lost");
    }

    #[test]
    fn what_is_called_off_was_never_there() {
        let story = Story::new();
        let place = story.cohorts.start(Arm::Stable, story.at(0));
        let other = story.cohorts.start(Arm::Stable, story.at(0));
        story.cohorts.call_off(Arm::Stable, place);
        story.cohorts.end(Arm::Stable, other, false);
        let stable = story.cohorts.count(story.at(1000)).stable;
        assert_eq!(stable, Counts { requests: 1, failed: 0 });
    }

    #[test]
    fn a_slot_is_used_again_and_nothing_is_lost_or_counted_twice() {
        let story = Story::new();
        for second in 0..500u64 {
            for _ in 0..3 {
                let place = story.cohorts.start(Arm::Candidate, story.at(second * 1000));
                story.cohorts.end(Arm::Candidate, place, second % 10 == 0);
            }
            story.cohorts.count(story.at(second * 1000));
        }
        assert_eq!(story.candidate(501_000), (1500, 150));
    }

    #[test]
    fn all_threads_count_into_the_same_cohorts() {
        let story = Story::new();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let story = &story;
                scope.spawn(move || {
                    for request in 0..5_000u64 {
                        let now = story.at(request);
                        let place = story.cohorts.start(Arm::Stable, now);
                        story.cohorts.end(Arm::Stable, place, thread == 0);
                        if request % 100 == 0 {
                            story.cohorts.count(now);
                        }
                    }
                });
            }
        });
        let stable = story.cohorts.count(story.at(90_000)).stable;
        // Threads that lag behind the others' clock may find their slot taken; here none lags that far.
        assert_eq!(stable, Counts { requests: 20_000, failed: 5_000 });
    }
}
