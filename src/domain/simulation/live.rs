//! Live requests: which version answers them, which fail, and how they are counted.

use super::chance::Chance;
use super::keys::Keys;
use super::traffic::{Failing, Slice, Sticky};
use crate::domain::analysis::{LiveCell, LiveCounts};
use crate::domain::comparison::Arm;
use crate::domain::rollout::{Plan, Share};
use crate::domain::weight::Weight;

/// So many failures one after another that stable had an answer for are enough.
const TOO_MANY: u32 = 5;

/// The live requests of one rollout.
#[derive(Debug)]
pub(super) struct Live {
    cells: Vec<Cell>,
    keys: Option<Keys>,
    breaker: Breaker,
    /// Whether requests count yet: not those of the time in which the candidate's first ones come.
    is_warm: bool,
    /// Of both versions, all that were answered.
    stable: LiveCounts,
    candidate: LiveCounts,
}

/// Requests that had the same chance of going to the candidate.
#[derive(Debug)]
struct Cell {
    share: Share,
    /// Set for keys that were on stable when the candidate had this smaller share.
    after: Weight,
    counts: LiveCell,
    /// How many requests the candidate has ended, also those that are not counted.
    ended: u64,
}

/// Watches for failures one after another.
#[derive(Debug)]
struct Breaker {
    /// Whether stable answers where the candidate fails.
    rescues: bool,
    breaks: bool,
    in_a_row: u32,
    has_tripped: bool,
    rescued: u64,
}

/// One request that a version has answered, or failed.
struct Answer {
    arm: Arm,
    has_failed: bool,
}

impl Live {
    pub(super) fn new(plan: &Plan, sticky: Option<Sticky>, warms_up: bool) -> Self {
        let breaker = Breaker {
            rescues: plan.fallback,
            breaks: plan.breaker,
            in_a_row: 0,
            has_tripped: false,
            rescued: 0,
        };
        Self {
            cells: Vec::new(),
            keys: sticky.map(Keys::new),
            breaker,
            is_warm: !warms_up,
            stable: LiveCounts::default(),
            candidate: LiveCounts::default(),
        }
    }

    /// The requests of a slice are answered. Gives how many of them the candidate had.
    pub(super) fn answer(
        &mut self,
        slice: Slice,
        share: Option<Share>,
        chance: &mut Chance,
    ) -> u64 {
        let before = self.candidate.requests;
        match share {
            None => {
                let failed = chance.binomial(slice.requests, slice.failing.stable());
                add(&mut self.stable, slice.requests, failed);
            }
            Some(share) if self.keys.is_some() => self.one_by_one(slice, share, chance),
            Some(share) => self.all_at_once(slice, share, chance),
        }
        let candidate = self.candidate.requests - before;
        self.is_warm |= candidate > 0;
        candidate
    }

    fn all_at_once(&mut self, slice: Slice, share: Share, chance: &mut Chance) {
        let Slice { requests, failing } = slice;
        let candidate = chance.binomial(requests, share.weight.fraction());
        let stable = requests - candidate;
        let failed = [
            chance.binomial(stable, failing.stable()),
            self.breaker.candidate_runs(candidate, failing, chance),
        ];
        add(&mut self.stable, stable, failed[0]);
        add(&mut self.candidate, candidate, failed[1]);
        let is_warm = self.is_warm;
        let cell = self.cell(share, Weight::NONE);
        cell.ended += candidate;
        if is_warm {
            add(&mut cell.counts.stable, stable, failed[0]);
            add(&mut cell.counts.candidate, candidate, failed[1]);
        }
    }

    fn one_by_one(&mut self, slice: Slice, share: Share, chance: &mut Chance) {
        for _ in 0..slice.requests {
            let Some(keys) = &mut self.keys else { return };
            let key = keys.pick(chance);
            let arm = keys.arm(key, share.weight);
            let errors = slice.failing.errors;
            let [of_stable, of_candidate] =
                [errors.stable, errors.candidate].map(|errors| keys.errors(key, errors));
            let counted = if self.is_warm { keys.count(key, arm, share.weight) } else { None };
            let is_hit = chance.happens(slice.failing.outage);
            let has_failed = is_hit
                || chance.happens(match arm {
                    Arm::Stable => of_stable,
                    Arm::Candidate => of_candidate,
                });
            if arm == Arm::Candidate && has_failed {
                self.breaker.candidate_fails(!is_hit && !chance.happens(of_stable));
            } else if arm == Arm::Candidate {
                self.breaker.in_a_row = 0;
            }
            self.count(&Answer { arm, has_failed }, share, counted);
        }
    }

    fn count(&mut self, answer: &Answer, share: Share, counted: Option<Weight>) {
        let failed = u64::from(answer.has_failed);
        let total = match answer.arm {
            Arm::Stable => &mut self.stable,
            Arm::Candidate => &mut self.candidate,
        };
        add(total, 1, failed);
        if answer.arm == Arm::Candidate {
            self.cell(share, Weight::NONE).ended += 1;
        }
        let Some(after) = counted else { return };
        let cell = self.cell(share, after);
        match answer.arm {
            Arm::Stable => add(&mut cell.counts.stable, 1, failed),
            Arm::Candidate => add(&mut cell.counts.candidate, 1, failed),
        }
    }

    fn cell(&mut self, share: Share, after: Weight) -> &mut Cell {
        let known = self.cells.iter().rposition(|cell| cell.share == share && cell.after == after);
        let at = known.unwrap_or_else(|| {
            let (weight, before) = (share.weight.fraction(), after.fraction());
            let counts = LiveCell {
                weight: (weight - before) / (1.0 - before),
                candidate: LiveCounts::default(),
                stable: LiveCounts::default(),
            };
            self.cells.push(Cell { share, after, counts, ended: 0 });
            self.cells.len() - 1
        });
        &mut self.cells[at]
    }

    /// What is counted, by the chance of going to the candidate.
    pub(super) fn cells(&self) -> Vec<LiveCell> {
        self.cells.iter().map(|cell| cell.counts.clone()).collect()
    }

    /// How many requests the candidate has ended under one share.
    pub(super) fn ended_in(&self, epoch: u32) -> u64 {
        self.cells.iter().filter(|cell| cell.share.epoch == epoch).map(|cell| cell.ended).sum()
    }

    /// All requests of stable and of the candidate, counted or not.
    pub(super) fn totals(&self) -> [LiveCounts; 2] {
        [self.stable, self.candidate]
    }

    /// How many requests the candidate failed and stable answered.
    pub(super) fn rescued(&self) -> u64 {
        self.breaker.rescued
    }

    /// So many failures in a row were too many; none where there were not.
    pub(super) fn tripped(&self) -> Option<u32> {
        self.breaker.has_tripped.then_some(TOO_MANY)
    }

    /// Whether there were more keys than can be told apart.
    pub(super) fn too_many_keys(&self) -> bool {
        self.keys.as_ref().is_some_and(Keys::is_full)
    }
}

impl Breaker {
    /// The candidate runs so many requests. Gives how many it fails.
    fn candidate_runs(&mut self, requests: u64, failing: Failing, chance: &mut Chance) -> u64 {
        let share = failing.candidate();
        // What an outage hits, it hits on stable as well.
        let of_own = if share > 0.0 { 1.0 - failing.outage / share } else { 0.0 };
        let rescued = of_own * (1.0 - failing.errors.stable);
        let (mut failed, mut answered_from) = (0, 0);
        let mut next = chance.gap(share);
        while next < requests {
            if next > answered_from {
                self.in_a_row = 0;
            }
            self.candidate_fails(chance.happens(rescued));
            failed += 1;
            answered_from = next + 1;
            next = answered_from.saturating_add(chance.gap(share));
        }
        if requests > answered_from {
            self.in_a_row = 0;
        }
        failed
    }

    /// The candidate has failed, where stable has an answer or has none.
    fn candidate_fails(&mut self, stable_answers: bool) {
        if !self.rescues || !stable_answers {
            return; // it may be the request's fault
        }
        self.rescued += 1;
        self.in_a_row += 1;
        self.has_tripped |= self.breaks && self.in_a_row >= TOO_MANY;
    }
}

fn add(counts: &mut LiveCounts, requests: u64, failed: u64) {
    counts.requests += requests;
    counts.failed += failed;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::simulation::Errors;

    const SHARE: Share = Share { weight: Weight::ALL, epoch: 1 };

    fn live(sticky: Option<Sticky>) -> Live {
        Live::new(&Plan::default(), sticky, false)
    }

    fn slice(requests: u64, outage: f64, candidate: f64) -> Slice {
        let errors = Errors { stable: 0.0, candidate };
        Slice { requests, failing: Failing { outage, errors } }
    }

    fn half(epoch: u32) -> Share {
        Share { weight: Weight::whole(50), epoch }
    }

    #[test]
    fn requests_are_drawn_for_and_counted_under_their_share() {
        let (mut live, mut chance) = (live(None), Chance::new(5, 0));
        live.answer(slice(1000, 0.0, 0.0), None, &mut chance);
        assert!(live.cells().is_empty());
        let had = live.answer(slice(1000, 0.0, 0.2), Some(half(1)), &mut chance);
        assert!((440..560).contains(&had), "{had}");
        live.answer(slice(10, 0.0, 0.0), Some(half(2)), &mut chance);
        let [stable, candidate] = live.totals();
        assert_eq!((stable.requests + candidate.requests, stable.failed), (2010, 0));
        assert_eq!(live.cells()[0].candidate, LiveCounts { requests: had, ..candidate });
        assert!((60..140).contains(&candidate.failed), "{candidate:?}");
        assert_eq!(live.ended_in(1), had);
    }

    #[test]
    fn the_first_slice_with_a_candidate_is_its_warm_up() {
        let (mut live, mut chance) = (Live::new(&Plan::default(), None, true), Chance::new(5, 1));
        for _ in 0..2 {
            live.answer(slice(1000, 0.0, 0.0), Some(half(1)), &mut chance);
        }
        let cell = &live.cells()[0];
        assert_eq!(cell.candidate.requests + cell.stable.requests, 1000);
        assert_eq!(live.ended_in(1), live.totals()[1].requests);
    }

    #[test]
    fn failures_in_a_row_trip_the_breaker_unless_stable_has_no_answer_either() {
        for sticky in [None, Some(Sticky { requests_per_key: 3.0 })] {
            let after = |requests, outage, errors| {
                let mut live = live(sticky);
                live.answer(slice(requests, outage, errors), Some(SHARE), &mut Chance::new(5, 2));
                (live.tripped(), live.rescued())
            };
            assert_eq!(after(4, 0.0, 1.0), (None, 4));
            assert_eq!(after(5, 0.0, 1.0), (Some(5), 5));
            assert_eq!(after(500, 1.0, 0.0), (None, 0));
            assert_eq!(after(500, 0.3, 0.02).0, None);
        }
    }

    #[test]
    fn requests_of_a_key_count_once() {
        let (mut live, mut chance) =
            (live(Some(Sticky { requests_per_key: 10.0 })), Chance::new(5, 3));
        let share = |per_cent, epoch| Share { weight: Weight::whole(per_cent), epoch };
        live.answer(slice(5000, 0.0, 0.0), Some(share(20, 1)), &mut chance);
        let [stable, candidate] = live.totals();
        let counted = live.cells()[0].candidate.requests + live.cells()[0].stable.requests;
        assert!((400..600).contains(&counted), "{counted}");
        assert_eq!(stable.requests + candidate.requests, 5000);
        live.answer(slice(5000, 0.0, 0.0), Some(share(60, 2)), &mut chance);
        let again = live.cells().into_iter().find(|cell| cell.weight != 0.2 && cell.weight != 0.6);
        let again = again.unwrap();
        assert!((again.weight - 0.5).abs() < 1e-12);
        let moved = again.candidate.requests as f64 / (again.stable.requests as f64);
        assert!((0.7..1.4).contains(&moved), "{again:?}");
    }
}
