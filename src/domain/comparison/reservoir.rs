//! A few points out of many, each with the same chance of being there.

use serde::{Deserialize, Serialize};

use super::chance::Chance;

/// How many points are kept.
const ROOM: usize = 200;

/// A uniform sample of pairs of numbers, for a scatter plot.
///
/// Reservoir sampling (Vitter, Random Sampling with a Reservoir, 1985, algorithm R). Single precision is enough to
/// draw with, and halves what is written down.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Reservoir {
    seen: u64,
    points: Vec<[f32; 2]>,
}

impl Reservoir {
    /// Takes note of a point; one that cannot be drawn is left out.
    pub(super) fn add(&mut self, stable: f64, candidate: f64, chance: &mut Chance) {
        let point = [stable as f32, candidate as f32];
        if !point.iter().all(|value| value.is_finite()) {
            return;
        }
        self.seen += 1;
        if self.points.len() < ROOM {
            self.points.push(point);
        } else if let Some(place) = self.points.get_mut(chance.below(self.seen) as usize) {
            *place = point;
        }
    }

    /// A uniform sample of what both have seen: each next point comes from either with the chance of its share in
    /// what is left.
    pub(super) fn merge(&mut self, other: &Self, chance: &mut Chance) {
        let (mut ours, mut theirs) = (std::mem::take(&mut self.points), other.points.clone());
        let (mut left, mut other_left) = (self.seen, other.seen);
        self.seen += other.seen;
        while self.points.len() < ROOM && !(ours.is_empty() && theirs.is_empty()) {
            let from_ours =
                theirs.is_empty() || !ours.is_empty() && chance.below(left + other_left) < left;
            let (from, left) =
                if from_ours { (&mut ours, &mut left) } else { (&mut theirs, &mut other_left) };
            let place = chance.below(from.len() as u64) as usize;
            self.points.push(from.swap_remove(place));
            *left -= 1;
        }
    }

    pub(super) fn points(&self) -> &[[f32; 2]] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(values: std::ops::Range<u32>, chance: &mut Chance) -> Reservoir {
        let mut reservoir = Reservoir::default();
        values.for_each(|value| reservoir.add(f64::from(value), 0.0, chance));
        reservoir
    }

    fn share_below(reservoir: &Reservoir, bound: f32) -> f64 {
        let below = reservoir.points().iter().filter(|point| point[0] < bound).count();
        below as f64 / reservoir.points().len() as f64
    }

    #[test]
    fn early_and_late_points_are_as_likely() {
        let mut chance = Chance::new(7);
        let share: f64 =
            (0..50).map(|_| share_below(&filled(0..2000, &mut chance), 1000.0)).sum::<f64>() / 50.0;
        assert!((share - 0.5).abs() < 0.02, "{share}");
        assert_eq!(filled(0..2000, &mut chance).points().len(), ROOM);
    }

    #[test]
    fn two_samples_merge_by_what_they_have_seen() {
        let mut chance = Chance::new(9);
        let share: f64 = (0..50)
            .map(|_| {
                let mut few = filled(0..500, &mut chance);
                few.merge(&filled(500..2000, &mut chance), &mut chance);
                assert_eq!((few.seen, few.points.len()), (2000, ROOM));
                share_below(&few, 500.0)
            })
            .sum::<f64>()
            / 50.0;
        assert!((share - 0.25).abs() < 0.02, "{share}");
    }

    #[test]
    fn small_samples_merge_without_loss() {
        let mut chance = Chance::new(1);
        let mut few = filled(0..30, &mut chance);
        few.merge(&filled(30..50, &mut chance), &mut chance);
        assert_eq!(few.points().len(), 50);
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let mut reservoir = Reservoir::default();
        for value in [f64::NAN, f64::INFINITY, 1e300] {
            reservoir.add(value, 0.0, &mut Chance::new(0));
        }
        assert_eq!(reservoir, Reservoir::default());
    }
}
