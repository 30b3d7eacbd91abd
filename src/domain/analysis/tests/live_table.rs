//! Live errors, simulated: how often and how soon a candidate is taken back, and that traps take none back.

use std::time::Duration;

use super::cells::{Cell, Comparison, Simulated, after, rare, rough, runs};
use super::chance::Chance;
use super::live_rollouts::{LiveScene, Mark, Moment, Reached, count, marks};
use super::*;

/// Ten per cent of the traffic for an hour.
fn steady(stable: f64, candidate: f64) -> impl Fn(u64) -> Moment {
    move |_| Moment { weight: 0.10, stable, candidate }
}

/// So much traffic, so many failures of both, and how many are taken back by each of the marks.
#[track_caller]
fn assert_rarely_taken_back(number: u64, few: u64, rows: &[(f64, f64, [f64; 3])]) {
    let mut comparison = Comparison::default();
    for (&(rate, failures, shares), number) in rows.iter().zip(number..) {
        let scene = LiveScene { number, runs: runs(few), seconds: 3600, rate };
        let taken_back = scene.play(steady(failures, failures), &marks());
        let name = format!("{failures} of both at {rate} in a second");
        comparison.row(&name, shares.map(rare), taken_back.map(|reached| reached.seconds));
    }
    comparison.assert_none();
}

#[test]
fn a_candidate_like_stable_is_taken_back_as_rarely_as_in_the_reference() {
    assert_rarely_taken_back(
        501,
        40,
        &[
            (1.0, 0.01, [1.0, 0.1, 1.6]),
            (10.0, 0.01, [0.9, 0.1, 3.0]),
            (10.0, 0.002, [0.8, 0.1, 1.8]),
            (100.0, 0.01, [0.4, 0.1, 2.1]),
        ],
    );
}

#[test]
fn a_worse_candidate_is_taken_back_as_often_and_as_soon_as_in_the_reference() {
    // In which share of the rollouts, after how many seconds, and after how many requests of its own.
    let rows: [(f64, f64, [(f64, u64, u64); 3]); 4] = [
        (1.0, 0.03, [(48.0, 2018, 204), (25.0, 2413, 242), (62.0, 1939, 196)]),
        (10.0, 0.03, [(100.0, 440, 442), (100.0, 656, 660), (100.0, 332, 330)]),
        (10.0, 0.10, [(100.0, 45, 46), (100.0, 61, 62), (100.0, 40, 41)]),
        (100.0, 0.03, [(100.0, 47, 471), (100.0, 69, 692), (100.0, 34, 338)]),
    ];
    let mut comparison = Comparison::default();
    for ((rate, candidate, cells), number) in rows.into_iter().zip(511..) {
        let scene = LiveScene { number, runs: runs(40), seconds: 3600, rate };
        let reached = scene.play(steady(0.01, candidate), &marks());
        let name = format!("0.01 -> {candidate} at {rate} in a second");
        let [seconds, requests]: [[Cell; 3]; 2] = [
            cells.map(|(share, seconds, _)| rough(share, seconds)),
            cells.map(|(_, _, requests)| after(requests)),
        ];
        let (of_time, of_requests) = split(reached);
        comparison.row(&format!("{name}, seconds"), seconds, of_time);
        comparison.row(&format!("{name}, requests"), requests, of_requests);
    }
    comparison.assert_none();
}

fn split<const N: usize>(reached: [Reached; N]) -> ([Simulated; N], [Simulated; N]) {
    let mut requests = Vec::new();
    let seconds = reached.map(|reached| {
        requests.push(reached.requests);
        reached.seconds
    });
    let mut requests = requests.into_iter();
    (seconds, std::array::from_fn(|_| requests.next().unwrap()))
}

/// The weight grows every quarter of an hour.
fn ramp(second: u64) -> f64 {
    [0.05, 0.10, 0.25, 0.50][(second / 900) as usize]
}

#[test]
fn drift_and_outages_that_both_share_take_no_candidate_back() {
    let drift = |second| if second < 1800 { 0.005 } else { 0.03 };
    let outage = |second| if (2000..2300).contains(&second) { 0.30 } else { 0.005 };
    let traps: [(&str, fn(u64) -> f64, [f64; 2]); 2] =
        [("drift", drift, [0.4, 2.6]), ("outage", outage, [0.7, 2.5])];
    let [tolerant, _, strict] = marks();
    let marks = [tolerant, strict];
    let mut comparison = Comparison::default();
    for ((name, failures, shares), number) in traps.into_iter().zip(521..) {
        let scene = LiveScene { number, runs: runs(40), seconds: 3600, rate: 20.0 };
        let moment = |second| {
            let failures = failures(second);
            Moment { weight: ramp(second), stable: failures, candidate: failures }
        };
        let taken_back = scene.play(moment, &marks);
        comparison.row(name, shares.map(rare), taken_back.map(|reached| reached.seconds));
    }
    comparison.assert_none();
}

#[test]
fn what_begins_late_is_found_sooner_by_betting_anew() {
    let mark = |restarts| Mark { gates: Gates::default(), restarts, evidence: 20.0 };
    let scene = LiveScene { number: 531, runs: runs(40), seconds: 5400, rate: 20.0 };
    let late = |second| Moment {
        weight: 0.10,
        stable: 0.01,
        candidate: if second < 1800 { 0.01 } else { 0.03 },
    };
    let found = scene.play(late, &[mark(true), mark(false)]);
    let mut comparison = Comparison::default();
    let [anew, once] = found.map(|reached| reached.seconds);
    comparison.median("betting anew", 1800 + 403, &anew);
    comparison.median("betting once", 1800 + 1048, &once);
    comparison.assert_none();
}

/// In blocks with so many requests to the candidate in the mean, and betting anew every so many blocks.
const BLOCK: f64 = 5.0;
const BLOCKS: u64 = 40;

/// After how many of its requests a candidate is taken back, at each of these levels of evidence.
fn requests_until<const N: usize>(
    chance: &mut Chance,
    moment: Moment,
    levels: [f64; N],
) -> [Option<u64>; N] {
    let Moment { weight, stable, candidate } = moment;
    let whole = (BLOCK / weight).round() as u64;
    let epoch = Duration::from_secs(BLOCKS);
    let mut evidence = LiveEvidence::new(Gates::default(), Some(epoch));
    let (mut reached, mut cells) = ([None; N], vec![cell(weight, (0, 0), (0, 0))]);
    for block in 0..(20_000.0 / BLOCK) as u64 {
        evidence.advance(Duration::from_secs(block));
        let requests = chance.binomial(whole, weight);
        let failed = chance.binomial(requests, candidate);
        let of_stable = chance.binomial(whole - requests, stable);
        let block = cell(weight, (requests, failed), (whole - requests, of_stable));
        count(&mut cells, block);
        evidence.set(&cells);
        if failed > 0 {
            let log = evidence.log_fail();
            for (reached, level) in reached.iter_mut().zip(levels) {
                if log >= level.ln() {
                    reached.get_or_insert(cells[0].candidate.requests);
                }
            }
        }
        if reached.iter().all(Option::is_some) {
            break;
        }
    }
    reached
}

#[test]
fn it_takes_as_many_requests_as_in_the_reference() {
    // Half of the rollouts and nine of ten are over after so many requests to the candidate.
    type Row = (f64, f64, [[u64; 2]; 4]);
    let rows: [Row; 9] = [
        (0.0, 0.01, [[340, 774], [338, 789], [456, 992], [870, 1314]]),
        (0.001, 0.01, [[396, 915], [445, 1010], [610, 1281], [1114, 2066]]),
        (0.005, 0.01, [[3494, 8926], [4004, 9471], [5766, 12_270], [7244, 18_234]]),
        (0.005, 0.02, [[404, 970], [452, 1053], [649, 1348], [990, 2131]]),
        (0.01, 0.02, [[1928, 4820], [1881, 4781], [2878, 6373], [3786, 9261]]),
        (0.01, 0.03, [[440, 1056], [450, 1081], [692, 1432], [978, 2224]]),
        (0.01, 0.05, [[140, 319], [153, 339], [211, 435], [315, 685]]),
        (0.01, 0.10, [[43, 94], [50, 107], [68, 133], [115, 215]]),
        (0.01, 0.50, [[8, 14], [9, 15], [11, 18], [21, 29]]),
    ];
    let mut comparison = Comparison::default();
    for ((stable, candidate, cells), number) in rows.into_iter().zip((541..).step_by(3)) {
        let mut columns = Vec::new();
        for (weight, place) in [0.05, 0.10, 0.50].into_iter().zip(0..) {
            let moment = Moment { weight, stable, candidate };
            let runs: Vec<_> = (0..runs(24))
                .map(|run| Chance::new(number + place, run))
                .map(|mut chance| requests_until(&mut chance, moment, [20.0, 100.0]))
                .collect();
            let of = |level: usize| Simulated::new(runs.iter().map(|run| run[level]).collect());
            columns.push(of(0));
            if weight == 0.10 {
                columns.push(of(1));
            }
        }
        for ((column, cell), simulated) in (0..).zip(cells).zip(&columns) {
            let name = format!("{stable} -> {candidate}, column {column}");
            comparison.quantiles(&name, cell, simulated);
        }
    }
    comparison.assert_none();
}
