//! The journal: every change of every release, in SQLite.
//!
//! What decides is on the disk before anybody can see it (`synchronous=FULL`). What may be lost, such as how far
//! a countdown has come, goes over a second connection that does not wait for the disk (`NORMAL`). Both belong to
//! the one thread that makes changes, so they never wait for each other. Readers have a connection of their own,
//! which in WAL mode neither waits for writers nor holds them up. Those who tell others of changes find in the
//! outbox what is still to be told.

mod outbox;
mod reader;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior, params};
use serde::Serialize;
use serde_json::Value;

use self::outbox::Outgoing;
use crate::domain::model::{Digest, ModelName};
use crate::domain::rollout::{Release, RolloutId, Transition};
use crate::repository::KnownFile;

pub use outbox::{Outbox, Signal, Subscriber};
pub use reader::{JournalReader, RolloutHistory};

/// Where changes are written down. Whoever opens it holds the state folder, as the content store does.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    durable: Connection,
    relaxed: Connection,
    reader: JournalReader,
    outgoing: Outgoing,
}

/// What was written down before.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    /// Each model's state, and the number of its last change.
    pub releases: BTreeMap<ModelName, (u64, Release)>,
    /// The number of the rollout that begins next.
    pub next_rollout: RolloutId,
    /// The number of the transition that comes next.
    pub next_seq: u64,
    /// Which content a file had, and by what to tell that it still has it.
    pub files: Vec<(String, Value, Digest)>,
}

impl Recovered {
    /// What is known of the files. One that cannot be understood is read again, which only takes time.
    pub fn known_files(&self) -> Vec<KnownFile> {
        let known = self.files.iter().filter_map(|(file, fingerprint, digest)| {
            Some((file.clone(), serde_json::from_value(fingerprint.clone()).ok()?, *digest))
        });
        known.collect()
    }

    /// The rollouts that go on.
    pub fn live_rollouts(&self) -> BTreeSet<RolloutId> {
        let releases = self.releases.values();
        releases.filter_map(|(_, release)| release.live().map(|rollout| rollout.id)).collect()
    }
}

/// A change of one model.
#[derive(Clone, Copy, Debug)]
pub struct Change<'c> {
    /// The model.
    pub model: &'c ModelName,
    /// Its state after the change.
    pub release: &'c Release,
    /// What is to be kept for ever of it, each with its number. Without any, only the state is written.
    pub transitions: &'c [Numbered],
}

/// A transition and its number, which grows over all models.
pub type Numbered = (u64, Transition);

/// Why the journal cannot be used. Each is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A later version has written it.
    #[error(
        "the journal `{}` is of a newer version of greenroom (schema {found}; this one knows {known}): \
         use that version, or name another state folder with --state",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema that it has.
        found: i64,
        /// The newest schema that is known here.
        known: i64,
    },
    /// The file belongs to something else.
    #[error(
        "`{}` is not a journal of greenroom: move it away, or name another state folder with --state",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// What it holds cannot be understood.
    #[error(
        "the journal `{}` is damaged ({what}): put a copy in its place, or move it away to begin anew \
         with the newest version of each model",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The system does not let it be used.
    #[error("the journal `{}` cannot be {verb}: {cause}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What was to be done with it: `opened`, `read` or `written`.
        verb: &'static str,
        /// What the system says.
        cause: String,
    },
}

/// A state that is written although it changed no phase keeps the number of the last change that did.
const WRITE_RELEASE: &str = "
    INSERT INTO models (model, seq, release) VALUES (?1, ?2, ?3)
    ON CONFLICT (model) DO UPDATE SET seq = max(seq, excluded.seq), release = excluded.release";

const WRITE_TRANSITION: &str = "
    INSERT INTO transitions (seq, at, model, rollout, actor, reason, from_phase, to_phase, document)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/// Of how many rollouts of a model the evidence is kept.
const KEPT_EVIDENCE: i64 = 50;

/// What is known of rollouts, each kind in a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// What pairs have shown.
    Studies,
    /// What was seen of live requests.
    Observations,
}

impl Evidence {
    fn table(self) -> &'static str {
        match self {
            Self::Studies => "studies",
            Self::Observations => "observations",
        }
    }
}

const WRITE_FILE: &str = "
    INSERT INTO files (path, fingerprint, digest) VALUES (?1, ?2, ?3)
    ON CONFLICT (path) DO UPDATE SET fingerprint = excluded.fingerprint, digest = excluded.digest";

impl Journal {
    /// Opens the journal of a state folder, which is made when it is not there.
    ///
    /// # Errors
    /// [`JournalError`], and what was there is as it was.
    pub fn open(state: &Path) -> Result<Self, JournalError> {
        let path = state.join(schema::FILE);
        let [durable, relaxed] = schema::open(&path)?;
        let reader = JournalReader::open(&path)?;
        Ok(Self { path, durable, relaxed, reader, outgoing: Outgoing::default() })
    }

    /// Keeps each change from now on for these, too, until they have been told of it. There is an outbox for each; what
    /// was kept for others is forgotten.
    ///
    /// # Errors
    /// [`JournalError`], when the journal cannot be opened for them.
    pub fn subscribe(&mut self, subscribers: Vec<Subscriber>) -> Result<Vec<Outbox>, JournalError> {
        let (outgoing, outboxes) = Outgoing::open(&self.path, subscribers)?;
        self.outgoing = outgoing;
        match self.outgoing.forget_others(&self.durable) {
            Ok(0) => {}
            Ok(forgotten) => tracing::warn!(
                "{forgotten} changes were still to be told to webhooks that are not in the settings any more"
            ),
            // They are in nobody's way.
            Err(error) => tracing::warn!("{}", self.failed("written", &error)),
        }
        Ok(outboxes)
    }

    /// A way to read what happened. Cheap to clone, and in nobody's way.
    pub fn reader(&self) -> JournalReader {
        self.reader.clone()
    }

    /// Everything that a restart needs.
    ///
    /// # Errors
    /// [`JournalError`], when it cannot be read or understood.
    pub fn load(&self) -> Result<Recovered, JournalError> {
        let releases = self.releases()?;
        let in_releases = releases.values().filter_map(|(_, release)| release.rollout());
        let last_known = in_releases.map(|rollout| rollout.id.0).max().unwrap_or(0);
        let last = |column: &str| -> Result<u64, JournalError> {
            let question = format!("SELECT coalesce(max({column}), 0) FROM transitions");
            let last = self.durable.query_row(&question, [], |row| row.get(0));
            last.map(schema::number).map_err(|error| self.failed("read", &error))
        };
        let next_rollout = RolloutId(last_known.max(last("rollout")?) + 1);
        let next_seq = last("seq")? + 1;
        let files = self.files().map_err(|error| self.failed("read", &error))?;
        Ok(Recovered { releases, next_rollout, next_seq, files })
    }

    /// Writes changes of any number of models down: all of them, or none. When it returns they are on the disk.
    ///
    /// # Errors
    /// [`JournalError`], and nothing was written.
    pub fn commit(&mut self, changes: &[Change<'_>]) -> Result<(), JournalError> {
        let written = commit(&mut self.durable, changes, &self.outgoing);
        let forgotten = written.map_err(|error| self.failed("written", &error))?;
        self.outgoing.were_put(changes, &forgotten);
        Ok(())
    }

    /// Writes down how far countdowns have come. The last few such writes may be lost when the machine stops.
    ///
    /// # Errors
    /// [`JournalError`], and nothing was written.
    pub fn save<'r>(
        &mut self,
        releases: impl IntoIterator<Item = (&'r ModelName, &'r Release)>,
    ) -> Result<(), JournalError> {
        let saved = in_transaction(&mut self.relaxed, |connection| {
            for (model, release) in releases {
                write_release(connection, model, release, 0)?;
            }
            Ok(())
        });
        saved.map_err(|error| self.failed("written", &error))
    }

    /// Writes down what is known of rollouts: of which model, and what. Of each model the last few are kept. The last
    /// few such writes may be lost when the machine stops.
    ///
    /// # Errors
    /// [`JournalError`], and nothing was written.
    pub(super) fn save_evidence<'d>(
        &mut self,
        kind: Evidence,
        documents: impl IntoIterator<Item = (RolloutId, &'d ModelName, &'d str)>,
    ) -> Result<(), JournalError> {
        let table = kind.table();
        let write = format!(
            "INSERT INTO {table} (rollout, model, document) VALUES (?1, ?2, ?3)
             ON CONFLICT (rollout) DO UPDATE SET document = excluded.document"
        );
        let forget = format!(
            "DELETE FROM {table} WHERE model = ?1 AND rollout NOT IN
                 (SELECT rollout FROM {table} WHERE model = ?1 ORDER BY rollout DESC LIMIT ?2)"
        );
        let saved = in_transaction(&mut self.relaxed, |connection| {
            for (rollout, model, document) in documents {
                let mut write = connection.prepare_cached(&write)?;
                write.execute(params![schema::integer(rollout.0), model.as_str(), document])?;
                let mut forget = connection.prepare_cached(&forget)?;
                forget.execute(params![model.as_str(), KEPT_EVIDENCE])?;
            }
            Ok(())
        });
        saved.map_err(|error| self.failed("written", &error))
    }

    /// Forgets the state of a model. What happened to it stays.
    ///
    /// # Errors
    /// [`JournalError`], and nothing was forgotten.
    pub fn remove(&mut self, model: &ModelName) -> Result<(), JournalError> {
        let removed = self.durable.execute("DELETE FROM models WHERE model = ?1", [model.as_str()]);
        removed.map(drop).map_err(|error| self.failed("written", &error))
    }

    /// Writes down which content files have, so that they need not be read again after a restart. May be lost.
    ///
    /// # Errors
    /// [`JournalError`], and nothing was written.
    pub fn save_files<F: Serialize>(
        &mut self,
        changed: &[(String, F, Digest)],
        removed: &[String],
    ) -> Result<(), JournalError> {
        let saved = in_transaction(&mut self.relaxed, |connection| {
            let mut write = connection.prepare_cached(WRITE_FILE)?;
            for (path, fingerprint, digest) in changed {
                write.execute(params![path, json(fingerprint)?, digest.to_string()])?;
            }
            let mut remove = connection.prepare_cached("DELETE FROM files WHERE path = ?1")?;
            removed.iter().try_for_each(|path| remove.execute([path]).map(drop))
        });
        saved.map_err(|error| self.failed("written", &error))
    }

    fn releases(&self) -> Result<BTreeMap<ModelName, (u64, Release)>, JournalError> {
        let rows: rusqlite::Result<Vec<(String, i64, String)>> = self
            .durable
            .prepare("SELECT model, seq, release FROM models")
            .and_then(|mut models| {
                models.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
            });
        let read = |(model, seq, release): (String, i64, String)| {
            let damaged = |error: &dyn std::fmt::Display| JournalError::Damaged {
                path: self.path.clone(),
                what: format!("the state of `{model}` cannot be understood: {error}"),
            };
            let release = serde_json::from_str(&release).map_err(|error| damaged(&error))?;
            let name: ModelName = model.parse().map_err(|error| damaged(&error))?;
            Ok((name, (schema::number(seq), release)))
        };
        rows.map_err(|error| self.failed("read", &error))?.into_iter().map(read).collect()
    }

    /// A file whose row cannot be understood is read again, and nothing is lost.
    fn files(&self) -> rusqlite::Result<Vec<(String, Value, Digest)>> {
        let mut files = self.durable.prepare("SELECT path, fingerprint, digest FROM files")?;
        let rows = files.query_map([], |row| {
            let (fingerprint, digest): (String, String) = (row.get(1)?, row.get(2)?);
            let understood = serde_json::from_str(&fingerprint).ok().zip(digest.parse().ok());
            let path: String = row.get(0)?;
            Ok(understood.map(|(fingerprint, digest)| (path, fingerprint, digest)))
        })?;
        rows.filter_map(Result::transpose).collect()
    }

    fn failed(&self, verb: &'static str, error: &rusqlite::Error) -> JournalError {
        schema::failed(&self.path, verb, error)
    }
}

/// Gives how many old rows of the outbox had to go for it, of each subscriber.
fn commit(
    connection: &mut Connection,
    changes: &[Change<'_>],
    outgoing: &Outgoing,
) -> rusqlite::Result<Vec<usize>> {
    in_transaction(connection, |connection| {
        changes.iter().try_for_each(|Change { model, release, transitions }| {
            write_transitions(connection, model, transitions)?;
            let seq = transitions.last().map_or(0, |(seq, _)| *seq);
            write_release(connection, model, release, seq)
        })?;
        outgoing.put(connection, changes)
    })
}

/// Does all of it, or nothing.
fn in_transaction<T>(
    connection: &mut Connection,
    write: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let written = write(&transaction)?;
    transaction.commit()?;
    Ok(written)
}

fn write_release(
    connection: &Connection,
    model: &ModelName,
    release: &Release,
    seq: u64,
) -> rusqlite::Result<()> {
    let mut write = connection.prepare_cached(WRITE_RELEASE)?;
    write.execute(params![model.as_str(), schema::integer(seq), json(release)?]).map(drop)
}

fn write_transitions(
    connection: &Connection,
    model: &ModelName,
    transitions: &[Numbered],
) -> rusqlite::Result<()> {
    let mut write = connection.prepare_cached(WRITE_TRANSITION)?;
    transitions.iter().try_for_each(|(seq, transition)| {
        let written = write.execute(params![
            schema::integer(*seq),
            schema::integer(transition.at.0),
            model.as_str(),
            schema::integer(transition.rollout.id.0),
            transition.actor.to_string(),
            transition.reason,
            transition.from,
            transition.rollout.phase.name(),
            json(transition)?,
        ]);
        written.map(drop)
    })
}

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

#[cfg(test)]
mod tests;
