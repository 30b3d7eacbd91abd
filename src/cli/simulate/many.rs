//! Plays many rollouts on all cores. What comes of each depends on its number alone, so it does not matter who plays it.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::simulation::Run;
use crate::system::cores::Cores;

/// A bar for people who watch, of so many rollouts.
pub(super) fn progress(rollouts: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} rollouts, {eta} left");
    ProgressBar::new(rollouts).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Plays the rollouts 0, 1, … and gives them in this order.
pub(super) fn play(
    runs: u32,
    progress: &ProgressBar,
    play: impl Fn(u32) -> Run + Sync,
) -> Vec<Run> {
    let next = AtomicU32::new(0);
    let work = || {
        let mut played = Vec::new();
        loop {
            let run = next.fetch_add(1, Ordering::Relaxed);
            if run >= runs {
                return played;
            }
            played.push((run, play(run)));
            progress.inc(1);
        }
    };
    let mut played: Vec<(u32, Run)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..Cores::available().count).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(played) => played,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    });
    played.sort_unstable_by_key(|(run, _)| *run);
    played.into_iter().map(|(_, run)| run).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::simulation::Fate;

    #[test]
    fn rollouts_come_in_their_order_whoever_plays_them() {
        let run = |number: u32| Run {
            fate: Fate::Undecided,
            decided: Duration::from_secs(number.into()),
            candidate_requests: 0,
            bad_answers: 0.0,
            rescued: 0,
        };
        let played = play(500, &ProgressBar::hidden(), run);
        assert_eq!(played, (0..500).map(run).collect::<Vec<_>>());
    }
}
