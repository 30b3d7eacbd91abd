//! Tells one hook all that is in its outbox, one after the other.
//!
//! A change that does not arrive is told again, and those after it wait. It is taken out of the outbox after it has
//! arrived: whoever dies in between tells it once more, by the same id.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

use super::receiver::Answer;
use crate::delivery::{Announcement, JournalError, Outbox, Signal};
use crate::domain::retrying::{self, GIVEN_UP_AFTER, Reception};
use crate::domain::time::{Moment, WallTime};
use crate::system::rehearsal::Death;
use crate::telemetry::metrics::webhooks::{self as metrics, Outcome};

/// The one who tells one hook. `P` posts a change and says what came of it.
pub(super) struct Sender<P> {
    host: String,
    outbox: Outbox,
    post: P,
    standing: Standing,
    /// The number of the last change that is done with.
    done: u64,
    /// Whether that is still in the outbox, since it could not be taken out.
    owes_removal: bool,
    is_readable: bool,
    death: Death,
}

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Working,
    /// The receiver does not want to be told.
    Unwanted,
    /// So often in a row, since then on the monotonic clock.
    Failing {
        failures: u32,
        since: Duration,
    },
}

/// What to do before the next look into the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    GoOn,
    /// Wait until something is there.
    Wait,
    /// Wait for so long.
    Rest(Duration),
}

/// After the journal could not be used.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

impl<P: FnMut(&Announcement, WallTime) -> Answer> Sender<P> {
    pub(super) fn new(host: String, outbox: Outbox, post: P) -> Self {
        let (standing, death) = (Standing::Working, Death::appointed());
        let (done, owes_removal, is_readable) = (0, false, true);
        Self { host, outbox, post, standing, done, owes_removal, is_readable, death }
    }

    /// Tells what there is and what comes, until the journal is closed and nothing is left, or does not arrive.
    pub(super) fn run(mut self) {
        self.begin();
        let start = Instant::now();
        loop {
            let wall = WallTime::from(SystemTime::now());
            let signal = match self.step(Moment { monotonic: start.elapsed(), wall }, chance()) {
                Next::GoOn => Signal::GoOn,
                Next::Wait => self.outbox.wait(),
                Next::Rest(pause) => self.outbox.rest(pause),
            };
            if signal == Signal::Closed {
                return;
            }
        }
    }

    fn begin(&self) {
        // What cannot be read will be said when it is needed.
        let waiting = self.outbox.waiting().unwrap_or(0);
        metrics::begin(waiting);
        tracing::info!(
            webhook.host = self.host,
            "the webhook at `{}` is told of every change; {waiting} are still to be told",
            self.host
        );
    }

    /// Tells one change, if there is one. `chance` (from 0 to 1) spreads pauses.
    pub(super) fn step(&mut self, now: Moment, chance: f64) -> Next {
        if self.owes_removal {
            self.remove();
        }
        match self.outbox.next(self.done) {
            Ok(change) => {
                self.is_readable = true;
                match change {
                    Some(change) => self.tell(&change, now, chance),
                    None if self.owes_removal => Next::Rest(TRY_AGAIN_AFTER),
                    None => Next::Wait,
                }
            }
            Err(error) => {
                if std::mem::replace(&mut self.is_readable, false) {
                    self.complain("cannot be told of changes", &error);
                }
                Next::Rest(TRY_AGAIN_AFTER)
            }
        }
    }

    fn tell(&mut self, change: &Announcement, now: Moment, chance: f64) -> Next {
        let answer = (self.post)(change, now.wall);
        let reception = match &answer {
            Answer::Status { status, .. } => Reception::of(*status),
            Answer::None(_) => Reception::Failed,
        };
        match reception {
            Reception::Taken => {
                self.death.may_come("told", change.transition.rollout.phase.name());
                metrics::ended(Outcome::Delivered, 1);
                self.becomes(Standing::Working, &answer);
                self.is_done(change.seq)
            }
            Reception::Unwanted => {
                metrics::ended(Outcome::Gone, 1);
                self.becomes(Standing::Unwanted, &answer);
                self.is_done(change.seq)
            }
            Reception::Failed => {
                metrics::ended(Outcome::Failed, 1);
                self.has_failed(change, &answer, now, chance)
            }
        }
    }

    fn is_done(&mut self, seq: u64) -> Next {
        self.done = seq;
        self.remove();
        Next::GoOn
    }

    fn has_failed(
        &mut self,
        change: &Announcement,
        answer: &Answer,
        now: Moment,
        chance: f64,
    ) -> Next {
        let (failures, since) = match self.standing {
            Standing::Working | Standing::Unwanted => (1, now.monotonic),
            Standing::Failing { failures, since } => (failures.saturating_add(1), since),
        };
        self.becomes(Standing::Failing { failures, since }, answer);
        let age = Duration::from_millis(now.wall.0.saturating_sub(change.transition.at.0));
        if retrying::is_hopeless(age, now.monotonic.saturating_sub(since)) {
            self.give_up(now.wall);
        }
        let retry_after = match answer {
            Answer::Status { retry_after, .. } => retry_after.as_deref(),
            Answer::None(_) => None,
        };
        let asked = retry_after.and_then(|header| retrying::asked_pause(header, now.wall));
        Next::Rest(retrying::pause(failures, chance, asked))
    }

    /// All that is too old, and not only the first: each would take its time to fail.
    fn give_up(&mut self, now: WallTime) {
        let too_old = u64::try_from(GIVEN_UP_AFTER.as_millis()).unwrap_or(u64::MAX);
        // What is exactly as old is too old.
        let bound = WallTime(now.0.saturating_sub(too_old).saturating_add(1));
        match self.outbox.remove_older(bound) {
            Ok(count) => {
                metrics::ended(Outcome::Expired, count);
                tracing::error!(
                    webhook.host = self.host,
                    "the webhook at `{}` could not be told of {count} changes within a day: they are given up",
                    self.host
                );
            }
            Err(error) => self.complain("is still told of what is too old", &error),
        }
    }

    fn remove(&mut self) {
        let owed = std::mem::replace(&mut self.owes_removal, false);
        if let Err(error) = self.outbox.remove(self.done) {
            self.owes_removal = true;
            if !owed {
                self.complain("would be told once more after a restart", &error);
            }
        }
    }

    /// Says so when it is another kind of standing, and not at each attempt.
    fn becomes(&mut self, standing: Standing, answer: &Answer) {
        let before = std::mem::replace(&mut self.standing, standing);
        let host = &self.host;
        match (before, standing) {
            (Standing::Working, Standing::Working)
            | (Standing::Unwanted, Standing::Unwanted)
            | (Standing::Failing { .. }, Standing::Failing { .. }) => {}
            (Standing::Unwanted | Standing::Failing { .. }, Standing::Working) => {
                tracing::info!(webhook.host = host, "the webhook at `{host}` can be told again");
            }
            (Standing::Working | Standing::Failing { .. }, Standing::Unwanted) => tracing::warn!(
                webhook.host = host,
                "the webhook at `{host}` does not want to be told any more: {}; what it says that to is dropped",
                answer.shown()
            ),
            (Standing::Working | Standing::Unwanted, Standing::Failing { .. }) => tracing::warn!(
                webhook.host = host,
                "the webhook at `{host}` cannot be told of changes, which wait for it: {}",
                answer.shown()
            ),
        }
    }

    fn complain(&self, what: &str, error: &JournalError) {
        tracing::warn!(webhook.host = self.host, "the webhook at `{}` {what}: {error}", self.host);
    }
}

/// From 0 to 1, at random.
fn chance() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests;
