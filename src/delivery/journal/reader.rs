//! Reading what happened, beside the one who writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Row, params};

use super::{Evidence, JournalError, Numbered, schema};
use crate::domain::model::ModelName;
use crate::domain::rollout::{Release, Rollout, RolloutId};

/// Reads the journal on a connection of its own. Cheap to clone; those who read take turns. It blocks, so async code
/// reads on a thread for that.
#[derive(Clone, Debug)]
pub struct JournalReader {
    path: Arc<PathBuf>,
    connection: Arc<Mutex<Connection>>,
}

/// A rollout of the past, or the present one.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutHistory {
    /// As it was after its last change.
    pub rollout: Rollout,
    /// The number of that change.
    pub seq: u64,
}

/// SQLite gives the columns beside the one `max` from the row that has it.
const LAST_OF_EACH: &str = "
    SELECT max(seq), document FROM transitions WHERE model = ?1
    GROUP BY rollout ORDER BY rollout DESC LIMIT ?2";

const ALL_OF_ONE: &str =
    "SELECT seq, document, model FROM transitions WHERE rollout = ?1 ORDER BY seq";

impl JournalReader {
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let connection = Arc::new(Mutex::new(schema::open_to_read(path)?));
        Ok(Self { path: Arc::new(path.to_path_buf()), connection })
    }

    /// Of a state folder, beside the server that writes it or without one.
    ///
    /// # Errors
    /// [`JournalError`], when it is not there or not ours.
    pub fn of_state(state: &Path) -> Result<Self, JournalError> {
        let path = state.join(schema::FILE);
        let reader = Self::open(&path)?;
        let connection = reader.connection.lock().unwrap_or_else(PoisonError::into_inner);
        schema::check(&connection, &path)?;
        drop(connection);
        Ok(reader)
    }

    /// What is decided about each model now.
    ///
    /// # Errors
    /// [`JournalError`], when it cannot be read or understood.
    pub fn releases(&self) -> Result<BTreeMap<ModelName, Release>, JournalError> {
        let question = "SELECT model, release FROM models";
        let rows: Vec<(String, String)> =
            self.read(question, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let understand = |(model, release): (String, String)| {
            let release = serde_json::from_str(&release).map_err(|error| self.damaged(&error))?;
            Ok((model.parse().map_err(|error| self.damaged(&error))?, release))
        };
        rows.into_iter().map(understand).collect()
    }

    /// The rollouts of a model, the newest first.
    ///
    /// # Errors
    /// [`JournalError`], when they cannot be read or understood.
    pub fn history(
        &self,
        model: &ModelName,
        limit: usize,
    ) -> Result<Vec<RolloutHistory>, JournalError> {
        let limit = schema::integer(limit as u64);
        let rows: Vec<Written> =
            self.read(LAST_OF_EACH, params![model.as_str(), limit], Written::of)?;
        let history = |written: Written| {
            let (seq, transition) = understand(&self.path, written)?;
            Ok(RolloutHistory { rollout: transition.rollout, seq })
        };
        rows.into_iter().map(history).collect()
    }

    /// A rollout's model and everything that happened to it, in order; none when there is no such rollout.
    ///
    /// # Errors
    /// [`JournalError`], when it cannot be read or understood.
    pub fn rollout(
        &self,
        id: RolloutId,
    ) -> Result<Option<(ModelName, Vec<Numbered>)>, JournalError> {
        let rows: Vec<(Written, String)> =
            self.read(ALL_OF_ONE, params![schema::integer(id.0)], |row| {
                Ok((Written::of(row)?, row.get(2)?))
            })?;
        let Some((_, model)) = rows.first() else { return Ok(None) };
        let model = model.parse().map_err(|error| self.damaged(&error))?;
        let transitions = rows.into_iter().map(|(written, _)| understand(&self.path, written));
        Ok(Some((model, transitions.collect::<Result<_, _>>()?)))
    }

    /// What was compared for a rollout, as it was last written down; none when nothing was.
    ///
    /// # Errors
    /// [`JournalError`], when it cannot be read.
    pub fn study(&self, id: RolloutId) -> Result<Option<String>, JournalError> {
        self.evidence(Evidence::Studies, id)
    }

    /// What is known of a rollout, as it was last written down; none when nothing is.
    ///
    /// # Errors
    /// [`JournalError`], when it cannot be read.
    pub(in crate::delivery) fn evidence(
        &self,
        kind: Evidence,
        id: RolloutId,
    ) -> Result<Option<String>, JournalError> {
        let question = format!("SELECT document FROM {} WHERE rollout = ?1", kind.table());
        let rows = self.read(&question, params![schema::integer(id.0)], |row| row.get(0))?;
        Ok(rows.into_iter().next())
    }

    /// The last rollout of each model for which something was compared.
    ///
    /// # Errors
    /// [`JournalError`], when they cannot be read.
    pub fn last_studies(&self) -> Result<Vec<(ModelName, RolloutId)>, JournalError> {
        let question = "SELECT model, max(rollout) FROM studies GROUP BY model ORDER BY model";
        let rows: Vec<(String, i64)> =
            self.read(question, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let understand = |(model, rollout): (String, i64)| {
            let model = model.parse().map_err(|error| self.damaged(&error))?;
            Ok((model, RolloutId(schema::number(rollout))))
        };
        rows.into_iter().map(understand).collect()
    }

    /// The last rollout of a model for which something was compared.
    ///
    /// # Errors
    /// [`JournalError`], when it cannot be read.
    pub fn last_study(&self, model: &ModelName) -> Result<Option<RolloutId>, JournalError> {
        let question = "SELECT rollout FROM studies WHERE model = ?1 ORDER BY rollout DESC LIMIT 1";
        let last = |row: &Row<'_>| Ok(RolloutId(schema::number(row.get(0)?)));
        Ok(self.read(question, params![model.as_str()], last)?.into_iter().next())
    }

    fn read<T>(
        &self,
        question: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, JournalError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = connection.prepare_cached(question).and_then(|mut statement| {
            statement.query_map(params, read)?.collect::<rusqlite::Result<Vec<T>>>()
        });
        rows.map_err(|error| schema::failed(&self.path, "read", &error))
    }

    fn damaged(&self, error: &dyn std::fmt::Display) -> JournalError {
        damaged(&self.path, error)
    }
}

fn damaged(path: &Path, error: &dyn std::fmt::Display) -> JournalError {
    let what = format!("the history cannot be understood: {error}");
    JournalError::Damaged { path: path.to_path_buf(), what }
}

/// A transition as it is in the file.
pub(super) struct Written {
    seq: i64,
    document: String,
}

impl Written {
    /// From a row that begins with the number and the document.
    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { seq: row.get(0)?, document: row.get(1)? })
    }
}

pub(super) fn understand(path: &Path, written: Written) -> Result<Numbered, JournalError> {
    let Written { seq, document } = written;
    match serde_json::from_str(&document) {
        Ok(transition) => Ok((schema::number(seq), transition)),
        Err(error) => Err(damaged(path, &format_args!("transition {seq}: {error}"))),
    }
}
