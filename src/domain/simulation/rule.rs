//! What other tools do with the same traffic, by the rules that they publish.
//!
//! None of them has a version that answers in the candidate's place, so each failure of it is somebody's answer.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::LOOK;
use super::chance::Chance;
use super::fate::{Fate, Run};
use super::kayenta;
use super::traffic::Traffic;

const MINUTE: Duration = Duration::from_secs(60);

/// A rule of another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Argo Rollouts with the analysis of its documentation: 20, 40, 60, 80 % for ten minutes each; at least 95 % of the
    /// candidate's requests succeed in five minutes, and the fourth time that they do not is the end.
    Argo,
    /// The same steps with a strict analysis: at least 99 % in each minute, and the first failure is the end.
    ArgoTuned,
    /// Flagger with the analysis of its documentation: 5 % more each minute up to 50 %, as long as 99 % of the
    /// candidate's requests succeed; ten minutes in which they do not are the end.
    Flagger,
    /// The same, and two such minutes are the end.
    FlaggerTuned,
    /// Spinnaker's Kayenta: 10 % for an hour beside a baseline of the same size, judged every ten minutes.
    Kayenta,
}

/// A name that is no rule's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rules are `argo`, `argo-tuned`, `flagger`, `flagger-tuned` and `kayenta`")]
pub struct UnknownRule;

/// What the candidate showed in a time.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    requests: u64,
    failed: u64,
    bad_answers: f64,
}

impl Rule {
    /// All that are known.
    pub const ALL: [Self; 5] =
        [Self::Argo, Self::ArgoTuned, Self::Flagger, Self::FlaggerTuned, Self::Kayenta];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Argo => "argo",
            Self::ArgoTuned => "argo-tuned",
            Self::Flagger => "flagger",
            Self::FlaggerTuned => "flagger-tuned",
            Self::Kayenta => "kayenta",
        }
    }

    /// One rollout by this rule.
    pub fn play(self, traffic: &Traffic, horizon: Duration, chance: &mut Chance) -> Run {
        let mut course = Course { traffic, horizon, now: Duration::ZERO, had: Window::default() };
        let fate = match self {
            Self::Argo => course.argo((0.95, 3), 5 * MINUTE, chance),
            Self::ArgoTuned => course.argo((0.99, 0), MINUTE, chance),
            Self::Flagger => course.flagger(10, chance),
            Self::FlaggerTuned => course.flagger(2, chance),
            Self::Kayenta => course.kayenta(chance),
        };
        course.end(fate)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|rule| rule.name() == text).ok_or(UnknownRule)
    }
}

/// One rollout in the making.
struct Course<'t> {
    traffic: &'t Traffic,
    horizon: Duration,
    now: Duration,
    had: Window,
}

impl Course<'_> {
    /// Time passes while the candidate has this share of the traffic. None where there is not so much left of it.
    fn pass(&mut self, length: Duration, weight: f64, chance: &mut Chance) -> Option<Window> {
        let mut window = Window::default();
        let end = self.now + length;
        if end > self.horizon {
            return None;
        }
        while self.now < end {
            let slice = self.traffic.slice(self.now, LOOK, chance);
            let requests = chance.binomial(slice.requests, weight);
            window.requests += requests;
            window.failed += chance.binomial(requests, slice.failing.candidate());
            window.bad_answers += requests as f64 * slice.failing.excess();
            self.now += LOOK;
        }
        self.had.requests += window.requests;
        self.had.bad_answers += window.bad_answers;
        Some(window)
    }

    fn argo(&mut self, (least, limit): (f64, u32), every: Duration, chance: &mut Chance) -> Fate {
        const PAUSE: Duration = Duration::from_mins(10);
        let mut failures = 0;
        for weight in [0.2, 0.4, 0.6, 0.8] {
            let until = self.now + PAUSE;
            while self.now < until {
                let Some(window) = self.pass(every, weight, chance) else { return Fate::Undecided };
                failures += u32::from(!window.succeeds(least));
                if failures > limit {
                    return Fate::RolledBack;
                }
            }
        }
        Fate::Promoted
    }

    fn flagger(&mut self, threshold: u32, chance: &mut Chance) -> Fate {
        let (mut step, mut failures) = (1, 0);
        while let Some(window) = self.pass(MINUTE, f64::from(step) * 0.05, chance) {
            if window.succeeds(0.99) {
                step += 1;
            } else {
                failures += 1;
            }
            if failures >= threshold {
                return Fate::RolledBack;
            }
            if step > 10 {
                return Fate::Promoted;
            }
        }
        Fate::Undecided
    }

    fn kayenta(&mut self, chance: &mut Chance) -> Fate {
        const WEIGHT: f64 = 0.10;
        let (mut experiment, mut control) = (Vec::new(), Vec::new());
        for minute in 1..=60 {
            // A baseline of its own, as large as the canary, and with its failures.
            let baseline = self.baseline(WEIGHT, chance);
            let Some(window) = self.pass(MINUTE, WEIGHT, chance) else { return Fate::Undecided };
            experiment.extend(window.per_cent_failed());
            control.extend(baseline.per_cent_failed());
            if minute % 10 == 0 && kayenta::is_high(&experiment, &control) {
                return Fate::RolledBack;
            }
        }
        Fate::Promoted
    }

    /// What stable shows in the next minute on this share of the traffic.
    fn baseline(&self, weight: f64, chance: &mut Chance) -> Window {
        let (mut window, mut at) = (Window::default(), self.now);
        while at < self.now + MINUTE {
            let slice = self.traffic.slice(at, LOOK, chance);
            let requests = chance.binomial(slice.requests, weight);
            window.requests += requests;
            window.failed += chance.binomial(requests, slice.failing.stable());
            at += LOOK;
        }
        window
    }

    fn end(self, fate: Fate) -> Run {
        let Window { requests, mut bad_answers, .. } = self.had;
        let decided = match fate {
            Fate::RolledBack => self.now,
            Fate::Promoted => {
                bad_answers += self.traffic.bad_answers(self.now, self.horizon);
                self.now
            }
            Fate::Undecided => self.horizon,
        };
        Run { fate, decided, candidate_requests: requests, bad_answers, rescued: 0 }
    }
}

impl Window {
    /// Whether at least this share succeeds. Without requests it does not.
    fn succeeds(self, least: f64) -> bool {
        self.requests > 0 && 1.0 - self.failed as f64 / self.requests as f64 >= least
    }

    /// None without requests.
    fn per_cent_failed(self) -> Option<f64> {
        (self.requests > 0).then(|| 100.0 * self.failed as f64 / self.requests as f64)
    }
}
