//! What the rows of one output of one pair show, before it is summed up or put into words.

use super::classes::ClassRef;
use super::pair::Metric;

/// The rows of one output.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RowsSeen<'a> {
    /// How much each row differs, from 0 to 1.
    pub(super) differ: Vec<f64>,
    /// The class that stable chose in each row, where the output chooses one.
    pub(super) classes: Vec<ClassRef<'a>>,
    /// What somebody should look at.
    pub(super) outlier: Option<Outlier>,
    /// How many rows are beyond the tolerance.
    pub(super) beyond: u64,
}

/// The row that is worst by some metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outlier {
    pub(super) metric: Metric,
    pub(super) score: f64,
    pub(super) row: usize,
}

impl RowsSeen<'_> {
    pub(super) fn with_room_for(rows: usize) -> Self {
        Self { differ: Vec::with_capacity(rows), ..Self::default() }
    }

    /// The next row.
    pub(super) fn add(&mut self, differs: f64) {
        self.differ.push(differs);
    }

    /// A row that is beyond the tolerance. Another class is worse than other numbers.
    pub(super) fn offer(&mut self, outlier: Outlier) {
        self.beyond += 1;
        let rank = |outlier: &Outlier| (outlier.metric == Metric::Flip, outlier.score);
        if self.outlier.as_ref().is_none_or(|worst| rank(&outlier) > rank(worst)) {
            self.outlier = Some(outlier);
        }
    }

    /// How much the pair differs: the mean of its rows.
    pub(super) fn share(&self) -> f64 {
        self.differ.iter().sum::<f64>() / self.differ.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_class_is_worse_than_any_other_number() {
        let mut seen = RowsSeen::default();
        let outlier = |metric, score, row| Outlier { metric, score, row };
        seen.offer(outlier(Metric::Abs, 9.0, 0));
        seen.offer(outlier(Metric::Flip, 0.1, 1));
        seen.offer(outlier(Metric::Flip, 0.3, 2));
        seen.offer(outlier(Metric::Flip, 0.3, 3));
        seen.offer(outlier(Metric::Abs, 99.0, 4));
        assert_eq!(seen.outlier, Some(outlier(Metric::Flip, 0.3, 2)));
        assert_eq!(seen.beyond, 5);
    }

    #[test]
    fn a_pair_differs_by_the_share_of_its_rows() {
        let mut seen = RowsSeen::with_room_for(4);
        [1.0, 0.0, 0.0, 0.5].into_iter().for_each(|differs| seen.add(differs));
        assert_eq!(seen.share(), 0.375);
        assert_eq!(RowsSeen::default().share(), 0.0);
    }
}
