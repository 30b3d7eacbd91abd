//! The arithmetic of the bench: what was answered in a span of time, percentiles, quartiles, when it is whose turn, and
//! slopes. It needs no server; `self_test` holds it to examples.

use std::error::Error;
use std::time::{Duration, Instant};

/// The time in which requests are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

/// What was answered within a span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// In nanoseconds, of those asked within it; and of those that reach over all of it, since nothing else was seen.
    pub(crate) latencies: Vec<u64>,
    /// How many requests that is, where one that reaches over an end counts by its part inside. So a span that holds
    /// only a few long requests does not depend on where exactly they end.
    pub(crate) requests: f64,
}

impl Tally {
    /// Counts a request of a closed loop.
    pub(crate) fn add(&mut self, span: Span, asked: Instant, answered: Instant) {
        let inside = answered.min(span.until).saturating_duration_since(asked.max(span.from));
        let whole = answered.saturating_duration_since(asked).max(Duration::from_nanos(1));
        self.requests += inside.as_secs_f64() / whole.as_secs_f64();
        let reaches_over = asked < span.from && answered >= span.until;
        if (span.from..span.until).contains(&asked) || reaches_over {
            self.latencies.push(nanoseconds(whole));
        }
    }

    /// Counts a request of an open loop, whose latency begins when it was due: a request that had to wait for its turn
    /// to be sent has waited.
    pub(crate) fn add_due(&mut self, span: Span, due: Instant, answered: Instant) {
        if (span.from..span.until).contains(&due) {
            self.requests += 1.0;
            self.latencies.push(nanoseconds(answered.saturating_duration_since(due)));
        }
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.requests += other.requests;
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// When the request with this number is due, in an open loop that began then.
pub(crate) fn due(began: Instant, number: u32, per_second: f64) -> Instant {
    began + Duration::from_secs_f64(f64::from(number) / per_second)
}

/// In microseconds, of latencies in order: the smallest that is not below so large a share of them.
pub(crate) fn percentile(sorted: &[u64], share: f64) -> Result<f64, Box<dyn Error>> {
    let last = sorted.len().checked_sub(1).ok_or("no request was answered in a whole window")?;
    let place = (sorted.len() as f64 * share).ceil() as usize;
    Ok(sorted[place.saturating_sub(1).min(last)] as f64 / 1e3)
}

/// The middle of some numbers, and between which values the middle half of them lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quartiles {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Quartiles {
    /// Of one number at least.
    pub(crate) fn of(numbers: impl Iterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.collect();
        numbers.sort_unstable_by(f64::total_cmp);
        // Linear between neighbours (R's type 7).
        let at = |share: f64| {
            let place = share * (numbers.len() - 1) as f64;
            let (below, above) = (numbers[place.floor() as usize], numbers[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }
}

/// What is measured to the mean of something else before and after, so that a drift of the machine cancels out.
pub(crate) fn to_mean(measured: f64, before: f64, after: f64) -> f64 {
    2.0 * measured / (before + after)
}

/// By how much the values grow from one to the next, by least squares; nothing where there are fewer than two.
pub(crate) fn slope(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let (middle, mean) = ((count - 1.0) / 2.0, values.iter().sum::<f64>() / count);
    let places = (0..values.len()).map(|place| place as f64 - middle);
    let spread: f64 = places.clone().map(|place| place * place).sum();
    let together: f64 = places.zip(values).map(|(place, value)| place * (value - mean)).sum();
    (values.len() > 1).then(|| together / spread)
}
