//! Numbers as people say them.

use std::borrow::Borrow;

/// A share, with two digits that matter: `15 %`, `0.31 %`.
pub(super) fn share(share: f64) -> String {
    let per_cent = share * 100.0;
    let decimals = if per_cent > 0.0 { 1.0 - per_cent.log10().floor() } else { 0.0 };
    format!("{} %", plain(format!("{per_cent:.*}", decimals.clamp(0.0, 9.0) as usize)))
}

/// A count that may have a fraction: `61`, `61.5`.
pub(super) fn count(count: f64) -> String {
    plain(format!("{count:.1}"))
}

/// About so many, rounded up to two digits that matter.
pub(super) fn about(number: u64) -> u64 {
    let unit = 10u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(1));
    number.div_ceil(unit).saturating_mul(unit)
}

/// A duration in its largest unit: `45 s`, `2 min`, `3 h`, `5 days`.
pub(super) fn duration(seconds: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(86_400.0, "days"), (3_600.0, "h"), (60.0, "min")];
    let (unit, name) =
        UNITS.into_iter().find(|(unit, _)| seconds >= 1.5 * unit).unwrap_or((1.0, "s"));
    format!("{} {name}", (seconds / unit).ceil())
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list<W: Borrow<str>>(words: &[W]) -> String {
    match words {
        [] => String::new(),
        [only] => only.borrow().to_owned(),
        [before @ .., last] => format!("{} and {}", before.join(", "), last.borrow()),
    }
}

/// Without zeros at the end that say nothing.
fn plain(number: String) -> String {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_two_digits_that_matter() {
        for (value, said) in [
            (0.0, "0 %"),
            (0.005, "0.5 %"),
            (0.1525, "15 %"),
            (0.00308, "0.31 %"),
            (0.0204, "2 %"),
            (0.9999, "100 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(share(value), said);
        }
        assert_eq!((count(61.0), count(61.54)), ("61".to_owned(), "61.5".to_owned()));
    }

    #[test]
    fn estimates_are_round() {
        for (number, said) in [(0, 0), (7, 7), (99, 99), (141, 150), (1_234_567, 1_300_000)] {
            assert_eq!(about(number), said);
        }
        assert_eq!(about(u64::MAX), u64::MAX);
        for (seconds, said) in [(0.2, "1 s"), (75.0, "75 s"), (95.0, "2 min"), (7200.0, "2 h")] {
            assert_eq!(duration(seconds), said);
        }
        assert_eq!(duration(400_000.0), "5 days");
    }

    #[test]
    fn lists_are_read_aloud() {
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}
