//! What many rollouts come to.

use super::fate::{Fate, Run};

/// Where the normal distribution has 2.5 % above it.
const QUANTILE: f64 = 1.959_963_984_540_054;

/// All rollouts of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// How many ended in which way, in the order of [`Fate::ALL`].
    pub fates: [Share; 3],
    /// The seconds until a decision, by how it came out. None where it never did.
    pub seconds: [Option<Percentiles>; 3],
    /// The live requests of the candidate until then, likewise.
    pub candidate_requests: [Option<Percentiles>; 3],
    /// The answers that were failures because of the candidate, in the mean of all rollouts.
    pub bad_answers: f64,
    /// The requests that the candidate failed and stable answered, in the mean of all rollouts.
    pub rescued: f64,
}

/// A share of the rollouts, and where the true one is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Of how many. At least one.
    pub of: u64,
}

/// How many are below what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles {
    /// One in ten is below it.
    pub p10: f64,
    /// Half of them are.
    pub p50: f64,
    /// Nine in ten are.
    pub p90: f64,
}

impl Summary {
    /// Of at least one rollout.
    pub fn of(runs: &[Run]) -> Self {
        let of_fate = |fate| runs.iter().filter(move |run| run.fate == fate);
        let share = |fate| Share { count: of_fate(fate).count() as u64, of: runs.len() as u64 };
        let mean =
            |value: fn(&Run) -> f64| runs.iter().map(value).sum::<f64>() / runs.len().max(1) as f64;
        let percentiles =
            |fate, value: fn(&Run) -> f64| Percentiles::of(of_fate(fate).map(value).collect());
        Self {
            fates: Fate::ALL.map(share),
            seconds: Fate::ALL.map(|fate| percentiles(fate, |run| run.decided.as_secs_f64())),
            candidate_requests: Fate::ALL
                .map(|fate| percentiles(fate, |run| run.candidate_requests as f64)),
            bad_answers: mean(|run| run.bad_answers),
            rescued: mean(|run| run.rescued as f64),
        }
    }

    /// The share that ended so.
    pub fn share(&self, fate: Fate) -> Share {
        self.fates[fate as usize]
    }
}

impl Share {
    /// From 0 to 1.
    pub fn value(self) -> f64 {
        self.count as f64 / self.of as f64
    }

    /// The 95 % confidence interval of the true share (Wilson 1927).
    pub fn interval(self) -> [f64; 2] {
        let (n, p) = (self.of as f64, self.value());
        let square = QUANTILE * QUANTILE;
        let middle = (p + square / (2.0 * n)) / (1.0 + square / n);
        let half =
            QUANTILE / (1.0 + square / n) * (p * (1.0 - p) / n + square / (4.0 * n * n)).sqrt();
        [(middle - half).max(0.0), (middle + half).min(1.0)]
    }
}

impl Percentiles {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |share: f64| values[(share * last as f64).round() as usize];
        Some(Self { p10: at(0.1), p50: at(0.5), p90: at(0.9) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_interval_of_a_share_is_wilsons() {
        // Newcombe (1998), table I.
        for ((count, of), expected) in
            [((81, 263), [0.2553, 0.3662]), ((15, 148), [0.0624, 0.1605]), ((0, 20), [0.0, 0.1611])]
        {
            let interval = Share { count, of }.interval();
            for (end, expected) in interval.into_iter().zip(expected) {
                assert!((end - expected).abs() < 5e-5, "{interval:?}");
            }
        }
    }

    #[test]
    fn rollouts_are_summed_up_by_how_they_ended() {
        let run = |fate, seconds| Run {
            fate,
            decided: Duration::from_secs(seconds),
            candidate_requests: 10 * seconds,
            bad_answers: 1.5,
            rescued: 2,
        };
        let mut runs: Vec<Run> = (0..=100).map(|at| run(Fate::Promoted, at)).collect();
        runs.push(run(Fate::RolledBack, 7));
        let summary = Summary::of(&runs);
        assert_eq!(summary.share(Fate::RolledBack), Share { count: 1, of: 102 });
        assert_eq!(summary.share(Fate::Undecided).count, 0);
        let of_promoted = Percentiles { p10: 10.0, p50: 50.0, p90: 90.0 };
        assert_eq!(summary.seconds[Fate::Promoted as usize], Some(of_promoted));
        assert_eq!(summary.seconds[Fate::Undecided as usize], None);
        assert_eq!(summary.candidate_requests[Fate::RolledBack as usize].unwrap().p90, 70.0);
        assert_eq!((summary.bad_answers, summary.rescued), (1.5, 2.0));
    }
}
