//! Between what the share of something lies, at any time: the shares that no gambler has refuted.

use super::mixture::{Bet, evenly, less_often_than, likelihood_ratio, log_value};

/// The chance that the true share is ever outside, on either side.
const MISS: f64 = 0.05 / 2.0;

/// Guesses of how many times the share in question the true one is. Finer than those that take a candidate back,
/// which has to be much worse: these narrow an interval down however many pairs there are.
const MULTIPLES: [f64; 8] = [1.03, 1.07, 1.15, 1.33, 2.0, 4.0, 10.0, 100.0];

/// Steps after which an end is as exact as the numbers allow. Far fewer do.
const STEPS: usize = 120;

/// An end is known when it is known to this share of itself.
const EXACT: f64 = 1e-13;

/// The 95 % confidence sequence of a share after `hits` of `cases`: with that chance the true share is in all the
/// intervals that will ever be shown. It may change with time, as long as it stays on the same side of the ends.
pub(super) fn interval(cases: f64, hits: f64) -> Option<[f64; 2]> {
    if cases <= 0.0 {
        return None;
    }
    let (seen, bar) = ((hits / cases).clamp(0.0, 1.0), (1.0 / MISS).ln());
    // About as far away as if chance were normal; both fortunes are monotonic on the way to the end.
    let stride = (2.0 * bar * seen * (1.0 - seen) / cases).sqrt() + bar / cases;
    let way_to = |end| Way { from: seen, stride, end };
    let lowest = way_to(0.0).first_refuted(|share| log_value(&above(share, cases, hits)) - bar);
    let highest =
        way_to(1.0).first_refuted(|share| log_value(&less_often_than(share, cases, hits)) - bar);
    Some([lowest, highest])
}

/// Against "at most this share", which must be above 0.
fn above(share: f64, cases: f64, hits: f64) -> [Bet; 8] {
    let guess = |multiple: f64| (share * multiple).min(f64::midpoint(share, 1.0));
    evenly(MULTIPLES, |multiple| likelihood_ratio(hits, cases - hits, guess(multiple), share))
}

/// Where the first value that is refuted is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// What is likely not refuted.
    pub(super) from: f64,
    /// About how far it is from there.
    pub(super) stride: f64,
    /// Nothing is claimed of what lies behind: this counts as refuted.
    pub(super) end: f64,
}

impl Way {
    /// The first value that is refuted: `beyond` grows on the way, and from there on it is not negative.
    pub(super) fn first_refuted(self, beyond: impl Fn(f64) -> f64) -> f64 {
        let from = (self.from, beyond(self.from));
        if from.1 >= 0.0 {
            return self.from;
        }
        match self.bracket(from, &beyond) {
            Some((open, refuted)) => narrowed(open, refuted, &beyond),
            None => self.end,
        }
    }

    /// Two values with the first refuted one in between, and what `beyond` is there: in strides that double, and leave less
    /// and less before the end. None where all is open.
    fn bracket(
        self,
        mut open: (f64, f64),
        beyond: &impl Fn(f64) -> f64,
    ) -> Option<((f64, f64), (f64, f64))> {
        let (mut stride, mut left) = (self.stride, 0.5);
        loop {
            let rest = self.end - open.0;
            let mut next = open.0 + stride.copysign(rest);
            stride *= 2.0;
            if (next - open.0).abs() >= rest.abs() {
                next = self.end - left * rest;
                left *= left;
            }
            if (self.end - next).abs() <= EXACT * self.from.abs() {
                return None;
            }
            let value = beyond(next);
            if value >= 0.0 {
                return Some((open, (next, value)));
            }
            open = (next, value);
        }
    }
}

/// Follows the line through both ends, with an end that stays drawn closer (Dowell and Jarratt 1971), and halves now and
/// then, as the line is of no use where the value bends much.
fn narrowed(mut open: (f64, f64), mut refuted: (f64, f64), beyond: &impl Fn(f64) -> f64) -> f64 {
    let mut moved_refuted = None;
    for step in 1..STEPS {
        let middle = f64::midpoint(open.0, refuted.0);
        let width = (open.0 - refuted.0).abs();
        if width <= EXACT * middle.abs() || middle == open.0 || middle == refuted.0 {
            break;
        }
        let on_line = open.0 + (refuted.0 - open.0) * open.1 / (open.1 - refuted.1);
        let next = if step % 3 == 0 || !on_line.is_finite() {
            middle
        } else {
            // Just beside an end, so that the other one follows when this one is as good as exact.
            let beside = EXACT / 4.0 * middle.abs();
            let (low, high) = (open.0.min(refuted.0), open.0.max(refuted.0));
            on_line.max(low + beside).min(high - beside)
        };
        let value = beyond(next);
        let is_refuted = value >= 0.0;
        let (moves, stays) =
            if is_refuted { (&mut refuted, &mut open) } else { (&mut open, &mut refuted) };
        *moves = (next, value);
        if moved_refuted == Some(is_refuted) {
            stays.1 /= 2.0;
        }
        moved_refuted = Some(is_refuted);
    }
    refuted.0
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
    fn an_end_is_found_in_a_few_steps() {
        let steps = std::cell::Cell::new(0);
        let way = |stride| Way { from: 0.0, stride, end: 1.0 };
        for root in [1e-9, 0.003, 0.4, 0.999] {
            steps.set(0);
            let found = way(3.0 * root).first_refuted(|x: f64| {
                steps.set(steps.get() + 1);
                5000.0 * (x / root).ln().max(-700.0)
            });
            assert!((found / root - 1.0).abs() < 1e-12 && found >= root, "{found} for {root}");
            assert!(steps.get() < 30, "{} steps to {root}", steps.get());
        }
        assert_eq!(way(0.1).first_refuted(|_| -1.0), 1.0);
        assert_eq!(way(0.1).first_refuted(|_| 1.0), 0.0);
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
