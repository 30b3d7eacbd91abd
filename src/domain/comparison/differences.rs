//! How numbers differ: of one row, and summed up over a rollout.

use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::report::{Metrics, NotFinite, Quantiles, Share};
use super::rows::{Number, Rows, on_row};
use super::rule::Tolerance;
use super::sketch::{Moments, SignedSketch, Sketch, bounded};

/// What counts as equal in each column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed<'s> {
    pub(super) tolerance: Tolerance,
    /// A difference that is always equal, by column, where one was learned; the last one holds for all that follow.
    pub(super) scale: &'s [f64],
}

impl Allowed<'_> {
    fn at(&self, column: usize, stable: f64) -> f64 {
        let scale = self.scale.get(column).or(self.scale.last());
        self.tolerance.around(stable).max(scale.copied().unwrap_or(0.0))
    }
}

/// How one row of numbers differs from stable's. Where stable and candidate both have NaN, or the same infinity, they
/// are equal; where only one has, they differ by no number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RowDifference {
    elements: u64,
    /// Elements that are not equal by the tolerance.
    beyond: u64,
    /// Of those, the ones that are not a number on one side or on both.
    unlike: u64,
    /// Elements that are no finite number, stable's and the candidate's.
    not_finite: [u64; 2],
    /// Of the elements that are finite on both sides: how many, and sums of the differences.
    numbers: u64,
    sum: f64,
    squares: f64,
    sizes: f64,
    /// The difference that is largest in size, with its sign.
    largest: f64,
    largest_relative: f64,
    /// Sums of the products: stable's with itself, the candidate's with itself, each with the other.
    products: [f64; 3],
}

impl RowDifference {
    /// Compares one row.
    pub(super) fn of(rows: &Rows<'_>, row: usize, allowed: Allowed<'_>) -> Self {
        on_row!(
            rows,
            row,
            |stable, candidate| Self::of_numbers(stable, candidate, allowed),
            |stable, candidate| {
                let beyond = stable.iter().zip(candidate).filter(|(a, b)| a != b).count() as u64;
                Self { elements: stable.len() as u64, beyond, unlike: beyond, ..Self::default() }
            }
        )
    }

    fn of_numbers<T: Number>(
        stable: ArrayView1<'_, T>,
        candidate: ArrayView1<'_, T>,
        allowed: Allowed<'_>,
    ) -> Self {
        let mut row = Self { elements: stable.len() as u64, ..Self::default() };
        for (column, (stable, candidate)) in stable.iter().zip(candidate).enumerate() {
            let (a, b) = (stable.real(), candidate.real());
            if a.is_finite() && b.is_finite() {
                let difference = bounded(candidate.minus(*stable));
                row.beyond += u64::from(difference.abs() > allowed.at(column, a));
                row.add(a, b, difference);
            } else {
                let is_same = a == b || a.is_nan() && b.is_nan();
                row.beyond += u64::from(!is_same);
                row.unlike += u64::from(!is_same);
                row.not_finite[0] += u64::from(!a.is_finite());
                row.not_finite[1] += u64::from(!b.is_finite());
            }
        }
        row
    }

    fn add(&mut self, stable: f64, candidate: f64, difference: f64) {
        let size = difference.abs();
        self.numbers += 1;
        self.sum += difference;
        self.squares += difference * difference;
        self.sizes += size;
        if size > self.largest.abs() {
            self.largest = difference;
        }
        if stable != 0.0 {
            self.largest_relative = self.largest_relative.max(bounded(size / stable.abs()));
        }
        let (stable, candidate) = (bounded(stable), bounded(candidate));
        self.products[0] += stable * stable;
        self.products[1] += candidate * candidate;
        self.products[2] += stable * candidate;
    }

    /// Whether any element is not equal.
    pub(super) fn is_beyond(&self) -> bool {
        self.beyond > 0
    }

    /// The size of the largest difference.
    pub(super) fn largest(&self) -> f64 {
        self.largest.abs()
    }

    /// How far the directions are apart, from 0 to 1: `(1 − cos) / 2`. Nothing has the direction of nothing, and is
    /// at a right angle to everything else.
    pub(super) fn distance(&self) -> f64 {
        let [stable, candidate, both] = self.products;
        if self.unlike > 0 {
            return 1.0;
        }
        match (stable > 0.0, candidate > 0.0) {
            (true, true) => {
                let cosine = both / (stable.sqrt() * candidate.sqrt());
                (1.0 - cosine.clamp(-1.0, 1.0)) / 2.0
            }
            (false, false) => 0.0,
            (true, false) | (false, true) => 0.5,
        }
    }

    /// The length of the difference, in lengths of stable's row.
    pub(super) fn relative_length(&self) -> Option<f64> {
        let stable = self.products[0];
        (stable > 0.0).then(|| self.squares.sqrt() / stable.sqrt())
    }
}

/// Differences of numbers, summed up.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Differences {
    /// Elements that were held against a tolerance, and those within it.
    held: u64,
    within: u64,
    not_finite: [u64; 2],
    signed: Moments,
    sizes: f64,
    largest: f64,
    largest_relative: f64,
    /// Of each row the largest difference.
    rows: SignedSketch,
}

impl Differences {
    /// Adds a row; whether it is within the tolerance counts only where there is one.
    pub(super) fn add(&mut self, row: &RowDifference, has_tolerance: bool) {
        if has_tolerance {
            self.held += row.elements;
            self.within += row.elements - row.beyond;
        }
        self.not_finite[0] += row.not_finite[0];
        self.not_finite[1] += row.not_finite[1];
        if row.numbers == 0 {
            return;
        }
        self.signed.merge(&Moments::of_sums(row.numbers, row.sum, row.squares));
        self.sizes = bounded(self.sizes + row.sizes);
        self.largest = self.largest.max(row.largest());
        self.largest_relative = self.largest_relative.max(row.largest_relative);
        self.rows.add(row.largest);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.held += other.held;
        self.within += other.within;
        self.not_finite[0] += other.not_finite[0];
        self.not_finite[1] += other.not_finite[1];
        self.signed.merge(&other.signed);
        self.sizes = bounded(self.sizes + other.sizes);
        self.largest = self.largest.max(other.largest);
        self.largest_relative = self.largest_relative.max(other.largest_relative);
        self.rows.merge(&other.rows);
    }

    /// The distribution of the rows' largest differences.
    pub(super) fn largest_of_rows(&self) -> Sketch {
        self.rows.sizes()
    }

    /// What is told of all kinds that have numbers.
    pub(super) fn report(&self) -> Metrics {
        let [stable, candidate] = self.not_finite;
        let has_numbers = self.signed.mean().is_some();
        Metrics {
            within_tolerance: Share::of(self.held, self.within),
            max_abs: has_numbers.then_some(self.largest),
            mean_abs: has_numbers.then(|| self.sizes / self.signed.count() as f64),
            abs: Quantiles::upper(&self.largest_of_rows()),
            nan: Some(NotFinite { stable, candidate }),
            ..Metrics::default()
        }
    }

    /// The same, with what only numbers that are answers in themselves have.
    pub(super) fn report_of_answers(&self) -> Metrics {
        Metrics {
            max_rel: self.signed.mean().map(|_| self.largest_relative),
            bias: self.signed.mean(),
            rmse: self.signed.root_mean_square(),
            ..self.report()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tensor::{Elements, Tensor};
    use super::*;

    const CLOSE: Allowed<'_> =
        Allowed { tolerance: Tolerance { absolute: 1e-5, relative: 1e-3 }, scale: &[] };

    fn row(stable: Vec<f64>, candidate: Vec<f64>) -> RowDifference {
        let tensor = |numbers: Vec<f64>| {
            Tensor::new(vec![1, numbers.len()], Elements::F64(numbers)).unwrap()
        };
        let (stable, candidate) = (tensor(stable), tensor(candidate));
        RowDifference::of(&Rows::of_tensors(stable.view(), candidate.view()).unwrap(), 0, CLOSE)
    }

    #[test]
    fn tolerance_is_measured_from_stable() {
        // 0.1 is within 1e-3 of 100.1, not of 100.
        assert!(!row(vec![100.1], vec![100.0]).is_beyond());
        assert!(row(vec![99.8], vec![99.9]).is_beyond());
        assert!(!row(vec![0.0], vec![9e-6]).is_beyond());
    }

    #[test]
    fn sums_are_those_of_the_textbook() {
        let mut sums = Differences::default();
        sums.add(&row(vec![1.0, 4.0], vec![2.0, 1.0]), true);
        sums.add(&row(vec![10.0, f64::NAN], vec![10.0, 1.0]), true);
        let metrics = sums.report_of_answers();
        // Differences 1, −3, 0.
        assert_eq!(metrics.within_tolerance, Share::of(4, 1));
        assert_eq!(metrics.max_abs, Some(3.0));
        assert!((metrics.mean_abs.unwrap() - 4.0 / 3.0).abs() < 1e-12);
        assert_eq!(metrics.max_rel, Some(1.0));
        assert!((metrics.bias.unwrap() + 2.0 / 3.0).abs() < 1e-12);
        assert!((metrics.rmse.unwrap() - (10.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(metrics.nan, Some(NotFinite { stable: 1, candidate: 0 }));
    }

    #[test]
    fn directions_are_apart_by_half_of_one_minus_the_cosine() {
        assert!(row(vec![1.0, 2.0], vec![10.0, 20.0]).distance() < 1e-15);
        assert!((row(vec![1.0, 0.0], vec![0.0, 3.0]).distance() - 0.5).abs() < 1e-15);
        assert!((row(vec![1.0, 0.0], vec![-2.0, 0.0]).distance() - 1.0).abs() < 1e-15);
        assert_eq!(row(vec![0.0, 0.0], vec![0.0, 0.0]).distance(), 0.0);
        assert_eq!(row(vec![0.0, 0.0], vec![0.0, 1.0]).distance(), 0.5);
        assert_eq!(row(vec![1.0, 1.0], vec![1.0, f64::NAN]).distance(), 1.0);
        assert_eq!(row(vec![3.0, 4.0], vec![3.0, 9.0]).relative_length(), Some(1.0));
    }

    #[test]
    fn what_is_not_finite_is_equal_only_to_its_like() {
        let infinite = f64::INFINITY;
        assert!(!row(vec![f64::NAN, infinite], vec![f64::NAN, infinite]).is_beyond());
        assert!(row(vec![infinite], vec![-infinite]).is_beyond());
        assert!(row(vec![f64::NAN], vec![infinite]).is_beyond());
    }

    #[test]
    fn the_largest_numbers_stay_finite() {
        let mut sums = Differences::default();
        (0..10).for_each(|_| sums.add(&row(vec![f64::MAX], vec![f64::MIN]), true));
        let metrics = sums.report_of_answers();
        let all = [metrics.max_abs, metrics.mean_abs, metrics.max_rel, metrics.bias, metrics.rmse];
        assert!(all.iter().all(|metric| metric.unwrap().is_finite()), "{all:?}");
    }
}
