//! The traffic that a rollout is played on, and how both versions do on it.

use std::time::Duration;

use super::LOOK;
use super::chance::Chance;

const HOUR: f64 = 3600.0;

/// Traffic, as it is described.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Requests in a second, in the mean of all [`hours`](Self::hours).
    pub per_second: f64,
    /// How much of the traffic each hour has, beside the others, from the beginning on and then anew. Empty for a day
    /// that is the same all the time.
    pub hours: Vec<f64>,
    /// How often the versions fail by themselves.
    pub errors: Errors,
    /// What makes requests fail on both versions alike.
    pub outages: Vec<Outage>,
    /// How long runs take.
    pub latency: Latency,
    /// The share of the requests that the candidate answers differently, from 0 to 1.
    pub flips: f64,
    /// By what requests stick to a version; none where each is drawn for by itself.
    pub sticky: Option<Sticky>,
    /// No more pairs than this are run in a second.
    pub most_pairs: f64,
}

/// Which share of its runs each version fails, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// The trusted version.
    pub stable: f64,
    /// The version on trial.
    pub candidate: f64,
}

/// A time in which requests fail on whichever version they are run, and however often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outage {
    /// When it begins, from the beginning of the rollout.
    pub start: Duration,
    /// How long it lasts.
    pub length: Duration,
    /// The share of the requests that it hits, from 0 to 1.
    pub errors: f64,
}

/// How long the runs of a pair take: lognormal, with deviation ½ of the logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Stable's median.
    pub median: Duration,
    /// How many times as long the candidate takes.
    pub slower: f64,
    /// The share of the variance that is each run's own; what is left is due to the input.
    pub own: f64,
}

/// Requests that stick to a version by a key, such as a user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sticky {
    /// How many requests each key sends, in the mean. At least 1.
    pub requests_per_key: f64,
}

/// Requests of one slice of time, and how often they fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    pub(super) requests: u64,
    pub(super) failing: Failing,
}

/// Which share of the runs fail, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Failing {
    /// Of the requests, whichever version they are run on.
    pub(super) outage: f64,
    /// Of the others.
    pub(super) errors: Errors,
}

impl Failing {
    pub(super) fn stable(self) -> f64 {
        self.outage + (1.0 - self.outage) * self.errors.stable
    }

    pub(super) fn candidate(self) -> f64 {
        self.outage + (1.0 - self.outage) * self.errors.candidate
    }

    /// By how much the candidate fails more often than stable.
    pub(super) fn excess(self) -> f64 {
        self.candidate() - self.stable()
    }
}

impl Traffic {
    /// So many requests in a second all day, that both versions answer alike and never fail, in 10 ms.
    pub fn plain(per_second: f64) -> Self {
        Self {
            per_second,
            hours: Vec::new(),
            errors: Errors { stable: 0.0, candidate: 0.0 },
            outages: Vec::new(),
            latency: Latency { median: Duration::from_millis(10), slower: 1.0, own: 0.02 },
            flips: 0.0,
            sticky: None,
            most_pairs: 100.0,
        }
    }

    /// Whether the candidate is as good as stable in everything.
    pub fn is_identical(&self) -> bool {
        self.errors.stable == self.errors.candidate
            && self.latency.slower == 1.0
            && self.flips == 0.0
    }

    /// Requests in a second, so long after the beginning.
    pub(super) fn rate(&self, at: Duration) -> f64 {
        if self.hours.is_empty() {
            return self.per_second;
        }
        let hour = (at.as_secs_f64() / HOUR) as usize % self.hours.len();
        let mean = self.hours.iter().sum::<f64>() / self.hours.len() as f64;
        if mean > 0.0 { self.per_second * self.hours[hour] / mean } else { 0.0 }
    }

    /// How requests fail then.
    pub(super) fn failing(&self, at: Duration) -> Failing {
        let runs = |outage: &&Outage| outage.start <= at && at < outage.start + outage.length;
        // What one outage spares, another one may hit.
        let spared: f64 =
            self.outages.iter().filter(runs).map(|outage| 1.0 - outage.errors).product();
        Failing { outage: 1.0 - spared, errors: self.errors }
    }

    /// The requests of a slice that begins then, and lasts so long.
    pub(super) fn slice(&self, at: Duration, length: Duration, chance: &mut Chance) -> Slice {
        let requests = chance.poisson(self.rate(at) * length.as_secs_f64());
        Slice { requests, failing: self.failing(at) }
    }

    /// How many answers are failures because of the candidate while it answers everything, in the mean.
    pub(super) fn bad_answers(&self, from: Duration, to: Duration) -> f64 {
        let (mut at, mut bad) = (from, 0.0);
        while at < to {
            let length = LOOK.min(to - at);
            bad += self.rate(at) * length.as_secs_f64() * self.failing(at).excess();
            at += length;
        }
        bad
    }
}

impl Latency {
    /// The deviation of the logarithm.
    const SPREAD: f64 = 0.5;

    /// The times of a pair.
    pub(super) fn pair(&self, chance: &mut Chance) -> [Duration; 2] {
        let shared = Self::SPREAD * (1.0 - self.own).sqrt() * chance.normal();
        let own = Self::SPREAD * self.own.sqrt();
        [1.0, self.slower].map(|slower| {
            let log = shared + own * chance.normal();
            self.median.mul_f64(slower * log.exp())
        })
    }

    /// How long both runs of a pair take together, in the mean.
    pub fn of_both(&self) -> Duration {
        self.median.mul_f64((1.0 + self.slower) * (Self::SPREAD.powi(2) / 2.0).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_mins(minutes)
    }

    #[test]
    fn hours_share_the_traffic_of_a_day_and_come_again() {
        let traffic = Traffic { hours: vec![1.0, 3.0], ..Traffic::plain(10.0) };
        let rates = [0, 59, 60, 119, 120].map(|minute| traffic.rate(minutes(minute)));
        assert_eq!(rates, [5.0, 5.0, 15.0, 15.0, 5.0]);
        assert_eq!(Traffic::plain(10.0).rate(minutes(600)), 10.0);
        assert_eq!(Traffic { hours: vec![0.0], ..Traffic::plain(10.0) }.rate(minutes(0)), 0.0);
    }

    #[test]
    fn an_outage_hits_both_versions_alike_while_it_lasts() {
        let errors = Errors { stable: 0.0, candidate: 0.5 };
        let outage = Outage { start: minutes(2), length: minutes(1), errors: 0.5 };
        let traffic = Traffic { errors, outages: vec![outage, outage], ..Traffic::plain(1.0) };
        assert_eq!(traffic.failing(minutes(1)).outage, 0.0);
        assert_eq!(traffic.failing(minutes(3)).outage, 0.0);
        let failing = traffic.failing(minutes(2));
        assert_eq!((failing.stable(), failing.candidate()), (0.75, 0.875));
        assert_eq!(failing.excess(), 0.125);
        assert_eq!(traffic.bad_answers(minutes(1), minutes(3)), 60.0 * 0.5 + 60.0 * 0.125);
    }

    #[test]
    fn times_are_around_the_median_and_a_pair_shares_its_input() {
        let latency = Latency { median: Duration::from_millis(10), slower: 1.5, own: 0.02 };
        let mut chance = Chance::new(3, 0);
        let pairs: Vec<[f64; 2]> =
            (0..4000).map(|_| latency.pair(&mut chance).map(|time| time.as_secs_f64())).collect();
        let below = pairs.iter().filter(|[stable, _]| *stable < 0.010).count();
        assert!((1850..2150).contains(&below), "{below}");
        let slower = pairs.iter().filter(|[stable, candidate]| candidate > stable).count();
        assert!(slower > 3990, "{slower}");
        let both: f64 = pairs.iter().flatten().sum::<f64>() / 4000.0;
        assert!((both / latency.of_both().as_secs_f64() - 1.0).abs() < 0.03, "{both}");
    }
}
