//! How the evidence has grown: a few points, however many pairs there were.

use serde::{Deserialize, Serialize};

/// As many points as are kept; with the present one there are 256 at most.
const MOST: usize = 255;

/// The evidence after so many pairs. All logs are natural.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Point {
    /// How many pairs there were.
    pub(super) pairs: u64,
    /// The log of the evidence against the candidate, of all metrics together.
    pub(super) log_fail: f64,
    /// The log of the proof that it is within its limits, of the gate that is furthest from it.
    pub(super) log_pass: f64,
    /// The share of pairs that answered differently, in the output that differs most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) estimate: Option<f64>,
    /// The least that this share may be, with 95 % confidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lower: Option<f64>,
    /// The most that it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upper: Option<f64>,
}

/// Points at even distances; when there are too many, every other one goes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Curve {
    stride: u64,
    points: Vec<Point>,
}

impl Default for Curve {
    fn default() -> Self {
        Self { stride: 1, points: Vec::new() }
    }
}

impl Curve {
    /// Whether a point is due after so many pairs.
    pub(super) fn is_due(&self, pairs: u64) -> bool {
        pairs.is_multiple_of(self.stride)
    }

    pub(super) fn add(&mut self, point: Point) {
        self.points.push(point);
        if self.points.len() > MOST {
            self.stride *= 2;
            let stride = self.stride;
            self.points.retain(|point| point.pairs.is_multiple_of(stride));
        }
    }

    /// All points, and the present one.
    pub(super) fn up_to(&self, now: Point) -> Vec<Point> {
        let mut points = self.points.clone();
        if points.last().is_none_or(|last| last.pairs < now.pairs) && now.pairs > 0 {
            points.push(now);
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(pairs: u64) -> Point {
        Point { pairs, log_fail: 0.0, log_pass: 0.0, estimate: None, lower: None, upper: None }
    }

    #[test]
    fn it_stays_short_and_even_and_ends_at_the_present() {
        let mut curve = Curve::default();
        for pairs in 1..=100_000 {
            if curve.is_due(pairs) {
                curve.add(point(pairs));
            }
            assert!(curve.points.len() <= MOST);
        }
        let pairs: Vec<u64> = curve.up_to(point(100_001)).iter().map(|point| point.pairs).collect();
        assert!(pairs.len() > MOST / 2, "{}", pairs.len());
        assert_eq!(pairs.last(), Some(&100_001));
        assert!(pairs[..pairs.len() - 1].windows(2).all(|two| two[1] - two[0] == 512), "{pairs:?}");
        assert!(Curve::default().up_to(point(0)).is_empty());
    }
}
