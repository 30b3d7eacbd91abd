//! Outputs on pairs, simulated: other labels, with and without a stable version that does not agree with itself.

use std::time::Duration;

use super::cells::{Cell, Comparison, UNKNOWN, after, cell, rare, rough, runs};
use super::chance::Chance;
use super::rollouts::Scene;
use super::*;

/// What is expected of the same model made anew.
const LIMITS: OutputLimits = OutputLimits { reject: 0.005, prove: 0.02 };

fn evidence(epoch: Option<Duration>) -> PairEvidence {
    let gates = Gates { outputs: Some(LIMITS), ..Gates::default() };
    PairEvidence::new(vec!["label".into()], gates, epoch)
}

/// The versions differ, and one differs from itself, with these probabilities.
fn next(chance: &mut Chance, pair: &mut PairOutcome, versions: f64, itself: f64) {
    let (differs, noise) = (chance.happens(versions), chance.happens(itself));
    let outcome =
        OutputOutcome { differs: f64::from(differs), noise: Some(f64::from(noise)), judged: true };
    pair.outputs.clear();
    pair.outputs.push(outcome);
}

/// Rows of: how often one version differs from itself and how much more often from the other, and what comes of it.
#[track_caller]
fn assert_agrees(few: u64, rows: &[(f64, f64, Cell)]) {
    let evidence = evidence(None);
    let mut comparison = Comparison::default();
    for (&(itself, more, cell), number) in rows.iter().zip(201..) {
        let scene = Scene { number, runs: runs(few), horizon: 4000, evidence: &evidence };
        let simulated = scene.play(
            |chance, pair| next(chance, pair, itself + more, itself),
            |PairEvidence { outputs, schedule, .. }| {
                [outputs[0].flips.log_fail(&LIMITS, schedule) >= 20f64.ln()]
            },
        );
        comparison.row(&format!("{itself} and {more} more"), [cell], simulated);
    }
    comparison.assert_none();
}

#[test]
fn noise_takes_a_candidate_back_as_rarely_as_in_the_reference() {
    assert_agrees(
        60,
        &[
            (0.0, 0.0, rare(0.0)),
            (0.005, 0.0, rare(0.3)),
            (0.01, 0.0, rare(1.1)),
            (0.02, 0.0, rare(0.6)),
            (0.05, 0.0, rare(1.0)),
        ],
    );
}

#[test]
fn differences_beyond_noise_are_found_as_soon_as_in_the_reference() {
    assert_agrees(
        60,
        &[
            (0.0, 0.02, after(280)),
            (0.005, 0.02, after(760)),
            (0.01, 0.02, after(1140)),
            (0.02, 0.02, rough(91.0, 1630)),
            (0.05, 0.02, rough(57.0, 1940)),
        ],
    );
}

#[test]
fn other_labels_are_judged_as_often_and_as_soon_as_in_the_reference() {
    // At a chance of 1 to 20 and of 1 to 100, and the proof that fewer than 2 % are other.
    let rows: [(f64, [Cell; 2], Cell); 5] = [
        (0.005, [rare(2.7), rare(0.6)], cell(100.0, 500)),
        (0.002, [rare(0.0), rare(0.0)], cell(100.0, 260)),
        (0.01, [cell(100.0, 1920), cell(100.0, 2810)], cell(100.0, 1210)),
        (0.02, [cell(100.0, 320), cell(100.0, 460)], rare(2.8)),
        (0.05, [cell(100.0, 70), cell(100.0, 100)], rare(0.0)),
    ];
    let evidence = evidence(Some(Duration::from_secs(400)));
    let mut comparison = Comparison::default();
    for ((share, fail, pass), number) in rows.into_iter().zip(301..) {
        let scene = Scene { number, runs: runs(20), horizon: 20_000, evidence: &evidence };
        let simulated = scene.play(
            |chance, pair| next(chance, pair, share, 0.0),
            |PairEvidence { outputs, schedule, .. }| {
                let flips = &outputs[0].flips;
                let without_noise = flips.log_fail_without_noise(&LIMITS, schedule);
                let fail = flips.log_fail(&LIMITS, schedule);
                [
                    without_noise >= 20f64.ln(),
                    without_noise >= 100f64.ln(),
                    fail >= 20f64.ln(),
                    fail >= 100f64.ln(),
                    flips.log_pass(&LIMITS) >= 20f64.ln(),
                ]
            },
        );
        // What is found before noise would have shown is found later where there may be noise.
        let with_noise = if share < 0.05 { fail } else { [UNKNOWN; 2] };
        let cells = [fail[0], fail[1], with_noise[0], with_noise[1], pass];
        comparison.row(&format!("{share}"), cells, simulated);
    }
    comparison.assert_none();
}
