//! Restarts: a candidate that was good for an hour and then leaks must not live off its good hour.
//!
//! A fortune that shrank while all was well takes long to grow again. So half of the stake is bet at the start, and
//! the rest in equal parts at the beginning of each of 60 epochs. With the stakes π_j and the growth L_k of bet k,
//!
//! ```text
//! E = Σ_k v_k e^{L_k} Z_k + what is unspent,     Z_k = Σ_{j begun} π_j e^{−L_k(begin of j)}
//! ```
//!
//! so one number per bet remembers all its starts (compare the e-detectors of J. Shin, A. Ramdas and A. Rinaldo).
//! Only what takes a candidate back is restarted; what promotes it rests on everything that was ever seen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::mixture::{Bet, log_sum, log_total};

/// What is bet at the start.
const FIRST: f64 = 0.5;

/// How often betting begins anew.
const EPOCHS: u32 = 60;

/// How long an epoch lasts in a rollout that lasts at most so long.
pub fn restart_epoch(longest: Duration) -> Duration {
    (longest / EPOCHS).max(Duration::from_secs(60))
}

/// When betting begins anew, and how much is left for it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Schedule {
    /// None: all is bet at the start.
    epoch: Option<Duration>,
    age: Age,
    begun: u32,
}

impl Schedule {
    /// Begins; without an epoch everything is bet at once and never again.
    pub(super) fn new(epoch: Option<Duration>) -> Self {
        let epoch = epoch.map(|epoch| epoch.max(Duration::from_secs(1)));
        Self { epoch, age: Age::default(), begun: 0 }
    }

    /// Time has passed: what is to be bet anew now, if anything.
    pub(super) fn advance(&mut self, now: Duration) -> Option<f64> {
        self.age.count_to(now);
        let epoch = self.epoch?;
        let over = self.age.counted.as_nanos() / epoch.as_nanos();
        let due = u32::try_from(over).unwrap_or(EPOCHS).min(EPOCHS) - self.begun;
        self.begun += due;
        (due > 0).then(|| (1.0 - FIRST) * f64::from(due) / f64::from(EPOCHS))
    }

    fn unspent(&self) -> f64 {
        match self.epoch {
            Some(_) => (1.0 - FIRST) * f64::from(EPOCHS - self.begun) / f64::from(EPOCHS),
            None => 0.0,
        }
    }
}

/// How long it has been going on. The time in which the server is down does not count.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
struct Age {
    counted: Duration,
    /// Up to when on the monotonic clock; none at the start and after a restart of the server.
    #[serde(skip)]
    to: Option<Duration>,
}

impl Age {
    fn count_to(&mut self, now: Duration) {
        self.counted += self.to.map_or(Duration::ZERO, |to| now.saturating_sub(to));
        self.to = Some(now);
    }
}

/// The starts of one mixture: `ln Z_k` for each of its bets.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Starts(Vec<f64>);

impl Starts {
    /// The first stake on each of so many bets.
    pub(super) fn new(bets: usize, schedule: &Schedule) -> Self {
        let first: f64 = if schedule.epoch.is_some() { FIRST } else { 1.0 };
        Self(vec![first.ln(); bets])
    }

    /// Bets this much anew.
    pub(super) fn begin(&mut self, stake: f64, bets: &[Bet]) {
        for (log_z, bet) in self.0.iter_mut().zip(bets) {
            *log_z = log_sum(*log_z, stake.ln() - bet.growth);
        }
    }

    /// The log of the fortune.
    pub(super) fn log_evidence(&self, bets: &[Bet], schedule: &Schedule) -> f64 {
        let begun = bets.iter().zip(&self.0);
        let begun = begun.map(|(bet, log_z)| Bet { growth: bet.growth + log_z, ..*bet });
        log_sum(log_total(begun), schedule.unspent().ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::analysis::mixture::{log_value, more_often_than, on_risks, times};
    use crate::domain::analysis::tests::assert_near;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_epoch_is_a_sixtieth_of_the_longest_time_and_a_minute_at_least() {
        assert_eq!(restart_epoch(4 * HOUR), at(240));
        assert_eq!(restart_epoch(HOUR / 2), at(60));
    }

    #[test]
    fn the_stake_is_spent_over_sixty_epochs() {
        let mut schedule = Schedule::new(Some(at(60)));
        assert_eq!(schedule.advance(at(1000)), None, "the clock is read for the first time");
        assert_eq!(schedule.advance(at(1059)), None);
        assert_eq!(schedule.advance(at(1060)), Some(0.5 / 60.0));
        assert_eq!(schedule.advance(at(1000)), None, "time does not go back");
        assert_eq!(schedule.advance(at(1090)), Some(0.5 / 60.0));
        let rest = schedule.advance(at(100_000)).unwrap();
        assert!((rest - 0.5 * 58.0 / 60.0).abs() < 1e-15);
        assert_eq!(schedule.unspent(), 0.0);
        assert_eq!(schedule.advance(at(200_000)), None);
    }

    #[test]
    fn the_time_in_which_the_server_is_down_does_not_count() {
        let mut schedule = Schedule::new(Some(at(60)));
        schedule.advance(at(5000));
        schedule.advance(at(5050));
        let written = serde_json::to_string(&schedule).unwrap();
        let mut read: Schedule = serde_json::from_str(&written).unwrap();
        assert_eq!(read.advance(at(10)), None, "another clock: nothing is known to have passed");
        assert_eq!(read.advance(at(19)), None);
        assert_eq!(read.advance(at(20)), Some(0.5 / 60.0));
    }

    #[test]
    fn without_an_epoch_nothing_is_held_back() {
        let mut schedule = Schedule::new(None);
        schedule.advance(at(0));
        assert_eq!(schedule.advance(at(1_000_000)), None);
        let bets = on_risks(|risk| risk);
        let starts = Starts::new(bets.len(), &schedule);
        assert_eq!(starts.log_evidence(&bets, &schedule), log_value(&bets));
    }

    /// Ten per cent of the requests go to the candidate: of `errors` by (candidate, stable) in `requests` of its own.
    fn live(requests: f64, (candidate, stable): (f64, f64)) -> ([Bet; 7], [Bet; 7]) {
        let share = |risk: f64| 0.1 * risk / (0.1 * risk + 0.9);
        let tolerated = share(1.2);
        let relative = on_risks(|risk| {
            let share = share(1.2 * risk);
            times(candidate, (share / tolerated).ln())
                + times(stable, ((1.0 - share) / (1.0 - tolerated)).ln())
        });
        (relative, more_often_than(0.001, 0.9, requests, candidate))
    }

    #[test]
    fn a_restart_forgets_the_good_time_before() {
        let mut schedule = Schedule::new(Some(at(60)));
        let (relative, absolute) = live(2000.0, (20.0, 180.0));
        let mut starts = [Starts::new(7, &schedule), Starts::new(7, &schedule)];
        schedule.advance(at(0));
        let stake = schedule.advance(at(60)).unwrap();
        starts[0].begin(stake, &relative);
        starts[1].begin(stake, &absolute);
        let (relative, absolute) = live(2500.0, (35.0, 225.0));
        let evidence = [
            starts[0].log_evidence(&relative, &schedule),
            starts[1].log_evidence(&absolute, &schedule),
        ];
        for (evidence, expected) in evidence.into_iter().zip([-0.361286, 55.692379]) {
            assert_near(evidence, expected);
        }
    }
}
