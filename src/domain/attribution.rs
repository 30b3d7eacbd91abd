//! Whose fault it was that the last process died.
//!
//! Each thread notes what it runs, and the notes outlive the process ([`Remains`]). A run in which the process
//! crashed is marked, so a candidate that crashes the server is known for it after one crash: its content is
//! quarantined. A death that nothing marked (`kill -9`, no memory left) says little by itself. Three of them within
//! ten minutes, each with a run of the same candidate under way, take the candidate back, else it could bring
//! the server down for ever. A version that is trusted is never taken away: its crash is only told.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::Digest;
use super::rollout::RolloutId;
use super::time::WallTime;

/// How many deaths take a candidate back.
const DEATHS: usize = 3;
/// Within which time they do.
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// How many deaths are remembered at most.
const REMEMBERED: usize = 100;

/// What a thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crumb {
    /// The version's content.
    pub digest: Digest,
    /// The rollout that it is the candidate of; none for a version that is trusted.
    pub trial: Option<RolloutId>,
}

/// The signals by which the system ends a process that did what cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGSEGV`
    Segmentation,
    /// `SIGBUS`
    Bus,
    /// `SIGFPE`: by integers, whatever its name says.
    Arithmetic,
    /// `SIGABRT`
    Abort,
    /// `SIGILL`
    IllegalInstruction,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Segmentation, Self::Bus, Self::Arithmetic, Self::Abort, Self::IllegalInstruction];

    /// What it mostly says of the one who raised it, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Segmentation => "memory that is not there, or a stack that is full",
            Self::Bus => "memory whose file is gone",
            Self::Arithmetic => "an integer division that cannot be done",
            Self::Abort => "the library gave up",
            Self::IllegalInstruction => "an instruction that this processor does not have",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Segmentation => "SIGSEGV",
            Self::Bus => "SIGBUS",
            Self::Arithmetic => "SIGFPE",
            Self::Abort => "SIGABRT",
            Self::IllegalInstruction => "SIGILL",
        })
    }
}

/// A run that was under way when the process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftRun {
    /// What was run.
    pub crumb: Crumb,
    /// The signal that this very run raised.
    pub signal: Option<Signal>,
}

/// What a process left when it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// When it had begun, by which it is told from others.
    pub began: WallTime,
    /// Whether it ended because it was told to.
    pub is_clean: bool,
    /// The signal that ended it, on whatever thread.
    pub signal: Option<Signal>,
    /// What was under way.
    pub runs: Vec<LeftRun>,
}

/// What follows from a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribution {
    /// A run of the candidate crashed the process.
    Quarantine {
        /// The candidate's content.
        digest: Digest,
        /// Its rollout.
        rollout: RolloutId,
        /// What the run raised.
        signal: Signal,
    },
    /// A run of a trusted version crashed the process.
    StableCrashed {
        /// The version's content.
        digest: Digest,
        /// What the run raised.
        signal: Signal,
    },
    /// The process died again and again while the candidate ran, of what is not known.
    RollBack {
        /// The candidate's content.
        digest: Digest,
        /// Its rollout.
        rollout: RolloutId,
    },
}

impl Attribution {
    /// What the run raised, where that is known.
    pub fn signal(&self) -> Option<Signal> {
        match self {
            Self::Quarantine { signal, .. } | Self::StableCrashed { signal, .. } => Some(*signal),
            Self::RollBack { .. } => None,
        }
    }
}

impl fmt::Display for Attribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quarantine { signal, .. } | Self::StableCrashed { signal, .. } => {
                write!(f, "it crashed the server: {signal} during a run")
            }
            Self::RollBack { .. } => {
                let window = humantime::format_duration(WINDOW);
                write!(
                    f,
                    "the server died {DEATHS} times within {window}, each time with a run of it under way"
                )
            }
        }
    }
}

/// The deaths of which it is not known what they were of, the last one last. Kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Deaths(Vec<Death>);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Death {
    /// When the process had begun.
    process: WallTime,
    /// When its death was found out.
    at: WallTime,
    /// What ran on trial.
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Candidate {
    digest: Digest,
    rollout: RolloutId,
}

impl Deaths {
    /// Says what follows from a process's end, and remembers it where it may count later. The same remains may be
    /// shown again: they count once.
    pub fn attribute(&mut self, remains: &Remains, now: WallTime) -> Vec<Attribution> {
        // A clock that was set back must not keep them for ever.
        self.0.retain(|death| death.at.0.abs_diff(now.0) < WINDOW.as_millis() as u64);
        if remains.is_clean {
            return Vec::new();
        }
        let mut marked: Vec<Attribution> = Vec::new();
        for blamed in remains.runs.iter().filter_map(LeftRun::blamed) {
            if !marked.contains(&blamed) {
                marked.push(blamed);
            }
        }
        if !marked.is_empty() {
            return marked; // it is known what this death was of
        }
        let candidates = remains.candidates();
        if !candidates.is_empty() && self.0.iter().all(|death| death.process != remains.began) {
            self.0.drain(..(self.0.len() + 1).saturating_sub(REMEMBERED));
            let candidates = candidates.clone();
            self.0.push(Death { process: remains.began, at: now, candidates });
        }
        let is_too_much = |candidate: &Candidate| {
            self.0.iter().filter(|death| death.candidates.contains(candidate)).count() >= DEATHS
        };
        candidates
            .into_iter()
            .filter(is_too_much)
            .map(|Candidate { digest, rollout }| Attribution::RollBack { digest, rollout })
            .collect()
    }
}

impl Remains {
    /// What ran on trial, each once.
    fn candidates(&self) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for Crumb { digest, trial } in self.runs.iter().map(|run| run.crumb) {
            let Some(rollout) = trial else { continue };
            let candidate = Candidate { digest, rollout };
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates
    }
}

impl LeftRun {
    /// What follows from this run alone.
    fn blamed(&self) -> Option<Attribution> {
        let (Crumb { digest, trial }, signal) = (self.crumb, self.signal?);
        Some(match trial {
            Some(rollout) => Attribution::Quarantine { digest, rollout, signal },
            None => Attribution::StableCrashed { digest, signal },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: u64 = 60_000;

    fn digest(content: u8) -> Digest {
        Digest::from_bytes([content; 32])
    }

    /// Version `content` runs on trial in the rollout of the same number; 0 is trusted.
    fn run(content: u8) -> LeftRun {
        let trial = (content != 0).then_some(RolloutId(content.into()));
        LeftRun { crumb: Crumb { digest: digest(content), trial }, signal: None }
    }

    fn marked(content: u8, signal: Signal) -> LeftRun {
        LeftRun { signal: Some(signal), ..run(content) }
    }

    fn died(began: u64, runs: &[LeftRun]) -> Remains {
        let signal = runs.iter().find_map(|run| run.signal);
        Remains { began: WallTime(began), is_clean: false, signal, runs: runs.to_vec() }
    }

    fn roll_back(content: u8) -> Attribution {
        Attribution::RollBack { digest: digest(content), rollout: RolloutId(content.into()) }
    }

    /// Processes that die one after the other, at these minutes, with these candidates.
    fn deaths(deaths: &[(u64, &[u8])]) -> Vec<Vec<Attribution>> {
        let mut history = Deaths::default();
        let died = deaths.iter().map(|(minute, candidates)| {
            let runs: Vec<LeftRun> = candidates.iter().map(|content| run(*content)).collect();
            // As it is kept from one process to the next.
            let kept = serde_json::to_string(&history).unwrap();
            history = serde_json::from_str(&kept).unwrap();
            history.attribute(&died(*minute, &runs), WallTime(minute * MINUTE))
        });
        died.collect()
    }

    #[test]
    fn a_candidate_that_crashed_is_quarantined_after_one_crash() {
        let remains = died(1, &[run(0), marked(2, Signal::Arithmetic), run(3)]);
        let follows = Deaths::default().attribute(&remains, WallTime(MINUTE));
        let (digest, rollout, signal) = (digest(2), RolloutId(2), Signal::Arithmetic);
        assert_eq!(follows, [Attribution::Quarantine { digest, rollout, signal }]);
        assert_eq!(follows[0].to_string(), "it crashed the server: SIGFPE during a run");
    }

    #[test]
    fn a_trusted_version_that_crashed_is_told_and_no_candidate_is_blamed() {
        let mut history = Deaths::default();
        let remains = died(1, &[marked(0, Signal::Segmentation), run(2)]);
        let follows = history.attribute(&remains, WallTime(MINUTE));
        let (digest, signal) = (digest(0), Signal::Segmentation);
        assert_eq!(follows, [Attribution::StableCrashed { digest, signal }]);
        assert_eq!(history, Deaths::default());
    }

    #[test]
    fn three_deaths_that_nothing_marked_take_the_candidate_back() {
        let follows = deaths(&[(0, &[2]), (4, &[2, 2, 0]), (9, &[2, 3])]);
        assert_eq!(follows, [vec![], vec![], vec![roll_back(2)]]);
        assert_eq!(
            roll_back(2).to_string(),
            "the server died 3 times within 10m, each time with a run of it under way"
        );
    }

    #[test]
    fn deaths_that_are_far_apart_or_of_different_candidates_do_not_count_together() {
        assert_eq!(deaths(&[(0, &[2]), (5, &[2]), (10, &[2])]).concat(), []);
        assert_eq!(deaths(&[(0, &[2]), (1, &[3]), (2, &[2]), (3, &[3])]).concat(), []);
        assert_eq!(deaths(&[(0, &[0]), (1, &[0]), (2, &[0])]).concat(), []);
    }

    #[test]
    fn a_death_between_that_has_nothing_to_do_with_it_changes_nothing() {
        let follows = deaths(&[(0, &[2]), (1, &[0]), (2, &[2]), (3, &[]), (4, &[2])]);
        assert_eq!(follows.concat(), [roll_back(2)]);
    }

    #[test]
    fn a_signal_on_a_thread_that_runs_no_model_is_a_death_that_nothing_marked() {
        let mut history = Deaths::default();
        for began in 0..3 {
            let signal = Some(Signal::Abort);
            let remains = Remains { signal, ..died(began, &[run(2)]) };
            let follows = history.attribute(&remains, WallTime(MINUTE + began));
            assert_eq!(!follows.is_empty(), began == 2, "{follows:?}");
        }
    }

    #[test]
    fn the_same_remains_count_once() {
        let mut history = Deaths::default();
        for moment in 0..5 {
            assert_eq!(history.attribute(&died(1, &[run(2)]), WallTime(moment)), []);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_no_death_for_ever() {
        assert_eq!(deaths(&[(100, &[2]), (101, &[2]), (0, &[2]), (1, &[2])]).concat(), []);
    }

    #[test]
    fn what_was_under_way_at_a_clean_end_says_nothing() {
        let mut history = Deaths::default();
        for began in 0..3 {
            let died = died(began, &[marked(2, Signal::Bus), run(3)]);
            let remains = Remains { is_clean: true, ..died };
            assert_eq!(history.attribute(&remains, WallTime(began)), []);
        }
    }

    prop_compose! {
        fn left_run()(content in 0..4u8, signal in prop::option::weighted(0.1, 0..5usize)) -> LeftRun {
            LeftRun { signal: signal.map(|index| Signal::ALL[index]), ..run(content) }
        }
    }

    prop_compose! {
        /// An end, and the time that passes until the next one.
        fn end()(
            is_clean in prop::bool::weighted(0.2),
            runs in prop::collection::vec(left_run(), 0..4),
            passes in 0..5 * MINUTE,
        ) -> (Remains, u64) {
            (Remains { is_clean, ..died(0, &runs) }, passes)
        }
    }

    proptest! {
        #[test]
        fn nothing_is_blamed_without_cause(ends in prop::collection::vec(end(), 1..20)) {
            let (mut history, mut now) = (Deaths::default(), 0);
            let mut unmarked: Vec<(u64, Vec<Candidate>)> = Vec::new();
            for (number, (remains, passes)) in (0..).zip(ends) {
                let remains = Remains { began: WallTime(number), ..remains };
                now += passes;
                let is_marked = remains.runs.iter().any(|run| run.signal.is_some());
                if !remains.is_clean && !is_marked {
                    unmarked.push((now, remains.candidates()));
                }
                let follows = history.attribute(&remains, WallTime(now));
                prop_assert!(!remains.is_clean || follows.is_empty());
                for blamed in &follows {
                    let (digest, trial, signal) = match *blamed {
                        Attribution::Quarantine { digest, rollout, signal } => {
                            (digest, Some(rollout), Some(signal))
                        }
                        Attribution::StableCrashed { digest, signal } => (digest, None, Some(signal)),
                        Attribution::RollBack { digest, rollout } => (digest, Some(rollout), None),
                    };
                    let left = LeftRun { crumb: Crumb { digest, trial }, signal };
                    prop_assert!(remains.runs.contains(&left), "{blamed:?}");
                }
                // Those who have died with it three times within the window, and no others.
                for candidate in remains.candidates() {
                    let is_near = |at: &u64| now - at < 10 * MINUTE;
                    let died = unmarked.iter().filter(|(at, of)| is_near(at) && of.contains(&candidate));
                    let expected = !remains.is_clean && !is_marked && died.count() >= 3;
                    let Candidate { digest, rollout } = candidate;
                    prop_assert_eq!(follows.contains(&Attribution::RollBack { digest, rollout }), expected);
                }
            }
            prop_assert!(history.0.len() <= REMEMBERED);
        }
    }
}
