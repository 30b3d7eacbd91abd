//! How long the two runs of a pair took, and which of them failed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pair::Run;
use super::report::{ErrorCounts, LatencyReport, Quantiles};
use super::sketch::Sketch;

/// No run takes less: a clock that shows nothing would make infinite ratios.
const SHORTEST: Duration = Duration::from_nanos(100);

/// Times of pairs in which both answered.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Latency {
    pairs: u64,
    log_ratio: Sketch,
    stable_ms: Sketch,
    candidate_ms: Sketch,
}

impl Latency {
    pub(super) fn add(&mut self, stable: Duration, candidate: Duration) {
        let [stable, candidate] =
            [stable, candidate].map(|time| time.max(SHORTEST).as_secs_f64() * 1e3);
        self.pairs += 1;
        self.log_ratio.add((candidate / stable).ln());
        self.stable_ms.add(stable);
        self.candidate_ms.add(candidate);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.log_ratio.merge(&other.log_ratio);
        self.stable_ms.merge(&other.stable_ms);
        self.candidate_ms.merge(&other.candidate_ms);
    }

    pub(super) fn report(&self) -> Option<LatencyReport> {
        let upper = |sketch: &Sketch| Quantiles {
            p50: sketch.quantile(0.5),
            p95: sketch.quantile(0.95),
            p99: sketch.quantile(0.99),
            ..Quantiles::default()
        };
        let log_ratio = Quantiles {
            p5: self.log_ratio.quantile(0.05),
            p50: self.log_ratio.quantile(0.5),
            p95: self.log_ratio.quantile(0.95),
            ..Quantiles::default()
        };
        (self.pairs > 0).then(|| LatencyReport {
            pairs: self.pairs,
            log_ratio,
            stable_ms: upper(&self.stable_ms),
            candidate_ms: upper(&self.candidate_ms),
            ecdf: self.log_ratio.ecdf(),
        })
    }
}

impl ErrorCounts {
    /// Counts the failures of a pair.
    pub(super) fn add(&mut self, stable: &Run<'_>, candidate: &Run<'_>) {
        match (stable.answer().is_some(), candidate.answer().is_some()) {
            (true, true) => {}
            (true, false) => self.candidate_only += 1,
            (false, true) => self.stable_only += 1,
            (false, false) => self.both += 1,
        }
        self.timeouts += u64::from(stable.was_cut_off() || candidate.was_cut_off());
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.candidate_only += other.candidate_only;
        self.stable_only += other.stable_only;
        self.both += other.both;
        self.timeouts += other.timeouts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered() -> Run<'static> {
        Run::Answered { outputs: &[], time: Some(Duration::ZERO) }
    }

    #[test]
    fn ratios_are_of_pairs() {
        let (mut latency, mut more) = (Latency::default(), Latency::default());
        assert_eq!(latency.report(), None);
        latency.add(Duration::from_millis(10), Duration::from_millis(20));
        latency.add(Duration::from_millis(100), Duration::from_millis(100));
        more.add(Duration::from_millis(2), Duration::from_millis(1));
        latency.merge(&more);
        let report = latency.report().unwrap();
        assert_eq!(report.pairs, 3);
        assert_eq!(report.log_ratio.p50, Some(0.0));
        let lowest = report.log_ratio.p5.unwrap();
        assert!((lowest + 2f64.ln()).abs() < 0.01, "{lowest}");
        assert!((report.stable_ms.p50.unwrap() - 10.0).abs() < 0.1);
        assert_eq!(report.ecdf.len(), 3);
    }

    #[test]
    fn a_clock_that_shows_nothing_makes_no_infinite_ratio() {
        let mut latency = Latency::default();
        latency.add(Duration::ZERO, Duration::from_nanos(1));
        assert_eq!(latency.report().unwrap().log_ratio.p50, Some(0.0));
    }

    #[test]
    fn failures_are_counted_by_who_failed() {
        let mut errors = ErrorCounts::default();
        errors.add(&answered(), &answered());
        errors.add(&answered(), &Run::TimedOut);
        errors.add(&Run::Failed, &answered());
        errors.add(&Run::Failed, &Run::TimedOut);
        errors.merge(errors);
        let expected = ErrorCounts { candidate_only: 2, stable_only: 2, both: 2, timeouts: 4 };
        assert_eq!(errors, expected);
    }
}
