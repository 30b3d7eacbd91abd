//! When a server is quiet enough for work that can wait.
//!
//! Two figures say how busy it is, both as a share of what there is: how many requests are under way, held against how
//! many can run at once, and how much of the cores they take. The first one knows of models whose runs need no core, the
//! second one of requests that are over before anybody looks. What the waiting work takes itself is in neither: it would
//! stop itself.
//!
//! Quiet comes slowly and goes fast: it takes a while without traffic, and ends with the first sign of it. Between the two
//! limits all stays as it is, so that traffic at a limit does not switch it to and fro.

use std::collections::VecDeque;
use std::time::Duration;

/// What is looked at together: short enough to notice traffic in time, long enough that one request is not traffic.
const TOGETHER: Duration = Duration::from_millis(80);
/// A share above which the server is not quiet.
const BUSY: f64 = 0.4;
/// A share below which it becomes quiet.
const CALM: f64 = 0.25;
/// For how long it has to be calm.
const CALM_FOR: Duration = Duration::from_secs(1);
/// Two looks that are further apart say nothing of the time in between.
const TOO_FAR_APART: Duration = Duration::from_millis(500);

/// How busy a server is at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Requests under way, by how many can run at once.
    pub in_flight: f64,
    /// The time that cores have worked for it so far, but for work that can wait.
    pub worked: Duration,
}

/// Whether a server is quiet, by looks at it.
#[derive(Clone, Debug)]
pub struct Quiet {
    /// How many cores' worth of time there is.
    cores: f64,
    /// The last ones.
    looks: VecDeque<(Duration, Load)>,
    /// Since when it has been calm.
    calm_since: Option<Duration>,
    is_quiet: bool,
}

impl Quiet {
    /// Not quiet until it is known to be. `cores` is how many cores' worth of time there is.
    pub fn new(cores: f64) -> Self {
        let cores = cores.max(0.01);
        Self { cores, looks: VecDeque::new(), calm_since: None, is_quiet: false }
    }

    /// Whether it is quiet, as of this look. `now` is on a clock that only goes forward.
    pub fn look(&mut self, now: Duration, load: Load) -> bool {
        if self.looks.back().is_some_and(|(last, _)| now.saturating_sub(*last) > TOO_FAR_APART) {
            *self = Self::new(self.cores);
        }
        // One look from before the time that is looked at together stays, to begin from.
        while self.looks.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= TOGETHER) {
            self.looks.pop_front();
        }
        self.looks.push_back((now, load));
        let share = self.share(now, load);
        // More than can run at once: some wait, and there is nothing to weigh up.
        if load.in_flight > 1.0 || share > BUSY {
            (self.calm_since, self.is_quiet) = (None, false);
        } else if share < CALM {
            let since = *self.calm_since.get_or_insert(now);
            self.is_quiet |= now.saturating_sub(since) >= CALM_FOR;
        } else if !self.is_quiet {
            self.calm_since = None;
        }
        self.is_quiet
    }

    /// The larger one of the two figures, over the last looks.
    fn share(&self, now: Duration, load: Load) -> f64 {
        let under_way: f64 = self.looks.iter().map(|(_, load)| load.in_flight).sum();
        let under_way = under_way / self.looks.len() as f64;
        let Some((begun, before)) = self.looks.front() else { return under_way };
        let passed = now.saturating_sub(*begun).as_secs_f64() * self.cores;
        let worked = load.worked.saturating_sub(before.worked).as_secs_f64();
        under_way.max(if passed > 0.0 { worked / passed } else { 0.0 })
    }
}

/// A time of each day, by the clock on the wall; over midnight where it ends before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindow {
    /// When it opens, in minutes since midnight.
    pub start: u16,
    /// When it closes, in minutes since midnight; never the same as `start`.
    pub end: u16,
}

impl TimeWindow {
    /// Whether it is open in this minute of the day.
    pub fn is_open(&self, minute: u16) -> bool {
        if self.start < self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }
}

#[cfg(test)]
mod tests;
