//! Simulated live traffic at given weights: chance makes requests, and it is noted when the evidence reaches what.

use std::time::Duration;

use super::cells::Simulated;
use super::chance::Chance;
use super::*;

/// How often betting begins anew.
const EPOCH: u64 = 60;

/// How likely what is, at some time.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// The candidate's share of the traffic.
    pub(super) weight: f64,
    /// Failures of each version.
    pub(super) stable: f64,
    pub(super) candidate: f64,
}

/// One kind of rollout.
pub(super) struct LiveScene {
    /// Each has its own chance.
    pub(super) number: u64,
    pub(super) runs: u64,
    pub(super) seconds: u64,
    /// Requests in a second.
    pub(super) rate: f64,
}

/// What is waited for: so much evidence, under these limits.
pub(super) struct Mark {
    pub(super) gates: Gates,
    pub(super) restarts: bool,
    pub(super) evidence: f64,
}

/// When the rollouts reached a mark, and how many requests had gone to the candidate by then.
pub(super) struct Reached {
    pub(super) seconds: Simulated,
    pub(super) requests: Simulated,
}

/// What is tolerated where nothing else is said, and what if nothing is.
pub(super) fn marks() -> [Mark; 3] {
    let mut strict = Gates::default();
    (strict.errors.ratio, strict.errors.floor) = (1.0, 0.0);
    [(Gates::default(), 20.0), (Gates::default(), 100.0), (strict, 20.0)]
        .map(|(gates, evidence)| Mark { gates, restarts: true, evidence })
}

impl LiveScene {
    /// Lets the rollouts take place. `moment` tells how likely what is in each second.
    pub(super) fn play<const N: usize>(
        &self,
        moment: impl Fn(u64) -> Moment,
        marks: &[Mark; N],
    ) -> [Reached; N] {
        let runs: Vec<_> = (0..self.runs).map(|run| self.run(run, &moment, marks)).collect();
        std::array::from_fn(|mark| {
            let of = |part: fn((u64, u64)) -> u64| {
                Simulated::new(runs.iter().map(|run| run[mark].map(part)).collect())
            };
            Reached { seconds: of(|(seconds, _)| seconds), requests: of(|(_, requests)| requests) }
        })
    }

    fn run<const N: usize>(
        &self,
        run: u64,
        moment: &impl Fn(u64) -> Moment,
        marks: &[Mark; N],
    ) -> [Option<(u64, u64)>; N] {
        let mut chance = Chance::new(self.number, run);
        let epoch = Duration::from_secs(EPOCH);
        let mut evidence = marks
            .each_ref()
            .map(|mark| LiveEvidence::new(mark.gates.clone(), mark.restarts.then_some(epoch)));
        let (mut reached, mut cells) = ([None; N], Vec::new());
        for second in 0..self.seconds {
            let Moment { weight, stable, candidate } = moment(second);
            let mut draw = |share: f64| chance.poisson(self.rate * share);
            let failed = draw(weight * candidate);
            let requests = failed + draw(weight * (1.0 - candidate));
            // How often stable answers tells nothing.
            let of_stable = draw((1.0 - weight) * stable);
            count(&mut cells, cell(weight, (requests, failed), (of_stable, of_stable)));
            for ((evidence, mark), reached) in evidence.iter_mut().zip(marks).zip(&mut reached) {
                evidence.advance(Duration::from_secs(second));
                if second % EPOCH == EPOCH - 1 || failed > 0 {
                    evidence.set(&cells);
                }
                // Evidence grows with nothing but a failure of the candidate.
                if reached.is_none() && failed > 0 && evidence.log_fail() >= mark.evidence.ln() {
                    *reached = Some((second + 1, cells.iter().map(|c| c.candidate.requests).sum()));
                }
            }
            if reached.iter().all(Option::is_some) {
                break;
            }
        }
        reached
    }
}

/// Adds to the cell of the weight.
pub(super) fn count(cells: &mut Vec<LiveCell>, more: LiveCell) {
    let Some(cell) = cells.iter_mut().find(|cell| cell.weight == more.weight) else {
        cells.push(more);
        return;
    };
    for (counts, more) in [(&mut cell.candidate, more.candidate), (&mut cell.stable, more.stable)] {
        counts.requests += more.requests;
        counts.failed += more.failed;
    }
}
