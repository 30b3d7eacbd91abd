//! What the clock on the wall shows where this machine stands.

use jiff::ZonedDateTime;

/// Minutes since midnight, in the time zone of the machine (`TZ`, or what the system is set to).
pub fn minute_of_day() -> u16 {
    let now = ZonedDateTime::now();
    // Hours and minutes are never negative.
    (i16::from(now.hour()) * 60 + i16::from(now.minute())).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_as_many_minutes() {
        assert!(minute_of_day() < 24 * 60);
    }
}
