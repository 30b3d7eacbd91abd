//! How much a version differs from itself: its live answers against another run.

use serde::{Deserialize, Serialize};

use super::numbers::largest_difference;
use super::report::NoiseReport;
use super::rows::{Number, Rows, on_row};
use super::sketch::Sketch;

/// How one live answer differs from another run of the same version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SelfDifference {
    /// From 0 to 1, by the rule of the output.
    pub(super) differs: f64,
    /// The largest difference of a number, where numbers are not the names of classes.
    pub(super) largest: Option<f64>,
    /// Whether not even a bit differs.
    pub(super) is_identical: bool,
}

impl SelfDifference {
    /// `disagreement` says how much rows differ by the rule of the output; it is not asked where nothing does.
    pub(super) fn of(
        rows: &Rows<'_>,
        has_numbers: bool,
        disagreement: impl FnOnce(&Rows<'_>) -> f64,
    ) -> Self {
        let is_identical = (0..rows.count()).all(|row| {
            on_row!(rows, row, |a, b| a.iter().zip(b).all(|(a, b)| a.is_same(*b)), |a, b| a == b)
        });
        let (differs, largest) = match is_identical {
            true => (0.0, 0.0),
            false => (disagreement(rows), largest_difference(rows)),
        };
        Self { differs, largest: has_numbers.then_some(largest), is_identical }
    }

    /// Where not even type and dimensions are the same.
    pub(super) fn of_other_form() -> Self {
        Self { differs: 1.0, largest: None, is_identical: false }
    }

    /// The larger one of two outputs.
    pub(super) fn or_larger(self, other: Self) -> Self {
        Self {
            differs: self.differs.max(other.differs),
            largest: self.largest.into_iter().chain(other.largest).reduce(f64::max),
            is_identical: self.is_identical && other.is_identical,
        }
    }
}

/// The noise of one output.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct OutputNoise {
    largest: Sketch,
}

impl OutputNoise {
    pub(super) fn add(&mut self, noise: &SelfDifference) {
        noise.largest.into_iter().for_each(|largest| self.largest.add(largest));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.largest.merge(&other.largest);
    }

    pub(super) fn ecdf(&self) -> Vec<[f64; 2]> {
        self.largest.ecdf()
    }
}

/// The noise of pairs: of each the output that differs most.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Noise {
    pairs: u64,
    not_identical: u64,
    differ: f64,
    largest: Sketch,
}

impl Noise {
    pub(super) fn add(&mut self, noise: &SelfDifference) {
        self.pairs += 1;
        self.not_identical += u64::from(!noise.is_identical);
        self.differ += noise.differs;
        noise.largest.into_iter().for_each(|largest| self.largest.add(largest));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.not_identical += other.not_identical;
        self.differ += other.differ;
        self.largest.merge(&other.largest);
    }

    pub(super) fn report(&self) -> NoiseReport {
        let has_any = self.pairs > 0;
        NoiseReport {
            pairs: self.pairs,
            bit_identical: has_any.then_some(self.not_identical == 0),
            flip_rate: has_any.then(|| self.differ / self.pairs as f64),
            max_abs_p999: self.largest.quantile(0.999),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tensor::{Elements, Tensor};
    use super::*;

    fn difference(live: &[f32], rerun: &[f32], differs: f64) -> SelfDifference {
        let tensor = |numbers: &[f32]| {
            Tensor::new(vec![numbers.len()], Elements::F32(numbers.to_vec())).unwrap()
        };
        let (live, rerun) = (tensor(live), tensor(rerun));
        let rows = Rows::of_tensors(rerun.view(), live.view()).unwrap();
        SelfDifference::of(&rows, true, |_| differs)
    }

    #[test]
    fn the_same_is_the_same_to_the_last_bit() {
        assert!(difference(&[f32::NAN, 0.0], &[f32::NAN, 0.0], 0.0).is_identical);
        assert!(!difference(&[-0.0], &[0.0], 0.0).is_identical);
        let next = difference(&[1.0f32.next_up()], &[1.0], 0.0);
        assert!(!next.is_identical && next.largest > Some(0.0));
    }

    #[test]
    fn noise_is_summed_up_over_pairs() {
        let mut noise = Noise::default();
        assert_eq!(noise.report().bit_identical, None);
        noise.add(&difference(&[1.0], &[1.0], 0.0));
        assert_eq!(noise.report().bit_identical, Some(true));
        let one = difference(&[1.0], &[1.5], 0.0);
        let (two, mut more) = (difference(&[2.0], &[2.25], 1.0), Noise::default());
        more.add(&one.or_larger(two));
        noise.merge(&more);
        let report = noise.report();
        assert_eq!(
            (report.pairs, report.bit_identical, report.flip_rate),
            (2, Some(false), Some(0.5))
        );
        assert_eq!(report.max_abs_p999, Some(0.5));
    }
}
