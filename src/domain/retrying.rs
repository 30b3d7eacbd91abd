//! When somebody who could not be told is told again, and when that is given up.
//!
//! Whoever is told of changes is told in order, so a change that does not arrive holds up those after it. That is why
//! only time gives it up, not a number of tries: a receiver that was down for a night has missed nothing.

use std::time::Duration;

use super::time::WallTime;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// A receiver may ask for a longer pause, but not put us off for ever.
const LONGEST_ASKED: Duration = Duration::from_mins(10);

/// How old a change is that is not told any more, once telling it has failed.
pub const GIVEN_UP_AFTER: Duration = Duration::from_hours(24);
/// However old changes are, for so long they are tried: a server that was down for a weekend may be up again before
/// its receiver is.
const TRIED_FOR: Duration = Duration::from_mins(10);

/// What an answer means for what was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It has arrived.
    Taken,
    /// Nobody wants it any more.
    Unwanted,
    /// It is to be told again.
    Failed,
}

impl Reception {
    /// What the status of an HTTP answer means. Redirections are not followed, so they are failures.
    pub fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Taken,
            410 => Self::Unwanted,
            _ => Self::Failed,
        }
    }
}

/// How long to wait after so many failures in a row (from 1 on): twice as long each time, up to five minutes. Somewhere
/// in the second half of that, as `chance` (from 0 to 1) has it, so that many servers do not come back at one moment.
/// A longer pause that the receiver asked for holds up to ten minutes.
pub fn pause(failures: u32, chance: f64, asked: Option<Duration>) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let longest = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
    let ours = longest.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0));
    ours.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

/// The pause that a header `Retry-After` asks for: seconds, or a date. None where it is neither.
pub fn asked_pause(header: &str, now: WallTime) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has room for are a very long time.
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let then = WallTime::from(httpdate::parse_http_date(header).ok()?);
    Some(Duration::from_millis(then.0.saturating_sub(now.0)))
}

/// Whether to give up what happened so long ago, when telling has failed for so long without a break.
pub fn is_hopeless(age: Duration, failing_for: Duration) -> bool {
    age >= GIVEN_UP_AFTER && failing_for >= TRIED_FOR
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_double_from_a_second_to_five_minutes() {
        let longest: Vec<u64> = (1..=11).map(|n| pause(n, 1.0, None).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause(u32::MAX, 1.0, None), LONGEST_PAUSE);
        assert_eq!(pause(3, 0.0, None), Duration::from_secs(2), "half of it at least");
        assert_eq!(pause(3, 0.5, None), Duration::from_secs(3));
    }

    #[test]
    fn a_receiver_may_ask_for_ten_minutes() {
        let asked = |seconds| pause(1, 1.0, Some(Duration::from_secs(seconds))).as_secs();
        assert_eq!([asked(0), asked(30), asked(600), asked(86_400)], [1, 30, 600, 600]);
    }

    #[test]
    fn a_receiver_asks_in_seconds_or_by_a_date() {
        let now = WallTime(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        for (header, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(asked_pause(header, now).map(|pause| pause.as_secs()), seconds, "{header}");
        }
    }

    #[test]
    fn only_success_has_arrived_and_only_gone_is_unwanted() {
        for (status, reception) in [
            (200, Reception::Taken),
            (204, Reception::Taken),
            (302, Reception::Failed),
            (400, Reception::Failed),
            (410, Reception::Unwanted),
            (429, Reception::Failed),
            (500, Reception::Failed),
        ] {
            assert_eq!(Reception::of(status), reception, "{status}");
        }
    }

    #[test]
    fn what_is_a_day_old_is_given_up_once_it_was_tried_for_a_while() {
        let (day, tried) = (Duration::from_hours(24), Duration::from_mins(10));
        let short = Duration::from_secs(1);
        assert!(is_hopeless(day, tried));
        assert!(!is_hopeless(day - short, day));
        assert!(!is_hopeless(day * 3, tried - short), "a server that was down is no reason");
    }

    proptest! {
        #[test]
        fn a_pause_is_never_longer_than_ten_minutes_nor_none(
            failures: u32, chance: f64, asked: Option<u64>,
        ) {
            let pause = pause(failures, chance, asked.map(Duration::from_secs));
            prop_assert!(pause >= Duration::from_millis(500) && pause <= LONGEST_ASKED, "{pause:?}");
        }

        #[test]
        fn no_header_makes_it_panic(header: String) {
            let _ = asked_pause(&header, WallTime(0));
        }
    }
}
