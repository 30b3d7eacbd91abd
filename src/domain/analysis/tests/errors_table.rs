//! Errors on pairs, simulated: inputs that fail on both versions, and each version's own failures.

use super::cells::{Cell, Comparison, cell, rare, runs};
use super::rollouts::Scene;
use super::*;

/// With which probability a run fails.
struct Failures {
    /// Both, because of the input.
    shared: f64,
    /// By the fault of each version.
    stable: f64,
    candidate: f64,
}

#[test]
fn failures_take_a_candidate_back_as_often_and_as_soon_as_in_the_reference() {
    let failures = |shared, stable, candidate| Failures { shared, stable, candidate };
    let rows: [(&str, Failures, Cell); 6] = [
        ("2 % shared", failures(0.02, 0.0, 0.0), rare(0.0)),
        ("0.1 / 0.1 %", failures(0.0, 0.001, 0.001), rare(0.4)),
        ("0.5 / 0.6 %", failures(0.01, 0.005, 0.006), rare(3.5)),
        ("0 / 1 %", failures(0.01, 0.0, 0.01), cell(100.0, 680)),
        ("0.5 / 2 %", failures(0.01, 0.005, 0.02), cell(100.0, 750)),
        ("0 / 5 %", failures(0.0, 0.0, 0.05), cell(100.0, 140)),
    ];
    let evidence = PairEvidence::new(Vec::new(), Gates::default(), None);
    let mut comparison = Comparison::default();
    for ((name, failures, cell), number) in rows.into_iter().zip(101..) {
        let scene = Scene { number, runs: runs(100), horizon: 5000, evidence: &evidence };
        let simulated = scene.play(
            |chance, pair| {
                let is_shared = chance.happens(failures.shared);
                let mut run = |own: f64| {
                    if is_shared || chance.happens(own) { RunOutcome::Failed } else { answered(10) }
                };
                (pair.stable, pair.candidate) = (run(failures.stable), run(failures.candidate));
            },
            |evidence| {
                let PairEvidence { errors, gates, schedule, .. } = evidence;
                [errors.log_fail(&gates.errors, schedule) >= 20f64.ln()]
            },
        );
        comparison.row(name, [cell], simulated);
    }
    comparison.assert_none();
}
