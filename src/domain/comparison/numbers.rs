//! Outputs that are numbers: answers in themselves, vectors whose direction counts, or anything else.

use serde::{Deserialize, Serialize};

use super::super::wording::printable;
use super::chance::Chance;
use super::differences::{Allowed, Differences, RowDifference};
use super::outcome::{Outlier, RowsSeen};
use super::pair::{Arm, Metric};
use super::report::{Ecdfs, Metrics, Quantiles};
use super::reservoir::Reservoir;
use super::rows::Rows;
use super::rule::{OutputKind, Tolerance};
use super::scale::Scale;
use super::sketch::Sketch;

/// How many numbers of a row are shown.
const SHOWN: usize = 3;

/// What numbers are measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Each number by the tolerance.
    Tolerance,
    /// Each number by the spread of stable's answers, or by the tolerance where that is larger.
    Spread,
    /// The angle to stable's vector.
    Angle,
}

/// Numbers, row by row.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Numbers {
    differences: Differences,
    scale: Scale,
    /// (1 − cos) / 2.
    distances: Sketch,
    relative_lengths: Sketch,
    scatter: Reservoir,
}

impl Numbers {
    /// Whether the measure is known.
    pub(super) fn knows(&self, measure: Measure) -> bool {
        match measure {
            Measure::Tolerance | Measure::Angle => true,
            Measure::Spread => self.scale.frozen().is_some(),
        }
    }

    fn allowed(&self, measure: Measure, tolerance: Tolerance) -> Allowed<'_> {
        let scale = match measure {
            Measure::Tolerance | Measure::Angle => None,
            Measure::Spread => self.scale.frozen(),
        };
        Allowed { tolerance, scale: scale.unwrap_or(&[]) }
    }

    pub(super) fn add<'a>(
        &mut self,
        rows: &Rows<'a>,
        measure: Measure,
        tolerance: Tolerance,
        chance: &mut Chance,
    ) -> RowsSeen<'a> {
        let mut seen = RowsSeen::with_room_for(rows.count());
        let knows = self.knows(measure);
        for row in 0..rows.count() {
            let difference = RowDifference::of(rows, row, self.allowed(measure, tolerance));
            self.differences.add(&difference, knows);
            if rows.columns() > 1 {
                self.distances.add(difference.distance());
                difference.relative_length().into_iter().for_each(|l| self.relative_lengths.add(l));
            }
            let outlier = match measure {
                Measure::Tolerance | Measure::Spread => {
                    seen.add(f64::from(u8::from(difference.is_beyond())));
                    let score = difference.largest();
                    difference.is_beyond().then_some(Outlier { metric: Metric::Abs, score, row })
                }
                Measure::Angle => {
                    let score = difference.distance();
                    seen.add(score);
                    let is_beyond = score > tolerance.relative;
                    is_beyond.then_some(Outlier { metric: Metric::Cosine, score, row })
                }
            };
            outlier.into_iter().for_each(|outlier| seen.offer(outlier));
            self.sample(rows, row, measure, chance);
        }
        // Not before: what is learned from a pair must not judge it.
        if measure == Measure::Spread {
            self.scale.learn(rows);
        }
        seen
    }

    /// One number of each row may come into the scatter plot.
    fn sample(&mut self, rows: &Rows<'_>, row: usize, measure: Measure, chance: &mut Chance) {
        match measure {
            Measure::Tolerance | Measure::Spread => {
                let column = chance.below(rows.columns() as u64) as usize;
                if let Some([stable, candidate]) = rows.element(row, column) {
                    self.scatter.add(stable, candidate, chance);
                }
            }
            Measure::Angle => {}
        }
    }

    /// How much rows differ by the same measure, and the largest difference of a number.
    pub(super) fn disagreement(
        &self,
        rows: &Rows<'_>,
        measure: Measure,
        tolerance: Tolerance,
    ) -> f64 {
        let allowed = self.allowed(measure, tolerance);
        let differ = (0..rows.count()).map(|row| {
            let difference = RowDifference::of(rows, row, allowed);
            match measure {
                Measure::Tolerance | Measure::Spread => f64::from(u8::from(difference.is_beyond())),
                Measure::Angle => difference.distance(),
            }
        });
        differ.sum::<f64>() / rows.count().max(1) as f64
    }

    pub(super) fn merge(&mut self, other: &Self, chance: &mut Chance) {
        self.differences.merge(&other.differences);
        self.scale.merge(&other.scale);
        self.distances.merge(&other.distances);
        self.relative_lengths.merge(&other.relative_lengths);
        self.scatter.merge(&other.scatter, chance);
    }

    pub(super) fn report(&self, kind: OutputKind) -> Metrics {
        let metrics = match kind {
            OutputKind::Regression | OutputKind::Numeric => self.differences.report_of_answers(),
            OutputKind::Embedding | OutputKind::ClassLabel | OutputKind::ClassProbabilities => {
                self.differences.report()
            }
        };
        let cosine = |share: f64| self.distances.quantile(1.0 - share).map(|d| 1.0 - 2.0 * d);
        Metrics {
            rel_l2: Quantiles::upper(&self.relative_lengths),
            cosine: cosine(0.5).map(|p50| Quantiles {
                p1: cosine(0.01),
                p50: Some(p50),
                ..Quantiles::default()
            }),
            ..metrics
        }
    }

    pub(super) fn ecdfs(&self) -> Ecdfs {
        // From the far end on: the smallest cosine is the largest distance.
        let distances = self.distances.ecdf();
        let below = std::iter::once(0.0).chain(distances.iter().map(|point| point[1]));
        let mut cosine: Vec<_> =
            distances.iter().zip(below).map(|(d, below)| [1.0 - 2.0 * d[0], 1.0 - below]).collect();
        cosine.reverse();
        Ecdfs { abs: self.differences.largest_of_rows().ecdf(), cosine, noise: Vec::new() }
    }

    pub(super) fn scatter(&self) -> &Reservoir {
        &self.scatter
    }
}

/// The largest absolute difference of all rows.
pub(super) fn largest_difference(rows: &Rows<'_>) -> f64 {
    let allowed = Allowed { tolerance: Tolerance { absolute: 0.0, relative: 0.0 }, scale: &[] };
    let largest = (0..rows.count()).map(|row| RowDifference::of(rows, row, allowed).largest());
    largest.fold(0.0, f64::max)
}

/// The numbers of one side in one row, in short: `152.3`, `[0.1, 0.2, …]`.
pub(super) fn shown(rows: &Rows<'_>, side: Arm, row: usize) -> String {
    let elements: Vec<String> = match rows {
        Rows::Text { elements, columns, .. } => {
            let side = match side {
                Arm::Stable => elements[0],
                Arm::Candidate => elements[1],
            };
            let row = side.iter().skip(row * columns).take(SHOWN.min(*columns));
            row.map(|text| format!("\"{}\"", printable(text, 20))).collect()
        }
        Rows::Bool(_)
        | Rows::U8(_)
        | Rows::U16(_)
        | Rows::U32(_)
        | Rows::U64(_)
        | Rows::I8(_)
        | Rows::I16(_)
        | Rows::I32(_)
        | Rows::I64(_)
        | Rows::F16(_)
        | Rows::BF16(_)
        | Rows::F32(_)
        | Rows::F64(_) => rows.numbers(side, row, SHOWN).into_iter().map(number).collect(),
    };
    let more = if rows.columns() > SHOWN { ", …" } else { "" };
    match &elements[..] {
        [single] if rows.columns() == 1 => single.clone(),
        _ => format!("[{}{more}]", elements.join(", ")),
    }
}

/// A number with at most seven digits that say something, which is what single precision has.
fn number(number: f64) -> String {
    let rounded = format!("{number:.6e}").parse().unwrap_or(number);
    let is_plain = rounded == 0.0 || !rounded.is_finite() || (1e-5..1e9).contains(&rounded.abs());
    if is_plain { format!("{rounded}") } else { format!("{rounded:e}") }
}

#[cfg(test)]
mod tests {
    use super::super::super::tensor::{Elements, Tensor};
    use super::*;

    const TOLERANCE: Tolerance = Tolerance { absolute: 1e-5, relative: 1e-3 };

    fn add(
        numbers: &mut Numbers,
        measure: Measure,
        stable: &[f32],
        candidate: &[f32],
    ) -> RowsSeen<'static> {
        let tensor = |numbers: &[f32]| {
            Tensor::new(vec![1, numbers.len()], Elements::F32(numbers.to_vec())).unwrap()
        };
        let (stable, candidate) = (tensor(stable), tensor(candidate));
        let rows = Rows::of_tensors(stable.view(), candidate.view()).unwrap();
        let again = numbers.disagreement(&rows, measure, TOLERANCE);
        let RowsSeen { differ, outlier, beyond, .. } =
            numbers.add(&rows, measure, TOLERANCE, &mut Chance::new(1));
        assert_eq!(differ, [again]);
        RowsSeen { differ, outlier, beyond, classes: Vec::new() }
    }

    #[test]
    fn a_row_differs_when_one_of_its_numbers_does() {
        let mut numbers = Numbers::default();
        let seen = add(&mut numbers, Measure::Tolerance, &[1.0, 2.0], &[1.0005, 2.0]);
        assert_eq!((seen.share(), seen.outlier), (0.0, None));
        let seen = add(&mut numbers, Measure::Tolerance, &[1.0, 2.0], &[1.0, 2.5]);
        let outlier = Outlier { metric: Metric::Abs, score: 0.5, row: 0 };
        assert_eq!((seen.share(), seen.outlier), (1.0, Some(outlier)));
        let metrics = numbers.report(OutputKind::Numeric);
        assert_eq!(metrics.within_tolerance.map(|share| (share.n, share.k)), Some((4, 3)));
    }

    #[test]
    fn answers_are_measured_by_how_much_stables_vary() {
        let mut numbers = Numbers::default();
        for pair in 0..200u8 {
            let stable = f32::from(pair % 2) * 2.0; // a deviation of 1
            assert!(!numbers.knows(Measure::Spread));
            add(&mut numbers, Measure::Spread, &[stable], &[stable + 9.0]);
        }
        assert!(numbers.knows(Measure::Spread));
        assert_eq!(add(&mut numbers, Measure::Spread, &[0.0], &[0.24]).share(), 0.0);
        assert_eq!(add(&mut numbers, Measure::Spread, &[0.0], &[0.26]).share(), 1.0);
        let metrics = numbers.report(OutputKind::Regression);
        assert_eq!(metrics.within_tolerance.map(|share| (share.n, share.k)), Some((2, 1)));
    }

    #[test]
    fn vectors_are_measured_by_their_angle() {
        let mut numbers = Numbers::default();
        let seen = add(&mut numbers, Measure::Angle, &[2.0, 0.0], &[0.0, 1.0]);
        let outlier = Outlier { metric: Metric::Cosine, score: 0.5, row: 0 };
        assert_eq!((seen.share(), seen.outlier), (0.5, Some(outlier)));
        let seen = add(&mut numbers, Measure::Angle, &[2.0, 0.0], &[4.0, 0.0]);
        assert_eq!((seen.share(), seen.outlier), (0.0, None));
        let metrics = numbers.report(OutputKind::Embedding);
        let cosine = metrics.cosine.unwrap();
        assert!(cosine.p1.unwrap().abs() < 0.01 && cosine.p50 == Some(1.0), "{cosine:?}");
        assert_eq!(metrics.bias, None);
        let cosines = numbers.ecdfs().cosine;
        assert_eq!(cosines.len(), 2);
        assert!(cosines[0][0].abs() < 0.01 && cosines[0][1] == 0.5, "{cosines:?}");
        assert_eq!(cosines[1], [1.0, 1.0]);
    }

    #[test]
    fn numbers_are_shown_in_short() {
        for (value, expected) in [
            (f64::from(152.3f32), "152.3"),
            (f64::from(0.1f32), "0.1"),
            (-3.0, "-3"),
            (0.0, "0"),
            (1.25e-7, "1.25e-7"),
            (6.02e23, "6.02e23"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(value), expected);
        }
        let told = |elements: Elements| {
            let tensor = Tensor::new(vec![1, elements.len()], elements).unwrap();
            let rows = Rows::of_tensors(tensor.view(), tensor.view()).unwrap();
            shown(&rows, Arm::Candidate, 0)
        };
        assert_eq!(told(Elements::F32(vec![0.5])), "0.5");
        assert_eq!(told(Elements::F32(vec![0.1, 0.2, 0.3])), "[0.1, 0.2, 0.3]");
        assert_eq!(told(Elements::I64(vec![1, 2, 3, 4])), "[1, 2, 3, …]");
        assert_eq!(
            told(Elements::String(vec!["a\n".into(), "b".into()])),
            "[\"a\u{fffd}\", \"b\"]"
        );
    }
}
