//! Distributions in bounded memory: quantiles to within 1 %, means and deviations.

use std::fmt;

use serde::{Deserialize, Serialize};
use sketches_ddsketch::DDSketch;

/// How many points an empirical distribution is drawn with.
const ECDF_POINTS: usize = 64;

/// Numbers are kept within this size, so that sums of their squares stay finite: JSON has no word for infinity.
const LARGEST: f64 = 1e140;

/// A number that can be summed up and written down.
pub(super) fn bounded(value: f64) -> f64 {
    value.clamp(-LARGEST, LARGEST)
}

/// Quantiles with a relative error of 1 %: DDSketch (Masson, Rim, Lee, VLDB 2019).
///
/// The empty one is nothing at all: the crate's has an infinite minimum, which JSON cannot hold.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Sketch(Option<Box<DDSketch>>);

impl Sketch {
    /// Takes note of a number; NaN is none.
    pub(super) fn add(&mut self, value: f64) {
        if !value.is_nan() {
            self.0.get_or_insert_default().add(bounded(value));
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            // Cannot fail: all are made with the same settings.
            (Some(ours), Some(theirs)) => drop(ours.merge(theirs)),
            (None, Some(theirs)) => self.0 = Some(theirs.clone()),
            (Some(_) | None, None) => {}
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |sketch| sketch.count())
    }

    /// The smallest number that at least this share of all does not exceed, or `None` of nothing.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let sketch = self.0.as_ref()?;
        let count = sketch.count() as f64;
        // The crate counts ranks from 0, as shares of the last one, and rounds down.
        let rank = (share * count).ceil() - 0.5;
        let value = sketch.quantile((rank / (count - 1.0).max(0.5)).clamp(0.0, 1.0)).ok()??;
        // The middle of a bin may lie beyond the extremes, which are known exactly.
        Some(value.max(sketch.min()?).min(sketch.max()?))
    }

    /// The empirical distribution: values, and the shares that are at most these.
    pub(super) fn ecdf(&self) -> Vec<[f64; 2]> {
        let steps = self.count().min(ECDF_POINTS);
        let mut points: Vec<[f64; 2]> = Vec::new();
        for step in 1..=steps {
            let share = step as f64 / steps as f64;
            let Some(value) = self.quantile(share) else { break };
            match points.last_mut() {
                Some(last) if last[0] == value => last[1] = share,
                Some(_) | None => points.push([value, share]),
            }
        }
        points
    }
}

impl fmt::Debug for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sketch({} numbers)", self.count())
    }
}

/// Signed differences: two sketches, so that their sizes have quantiles as well.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct SignedSketch {
    /// Where the candidate is above or equal.
    above: Sketch,
    /// Where it is below, by how much.
    below: Sketch,
}

impl SignedSketch {
    pub(super) fn add(&mut self, difference: f64) {
        if difference < 0.0 {
            self.below.add(-difference);
        } else {
            self.above.add(difference);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.above.merge(&other.above);
        self.below.merge(&other.below);
    }

    /// The distribution of the differences' sizes.
    pub(super) fn sizes(&self) -> Sketch {
        let mut sizes = self.above.clone();
        sizes.merge(&self.below);
        sizes
    }
}

/// Mean and spread: Welford's sums, merged by Chan's formula (Chan, Golub, LeVeque, 1979).
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Moments {
    count: u64,
    mean: f64,
    /// Squares of what is left beside the mean.
    squares: f64,
}

impl Moments {
    /// The moments of `count` numbers with this sum and this sum of squares.
    pub(super) fn of_sums(count: u64, sum: f64, squares: f64) -> Self {
        if count == 0 {
            return Self::default();
        }
        let mean = sum / count as f64;
        Self { count, mean, squares: (squares - mean * sum).max(0.0) }
    }

    /// Takes note of a number; NaN is none.
    pub(super) fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let value = bounded(value);
        self.count += 1;
        let off = value - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (value - self.mean);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        if count == 0 {
            return;
        }
        let off = other.mean - self.mean;
        let share = other.count as f64 / count as f64;
        self.mean += off * share;
        self.squares += other.squares + off * off * self.count as f64 * share;
        self.count = count;
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The standard deviation; of one number 0.
    pub(super) fn deviation(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.squares / (self.count - 1).max(1) as f64).sqrt())
    }

    /// The root of the mean of the squares.
    pub(super) fn root_mean_square(&self) -> Option<f64> {
        (self.count > 0)
            .then(|| self.mean.mul_add(self.mean, self.squares / self.count as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = f64>) -> Sketch {
        let mut sketch = Sketch::default();
        values.into_iter().for_each(|value| sketch.add(value));
        sketch
    }

    #[test]
    fn quantiles_are_within_one_per_cent() {
        let sketch = of((1..=1000).map(f64::from));
        for (share, expected) in [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let value = sketch.quantile(share).unwrap();
            assert!((value / expected - 1.0).abs() < 0.012, "{share}: {value}");
        }
        assert_eq!(Sketch::default().quantile(0.5), None);
        assert_eq!(of([0.3, 0.3]).quantile(0.5), Some(0.3), "not beyond the largest");
        for (share, expected) in [(0.0, 1.0), (0.33, 1.0), (0.34, 4.0), (0.67, 16.0), (1.0, 16.0)] {
            let value = of([1.0, 4.0, 16.0]).quantile(share).unwrap();
            assert!((value / expected - 1.0).abs() < 0.011, "{share}: {value}");
        }
    }

    #[test]
    fn a_distribution_is_drawn_with_few_points() {
        assert_eq!(of([2.0, 2.0]).ecdf(), [[2.0, 1.0]]);
        assert_eq!(of([8.0, 0.0, 0.0, 0.0]).ecdf(), [[0.0, 0.75], [8.0, 1.0]]);
        let points = of((0..5000).map(f64::from)).ecdf();
        assert!((60..=64).contains(&points.len()), "{}", points.len());
        assert!(points.windows(2).all(|two| two[0][0] < two[1][0] && two[0][1] < two[1][1]));
        assert_eq!(points[points.len() - 1], [4999.0, 1.0]);
        assert!(Sketch::default().ecdf().is_empty());
    }

    #[test]
    fn the_empty_and_the_extreme_can_be_written_and_read() {
        for sketch in [of([]), of([f64::MAX, f64::MIN, f64::INFINITY, f64::NAN, 0.0, 1e-300])] {
            let written = serde_json::to_string(&sketch).unwrap();
            let read: Sketch = serde_json::from_str(&written).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), written);
            assert_eq!(read.quantile(1.0), sketch.quantile(1.0));
        }
    }

    #[test]
    fn sizes_of_signed_differences_are_those_of_both_sides() {
        let (mut some, mut more) = (SignedSketch::default(), SignedSketch::default());
        [-4.0, -1.0].into_iter().for_each(|difference| some.add(difference));
        [2.0, 0.0].into_iter().for_each(|difference| more.add(difference));
        some.merge(&more);
        assert_eq!(some.sizes().count(), 4);
        assert_eq!(some.sizes().quantile(1.0), Some(4.0));
        assert_eq!(some.sizes().quantile(0.0), Some(0.0));
    }

    #[test]
    fn moments_are_the_textbooks_however_they_are_gathered() {
        let values = [3.0, 5.0, 7.0, 7.0, 38.0, -60.0];
        let mut one_by_one = Moments::default();
        values.into_iter().for_each(|value| one_by_one.add(value));
        let (front, back) = values.split_at(2);
        let sums = |part: &[f64]| {
            let squares = part.iter().map(|value| value * value).sum();
            Moments::of_sums(part.len() as u64, part.iter().sum(), squares)
        };
        let mut merged = sums(front);
        merged.merge(&sums(back));
        merged.merge(&Moments::default());
        for moments in [one_by_one, merged] {
            assert!(moments.mean().unwrap().abs() < 1e-12);
            // Squares: 9 + 25 + 49 + 49 + 1444 + 3600 = 5176.
            assert!((moments.deviation().unwrap() - (5176.0f64 / 5.0).sqrt()).abs() < 1e-9);
            assert!((moments.root_mean_square().unwrap() - (5176.0f64 / 6.0).sqrt()).abs() < 1e-9);
        }
        assert_eq!(Moments::default().mean(), None);
    }
}
