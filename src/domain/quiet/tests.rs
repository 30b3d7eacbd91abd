//! Servers that are quiet and busy, on a clock that the tests turn.

use proptest::prelude::*;

use super::*;

const LOOK: Duration = Duration::from_millis(20);

/// A server with two cores, looked at all the time.
struct Server {
    quiet: Quiet,
    now: Duration,
    worked: Duration,
}

impl Server {
    fn new() -> Self {
        Self { quiet: Quiet::new(2.0), now: Duration::ZERO, worked: Duration::ZERO }
    }

    /// Looks until so much time has passed. Gives what each look found, with when it was.
    fn goes_on(&mut self, time: Duration, in_flight: f64, share: f64) -> Vec<(Duration, bool)> {
        let begun = self.now;
        let mut found = Vec::new();
        while self.now < begun + time {
            self.now += LOOK;
            self.worked += LOOK.mul_f64(2.0 * share);
            let load = Load { in_flight, worked: self.worked };
            found.push((self.now - begun, self.quiet.look(self.now, load)));
        }
        found
    }

    /// The same, for the time after which it changed its mind and did not do so again.
    fn changes_after(&mut self, time: Duration, in_flight: f64, share: f64) -> Option<Duration> {
        let before = self.quiet.is_quiet;
        let found = self.goes_on(time, in_flight, share);
        let first = found.iter().find(|(_, is_quiet)| *is_quiet != before)?.0;
        assert!(found.iter().all(|(at, is_quiet)| (*at < first) == (*is_quiet == before)));
        Some(first)
    }
}

const SECONDS: Duration = Duration::from_secs(5);

#[test]
fn a_server_that_nobody_asks_becomes_quiet_after_a_while() {
    let after = Server::new().changes_after(SECONDS, 0.0, 0.01).unwrap();
    assert!((CALM_FOR..CALM_FOR + 2 * LOOK).contains(&after), "{after:?}");
}

#[test]
fn traffic_ends_the_quiet_within_a_tenth_of_a_second() {
    for (in_flight, share) in [(0.5, 0.0), (0.0, 0.6), (0.0, 1.0), (4.0, 0.0)] {
        let mut server = Server::new();
        server.goes_on(SECONDS, 0.0, 0.0);
        let after = server.changes_after(SECONDS, in_flight, share).unwrap();
        assert!(after <= Duration::from_millis(100), "{in_flight} {share}: {after:?}");
    }
    let mut server = Server::new();
    server.goes_on(SECONDS, 0.0, 0.0);
    assert_eq!(server.changes_after(SECONDS, 1.5, 0.0), Some(LOOK), "some wait: at once");
}

#[test]
fn a_single_request_is_no_traffic() {
    let mut server = Server::new();
    server.goes_on(SECONDS, 0.0, 0.0);
    for _ in 0..100 {
        assert_eq!(server.changes_after(LOOK, 0.5, 0.5), None);
        assert_eq!(server.changes_after(4 * LOOK, 0.0, 0.0), None);
    }
}

#[test]
fn between_the_limits_all_stays_as_it_is() {
    let mut server = Server::new();
    assert_eq!(server.changes_after(SECONDS, 0.0, 0.3), None, "not quiet");
    server.goes_on(SECONDS, 0.0, 0.0);
    assert_eq!(server.changes_after(SECONDS, 0.0, 0.3), None, "quiet");
    server.goes_on(SECONDS, 1.0, 1.0);
    assert_eq!(server.changes_after(SECONDS, 0.3, 0.3), None, "not quiet");
}

#[test]
fn who_did_not_look_for_long_knows_nothing() {
    let mut server = Server::new();
    server.goes_on(SECONDS, 0.0, 0.0);
    server.now += TOO_FAR_APART * 2;
    assert_eq!(server.changes_after(LOOK, 0.0, 0.0), Some(LOOK));
}

#[test]
fn a_window_may_go_over_midnight() {
    let night = TimeWindow { start: 22 * 60, end: 6 * 60 };
    for (minute, is_open) in
        [(0, true), (359, true), (360, false), (1319, false), (1320, true), (1439, true)]
    {
        assert_eq!(night.is_open(minute), is_open, "{minute}");
    }
}

proptest! {
    #[test]
    fn a_window_and_the_rest_of_the_day_are_the_day(start in 0u16..1440, end in 0u16..1440, minute in 0u16..1440) {
        prop_assume!(start != end);
        let (window, rest) = (TimeWindow { start, end }, TimeWindow { start: end, end: start });
        prop_assert!(window.is_open(minute) != rest.is_open(minute));
    }

    #[test]
    fn whatever_happened_before_a_burst_ends_the_quiet(
        before in proptest::collection::vec((0.0f64..2.0, 0.0f64..1.0, 1u64..2000), 0..20),
    ) {
        let mut server = Server::new();
        for (in_flight, share, millis) in before {
            server.goes_on(Duration::from_millis(millis), in_flight, share);
        }
        let found = server.goes_on(SECONDS, 0.5, 1.0);
        let late = found.iter().filter(|(at, _)| *at > Duration::from_millis(100));
        prop_assert!(late.clone().all(|(_, is_quiet)| !is_quiet));
        let calm = server.goes_on(SECONDS, 0.0, 0.0);
        prop_assert!(calm.last().is_some_and(|(_, is_quiet)| *is_quiet));
    }
}
