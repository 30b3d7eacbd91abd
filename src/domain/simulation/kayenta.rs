//! The judge of Spinnaker's Kayenta for one metric that is bad when it grows, with all its defaults.
//!
//! It compares the values of both groups, one for each minute, by the confidence interval of a Mann–Whitney test at
//! 98 %. The candidate is too high where the lower end is above a quarter of the estimated shift, and its mean is not
//! below the other's. Written after `NetflixACAJudge`, `MannWhitneyClassifier`, `MannWhitney` and `BrentSolver`, with their
//! tolerance of 0.0001, which is coarse for small values and part of how it behaves.

/// Where the normal distribution has 1 % above it.
const QUANTILE: f64 = 2.326_347_874_040_841;

/// The share of the shift that the lower end must be above.
const TOLERANCE: f64 = 0.25;

/// Where Brent's solver stops.
const ACCURACY: f64 = 1e-4;

const STEPS: u32 = 1001;

/// Whether the candidate's values are too high. Without values there is no verdict, which is as good as a pass.
pub(super) fn is_high(experiment: &[f64], control: &[f64]) -> bool {
    let (Some(experiment), Some(control)) = (Sample::of(experiment), Sample::of(control)) else {
        return false;
    };
    if experiment.sorted == control.sorted {
        return false;
    }
    let (low, high) =
        (experiment.least() - control.greatest(), experiment.greatest() - control.least());
    if low == high {
        return false; // one value everywhere
    }
    let shift = |quantile| shift(&experiment, &control, (low, high), quantile);
    // Both ends of the interval, and the estimate in the middle, are shifts after which the test comes out so.
    let Some(lower) = shift(QUANTILE).filter(|lower| *lower > 0.0) else { return false };
    let Some(estimate) = shift(0.0) else { return false };
    let (mean, other) = (experiment.mean(), control.mean());
    lower > TOLERANCE * estimate.abs() && (mean == 0.0 || other == 0.0 || mean / other >= 1.0)
}

/// The shift after which the test of the rest gives this quantile. None where all values are tied.
fn shift(
    experiment: &Sample,
    control: &Sample,
    (low, high): (f64, f64),
    quantile: f64,
) -> Option<f64> {
    let test = |shift| difference(experiment, control, shift).map(|z| z - quantile);
    let (at_low, at_high) = (test(low)?, test(high)?);
    if at_low <= 0.0 && quantile != 0.0 {
        return Some(low);
    }
    if at_high >= 0.0 && quantile != 0.0 {
        return Some(high);
    }
    brent((low, at_low), (high, at_high), test)
}

/// The values of one group, in order.
struct Sample {
    sorted: Vec<f64>,
}

impl Sample {
    fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then_some(Self { sorted })
    }

    fn least(&self) -> f64 {
        self.sorted[0]
    }

    fn greatest(&self) -> f64 {
        self.sorted[self.sorted.len() - 1]
    }

    fn mean(&self) -> f64 {
        self.sorted.iter().sum::<f64>() / self.sorted.len() as f64
    }
}

/// The Mann–Whitney statistic after the shift is taken off, as a normal number, corrected for ties and continuity. None
/// where everything is tied.
fn difference(experiment: &Sample, control: &Sample, shift: f64) -> Option<f64> {
    let (ours, theirs) = (experiment.sorted.len() as f64, control.sorted.len() as f64);
    let (mut ranks, mut ties, mut before) = (0.0, 0.0, 0.0);
    let (mut x, mut y) = (
        experiment.sorted.iter().map(|value| value - shift).peekable(),
        control.sorted.iter().copied().peekable(),
    );
    while let Some(value) = match (x.peek(), y.peek()) {
        (Some(x), Some(y)) => Some(x.min(*y)),
        (x, y) => x.or(y).copied(),
    } {
        let (mut of_x, mut of_y) = (0.0, 0.0);
        while x.next_if(|other| *other == value).is_some() {
            of_x += 1.0;
        }
        while y.next_if(|other| *other == value).is_some() {
            of_y += 1.0;
        }
        let equal: f64 = of_x + of_y;
        ranks += of_x * (before + (equal + 1.0) / 2.0);
        ties += equal.powi(3) - equal;
        before += equal;
    }
    let all = ours + theirs;
    let excess = ranks - ours * (ours + 1.0) / 2.0 - ours * theirs / 2.0;
    let variance = ours * theirs / 12.0 * ((all + 1.0) - ties / (all * (all - 1.0)));
    let correction = if excess == 0.0 { 0.0 } else { 0.5f64.copysign(excess) };
    (variance > 0.0).then(|| (excess - correction) / variance.sqrt())
}

/// Where the function is zero, between two places with its values there: R. Brent, *Algorithms for minimization without
/// derivatives* (1973).
fn brent(low: (f64, f64), high: (f64, f64), function: impl Fn(f64) -> Option<f64>) -> Option<f64> {
    let ((mut a, mut of_a), (mut b, mut of_b)) = (low, high);
    let (mut c, mut of_c) = (a, of_a);
    if of_a == 0.0 {
        return Some(a);
    }
    if of_b == 0.0 {
        return Some(b);
    }
    for _ in 0..STEPS {
        let before = b - a;
        if of_c.abs() < of_b.abs() {
            (a, b, c) = (b, c, b);
            (of_a, of_b, of_c) = (of_b, of_c, of_b);
        }
        let tolerance = 2.0 * f64::EPSILON * b.abs() + ACCURACY / 2.0;
        let mut step = (c - b) / 2.0;
        if step.abs() <= tolerance || of_b == 0.0 {
            return Some(b);
        }
        if before.abs() >= tolerance && of_a.abs() > of_b.abs() {
            let width = c - b;
            let (mut p, mut q) = if a == c {
                let ratio = of_b / of_a;
                (width * ratio, 1.0 - ratio)
            } else {
                let (q, r, s) = (of_a / of_c, of_b / of_c, of_b / of_a);
                (s * (width * q * (q - r) - (b - a) * (r - 1.0)), (q - 1.0) * (r - 1.0) * (s - 1.0))
            };
            if p > 0.0 {
                q = -q;
            } else {
                p = -p;
            }
            if p < 0.75 * width * q - (tolerance * q).abs() / 2.0 && p < (before * q / 2.0).abs() {
                step = p / q;
            }
        }
        if step.abs() < tolerance {
            step = if step > 0.0 { tolerance } else { -tolerance };
        }
        (a, of_a) = (b, of_b);
        b += step;
        of_b = function(b)?;
        if (of_b > 0.0 && of_c > 0.0) || (of_b < 0.0 && of_c < 0.0) {
            (c, of_c) = (a, of_a);
        }
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f64]) -> Sample {
        Sample::of(values).unwrap()
    }

    #[test]
    fn the_statistic_is_the_rank_sums_as_a_normal_number() {
        let (low, high) = (sample(&[1.0, 2.0, 3.0]), sample(&[4.0, 5.0, 6.0]));
        // U is 0 of 9: (0 − 4.5 + 0.5) / √(9·7/12).
        assert!((difference(&low, &high, 0.0).unwrap() + 4.0 / 5.25f64.sqrt()).abs() < 1e-12);
        assert_eq!(difference(&low, &low, 0.0), Some(0.0));
        assert_eq!(difference(&sample(&[2.0, 2.0]), &sample(&[2.0]), 0.0), None, "all are tied");
        // Ranks 1.5, 1.5, 3.5 against 3.5: one pair below, one tied at each end.
        let (x, y) = (sample(&[1.0, 1.0, 2.0]), sample(&[2.0, 3.0]));
        let variance = 6.0 / 12.0 * (6.0 - 12.0 / 20.0);
        let excess: f64 = 1.5 + 1.5 + 3.5 - 6.0 - 3.0;
        assert!(
            (difference(&x, &y, 0.0).unwrap() - (excess + 0.5) / f64::sqrt(variance)).abs() < 1e-12
        );
    }

    #[test]
    fn a_zero_is_found_as_exactly_as_kayenta_does() {
        let root = brent((0.0, -2.0), (2.0, 2.0), |x| Some(x * x - 2.0)).unwrap();
        assert!((root - 2f64.sqrt()).abs() < 1e-4, "{root}");
        assert_eq!(brent((0.0, -1.0), (1.0, 0.0), Some), Some(1.0));
    }

    #[test]
    fn values_that_are_clearly_higher_are_too_high() {
        let control: Vec<f64> = (0..20).map(f64::from).collect();
        let shifted = |by: f64| control.iter().map(|value| value + by).collect::<Vec<_>>();
        assert!(is_high(&shifted(20.0), &control));
        assert!(!is_high(&shifted(1.0), &control));
        assert!(!is_high(&shifted(-20.0), &control));
        assert!(!is_high(&[], &control) && !is_high(&control, &control));
        assert!(!is_high(&[1.0, 1.0], &[1.0]));
    }
}
