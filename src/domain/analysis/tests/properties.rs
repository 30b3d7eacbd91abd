//! What holds for any pairs: evidence is the fortune of a gambler who bets pair by pair, in whatever order.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::gambler::{self, FRACTIONS, RISKS, is_near, ratio};
use super::*;

/// A restart after so many pairs each, at a pair per second.
const EPOCH: usize = 40;

/// Shares of the stake, and what happens to them with a pair.
type Bets = gambler::Bets<PairOutcome>;

/// What a unit becomes with a pair.
type Factor = gambler::Factor<PairOutcome>;

const SIGNS: [f64; 5] = [0.53, 0.56, 0.60, 0.70, 0.85];

fn fails(pair: &PairOutcome) -> (bool, bool) {
    (pair.stable == RunOutcome::Failed, pair.candidate == RunOutcome::Failed)
}

/// Milliseconds.
fn times(pair: &PairOutcome) -> Option<(f64, f64)> {
    match (pair.stable, pair.candidate) {
        (RunOutcome::Answered { time: stable }, RunOutcome::Answered { time: candidate }) => {
            Some((stable?.as_secs_f64() * 1e3, candidate?.as_secs_f64() * 1e3))
        }
        (RunOutcome::Failed, _) | (_, RunOutcome::Failed) => None,
    }
}

fn is_slower((stable, candidate): (f64, f64)) -> bool {
    candidate > 1.25 * stable && candidate - stable > 1.0
}

/// Against "at most 1.2 times as often as stable".
fn on_relative_errors() -> Bets {
    let bet = |(risk, weight): (f64, f64)| {
        let factor: Factor = Box::new(move |pair| match fails(pair) {
            (stable, candidate) if stable == candidate => 1.0,
            (_, candidate) => ratio(candidate, 1.2 * risk / (1.0 + 1.2 * risk), 1.2 / 2.2),
        });
        (weight, factor)
    };
    RISKS.map(bet).into()
}

/// Against "in at most a thousandth of the pairs".
fn on_absolute_errors() -> Bets {
    let bet = |(risk, weight): (f64, f64)| {
        let factor: Factor =
            Box::new(move |pair| ratio(fails(pair) == (false, true), 0.001 * risk, 0.001));
        (weight, factor)
    };
    RISKS.map(bet).into()
}

/// Against "slower in at most half", and "the slow one in at most half of those far apart".
fn on_latency() -> Bets {
    let far = |stable: f64, candidate: f64| (stable - candidate).abs() > 1.0;
    let mut bets: Bets = Vec::new();
    for p in SIGNS {
        bets.push((
            0.1,
            Box::new(move |pair| times(pair).map_or(1.0, |times| ratio(is_slower(times), p, 0.5))),
        ));
    }
    for factor in [1.5, 2.0, 4.0] {
        for p in [0.60, 0.75, 0.90, 0.97] {
            bets.push((
                1.0 / 24.0,
                Box::new(move |pair| match times(pair) {
                    Some((b, c)) if far(b, c) && c / 1.25 > factor * b => ratio(true, p, 0.5),
                    Some((b, c)) if far(b, c) && b > factor * c / 1.25 => ratio(false, p, 0.5),
                    Some(_) | None => 1.0,
                }),
            ));
        }
    }
    bets
}

/// Against "in at most a tenth of the pairs", where a part of an outcome is so much of the outcome.
fn on_outputs() -> Bets {
    let bet = |(risk, weight): (f64, f64)| {
        let p = f64::min(0.1 * risk, 0.95);
        let factor: Factor = Box::new(move |pair| {
            let differs = pair.outputs.first().map(|output| output.differs);
            differs.map_or(1.0, |x| x * ratio(true, p, 0.1) + (1.0 - x) * ratio(false, p, 0.1))
        });
        (weight, factor)
    };
    RISKS.map(bet).into()
}

/// Against "in at most a tenth more than one version from itself".
fn on_outputs_beyond_noise() -> Bets {
    let bet = |fraction: f64| {
        let factor: Factor = Box::new(move |pair| {
            let excess = pair.outputs.first().map(|o| o.differs - o.noise.unwrap_or(0.0));
            excess.map_or(1.0, |excess| 1.0 + fraction / 1.1 * (excess - 0.1))
        });
        (1.0 / 6.0, factor)
    };
    FRACTIONS.map(bet).into()
}

/// For "in less than two of a hundred pairs more than stable".
fn for_errors() -> Bets {
    let bet = |fraction: f64| {
        let factor: Factor = Box::new(move |pair| {
            let (stable, candidate) = fails(pair);
            let difference = f64::from(candidate) - f64::from(stable);
            1.0 + fraction / 0.98 * (0.02 - difference)
        });
        (1.0 / 6.0, factor)
    };
    FRACTIONS.map(bet).into()
}

/// For "slower in fewer than half".
fn for_latency() -> Bets {
    let bet = |p: f64| {
        let factor: Factor =
            Box::new(move |pair| times(pair).map_or(1.0, |times| ratio(!is_slower(times), p, 0.5)));
        (0.2, factor)
    };
    SIGNS.map(bet).into()
}

/// For "in fewer than 15 of a hundred pairs".
fn for_outputs() -> Bets {
    let bet = |fraction: f64| {
        let factor: Factor = Box::new(move |pair| {
            let differs = pair.outputs.first().map(|output| output.differs);
            differs.map_or(1.0, |differs| 1.0 + fraction / 0.85 * (0.15 - differs))
        });
        (1.0 / 6.0, factor)
    };
    FRACTIONS.map(bet).into()
}

fn run() -> impl Strategy<Value = RunOutcome> {
    prop_oneof![
        9 => select(vec![2, 10, 11, 13, 20, 50]).prop_map(answered),
        1 => Just(RunOutcome::Failed),
    ]
}

/// Pairs that differ by one of these shares.
fn any_pair(shares: &'static [f64]) -> impl Strategy<Value = PairOutcome> {
    (run(), run(), select(shares), prop::option::of(select(shares))).prop_map(
        |(stable, candidate, differs, noise)| {
            let mut pair = pair(stable, candidate);
            if times(&pair).is_some() {
                pair.outputs.push(OutputOutcome { differs, noise, judged: true });
            }
            pair
        },
    )
}

fn any_pairs(shares: &'static [f64]) -> impl Strategy<Value = Vec<PairOutcome>> {
    prop::collection::vec(any_pair(shares), 0..150)
}

fn gathered(pairs: &[PairOutcome]) -> PairEvidence {
    let epoch = Duration::from_secs(EPOCH as u64);
    let mut evidence = PairEvidence::new(vec!["label".into()], Gates::default(), Some(epoch));
    for (second, pair) in (0..).zip(pairs) {
        evidence.observe(pair, Duration::from_secs(second));
    }
    evidence
}

fn gambled(pairs: &[PairOutcome], bets: Bets) -> f64 {
    gambler::gambled(pairs.chunks(EPOCH), bets)
}

fn proven(pairs: &[PairOutcome], bets: Bets) -> f64 {
    gambler::proven(pairs, bets)
}

fn logs(evidence: &PairEvidence) -> Vec<f64> {
    evidence.gates().iter().flat_map(|gate| [gate.log_fail, gate.log_pass]).collect()
}

proptest! {
    #[test]
    fn counters_hold_what_a_gambler_wins_pair_by_pair(pairs in any_pairs(&[0.0, 1.0])) {
        let evidence = gathered(&pairs);
        let errors = gambled(&pairs, on_relative_errors()).min(gambled(&pairs, on_absolute_errors()));
        let plain = gambled(&pairs, on_outputs());
        let outputs = plain.min(gambled(&pairs, on_outputs_beyond_noise()));
        let expected = [
            errors,
            proven(&pairs, for_errors()),
            gambled(&pairs, on_latency()),
            proven(&pairs, for_latency()),
            outputs,
            proven(&pairs, for_outputs()),
        ];
        for (log, expected) in logs(&evidence).into_iter().zip(expected) {
            prop_assert!(is_near(log, expected), "{} instead of {}", log, expected);
        }
    }

    #[test]
    fn a_pair_in_part_tells_no_more_than_betting_on_it_wins(pairs in any_pairs(&[0.0, 0.25, 0.5, 1.0])) {
        let evidence = gathered(&pairs);
        let plain = gambled(&pairs, on_outputs());
        let beyond_noise = gambled(&pairs, on_outputs_beyond_noise());
        let log = logs(&evidence)[4];
        prop_assert!(log <= plain.min(beyond_noise) + 1e-9, "{} against {}", log, plain);
    }

    #[test]
    fn the_order_within_an_epoch_does_not_matter(
        pairs in any_pairs(&[0.0, 0.3, 0.7, 1.0]),
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 0..200),
    ) {
        let mut other = pairs.clone();
        for epoch in other.chunks_mut(EPOCH) {
            for (a, b) in &swaps {
                let (a, b) = (a.index(epoch.len()), b.index(epoch.len()));
                epoch.swap(a, b);
            }
        }
        for (log, of_other) in logs(&gathered(&pairs)).into_iter().zip(logs(&gathered(&other))) {
            prop_assert!(is_near(log, of_other), "{} and {}", log, of_other);
        }
    }

    #[test]
    fn written_down_and_read_back_it_goes_on_as_if_nothing_had_been(
        pairs in any_pairs(&[0.0, 0.1, 1.0 / 3.0, 1.0]),
        place in any::<Index>(),
    ) {
        let (before, after) = pairs.split_at(place.index(pairs.len() + 1));
        let mut evidence = gathered(before);
        let written = serde_json::to_string(&evidence).unwrap();
        let mut read: PairEvidence = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(logs(&read), logs(&evidence));
        prop_assert_eq!(read.judge(Some(1.0)), evidence.judge(Some(1.0)));
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), written);
        // The clock of the new process begins anew; the moment of the last pair is its zero.
        let last = before.len().saturating_sub(1) as u64;
        read.advance(Duration::ZERO);
        for (second, pair) in (before.len() as u64..).zip(after) {
            evidence.observe(pair, Duration::from_secs(second));
            read.observe(pair, Duration::from_secs(second - last));
        }
        prop_assert_eq!(logs(&read), logs(&evidence));
    }
}
