//! Simulated rollouts: chance makes pairs, and it is noted when the evidence reaches what.

use std::time::Duration;

use super::cells::Simulated;
use super::chance::Chance;
use super::*;

/// The evidence is looked at after so many pairs.
const LOOK: u64 = 10;

/// One kind of rollout. There is a pair in every second.
pub(super) struct Scene<'s> {
    /// Each has its own chance.
    pub(super) number: u64,
    pub(super) runs: u64,
    /// No rollout has more pairs.
    pub(super) horizon: u64,
    /// Before the first pair.
    pub(super) evidence: &'s PairEvidence,
}

impl Scene<'_> {
    /// Lets the rollouts take place, and tells of each mark when they reached it. A rollout that reached all marks
    /// is over. `next` changes the pair before into the next one.
    pub(super) fn play<const N: usize>(
        &self,
        next: impl Fn(&mut Chance, &mut PairOutcome),
        reached: impl Fn(&PairEvidence) -> [bool; N],
    ) -> [Simulated; N] {
        let rollouts: Vec<_> = (0..self.runs).map(|run| self.run(run, &next, &reached)).collect();
        std::array::from_fn(|mark| Simulated::new(rollouts.iter().map(|run| run[mark]).collect()))
    }

    fn run<const N: usize>(
        &self,
        run: u64,
        next: &impl Fn(&mut Chance, &mut PairOutcome),
        reached: &impl Fn(&PairEvidence) -> [bool; N],
    ) -> [Option<u64>; N] {
        let (mut evidence, mut chance) = (self.evidence.clone(), Chance::new(self.number, run));
        let mut pair = pair(answered(10), answered(10));
        let mut first = [None; N];
        for number in 1..=self.horizon {
            next(&mut chance, &mut pair);
            evidence.observe(&pair, Duration::from_secs(number));
            if number % LOOK != 0 {
                continue;
            }
            for (first, reached) in first.iter_mut().zip(reached(&evidence)) {
                if reached {
                    first.get_or_insert(number);
                }
            }
            if first.iter().all(Option::is_some) {
                break;
            }
        }
        first
    }
}
