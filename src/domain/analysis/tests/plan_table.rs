//! Whole rollouts in steps, simulated: how many end how, how long that takes, and the harm that is done on the way.

use std::time::Duration;

use super::cells::{Cell, Comparison, Simulated, rare, runs};
use super::chance::Chance;
use super::live_rollouts::count;
use super::*;
use crate::domain::weight::Weight;

/// The candidate's share of the traffic in each step, and after the last one.
const STEPS: [Weight; 5] =
    [Weight::whole(5), Weight::whole(10), Weight::whole(25), Weight::whole(50), Weight::ALL];

/// How long a step lasts and how many requests go to the candidate in it at least.
const DWELL: u64 = 60;
const REQUESTS: u64 = 50;

/// It is judged after so many seconds, and given up after two hours.
const TICK: u64 = 5;
const HORIZON: u64 = 7200;

/// Betting begins anew after so many seconds.
const EPOCH: Duration = Duration::from_secs(60);

/// How a rollout ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    RolledBack,
    Promoted,
    Undecided,
}

/// How much traffic there is in a second, and the share of it that each version fails.
#[derive(Clone, Copy)]
struct Scene {
    number: u64,
    rate: f64,
    stable: f64,
    candidate: f64,
}

/// One rollout.
struct Rollout {
    gates: Gates,
    evidence: LiveEvidence,
    cells: Vec<LiveCell>,
    step: usize,
    /// Since the step began.
    seconds: u64,
    requests: u64,
}

impl Rollout {
    fn new() -> Self {
        let gates = Gates::default();
        let evidence = LiveEvidence::new(gates.clone(), Some(EPOCH));
        Self { gates, evidence, cells: Vec::new(), step: 0, seconds: 0, requests: 0 }
    }

    fn weight(&self) -> f64 {
        STEPS[self.step].fraction()
    }

    fn next(&self) -> Weight {
        STEPS[self.step + 1]
    }

    fn verdict(&self) -> Verdict {
        let trial = Trial {
            gates: &self.gates,
            live: Some(&self.evidence),
            pairs: None,
            next: Some(self.next()),
            alarm: None,
            stable_suffers: false,
            rates: Rates::default(),
        };
        judge(&trial).verdict
    }

    /// Some time has passed, with these requests. The verdict is only asked for where it can be one that matters: all else
    /// would take a hundred times as long.
    fn judged(&mut self, requests: LiveCell) -> Option<End> {
        let has_failed = requests.candidate.failed > 0;
        self.seconds += TICK;
        self.requests += requests.candidate.requests;
        count(&mut self.cells, requests);
        self.evidence.set(&self.cells);
        if has_failed && self.evidence.log_fail() >= 20f64.ln() {
            assert_eq!(self.verdict().decision(), "fail");
            return Some(End::RolledBack);
        }
        let is_due = self.seconds >= DWELL && self.requests >= REQUESTS;
        if is_due && self.evidence.log_pass(self.next()) >= 20f64.ln() {
            // In one of a thousand rollouts the router is doubted, and then it is held.
            match self.verdict() {
                Verdict::Pass { .. } => {
                    (self.step, self.seconds, self.requests) = (self.step + 1, 0, 0);
                }
                Verdict::Hold { .. } => {}
                verdict => panic!("{verdict:?}"),
            }
        }
        (self.step + 1 == STEPS.len()).then_some(End::Promoted)
    }
}

impl Scene {
    /// How it ended, after how many seconds, and how many requests failed in two hours that stable would have answered.
    fn run(&self, run: u64) -> (End, u64, f64) {
        let (mut rollout, mut chance) = (Rollout::new(), Chance::new(self.number, run));
        let excess = self.candidate - self.stable;
        let mut harm = 0.0;
        for second in (0..HORIZON).step_by(TICK as usize) {
            let weight = rollout.weight();
            let mut draw = |share: f64, failures: f64| {
                let mean = self.rate * TICK as f64 * share;
                let failed = chance.poisson(mean * failures);
                (failed + chance.poisson(mean * (1.0 - failures)), failed)
            };
            let candidate = draw(weight, self.candidate);
            let requests = cell(weight, candidate, draw(1.0 - weight, self.stable));
            harm += candidate.0 as f64 * excess;
            rollout.evidence.advance(Duration::from_secs(second));
            let after = second + TICK;
            match rollout.judged(requests) {
                Some(End::Promoted) => {
                    harm += (HORIZON - after) as f64 * self.rate * excess;
                    return (End::Promoted, after, harm);
                }
                Some(end) => return (end, after, harm),
                None => {}
            }
        }
        (End::Undecided, HORIZON, harm)
    }
}

#[test]
fn whole_rollouts_end_as_in_the_reference() {
    let minutes = |share, tenths: u64| rare(share).in_seconds(tenths * 6, 3);
    let scene = |rate, stable, candidate| (rate, stable, candidate);
    // Rolled back, promoted, undecided; and how many requests were harmed.
    type Row = ((f64, f64, f64), [Cell; 3], Option<f64>);
    let rows: [Row; 10] = [
        (
            scene(1.0, 0.005, 0.005),
            [rare(1.2), rare(92.3).in_seconds(67 * 60, 30), rare(6.4)],
            None,
        ),
        (scene(1.0, 0.005, 0.02), [rare(92.5), rare(0.2), rare(7.3)], Some(8.0)),
        (scene(10.0, 0.005, 0.005), [rare(0.7), minutes(99.4, 74), rare(0.0)], None),
        (scene(10.0, 0.005, 0.02), [minutes(100.0, 78), rare(0.1), rare(0.0)], Some(10.0)),
        (scene(10.0, 0.001, 0.009), [rare(93.2), rare(6.8), rare(0.0)], Some(43.0)),
        (scene(10.0, 0.005, 0.015), [rare(98.4), rare(1.6), rare(0.0)], None),
        (scene(100.0, 0.005, 0.005), [rare(0.4), minutes(99.7, 40), rare(0.0)], None),
        (scene(100.0, 0.005, 0.02), [minutes(100.0, 13), rare(0.0), rare(0.0)], Some(9.0)),
        (scene(100.0, 0.001, 0.009), [minutes(100.0, 13), rare(0.0), rare(0.0)], Some(5.0)),
        (scene(100.0, 0.005, 0.20), [minutes(100.0, 1), rare(0.0), rare(0.0)], Some(6.0)),
    ];
    let mut comparison = Comparison::default();
    for (((rate, stable, candidate), cells, harm), number) in rows.into_iter().zip(601..) {
        let scene = Scene { number, rate, stable, candidate };
        let ends: Vec<_> = (0..runs(30)).map(|run| scene.run(run)).collect();
        let ended = [End::RolledBack, End::Promoted, End::Undecided].map(|wanted| {
            let after = |&(end, after, _): &(End, u64, f64)| (end == wanted).then_some(after);
            Simulated::new(ends.iter().map(after).collect())
        });
        let name = format!("{stable} -> {candidate} at {rate} in a second");
        comparison.row(&name, cells, ended);
        if let Some(harm) = harm {
            let simulated: Vec<_> = ends.iter().map(|(_, _, harm)| *harm).collect();
            comparison.mean(&format!("{name}, harm"), harm, &simulated);
        }
    }
    comparison.assert_none();
}
