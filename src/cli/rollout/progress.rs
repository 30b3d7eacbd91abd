//! The line below the changes of `greenroom rollout watch`: how far the rollout is, and what it waits for.
//!
//! The server tells changes by itself, and verdicts only when it is asked. So it is asked once a second, on a thread of
//! its own, while the changes are waited for.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;

use super::path;
use super::show::Rollout;
use crate::cli::client::Client;
use crate::domain::model::ModelName;

/// How often the server is asked.
const EVERY: Duration = Duration::from_secs(1);
/// The length of the bar, which shows the new version's share of the traffic.
const ALL: u64 = 1000;

/// The line, while it is there. It goes without a trace.
pub(super) struct Progress {
    bar: ProgressBar,
    /// Dropped with it, which ends the thread.
    _shown: Sender<()>,
}

impl Progress {
    /// Shows how far a rollout is, which is told like this. None where standard error is no terminal, or one that
    /// cannot redraw a line.
    pub(super) fn of(client: &Client, model: &ModelName, told: &Value) -> Option<Self> {
        let target = ProgressDrawTarget::stderr();
        if target.is_hidden() {
            return None;
        }
        let rollout = Rollout::deserialize(told).ok()?;
        // The text comes last: it is cut where the terminal ends.
        let style = ProgressStyle::with_template("{bar:10} {prefix}  {wide_msg}").ok()?;
        let bar = ProgressBar::with_draw_target(Some(ALL), target)
            .with_style(style)
            .with_position(filled(&rollout))
            .with_prefix(elapsed(&rollout, SystemTime::now()))
            .with_message(rollout.progress());
        let (shown, gone) = mpsc::channel();
        let asking = Asking {
            client: client.clone(),
            path: path(model),
            id: rollout.id,
            bar: bar.clone(),
            gone,
        };
        // Not waited for in the end: it may be in the middle of a question, of which nothing comes any more.
        thread::Builder::new().name("progress".to_owned()).spawn(move || asking.run()).ok()?;
        Some(Self { bar, _shown: shown })
    }

    /// Lets something be written above the line.
    pub(super) fn above(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Keeps the line true.
struct Asking {
    client: Client,
    path: String,
    /// Of the rollout that the line is about.
    id: String,
    bar: ProgressBar,
    gone: Receiver<()>,
}

impl Asking {
    fn run(self) {
        while self.gone.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            // What goes wrong here goes wrong for the changes as well, and there it is told.
            let told = self.client.get(&self.path).ok();
            let rollout = told.and_then(|told| Rollout::deserialize(told).ok());
            if let Some(rollout) = rollout.filter(|rollout| rollout.id == self.id) {
                self.draw(&rollout);
            }
        }
    }

    fn draw(&self, rollout: &Rollout) {
        if self.bar.is_finished() {
            return;
        }
        self.bar.set_position(filled(rollout));
        self.bar.set_prefix(elapsed(rollout, SystemTime::now()));
        self.bar.set_message(rollout.progress());
    }
}

fn filled(rollout: &Rollout) -> u64 {
    (rollout.weight / 100.0 * ALL as f64).round() as u64
}

/// How long the rollout has been going on.
fn elapsed(rollout: &Rollout, now: SystemTime) -> String {
    let started = humantime::parse_rfc3339(&rollout.started);
    // Two machines' clocks never agree to the second.
    let passed = started.ok().and_then(|started| now.duration_since(started).ok());
    let seconds = Duration::from_secs(passed.unwrap_or_default().as_secs());
    humantime::format_duration(seconds).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::show::testing::{canary, read};
    use super::*;

    #[test]
    fn the_bar_is_the_share_and_the_time_is_that_of_the_rollout() {
        let mut told = canary();
        let now = humantime::parse_rfc3339("2026-11-23T10:00:07.9Z").unwrap();
        let rollout = read(told.clone());
        assert_eq!((filled(&rollout), elapsed(&rollout, now).as_str()), (100, "3m 9s"));
        told["weight"] = serde_json::json!(0.05);
        told["started"] = "2026-11-23T10:00:08Z".into();
        let rollout = read(told);
        assert_eq!((filled(&rollout), elapsed(&rollout, now).as_str()), (1, "0s"));
    }
}
