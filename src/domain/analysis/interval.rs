//! Between what the share of something lies, at any time: the shares that no gambler has refuted.

use super::mixture::{Bet, evenly, less_often_than, likelihood_ratio, log_value};

/// The chance that the true share is ever outside, on either side.
const MISS: f64 = 0.05 / 2.0;

/// Guesses of how many times the share in question the true one is. Finer than those that take a candidate back,
/// which has to be much worse: these narrow an interval down however many pairs there are.
const MULTIPLES: [f64; 8] = [1.03, 1.07, 1.15, 1.33, 2.0, 4.0, 10.0, 100.0];

/// Halvings until an interval is as narrow as the numbers allow.
const HALVINGS: usize = 60;

/// The 95 % confidence sequence of a share after `hits` of `cases`: with that chance the true share is in all the
/// intervals that will ever be shown. It may change with time, as long as it stays on the same side of the ends.
pub(super) fn interval(cases: f64, hits: f64) -> Option<[f64; 2]> {
    if cases <= 0.0 {
        return None;
    }
    let (seen, bar) = ((hits / cases).clamp(0.0, 1.0), (1.0 / MISS).ln());
    // Both fortunes are monotonic in the share between what was seen and the end.
    let lowest = boundary(seen, 0.0, |share| log_value(&above(share, cases, hits)) >= bar);
    let highest =
        boundary(seen, 1.0, |share| log_value(&less_often_than(share, cases, hits)) >= bar);
    Some([lowest, highest])
}

/// Against "at most this share", which must be above 0.
fn above(share: f64, cases: f64, hits: f64) -> [Bet; 8] {
    let guess = |multiple: f64| (share * multiple).min(f64::midpoint(share, 1.0));
    evenly(MULTIPLES, |multiple| likelihood_ratio(hits, cases - hits, guess(multiple), share))
}

/// The last share on the way from `seen` to `end` that is not refuted.
fn boundary(seen: f64, end: f64, is_refuted: impl Fn(f64) -> bool) -> f64 {
    let (mut open, mut refuted) = (seen, end);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(open, refuted);
        if middle == open || middle == refuted {
            break;
        }
        if is_refuted(middle) { refuted = middle } else { open = middle }
    }
    refuted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_of_what_was_not_seen() {
        assert_eq!(interval(0.0, 0.0), None);
        let [low, high] = interval(1.0, 0.0).unwrap();
        assert!(low == 0.0 && high > 0.9, "{low} to {high}");
        let [low, high] = interval(1.0, 1.0).unwrap();
        assert!(low < 0.1 && high == 1.0, "{low} to {high}");
    }

    #[test]
    fn it_is_around_what_was_seen_and_narrows() {
        for seen in [0.001, 0.02, 0.3, 0.5, 0.9, 0.999] {
            let mut before = [0.0, 1.0];
            for cases in [1e3, 1e4, 1e6, 1e9] {
                let [low, high] = interval(cases, seen * cases).unwrap();
                assert!(before[0] <= low && low < seen, "{low} for {seen} of {cases}");
                assert!(seen < high && high <= before[1], "{high} for {seen} of {cases}");
                before = [low, high];
            }
            assert!(before[1] / before[0] < 1.05, "{before:?}");
        }
    }

    #[test]
    fn its_ends_are_where_the_evidence_is() {
        let (cases, hits) = (400.0, 61.5);
        let [low, high] = interval(cases, hits).unwrap();
        for log in
            [log_value(&above(low, cases, hits)), log_value(&less_often_than(high, cases, hits))]
        {
            assert!((log - 40f64.ln()).abs() < 1e-9, "{log}");
        }
    }
}
