//! What the latency of requests is held against while it is measured: few marks, so that a request is quickly counted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::analysis::Latencies;

/// By how much pairs may slow stable down: what is asked about, and the bounds that can be told. The first is for the
/// time without pairs.
pub const SLOWDOWNS: [f64; 14] =
    [0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0];

/// The parts of stable's requests that are looked at: the usual ones, and the slowest hundredth.
pub const QUANTILES: [f64; 2] = [0.5, 0.99];

/// Of fewer requests a p99 is only the longest.
const ENOUGH: u64 = 100;

/// For each quantile the latency that it was before, and what it would be with each slowdown.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Marks([[Duration; SLOWDOWNS.len()]; QUANTILES.len()]);

/// How many requests there were between two marks, below the first and above the last.
pub type Bins = [[u64; SLOWDOWNS.len() + 1]; QUANTILES.len()];

/// Requests of one stretch of time, by the marks that they are above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally(Bins);

impl Marks {
    /// From how long requests took before; none of too few.
    ///
    /// Which marks are taken does not matter for what is concluded, only for how soon: most is seen where many requests
    /// are about as slow as that.
    pub fn of(before: &Latencies) -> Option<Self> {
        let known = before.total() >= ENOUGH;
        let at = QUANTILES.map(|share| before.quantile(share).filter(|_| known));
        let [Some(usual), Some(slow)] = at else { return None };
        Some(Self([usual, slow].map(|mark| SLOWDOWNS.map(|by| mark.mul_f64(1.0 + by)))))
    }

    /// Where a request that took so long is counted, for each quantile.
    pub fn places(&self, latency: Duration) -> [usize; QUANTILES.len()] {
        self.0.each_ref().map(|marks| marks.partition_point(|mark| *mark < latency))
    }
}

impl Tally {
    /// Of counts by [`Marks::places`].
    pub const fn of_counts(bins: Bins) -> Self {
        Self(bins)
    }

    /// Counts a request.
    pub fn add(&mut self, places: [usize; QUANTILES.len()]) {
        self.0.iter_mut().zip(places).for_each(|(bins, place)| bins[place] += 1);
    }

    /// What has been added since then.
    pub fn since(&self, before: &Self) -> Self {
        Self(std::array::from_fn(|quantile| {
            std::array::from_fn(|place| {
                self.0[quantile][place].saturating_sub(before.0[quantile][place])
            })
        }))
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.0[0].iter().sum()
    }

    /// The share of them that is slower than each mark of a quantile. None of no requests.
    pub(super) fn slower(&self, quantile: usize) -> Option<[f64; SLOWDOWNS.len()]> {
        let bins = &self.0[quantile];
        let total: u64 = bins.iter().sum();
        let mut above = total;
        let slower = std::array::from_fn(|mark| {
            above -= bins[mark];
            above as f64 / total as f64
        });
        (total > 0).then_some(slower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn marks() -> Marks {
        let mut before = Latencies::NONE;
        before.add(ms(10), 98);
        before.add(ms(100), 2);
        Marks::of(&before).unwrap()
    }

    #[test]
    fn too_few_requests_make_no_marks() {
        let mut before = Latencies::NONE;
        before.add(ms(10), ENOUGH - 1);
        assert_eq!(Marks::of(&before), None);
    }

    #[test]
    fn a_request_counts_as_slower_than_the_marks_below_it() {
        let (marks, mut tally) = (marks(), Tally::default());
        let usual = marks.0[0][0];
        for latency in [usual / 2, usual, usual.mul_f64(1.04), usual * 3] {
            tally.add(marks.places(latency));
        }
        let slower = tally.slower(0).unwrap();
        assert_eq!((slower[0], slower[5], slower[6], slower[13]), (0.5, 0.5, 0.25, 0.25));
        assert_eq!(tally.slower(1).unwrap()[0], 0.0, "it is far from the slowest hundredth");
        assert_eq!(tally.total(), 4);
        assert_eq!(tally.since(&tally).slower(0), None);
    }
}
