//! Parts of the traffic looked at on their own, so that "fine overall, broken for class 7" can be seen.

use serde::{Deserialize, Serialize};

/// The chance that a slice is flagged wrongly, or rather the share of such flags among all.
const ALPHA: f64 = 0.05;

/// Alternatives of [`log_evidence`]: times the tolerated share, and their weights.
const RATIOS: [(f64, f64); 7] =
    [(1.5, 0.10), (2.0, 0.20), (3.0, 0.25), (5.0, 0.20), (10.0, 0.15), (30.0, 0.07), (100.0, 0.03)];

/// Upper ends of the classes by size of a request's inputs.
const SIZES: [(usize, &str); 5] = [
    (1 << 10, "input:<=1KiB"),
    (1 << 14, "input:<=16KiB"),
    (1 << 18, "input:<=256KiB"),
    (1 << 22, "input:<=4MiB"),
    (usize::MAX, "input:>4MiB"),
];

/// Upper ends of the classes by number of rows.
const ROWS: [(usize, &str); 4] =
    [(1, "rows:1"), (8, "rows:2-8"), (64, "rows:9-64"), (usize::MAX, "rows:>64")];

/// How the pairs of one slice went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Slice {
    /// How many pairs.
    pub(super) pairs: u64,
    /// The sum of how much they differ, each from 0 to 1.
    pub(super) differ: f64,
}

impl Slice {
    fn add(&mut self, differs: f64) {
        self.pairs += 1;
        self.differ += differs;
    }

    fn merge(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.differ += other.differ;
    }

    /// The share that differs.
    pub(super) fn rate(self) -> f64 {
        self.differ / self.pairs.max(1) as f64
    }
}

/// The slices by what was asked.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Slices {
    by_size: [Slice; SIZES.len()],
    by_rows: [Slice; ROWS.len()],
}

impl Slices {
    pub(super) fn add(&mut self, input_bytes: usize, rows: usize, differs: f64) {
        let place = |ends: &[(usize, &str)], value| ends.partition_point(|(end, _)| *end < value);
        self.by_size[place(&SIZES, input_bytes)].add(differs);
        self.by_rows[place(&ROWS, rows)].add(differs);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let ours = self.by_size.iter_mut().chain(&mut self.by_rows);
        let theirs = other.by_size.iter().chain(&other.by_rows);
        ours.zip(theirs).for_each(|(ours, theirs)| ours.merge(*theirs));
    }

    /// The slices that have pairs, with their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, Slice)> {
        let sizes = SIZES.iter().zip(&self.by_size);
        let all = sizes.chain(ROWS.iter().zip(&self.by_rows));
        all.map(|((_, key), slice)| (*key, *slice)).filter(|(_, slice)| slice.pairs > 0)
    }
}

/// The evidence, a natural logarithm, that more than the share `tolerated` of a slice's pairs differ.
///
/// ln Σ v_k (p_k / d)^k ((1 − p_k) / (1 − d))^(n − k) with p_k = d · r_k: a mixture of likelihood ratios, so that it may
/// be looked at after every pair (Ville's inequality).
pub(super) fn log_evidence(slice: Slice, tolerated: f64) -> f64 {
    let (pairs, differ) = (slice.pairs as f64, slice.differ);
    let logs = RATIOS.map(|(ratio, weight)| {
        let share = (tolerated * ratio).min(0.95);
        let (more, less) = (share / tolerated, (1.0 - share) / (1.0 - tolerated));
        weight.ln() + differ * more.ln() + (pairs - differ) * less.ln()
    });
    let most = logs.into_iter().fold(f64::NEG_INFINITY, f64::max);
    most + logs.map(|log| (log - most).exp()).iter().sum::<f64>().ln()
}

/// How many of the slices are flagged, given their evidence from the largest on: among those the expected share of
/// wrong ones is at most 5 %, though all of them were looked at (e-BH; Wang, Ramdas, JRSS-B 2022).
pub(super) fn flagged(sorted: &[f64]) -> usize {
    let slices = sorted.len() as f64;
    let is_enough = |rank: &usize| sorted[rank - 1] >= (slices / (ALPHA * *rank as f64)).ln();
    (1..=sorted.len()).rev().find(is_enough).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_that_of_the_reference() {
        let evidence = log_evidence(Slice { pairs: 400, differ: 8.0 }, 0.005);
        assert!((evidence - 4.202_102).abs() < 1e-6, "{evidence}");
        assert!(log_evidence(Slice { pairs: 1_000_000_000, differ: 1e9 }, 0.005).is_finite());
        assert!(log_evidence(Slice::default(), 0.1).abs() < 1e-12);
    }

    #[test]
    fn the_more_slices_stand_out_the_less_each_must() {
        // One of ten needs 10 / 0.05 = 200, each of two only 100.
        let one = |evidence: f64| [&[evidence.ln()][..], &[0.0; 9]].concat();
        assert_eq!(flagged(&one(199.0)), 0);
        assert_eq!(flagged(&one(201.0)), 1);
        let two = [&[150f64.ln(), 101f64.ln()][..], &[0.0; 8]].concat();
        assert_eq!(flagged(&two), 2);
        assert_eq!(flagged(&[]), 0);
    }

    #[test]
    fn a_pair_is_in_one_slice_by_size_and_in_one_by_rows() {
        let (mut slices, mut more) = (Slices::default(), Slices::default());
        slices.add(1024, 1, 1.0);
        slices.add(1025, 9, 0.5);
        more.add(0, 0, 0.0);
        slices.merge(&more);
        let seen: Vec<_> =
            slices.iter().map(|(key, slice)| (key, slice.pairs, slice.rate())).collect();
        assert_eq!(
            seen,
            [
                ("input:<=1KiB", 2, 0.5),
                ("input:<=16KiB", 1, 0.5),
                ("rows:1", 2, 0.5),
                ("rows:9-64", 1, 0.5),
            ]
        );
    }
}
