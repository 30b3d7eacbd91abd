//! What holds for any live requests: counts tell what a gambler wins request by request, in whatever order they came.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::gambler::{Bets, FRACTIONS, Factor, RISKS, gambled, is_near, proven, ratio};
use super::*;
use crate::domain::weight::Weight;

/// A restart after so many requests each, at one in a second.
const EPOCH: usize = 40;

/// One live request.
#[derive(Clone, Copy, Debug)]
struct Request {
    weight: f64,
    is_candidate: bool,
    is_failed: bool,
}

impl Request {
    fn cell(self) -> LiveCell {
        let it = (1, u64::from(self.is_failed));
        let (candidate, stable) = if self.is_candidate { (it, (0, 0)) } else { ((0, 0), it) };
        cell(self.weight, candidate, stable)
    }

    /// Its failure, weighed so that the mean is the excess of the candidate.
    fn difference(self) -> f64 {
        let failed = f64::from(self.is_failed);
        if self.is_candidate { failed / self.weight } else { -failed / (1.0 - self.weight) }
    }
}

/// Whose failure it is, with so many times the risk.
fn share(weight: f64, risk: f64) -> f64 {
    weight * risk / (weight * risk + 1.0 - weight)
}

fn on_risks(factor: impl Fn(f64, &Request) -> f64 + Copy + 'static) -> Bets<Request> {
    let bet = |(risk, weight)| {
        let factor: Factor<Request> = Box::new(move |request| factor(risk, request));
        (weight, factor)
    };
    RISKS.map(bet).into()
}

/// Against "at most 1.2 times as often as stable".
fn on_ratio() -> Bets<Request> {
    on_risks(|risk, request| match request {
        Request { is_failed: false, .. } => 1.0,
        Request { weight, is_candidate, .. } => {
            ratio(*is_candidate, share(*weight, 1.2 * risk), share(*weight, 1.2))
        }
    })
}

/// Against "at most a thousandth".
fn on_floor() -> Bets<Request> {
    on_risks(|risk, request| match request {
        Request { is_candidate: true, is_failed, .. } => ratio(*is_failed, 0.001 * risk, 0.001),
        Request { is_candidate: false, .. } => 1.0,
    })
}

/// For "less than `excess` more".
fn for_excess(excess: f64) -> Bets<Request> {
    let bet = |fraction: f64| {
        let factor: Factor<Request> = Box::new(move |request| {
            let bet = fraction / (1.0 / request.weight - excess);
            1.0 + bet * (excess - request.difference())
        });
        (1.0 / 6.0, factor)
    };
    FRACTIONS.map(bet).into()
}

/// Against "each with its weight".
fn on_router() -> Bets<Request> {
    let bet = |factor: f64| {
        let factor: Factor<Request> = Box::new(move |request| {
            ratio(request.is_candidate, share(request.weight, factor), request.weight)
        });
        (1.0 / 6.0, factor)
    };
    [0.5, 0.8, 0.9, 1.1, 1.25, 2.0].map(bet).into()
}

fn any_requests() -> impl Strategy<Value = Vec<Request>> {
    let request = (select(vec![0.05, 0.1, 0.25, 0.5]), any::<bool>(), prop::bool::weighted(0.2))
        .prop_map(|(weight, is_candidate, is_failed)| Request { weight, is_candidate, is_failed });
    prop::collection::vec(request, 0..150)
}

fn cells(requests: &[Request]) -> Vec<LiveCell> {
    requests.iter().map(|request| request.cell()).collect()
}

/// The requests came after `before`, one in a second.
fn gather(evidence: &mut LiveEvidence, before: usize, requests: &[Request], clock: u64) {
    for number in before..requests.len() {
        evidence.advance(Duration::from_secs(number as u64 - clock));
        evidence.set(&cells(&requests[..=number]));
    }
}

fn gathered(requests: &[Request]) -> LiveEvidence {
    let epoch = Duration::from_secs(EPOCH as u64);
    let mut evidence = LiveEvidence::new(Gates::default(), Some(epoch));
    gather(&mut evidence, 0, requests, 0);
    evidence
}

fn logs(evidence: &LiveEvidence) -> [f64; 5] {
    [
        evidence.log_fail(),
        evidence.log_pass(Weight::whole(10)),
        evidence.log_pass(Weight::whole(25)),
        evidence.log_pass(Weight::ALL),
        evidence.sample_ratio(),
    ]
}

proptest! {
    #[test]
    fn counts_hold_what_a_gambler_wins_request_by_request(requests in any_requests()) {
        let epochs = || requests.chunks(EPOCH);
        let expected = [
            gambled(epochs(), on_ratio()).min(gambled(epochs(), on_floor())),
            proven(&requests, for_excess(0.10)),
            proven(&requests, for_excess(0.04)),
            proven(&requests, for_excess(0.01)),
            proven(&requests, on_router()),
        ];
        for (log, expected) in logs(&gathered(&requests)).into_iter().zip(expected) {
            prop_assert!(is_near(log, expected), "{} instead of {}", log, expected);
        }
    }

    #[test]
    fn the_order_within_an_epoch_does_not_matter(
        requests in any_requests(),
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 0..200),
    ) {
        let mut other = requests.clone();
        for epoch in other.chunks_mut(EPOCH) {
            for (a, b) in &swaps {
                epoch.swap(a.index(epoch.len()), b.index(epoch.len()));
            }
        }
        for (log, of_other) in logs(&gathered(&requests)).into_iter().zip(logs(&gathered(&other))) {
            prop_assert!(is_near(log, of_other), "{} and {}", log, of_other);
        }
    }

    #[test]
    fn written_down_and_read_back_it_goes_on_as_if_nothing_had_been(
        requests in any_requests(),
        place in any::<Index>(),
    ) {
        let before = place.index(requests.len() + 1);
        let mut evidence = gathered(&requests[..before]);
        let written = serde_json::to_string(&evidence).unwrap();
        let mut read: LiveEvidence = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(logs(&read), logs(&evidence));
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), written);
        // The clock of the new process begins anew; the moment of the last request is its zero.
        let last = before.saturating_sub(1) as u64;
        read.advance(Duration::ZERO);
        gather(&mut evidence, before, &requests, 0);
        gather(&mut read, before, &requests, last);
        prop_assert_eq!(logs(&read), logs(&evidence));
        prop_assert_eq!(read.excess_below(), evidence.excess_below());
    }

    #[test]
    fn more_is_proven_of_a_larger_excess(requests in any_requests()) {
        let evidence = gathered(&requests);
        let [_, tenth, quarter, all, _] = logs(&evidence);
        prop_assert!(tenth >= quarter && quarter >= all);
        let bound = evidence.excess_below();
        prop_assert_eq!(all >= 20f64.ln(), bound <= 0.01);
    }
}
