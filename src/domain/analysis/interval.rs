//! Between what the share of something lies, at any time: the shares that no gambler has refuted.

use super::mixture::{Bet, evenly, less_often_than, log_value, times};

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
    let log_miss = (-share).ln_1p();
    evenly(MULTIPLES, |multiple| {
        let guess = (share * multiple).min(f64::midpoint(share, 1.0));
        times(hits, (guess / share).ln()) + times(cases - hits, (-guess).ln_1p() - log_miss)
    })
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

/// Narrows it down with the parabola through the last three values, and halves where that is of no use (Chandrupatla 1997).
fn narrowed(open: (f64, f64), refuted: (f64, f64), beyond: &impl Fn(f64) -> f64) -> f64 {
    // The newest value, and the newest on the other side.
    let (mut newest, mut other) = (refuted, open);
    let mut part = 0.5;
    for _ in 0..STEPS {
        let next = newest.0 + part * (other.0 - newest.0);
        let value = (next, beyond(next));
        // The one before, which is no longer an end.
        let before = if (value.1 >= 0.0) == (newest.1 >= 0.0) {
            std::mem::replace(&mut newest, value)
        } else {
            let before = std::mem::replace(&mut other, newest);
            newest = value;
            before
        };
        let width = (other.0 - newest.0).abs();
        let exact = EXACT * newest.0.abs() / width;
        if exact >= 0.5 || width == 0.0 {
            break;
        }
        part = on_parabola(newest, other, before).unwrap_or(0.5).clamp(exact, 1.0 - exact);
    }
    if newest.1 >= 0.0 { newest.0 } else { other.0 }
}

/// Where the parabola through three values is 0, as a part of the way from the first to the second, which are on either
/// side; none where it bends too much to be believed.
fn on_parabola(newest: (f64, f64), other: (f64, f64), before: (f64, f64)) -> Option<f64> {
    let ((x1, f1), (x2, f2), (x3, f3)) = (newest, other, before);
    let (xi, phi) = ((x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2));
    let is_straight = phi * phi < xi && (1.0 - phi) * (1.0 - phi) < 1.0 - xi;
    is_straight.then(|| {
        f1 / (f2 - f1) * f3 / (f2 - f3) + (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
    })
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
            assert!(steps.get() < 20, "{} steps to {root}", steps.get());
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
