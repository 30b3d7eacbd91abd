//! How long a judgement takes: it is made every second for every rollout, on a thread that has other things to do.
//!
//! ```text
//! cargo bench --bench judgement
//! ```
//!
//! The rollout has ten metrics (live errors at five weights; errors, latency and seven outputs on pairs) and has begun
//! to bet anew sixty times, which is as often as any does.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use greenroom::domain::analysis::{
    Gates, LiveCell, LiveCounts, LiveEvidence, OutputOutcome, PairEvidence, PairOutcome, Rates,
    RunOutcome, Trial, judge, restart_epoch,
};
use greenroom::domain::weight::Weight;

const OUTPUTS: usize = 7;

/// Weights, in per cent.
const WEIGHTS: [u64; 5] = [5, 10, 25, 50, 75];

/// So many of both versions' requests are seen at each weight.
const REQUESTS: u64 = 120_000;

/// How long the rollout lasts: as many epochs as there are.
const LONGEST: Duration = Duration::from_secs(3600);

fn live(gates: &Gates) -> LiveEvidence {
    let mut evidence = LiveEvidence::new(gates.clone(), Some(restart_epoch(LONGEST)));
    for minute in 0..=60 {
        evidence.set(&WEIGHTS.map(|weight| cell(weight, REQUESTS * minute / 60)));
        evidence.advance(Duration::from_secs(60 * minute));
    }
    evidence
}

fn cell(weight: u64, requests: u64) -> LiveCell {
    let counts = |requests| LiveCounts { requests, failed: requests / 200 };
    LiveCell {
        weight: weight as f64 / 100.0,
        candidate: counts(requests * weight / 100),
        stable: counts(requests * (100 - weight) / 100),
    }
}

fn pairs(gates: &Gates) -> PairEvidence {
    let names = (0..OUTPUTS).map(|output| format!("output{output}")).collect();
    let mut evidence = PairEvidence::new(names, gates.clone(), Some(restart_epoch(LONGEST)));
    for pair in 0..3600 {
        let answered = |ms| RunOutcome::Answered { time: Some(Duration::from_millis(ms)) };
        let candidate =
            if pair % 500 == 0 { RunOutcome::Failed } else { answered(8 + pair * 7 % 5) };
        let differs = f64::from(u8::from(pair % 50 == 0));
        let outputs = vec![OutputOutcome { differs, noise: Some(0.0), judged: true }; OUTPUTS];
        let outcome =
            PairOutcome { stable: answered(10), candidate, outputs, contract_broken: None };
        evidence.observe(&outcome, Duration::from_secs(pair));
    }
    evidence
}

fn judgement(criterion: &mut Criterion) {
    let gates = Gates::default();
    let (live, pairs) = (live(&gates), pairs(&gates));
    let trial = Trial {
        gates: &gates,
        live: Some(&live),
        pairs: Some(&pairs),
        next: Some(Weight::ALL),
        alarm: None,
        stable_suffers: false,
        rates: Rates { requests: Some(50.0), pairs: Some(1.0) },
    };
    assert_eq!(judge(&trial).gates.len(), OUTPUTS + 2);
    criterion.bench_function("judge, 10 metrics, 60 restarts", |bencher| {
        bencher.iter(|| judge(std::hint::black_box(&trial)));
    });
    let alone = Trial { pairs: None, ..trial };
    criterion.bench_function("judge, live errors alone", |bencher| {
        bencher.iter(|| judge(std::hint::black_box(&alone)));
    });
}

criterion_group!(benches, judgement);
criterion_main!(benches);
