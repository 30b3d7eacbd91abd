//! Outputs that give a probability to each class.

use serde::{Deserialize, Serialize};

use super::chance::Chance;
use super::classes::ClassNames;
use super::differences::{Allowed, Differences, RowDifference};
use super::labels::Choices;
use super::opinion::{Opinion, Room, TOP, class, divergence, most_likely};
use super::outcome::{Outlier, RowsSeen};
use super::pair::{Arm, Metric};
use super::report::{Count, MarginReport, Mean, Metrics, Quantiles};
use super::reservoir::Reservoir;
use super::rows::Rows;
use super::sketch::{Moments, Sketch};

/// From which lead over its second class on stable was sure of its first.
const CONFIDENT: f64 = 0.2;

/// How many ranges of stable's lead are told apart.
const MARGINS: usize = 10;

/// Probabilities of classes, row by row.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Probabilities {
    choices: Choices,
    confident_flips: u64,
    differences: Differences,
    /// Rows and flips, by stable's lead.
    margins: [(u64, u64); MARGINS],
    confidence_shift: Moments,
    divergence: Sketch,
    /// By how many of the five most likely classes both have.
    common: [u64; TOP + 1],
    scatter: Reservoir,
}

impl Probabilities {
    pub(super) fn add<'a>(
        &mut self,
        rows: &Rows<'a>,
        allowed: Allowed<'_>,
        chance: &mut Chance,
    ) -> RowsSeen<'a> {
        let mut seen = RowsSeen::with_room_for(rows.count());
        let mut room = Room::default();
        for row in 0..rows.count() {
            let difference = RowDifference::of(rows, row, allowed);
            self.differences.add(&difference, true);
            let [stable, candidate] = room.opinions(rows, row);
            let classes = [class(stable.as_ref()), class(candidate.as_ref())];
            let differs = classes[0] != classes[1];
            self.choices.add(classes[0], classes[1]);
            seen.add(f64::from(u8::from(differs)));
            seen.classes.push(classes[0]);
            let lead = stable.as_ref().map_or(0.0, Opinion::lead);
            if differs {
                seen.offer(Outlier { metric: Metric::Flip, score: lead, row });
            } else if difference.is_beyond() {
                seen.offer(Outlier { metric: Metric::Abs, score: difference.largest(), row });
            }
            if let Some(stable) = stable {
                self.add_lead(lead, differs);
                candidate
                    .iter()
                    .for_each(|candidate| self.add_opinions(&stable, candidate, chance));
            }
        }
        seen
    }

    fn add_lead(&mut self, lead: f64, differs: bool) {
        let (rows, flips) = &mut self.margins[((lead * MARGINS as f64) as usize).min(MARGINS - 1)];
        *rows += 1;
        *flips += u64::from(differs);
        self.confident_flips += u64::from(differs && lead > CONFIDENT);
    }

    fn add_opinions(&mut self, stable: &Opinion<'_>, candidate: &Opinion<'_>, chance: &mut Chance) {
        self.confidence_shift.add(candidate.first - stable.first);
        self.divergence.add(divergence(stable.chances, candidate.chances));
        if stable.chances.len() > TOP {
            let (ours, theirs) = (most_likely(stable.chances), most_likely(candidate.chances));
            self.common[ours.iter().filter(|class| theirs.contains(class)).count()] += 1;
        }
        self.scatter.add(stable.first, candidate.first, chance);
    }

    pub(super) fn choices(&self) -> &Choices {
        &self.choices
    }

    pub(super) fn choices_mut(&mut self) -> &mut Choices {
        &mut self.choices
    }

    pub(super) fn merge(&mut self, other: &Self, chance: &mut Chance) {
        self.choices.merge(&other.choices);
        self.confident_flips += other.confident_flips;
        self.differences.merge(&other.differences);
        for (ours, theirs) in self.margins.iter_mut().zip(other.margins) {
            *ours = (ours.0 + theirs.0, ours.1 + theirs.1);
        }
        self.confidence_shift.merge(&other.confidence_shift);
        self.divergence.merge(&other.divergence);
        self.common.iter_mut().zip(other.common).for_each(|(ours, theirs)| *ours += theirs);
        self.scatter.merge(&other.scatter, chance);
    }

    pub(super) fn report(&self) -> Metrics {
        Metrics {
            flips: self.choices.report().flips,
            confident_flips: Some(Count { k: self.confident_flips }),
            top5_overlap: self.overlap(),
            js: self.divergence.quantile(0.5).map(|p50| Quantiles {
                p50: Some(p50),
                p99: self.divergence.quantile(0.99),
                ..Quantiles::default()
            }),
            confidence_shift: self.confidence_shift.mean().map(|mean| Mean { mean }),
            ..self.differences.report()
        }
    }

    /// The Jaccard index of the lists of the five most likely classes.
    fn overlap(&self) -> Option<Quantiles> {
        let index = |common: usize| common as f64 / (2 * TOP - common) as f64;
        let rows: u64 = self.common.iter().sum();
        let quantile = |share: f64| {
            let rank = (share * (rows - 1) as f64) as u64;
            let mut below = 0;
            let is_reached = |common: &usize| {
                below += self.common[*common];
                below > rank
            };
            (0..=TOP).find(is_reached).map(index)
        };
        let sum: f64 = self.common.iter().zip(0..).map(|(rows, k)| *rows as f64 * index(k)).sum();
        (rows > 0).then(|| Quantiles {
            p1: quantile(0.01),
            p50: quantile(0.5),
            mean: Some(sum / rows as f64),
            ..Quantiles::default()
        })
    }

    pub(super) fn margins(&self) -> Vec<MarginReport> {
        let ends = (1..=MARGINS).map(|end| end as f64 / MARGINS as f64);
        let margins = ends.zip(self.margins).map(|(up_to, (n, k))| MarginReport { up_to, n, k });
        margins.collect()
    }

    pub(super) fn scatter(&self) -> &Reservoir {
        &self.scatter
    }

    /// The distribution of the rows' largest differences.
    pub(super) fn largest_of_rows(&self) -> Sketch {
        self.differences.largest_of_rows()
    }
}

/// The class of one side in one row, and how sure it is: `versicolor (0.91)`.
pub(super) fn shown(rows: &Rows<'_>, side: Arm, row: usize, names: &ClassNames) -> String {
    let mut room = Room::default();
    let [stable, candidate] = room.opinions(rows, row);
    let opinion = match side {
        Arm::Stable => stable,
        Arm::Candidate => candidate,
    };
    let name = names.name(class(opinion.as_ref()));
    opinion.map_or(name.clone(), |opinion| format!("{name} ({:.2})", opinion.first))
}

/// The share of rows with another most likely class.
pub(super) fn disagreement(rows: &Rows<'_>) -> f64 {
    let mut room = Room::default();
    let flips = (0..rows.count()).filter(|&row| {
        let [a, b] = room.opinions(rows, row);
        class(a.as_ref()) != class(b.as_ref())
    });
    flips.count() as f64 / rows.count().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::super::tensor::{Elements, Tensor};
    use super::super::report::Share;
    use super::super::rule::Tolerance;
    use super::*;

    /// Runs an expression with rows of so many columns.
    fn with_rows<T>(
        columns: usize,
        stable: &[f64],
        candidate: &[f64],
        act: impl Fn(&Rows<'_>) -> T,
    ) -> T {
        let tensor = |numbers: &[f64]| {
            let shape = vec![numbers.len() / columns, columns];
            Tensor::new(shape, Elements::F64(numbers.to_vec())).unwrap()
        };
        let (stable, candidate) = (tensor(stable), tensor(candidate));
        act(&Rows::of_tensors(stable.view(), candidate.view()).unwrap())
    }

    fn observed(
        columns: usize,
        stable: &[f64],
        candidate: &[f64],
    ) -> (Probabilities, Vec<f64>, Option<Outlier>) {
        let tolerance = Tolerance { absolute: 1e-5, relative: 1e-3 };
        with_rows(columns, stable, candidate, |rows| {
            let mut probabilities = Probabilities::default();
            let allowed = Allowed { tolerance, scale: &[] };
            let seen = probabilities.add(rows, allowed, &mut Chance::new(1));
            assert_eq!(seen.share(), disagreement(rows));
            (probabilities, seen.differ, seen.outlier)
        })
    }

    #[track_caller]
    fn assert_close(value: Option<f64>, expected: f64) {
        let value = value.expect("nothing to compare");
        assert!((value - expected).abs() <= 0.011 * expected.abs(), "{value}, expected {expected}");
    }

    #[test]
    fn a_flip_is_another_arg_max() {
        let stable = [0.9, 0.1, 0.0, 0.4, 0.35, 0.25, 0.2, 0.3, 0.5];
        let candidate = [0.3, 0.7, 0.0, 0.35, 0.4, 0.25, 0.2, 0.2, 0.6];
        let (probabilities, differ, outlier) = observed(3, &stable, &candidate);
        assert_eq!(differ, [1.0, 1.0, 0.0]);
        let metrics = probabilities.report();
        assert_eq!(metrics.flips, Share::of(3, 2));
        assert_eq!(metrics.confident_flips, Some(Count { k: 1 }), "0.8 ahead, not 0.05");
        assert_close(metrics.max_abs, 0.6);
        assert_close(metrics.mean_abs, 1.5 / 9.0);
        assert_close(metrics.confidence_shift.map(|shift| shift.mean), (-0.2 + 0.0 + 0.1) / 3.0);
        assert_eq!(metrics.within_tolerance, Share::of(9, 3));
        assert_eq!(metrics.top5_overlap, None, "there are only three");
        let Some(Outlier { metric: Metric::Flip, score, row: 0 }) = outlier else { panic!() };
        assert_close(Some(score), 0.8);
        let margins = probabilities.margins();
        assert_eq!((margins[0].n, margins[0].k), (1, 1));
        assert_eq!((margins[2].n, margins[2].k), (1, 0), "a lead of 0.2");
        assert_eq!((margins[8].n, margins[8].k), (1, 1), "a lead of 0.8");
    }

    #[test]
    fn the_lists_of_five_are_held_against_each_other() {
        let stable = [0.3, 0.2, 0.15, 0.1, 0.1, 0.08, 0.07];
        let candidate = [0.3, 0.2, 0.15, 0.1, 0.07, 0.08, 0.1];
        let (probabilities, ..) = observed(7, &stable, &candidate);
        let overlap = probabilities.report().top5_overlap.unwrap();
        assert_close(overlap.p50, 4.0 / 6.0);
        assert_close(overlap.mean, 4.0 / 6.0);
    }

    #[test]
    fn logits_are_taken_for_logarithms_of_probabilities() {
        let (probabilities, differ, outlier) =
            observed(2, &[-700.0, 900.0], &[f64::NEG_INFINITY, 3.0]);
        assert_eq!((differ, probabilities.margins()[9].n), (vec![0.0], 1));
        assert_eq!(outlier.map(|outlier| outlier.metric), Some(Metric::Abs));
    }

    #[test]
    fn a_single_number_is_the_probability_of_the_second_class() {
        let (probabilities, differ, _) = observed(1, &[0.2, 0.9], &[0.6, 0.8]);
        assert_eq!(differ, [1.0, 0.0]);
        assert_eq!(probabilities.margins()[6].n, 1, "0.2 is 0.8 against it");
    }

    #[test]
    fn nan_is_a_class_of_its_own() {
        let (_, differ, _) =
            observed(2, &[f64::NAN, 0.5, 0.5, 0.5], &[f64::NAN, 0.1, f64::NAN, 1.0]);
        assert_eq!(differ, [0.0, 1.0]);
    }

    #[test]
    fn a_class_is_shown_with_its_probability() {
        let names = ClassNames(vec!["setosa".to_owned(), "versicolor".to_owned()]);
        let told = |side| {
            with_rows(2, &[0.09, 0.91], &[0.5, f64::NAN], |rows| shown(rows, side, 0, &names))
        };
        assert_eq!(told(Arm::Stable), "versicolor (0.91)");
        assert_eq!(told(Arm::Candidate), "NaN");
    }
}
