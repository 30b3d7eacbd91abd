//! Whether the candidate gets the requests that the router draws for it.
//!
//! All evidence from live requests rests on the weight being what the router says. If requests get lost on one side,
//! or are counted twice, the two versions no longer answer the same kind of requests, and nothing follows from a
//! difference between them. Whether it is so can be told without looking at a single answer.

use super::live::LiveCell;
use super::mixture::{evenly, log_value, relative_risk};

/// Guesses of how many times as likely as it should be a request is counted for the candidate.
const FACTORS: [f64; 6] = [0.5, 0.8, 0.9, 1.1, 1.25, 2.0];

/// The chance that a router that works is ever doubted.
pub(super) const DOUBT: f64 = 0.001;

/// The log of the evidence against "each cell's requests go to the candidate with its weight".
pub(super) fn log_evidence(cells: &[LiveCell]) -> f64 {
    log_value(&evenly(FACTORS, |factor| {
        let cells = cells.iter().map(|cell| {
            let counts = (cell.candidate.requests as f64, cell.stable.requests as f64);
            relative_risk(cell.weight, 1.0, factor, counts)
        });
        cells.sum()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::analysis::tests::{assert_near, cell};

    #[test]
    fn it_is_the_mean_fortune_of_guesses_on_who_asks() {
        let (weight, candidate, stable) = (0.25, 60, 110);
        let fortune = |factor: f64| {
            let share = weight * factor / (weight * factor + 1.0 - weight);
            (share / weight).powi(candidate) * ((1.0 - share) / (1.0 - weight)).powi(stable)
        };
        let mean = [0.5, 0.8, 0.9, 1.1, 1.25, 2.0].map(fortune).iter().sum::<f64>() / 6.0;
        let cells = [cell(weight, (candidate as u64, 0), (stable as u64, 7))];
        assert_near(log_evidence(&cells), mean.ln());
    }

    #[test]
    fn requests_that_get_lost_are_missed() {
        let bar = (1.0 / DOUBT).ln();
        let even = [cell(0.05, (500, 9), (9500, 0)), cell(0.50, (1000, 0), (1000, 0))];
        assert!(log_evidence(&even) < 0.0);
        let lost = [cell(0.05, (500, 9), (9500, 0)), cell(0.50, (1000, 0), (700, 0))];
        assert!(log_evidence(&lost) > bar);
        assert_near(log_evidence(&[]), 0.0);
    }
}
