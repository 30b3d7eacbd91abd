//! Requests that stick to a version by their key, simulated: a key counts once, or a few heavy users decide.

use super::cells::runs;
use super::chance::Chance;
use super::guarantees::assert_at_most;
use super::live_rollouts::{count, marks};
use super::*;

const KEYS: usize = 400;
const REQUESTS: usize = 20_000;

/// One who makes requests.
#[derive(Clone, Copy)]
struct Key {
    /// Up to which sum of all keys' activity.
    up_to: f64,
    /// The share of its requests that fail, on either version.
    failures: f64,
    /// From which weight on it is the candidate's.
    slot: f64,
    counted: Counted,
}

/// Where a key counted last.
#[derive(Clone, Copy)]
enum Counted {
    Nowhere,
    OnStable { weight: f64 },
    OnCandidate,
}

/// Few are responsible for much of the traffic, and for some every second request fails.
fn keys(chance: &mut Chance) -> Vec<Key> {
    let mut up_to = 0.0;
    let mut key = || {
        // Pareto with the exponent 1.2.
        up_to += (1.0 - chance.uniform()).powf(-1.0 / 1.2) - 1.0 + 0.2;
        let failures = if chance.happens(0.03) { 0.5 } else { 0.002 };
        Key { up_to, failures, slot: chance.uniform(), counted: Counted::Nowhere }
    };
    (0..KEYS).map(|_| key()).collect()
}

impl Key {
    /// The chance that it is the candidate's at this weight, seeing where it counted before. None where that is settled, or
    /// it has counted at this weight.
    fn chance_at(&self, weight: f64) -> Option<f64> {
        match self.counted {
            Counted::Nowhere => Some(weight),
            Counted::OnStable { weight: before } if before < weight => {
                Some((weight - before) / (1.0 - before))
            }
            Counted::OnStable { .. } | Counted::OnCandidate => None,
        }
    }

    fn count_at(&mut self, weight: f64, failed: bool) -> Option<LiveCell> {
        let propensity = self.chance_at(weight)?;
        let it = (1, u64::from(failed));
        if self.slot < weight {
            self.counted = Counted::OnCandidate;
            Some(cell(propensity, it, (0, 0)))
        } else {
            self.counted = Counted::OnStable { weight };
            Some(cell(propensity, (0, 0), it))
        }
    }
}

/// Whether a candidate like stable is taken back.
fn is_taken_back(number: u64, run: u64, gates: Gates, weight: impl Fn(usize) -> f64) -> bool {
    let mut chance = Chance::new(number, run);
    let mut keys = keys(&mut chance);
    let whole = keys[KEYS - 1].up_to;
    let (mut evidence, mut cells) = (LiveEvidence::new(gates, None), Vec::new());
    (0..REQUESTS).any(|request| {
        let place = chance.uniform() * whole;
        let who = keys.partition_point(|key| key.up_to <= place);
        let key = &mut keys[who];
        let failed = chance.happens(key.failures);
        let Some(counted) = key.count_at(weight(request), failed) else { return false };
        count(&mut cells, counted);
        evidence.set(&cells);
        failed && evidence.log_fail() >= 20f64.ln()
    })
}

#[track_caller]
fn assert_rarely_taken_back(number: u64, few: u64, weight: impl Fn(usize) -> f64 + Copy) {
    let [tolerant, _, strict] = marks().map(|mark| mark.gates);
    for (gates, number) in [tolerant, strict].into_iter().zip(number..) {
        let runs = runs(few);
        let ends = (0..runs).map(|run| is_taken_back(number, run, gates.clone(), weight));
        let taken_back = cells::Simulated::new(ends.map(|is| is.then_some(0)).collect());
        println!("{taken_back}");
        assert_at_most(0.03, runs, &taken_back);
    }
}

#[test]
fn heavy_users_take_no_candidate_back_where_a_key_counts_once() {
    assert_rarely_taken_back(701, 30, |_| 0.10);
}

#[test]
fn keys_that_move_to_the_candidate_as_its_share_grows_take_it_back_as_rarely() {
    assert_rarely_taken_back(711, 30, |request| [0.05, 0.10, 0.25, 0.50][request * 4 / REQUESTS]);
}
