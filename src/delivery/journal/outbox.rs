//! Who is still to be told of what.
//!
//! For each webhook there is a row for each change, written in one transaction with the change itself. So a crash
//! or a full disk cannot lose a notification, and a change that was not written down is not told. A row is only a
//! hook and a number: what there is to tell stands in the journal anyway. Whoever tells takes the row away
//! afterwards, on a connection of its own that nobody waits for.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};

use super::reader::{Written, understand};
use super::{Change, JournalError, schema};
use crate::delivery::board::Announcement;
use crate::domain::time::WallTime;
use crate::telemetry::metrics::webhooks::{self as metrics, Outcome};

/// Somebody who is told of every change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// What its rows are found by, also after a restart.
    pub key: String,
    /// What people know it by, in the log.
    pub host: String,
}

/// How many changes wait for one subscriber. There are not that many in months; one who was away for longer has to look
/// at the history.
const MOST_WAITING: u64 = 10_000;

const PUT: &str = "INSERT OR IGNORE INTO notifications (hook, seq) VALUES (?1, ?2)";

const FORGET_OLDEST: &str = "
    DELETE FROM notifications WHERE hook = ?1 AND seq <=
        (SELECT seq FROM notifications WHERE hook = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)";

const NEXT: &str = "
    SELECT transitions.seq, transitions.document, transitions.model
    FROM notifications JOIN transitions ON transitions.seq = notifications.seq
    WHERE notifications.hook = ?1 AND notifications.seq > ?2 ORDER BY notifications.seq LIMIT 1";

const REMOVE: &str = "DELETE FROM notifications WHERE hook = ?1 AND seq <= ?2";

const REMOVE_OLDER: &str = "
    DELETE FROM notifications WHERE hook = ?1 AND seq IN
        (SELECT notifications.seq
         FROM notifications JOIN transitions ON transitions.seq = notifications.seq
         WHERE notifications.hook = ?1 AND transitions.at < ?2)";

/// The journal's end: puts rows in.
#[derive(Debug, Default)]
pub(super) struct Outgoing(Vec<Line>);

/// One subscriber, from the journal's end.
#[derive(Debug)]
struct Line {
    subscriber: Subscriber,
    /// Holds one word at most: that there is news, however much.
    news: SyncSender<()>,
    is_full: bool,
}

impl Outgoing {
    /// From now on these are told, and nobody else.
    ///
    /// # Errors
    /// [`JournalError`], when the file cannot be opened once more.
    pub(super) fn open(
        path: &Path,
        subscribers: Vec<Subscriber>,
    ) -> Result<(Self, Vec<Outbox>), JournalError> {
        let (mut lines, mut outboxes) = (Vec::new(), Vec::new());
        for subscriber in subscribers {
            let (news, is_news) = sync_channel(1);
            outboxes.push(Outbox::open(path, subscriber.key.clone(), is_news)?);
            lines.push(Line { subscriber, news, is_full: false });
        }
        Ok((Self(lines), outboxes))
    }

    /// Takes away what is kept for others. Gives how much that was.
    pub(super) fn forget_others(&self, connection: &Connection) -> rusqlite::Result<usize> {
        let keys: Vec<&str> = self.0.iter().map(|line| line.subscriber.key.as_str()).collect();
        let keys = serde_json::to_string(&keys).unwrap_or_default();
        let sentence =
            "DELETE FROM notifications WHERE hook NOT IN (SELECT value FROM json_each(?1))";
        connection.execute(sentence, [keys])
    }

    /// Puts a row for each transition and each subscriber in, within the transaction that writes the transitions. Gives
    /// how many old ones of each subscriber had to go.
    pub(super) fn put(
        &self,
        connection: &Connection,
        changes: &[Change<'_>],
    ) -> rusqlite::Result<Vec<usize>> {
        let seqs = || changes.iter().flat_map(|change| change.transitions).map(|(seq, _)| *seq);
        let mut put = connection.prepare_cached(PUT)?;
        let mut forget = connection.prepare_cached(FORGET_OLDEST)?;
        let mut of_one = |Line { subscriber: Subscriber { key, .. }, .. }: &Line| {
            seqs().try_for_each(|seq| put.execute(params![key, schema::integer(seq)]).map(drop))?;
            forget.execute(params![key, schema::integer(MOST_WAITING)])
        };
        self.0.iter().map(&mut of_one).collect()
    }

    /// Says so, after the transaction.
    pub(super) fn were_put(&mut self, changes: &[Change<'_>], forgotten: &[usize]) {
        let news: usize = changes.iter().map(|change| change.transitions.len()).sum();
        if news == 0 {
            return;
        }
        for (line, &forgotten) in self.0.iter_mut().zip(forgotten) {
            metrics::more_wait(news);
            metrics::fewer_wait(forgotten);
            metrics::ended(Outcome::Overflowed, forgotten);
            let was_full = std::mem::replace(&mut line.is_full, forgotten > 0);
            if line.is_full && !was_full {
                tracing::error!(
                    webhook.host = line.subscriber.host,
                    "more than {MOST_WAITING} changes wait for the webhook at `{}`: it will not be told of the \
                     oldest ones",
                    line.subscriber.host
                );
            }
            // One that is full says already that there is news; one that is closed is not listened to any more.
            let _ = line.news.try_send(());
        }
    }
}

/// The end of one who tells: takes rows out.
#[derive(Debug)]
pub struct Outbox {
    path: PathBuf,
    key: String,
    connection: Connection,
    news: Receiver<()>,
}

/// What one who waits hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It is worth looking again.
    GoOn,
    /// The journal is closed: there will be nothing new.
    Closed,
}

impl Outbox {
    fn open(path: &Path, key: String, news: Receiver<()>) -> Result<Self, JournalError> {
        let connection = schema::open_relaxed(path)?;
        Ok(Self { path: path.to_path_buf(), key, connection, news })
    }

    /// How many changes wait.
    ///
    /// # Errors
    /// [`JournalError`], when the journal cannot be read.
    pub fn waiting(&self) -> Result<usize, JournalError> {
        let question = "SELECT count(*) FROM notifications WHERE hook = ?1";
        let count = self.connection.query_row(question, [&self.key], |row| row.get(0));
        let count: i64 = count.map_err(|error| self.failed("read", &error))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// The first change after this number that is still to be told.
    ///
    /// # Errors
    /// [`JournalError`], when it cannot be read or understood.
    pub fn next(&self, after: u64) -> Result<Option<Announcement>, JournalError> {
        let row = self.connection.prepare_cached(NEXT).and_then(|mut next| {
            let read = |row: &rusqlite::Row<'_>| Ok((Written::of(row)?, row.get(2)?));
            next.query_row(params![self.key, schema::integer(after)], read).optional()
        });
        let row: Option<(Written, String)> = row.map_err(|error| self.failed("read", &error))?;
        let Some((written, model)) = row else { return Ok(None) };
        let (seq, transition) = understand(&self.path, written)?;
        let model = model.parse().map_err(|error| JournalError::Damaged {
            path: self.path.clone(),
            what: format!("transition {seq} is of no model: {error}"),
        })?;
        Ok(Some(Announcement { seq, model, transition }))
    }

    /// Takes away what was told, up to this number.
    ///
    /// # Errors
    /// [`JournalError`], and it is all still there.
    pub fn remove(&self, last: u64) -> Result<(), JournalError> {
        self.delete(REMOVE, last).map(drop)
    }

    /// Takes away what happened before then. Gives how much that was.
    ///
    /// # Errors
    /// [`JournalError`], and it is all still there.
    pub fn remove_older(&self, than: WallTime) -> Result<usize, JournalError> {
        self.delete(REMOVE_OLDER, than.0)
    }

    /// Waits for news.
    pub fn wait(&self) -> Signal {
        self.news.recv().map_or(Signal::Closed, |()| Signal::GoOn)
    }

    /// Waits for so long, whatever is new.
    pub fn rest(&self, pause: Duration) -> Signal {
        let end = Instant::now() + pause;
        loop {
            match self.news.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => return Signal::GoOn,
                Err(RecvTimeoutError::Disconnected) => return Signal::Closed,
            }
        }
    }

    fn delete(&self, sentence: &str, bound: u64) -> Result<usize, JournalError> {
        let deleted = self
            .connection
            .prepare_cached(sentence)
            .and_then(|mut delete| delete.execute(params![self.key, schema::integer(bound)]))
            .map_err(|error| self.failed("written", &error))?;
        metrics::fewer_wait(deleted);
        Ok(deleted)
    }

    fn failed(&self, verb: &'static str, error: &rusqlite::Error) -> JournalError {
        schema::failed(&self.path, verb, error)
    }
}

#[cfg(test)]
mod tests;
