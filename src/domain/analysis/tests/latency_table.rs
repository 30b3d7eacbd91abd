//! Latency on pairs, simulated: the candidate is slower by so much, always or now and then.

use std::time::Duration;

use super::cells::{Cell, Comparison, UNKNOWN, cell, rare, runs};
use super::chance::Chance;
use super::rollouts::Scene;
use super::*;

/// How long runs take: lognormal around 10 ms with deviation ½, of which the runs of a pair share what is due to
/// their input.
#[derive(Clone, Copy)]
struct Times {
    /// The share of the variance that is each run's own.
    own: f64,
    /// How many times as long the candidate takes.
    slow: f64,
    /// In which share of its runs it takes how many times as long on top.
    tail: (f64, f64),
    /// The share of all runs that take ten times as long.
    spikes: f64,
}

const SAME: Times = Times { own: 0.0, slow: 1.0, tail: (0.0, 1.0), spikes: 0.002 };

const SPIKY: Times = Times { spikes: 0.02, ..SAME };

const fn slower(slow: f64) -> Times {
    Times { slow, ..SAME }
}

const fn tail(share: f64, factor: f64) -> Times {
    Times { tail: (share, factor), ..SAME }
}

impl Times {
    fn next(self, chance: &mut Chance, pair: &mut PairOutcome) {
        let shared = 0.5 * (1.0 - self.own).sqrt() * chance.normal();
        let mut time = || {
            let own = 0.5 * self.own.sqrt() * chance.normal();
            let spike = if chance.happens(self.spikes) { 10.0 } else { 1.0 };
            10.0 * (shared + own).exp() * spike
        };
        let (stable, mut candidate) = (time(), time() * self.slow);
        if chance.happens(self.tail.0) {
            candidate *= self.tail.1;
        }
        let answered =
            |ms: f64| RunOutcome::Answered { time: Some(Duration::from_nanos((ms * 1e6) as u64)) };
        (pair.stable, pair.candidate) = (answered(stable), answered(candidate));
    }
}

/// Rows of: how long runs take, how often and when the candidate is taken back, and proven not to be slower.
#[track_caller]
fn assert_agrees(own: f64, few: u64, rows: &[(&str, Times, [Cell; 2])]) {
    let evidence = PairEvidence::new(Vec::new(), Gates::default(), None);
    let mut comparison = Comparison::default();
    for ((name, times, cells), number) in rows.iter().zip(1..) {
        let times = Times { own, ..*times };
        let scene = Scene { number, runs: runs(few), horizon: 5000, evidence: &evidence };
        let simulated = scene.play(
            |chance, pair| times.next(chance, pair),
            |evidence| {
                let fail = evidence.latency.log_fail(&evidence.schedule);
                [fail, evidence.latency.log_pass()].map(|log| log >= 20f64.ln())
            },
        );
        comparison.row(name, *cells, simulated);
    }
    comparison.assert_none();
}

#[test]
fn cpu_time_tells_a_slower_candidate_as_often_and_as_soon_as_the_reference() {
    assert_agrees(
        0.02,
        40,
        &[
            ("identical", SAME, [rare(1.1), cell(100.0, 10)]),
            ("identical, 2 % spikes", SPIKY, [rare(1.1), cell(100.0, 10)]),
            ("+10 %", slower(1.10), [rare(0.6), cell(100.0, 20)]),
            ("+25 %", slower(1.25), [rare(2.1), cell(7.9, 845)]),
            ("+35 %", slower(1.35), [cell(100.0, 40), rare(0.0)]),
            ("+50 %", slower(1.50), [cell(100.0, 10), rare(0.0)]),
            ("2 % of runs x 3", tail(0.02, 3.0), [cell(100.0, 540), UNKNOWN]),
            ("1 % of runs x 10", tail(0.01, 10.0), [cell(100.0, 1010), UNKNOWN]),
        ],
    );
}

#[test]
fn wall_time_tells_a_slower_candidate_as_often_and_as_soon_as_the_reference() {
    assert_agrees(
        0.20,
        40,
        &[
            ("identical", SAME, [rare(0.2), cell(100.0, 30)]),
            ("identical, 2 % spikes", SPIKY, [rare(0.2), cell(100.0, 30)]),
            ("+10 %", slower(1.10), [rare(0.1), cell(100.0, 70)]),
            ("+25 %", slower(1.25), [rare(2.9), rare(3.7)]),
            ("+35 %", slower(1.35), [cell(100.0, 190), rare(0.0)]),
            ("+50 %", slower(1.50), [cell(100.0, 40), rare(0.0)]),
            ("2 % of runs x 3", tail(0.02, 3.0), [rare(2.0), UNKNOWN]),
            ("1 % of runs x 10", tail(0.01, 10.0), [cell(99.9, 1395), UNKNOWN]),
        ],
    );
}
