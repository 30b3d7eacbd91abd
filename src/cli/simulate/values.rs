//! What the flags of `greenroom simulate` mean.

use std::error::Error;
use std::ops::RangeBounds;
use std::time::Duration;

use super::LOOK;
use super::{Errors, Latency, Outage};

/// A server's usual limits on pairs: so many in a second, and so much of a core.
const PAIRS_PER_SECOND: f64 = 100.0;
const OF_A_CORE: f64 = 0.5;

pub(super) fn number(
    text: &str,
    range: impl RangeBounds<f64>,
    expected: &str,
) -> Result<f64, String> {
    let number: Option<f64> = text.trim().parse().ok();
    let number = number.filter(|number| number.is_finite() && range.contains(number));
    number.ok_or_else(|| format!("expected {expected}"))
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    number(text, f64::MIN_POSITIVE..=1e6, "a number above 0 and at most 1000000")
}

pub(super) fn at_least_one(text: &str) -> Result<f64, String> {
    number(text, 1.0.., "a number of at least 1")
}

/// `0.02` or `2%`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let expected = "a share from 0 to 1, or from 0% to 100%";
    match text.trim().strip_suffix('%') {
        Some(per_cent) => number(per_cent, 0.0..=100.0, expected).map(|number| number / 100.0),
        None => number(text, 0.0..=1.0, expected),
    }
}

pub(super) fn errors(text: &str) -> Result<Errors, String> {
    let Some((stable, candidate)) = text.split_once(':') else {
        return Err("expected STABLE:CANDIDATE, such as 0.5%:2%".to_owned());
    };
    Ok(Errors { stable: share(stable)?, candidate: share(candidate)? })
}

pub(super) fn outage(text: &str) -> Result<Outage, String> {
    let parts: Vec<&str> = text.split(',').collect();
    let [start, length, errors] = parts[..] else {
        return Err("expected START,LENGTH,ERRORS, such as 20m,5m,30%".to_owned());
    };
    let time = |text: &str| {
        humantime::parse_duration(text.trim()).map_err(|error| format!("`{text}`: {error}"))
    };
    Ok(Outage { start: time(start)?, length: time(length)?, errors: share(errors)? })
}

/// Time is counted in looks.
pub(super) fn whole_looks(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_hours(30 * 24);
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let is_whole = time.as_nanos() % LOOK.as_nanos() == 0;
    if !is_whole || time < LOOK || time > LONGEST {
        return Err("expected a multiple of 5 s, from 5 s to 30 days".to_owned());
    }
    Ok(time)
}

/// How many pairs a server with its usual settings runs in a second.
pub(super) fn most_pairs(latency: Latency) -> f64 {
    (OF_A_CORE / latency.of_both().as_secs_f64()).min(PAIRS_PER_SECOND)
}

/// What went wrong, with its causes.
pub(super) fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("\n  because: {error}"));
        cause = error.source();
    }
    text
}
