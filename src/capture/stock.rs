//! What waits in the spool, how far it was taken, and what was lost: what the thread that writes and those who take
//! tell each other. No request waits for its lock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::rollout::RolloutId;
use crate::telemetry::metrics::capture::Dropped;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stock(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    rollouts: BTreeMap<RolloutId, OfRollout>,
    lost: Vec<Lost>,
    /// How often segments were written again: whoever reads one has to open it anew.
    generation: u64,
    /// They are being written again: nothing is taken meanwhile.
    is_changing: bool,
    /// It was found out what there is.
    is_known: bool,
}

/// What waits for one rollout.
#[derive(Debug, Default)]
struct OfRollout {
    /// How many records each segment has.
    segments: BTreeMap<u64, u64>,
    /// Behind the last one that was taken.
    taken: Position,
    /// Taken, and not finished yet.
    in_hand: u64,
    /// The numbers of those that were taken and not written down yet as finished, and what is behind each.
    unsaved: VecDeque<(u64, Position)>,
    /// What is before it is not needed any more.
    saved: Position,
    /// The rollout goes on: it gets more.
    is_open: bool,
    /// It is over: all that it has is to go.
    is_over: bool,
    /// The highest number that it had when the server was started.
    highest: Option<u64>,
}

/// A place between two records of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) segment: u64,
    /// How many records of the segment are before it.
    pub(super) index: u64,
}

/// Requests that were to be run later and will not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The rollout that they were for.
    pub rollout: RolloutId,
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: LostBy,
}

/// Why a request that was to be run later will not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostBy {
    /// It was never written.
    Dropped(Dropped),
    /// It made room for others.
    Room,
    /// It has become too old.
    Age,
}

/// Where the next record is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) position: Position,
    pub(super) generation: u64,
}

impl Stock {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on there may be more for a rollout.
    pub(super) fn open(&self, rollout: RolloutId) {
        let mut held = self.held();
        let of_rollout = held.rollouts.entry(rollout).or_default();
        (of_rollout.is_open, of_rollout.is_over) = (true, false);
    }

    /// Whether there may be more for it.
    pub(super) fn is_open(&self, rollout: RolloutId) -> bool {
        self.held().rollouts.get(&rollout).is_some_and(|of_rollout| of_rollout.is_open)
    }

    /// It is over: all that it has is to go.
    pub(super) fn close(&self, rollout: RolloutId) {
        if let Some(of_rollout) = self.held().rollouts.get_mut(&rollout) {
            (of_rollout.is_open, of_rollout.is_over) = (false, true);
        }
    }

    /// Whether it was found out what there is.
    pub(super) fn is_known(&self) -> bool {
        self.held().is_known
    }

    /// The highest number that it had when the server was started.
    pub(super) fn highest(&self, rollout: RolloutId) -> Option<u64> {
        self.held().rollouts.get(&rollout)?.highest
    }

    pub(super) fn had(&self, rollout: RolloutId, highest: u64) {
        self.held().rollouts.entry(rollout).or_default().highest = Some(highest);
    }

    /// How many wait.
    pub(super) fn waiting(&self, rollout: RolloutId) -> u64 {
        self.held().rollouts.get(&rollout).map_or(0, OfRollout::waiting)
    }

    /// Where the next one is, where there is one and it may be taken.
    pub(super) fn next(&self, rollout: RolloutId) -> Option<Next> {
        let held = self.held();
        let of_rollout = held.rollouts.get(&rollout).filter(|_| !held.is_changing)?;
        let position = of_rollout.from(of_rollout.taken)?;
        Some(Next { position, generation: held.generation })
    }

    /// Where the one behind it is.
    pub(super) fn following(&self, rollout: RolloutId, next: Next) -> Option<Next> {
        let position = self.held().rollouts.get(&rollout)?.from(next.position.behind())?;
        Some(Next { position, ..next })
    }

    /// Takes it, once it was read; false where it is not there any more. None of what is in it is needed where it has
    /// no number.
    pub(super) fn take(&self, rollout: RolloutId, next: Next, number: Option<u64>) -> bool {
        let mut held = self.held();
        let is_there = held.generation == next.generation && !held.is_changing;
        let Some(of_rollout) = held.rollouts.get_mut(&rollout).filter(|_| is_there) else {
            return false;
        };
        of_rollout.taken = next.position.behind();
        if let Some(number) = number {
            of_rollout.in_hand += 1;
            of_rollout.unsaved.push_back((number, of_rollout.taken));
        }
        true
    }

    /// Passes over all that is before a place, because it was finished before a restart.
    pub(super) fn resume(&self, rollout: RolloutId, place: Position) {
        if let Some(of_rollout) = self.held().rollouts.get_mut(&rollout) {
            (of_rollout.taken, of_rollout.saved) = (place, place);
        }
    }

    /// One that was taken is finished.
    pub(super) fn finished(&self, rollout: RolloutId) {
        if let Some(of_rollout) = self.held().rollouts.get_mut(&rollout) {
            of_rollout.in_hand = of_rollout.in_hand.saturating_sub(1);
        }
    }

    /// What came of all up to the one with this number is written down.
    pub(super) fn saved(&self, rollout: RolloutId, number: u64) {
        let mut held = self.held();
        let Some(of_rollout) = held.rollouts.get_mut(&rollout) else { return };
        let place = of_rollout.unsaved.iter().position(|(taken, _)| *taken == number);
        for (_, behind) in of_rollout.unsaved.drain(..place.map_or(0, |place| place + 1)) {
            of_rollout.saved = behind;
        }
    }

    /// So many are lost.
    pub(super) fn lost(&self, rollout: RolloutId, count: u64, reason: LostBy) {
        if count > 0 {
            self.held().lost.push(Lost { rollout, count, reason });
        }
    }

    /// What was lost since the last call.
    pub(super) fn take_lost(&self) -> Vec<Lost> {
        std::mem::take(&mut self.held().lost)
    }

    /// The segments that there are now, by how many records they have.
    pub(super) fn shows(&self, segments: impl Iterator<Item = (RolloutId, u64, u64)>) {
        let mut held = self.held();
        held.is_known = true;
        held.rollouts.values_mut().for_each(|of_rollout| of_rollout.segments.clear());
        for (rollout, number, records) in segments {
            held.rollouts.entry(rollout).or_default().segments.insert(number, records);
        }
        held.rollouts.retain(|_, it| !(it.is_over && it.segments.is_empty()));
    }

    /// Up to where records were taken.
    pub(super) fn taken(&self) -> BTreeMap<RolloutId, Position> {
        let held = self.held();
        held.rollouts.iter().map(|(rollout, it)| (*rollout, it.taken)).collect()
    }

    /// Whether any segment may not be needed any more.
    pub(super) fn has_orders(&self) -> bool {
        let held = self.held();
        held.rollouts.values().any(|of_rollout| {
            let is_done = |(number, records): (&u64, &u64)| of_rollout.is_done(*number, *records);
            of_rollout.is_over || of_rollout.segments.iter().any(is_done)
        })
    }

    /// Whether a segment is not needed any more.
    pub(super) fn is_done_with(&self, rollout: RolloutId, number: u64, records: u64) -> bool {
        let held = self.held();
        held.rollouts.get(&rollout).is_some_and(|of_rollout| of_rollout.is_done(number, records))
    }

    /// Segments are written again: nothing is taken until that is over.
    pub(super) fn begin_change(&self) {
        self.held().is_changing = true;
    }

    /// They are; records that had been taken are not in them any more.
    pub(super) fn end_change(&self, taken: &BTreeMap<RolloutId, Position>) {
        let mut held = self.held();
        held.is_changing = false;
        held.generation += 1;
        for (rollout, of_rollout) in &mut held.rollouts {
            if let Some(taken) = taken.get(rollout) {
                (of_rollout.taken, of_rollout.saved) = (*taken, *taken);
                of_rollout.unsaved.clear();
            }
        }
    }
}

impl Position {
    /// Behind the record that is there.
    pub(super) fn behind(self) -> Self {
        Self { index: self.index + 1, ..self }
    }
}

impl OfRollout {
    fn is_done(&self, segment: u64, records: u64) -> bool {
        let Position { segment: saved, index } = self.saved;
        self.is_over || segment < saved || segment == saved && records <= index
    }

    /// The place of the first one that is not before a place.
    fn from(&self, place: Position) -> Option<Position> {
        if self.is_over {
            return None;
        }
        let rest = self.segments.range(place.segment..);
        let mut places = rest.map(|(segment, records)| {
            let is_begun = *segment == place.segment;
            let index = if is_begun { place.index } else { 0 };
            (Position { segment: *segment, index }, *records)
        });
        places.find(|(place, records)| place.index < *records).map(|(place, _)| place)
    }

    fn waiting(&self) -> u64 {
        if self.is_over {
            return 0;
        }
        let rest = self.segments.range(self.taken.segment..);
        let left = rest.map(|(segment, records)| match *segment == self.taken.segment {
            true => records.saturating_sub(self.taken.index),
            false => *records,
        });
        left.sum::<u64>() + self.in_hand
    }
}
