//! What is promised, simulated where it is hardest to keep: at the edge of what is tolerated, with every metric at
//! once and betting that begins anew.

use std::time::Duration;

use super::cells::runs;
use super::chance::Chance;
use super::live_rollouts::count;
use super::rollouts::Scene;
use super::*;
use crate::domain::weight::Weight;

/// A model trained again, watched for an hour.
fn evidence() -> PairEvidence {
    let epoch = restart_epoch(Duration::from_secs(3600));
    PairEvidence::new(vec!["label".into()], Gates::default(), Some(epoch))
}

/// How often the candidate fails alone and stable does, is slower by a third, and answers differently.
struct Shares {
    errors: (f64, f64),
    slower: f64,
    differs: f64,
}

impl Shares {
    fn next(&self, chance: &mut Chance, pair: &mut PairOutcome) {
        let kind = chance.uniform();
        let slow = if chance.happens(self.slower) { 13 } else { 10 };
        let differs = f64::from(chance.happens(self.differs));
        (pair.stable, pair.candidate) = (answered(10), answered(slow));
        pair.outputs.clear();
        if kind < self.errors.0 {
            pair.candidate = RunOutcome::Failed;
        } else if kind < self.errors.0 + self.errors.1 {
            pair.stable = RunOutcome::Failed;
        } else {
            pair.outputs.push(OutputOutcome { differs, noise: None, judged: true });
        }
    }
}

/// At most this share, and what is put down to chance: three standard errors.
#[track_caller]
pub(super) fn assert_at_most(limit: f64, runs: u64, simulated: &cells::Simulated) {
    let tolerance = 3.0 * (limit * (1.0 - limit) / runs as f64).sqrt();
    assert!(simulated.share() <= limit + tolerance, "{simulated} instead of {limit}");
}

#[test]
fn a_candidate_at_the_edge_of_all_that_is_tolerated_is_taken_back_in_at_most_alpha() {
    let edge = Shares { errors: (0.012, 0.010), slower: 0.5, differs: 0.10 };
    let (runs, evidence) = (runs(40), evidence());
    let scene = Scene { number: 401, runs, horizon: 3600, evidence: &evidence };
    let [taken_back] = scene.play(
        |chance, pair| edge.next(chance, pair),
        |evidence| [evidence.log_fail() >= 20f64.ln()],
    );
    assert_at_most(0.05, runs, &taken_back);
}

#[test]
fn a_candidate_beyond_one_limit_passes_in_at_most_beta() {
    for (number, beyond) in (411..).zip([
        Shares { errors: (0.025, 0.005), slower: 0.1, differs: 0.01 },
        Shares { errors: (0.0, 0.0), slower: 0.5, differs: 0.01 },
        Shares { errors: (0.0, 0.0), slower: 0.1, differs: 0.15 },
    ]) {
        let (runs, evidence) = (runs(20), evidence());
        let scene = Scene { number, runs, horizon: 3600, evidence: &evidence };
        let [passed] = scene.play(
            |chance, pair| beyond.next(chance, pair),
            |evidence| [evidence.log_pass() >= 20f64.ln()],
        );
        assert_at_most(0.05, runs, &passed);
    }
}

#[test]
fn the_true_share_is_in_all_intervals_but_in_one_rollout_of_twenty() {
    for (number, share) in (421..).zip([0.005, 0.10, 0.6]) {
        let shares = Shares { errors: (0.0, 0.0), slower: 0.1, differs: share };
        let (runs, evidence) = (runs(20), evidence());
        let scene = Scene { number, runs, horizon: 1000, evidence: &evidence };
        let [missed] = scene.play(
            |chance, pair| shares.next(chance, pair),
            |PairEvidence { outputs, .. }| {
                let flips = &outputs[0].flips;
                let interval = interval::interval(flips.pairs as f64, flips.differing).unwrap();
                [share < interval[0] || interval[1] < share]
            },
        );
        assert_at_most(0.05, runs, &missed);
    }
}

/// Whether the evidence is ever wrong in a rollout of half an hour, in which the weight grows. Of the candidate's and of
/// stable's requests so many fail.
fn is_ever_wrong(
    number: u64,
    run: u64,
    failures: (f64, f64),
    wrong: impl Fn(&LiveEvidence) -> bool,
) -> bool {
    let (mut chance, mut cells) = (Chance::new(number, run), Vec::new());
    let mut evidence = LiveEvidence::new(Gates::default(), Some(Duration::from_secs(60)));
    (0..180).any(|look| {
        let weight = [0.05, 0.25, 0.50][look as usize / 60];
        let mut counts = |share: f64, failures: f64| {
            let requests = chance.poisson(100.0 * share);
            (requests, chance.binomial(requests, failures))
        };
        let candidate = counts(weight, failures.0);
        count(&mut cells, cell(weight, candidate, counts(1.0 - weight, failures.1)));
        evidence.advance(Duration::from_secs(10 * look));
        evidence.set(&cells);
        wrong(&evidence)
    })
}

#[test]
fn live_evidence_is_wrong_in_at_most_one_rollout_of_twenty() {
    let runs = runs(60);
    let share = |number, failures, wrong: fn(&LiveEvidence) -> bool| {
        let rollouts = (0..runs).map(|run| is_ever_wrong(number, run, failures, wrong));
        cells::Simulated::new(rollouts.map(|is_wrong| is_wrong.then_some(0)).collect())
    };
    let taken_back = share(431, (0.012, 0.010), |evidence| evidence.log_fail() >= 20f64.ln());
    assert_at_most(0.05, runs, &taken_back);
    let missed = share(432, (0.03, 0.01), |evidence| evidence.excess_below() < 0.02);
    assert_at_most(0.05, runs, &missed);
    let promoted =
        share(433, (0.02, 0.01), |evidence| evidence.log_pass(Weight::ALL) >= 20f64.ln());
    assert_at_most(0.05, runs, &promoted);
    let doubted = share(434, (0.1, 0.0), |evidence| evidence.sample_ratio() >= 20f64.ln());
    assert_at_most(0.05, runs, &doubted);
}
