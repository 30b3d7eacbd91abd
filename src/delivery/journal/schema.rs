//! The journal's file: what is in it, and what can be wrong with it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::JournalError;

/// The file's name in the state folder.
pub(super) const FILE: &str = "journal.sqlite3";

/// Says in the file's header whose it is: `GRNR`.
pub(super) const APPLICATION: i64 = 0x4752_4e52;

/// What leads from each schema to the next one. The file's `user_version` counts those that were done.
pub(super) const MIGRATIONS: &[&str] = &["
    -- All that is decided about each model, now; `seq` is the number of its last transition.
    CREATE TABLE models (
        model   TEXT PRIMARY KEY,
        seq     INTEGER NOT NULL,
        release TEXT NOT NULL
    ) STRICT;

    -- Everything that ever happened. The document is the whole transition; the columns are for those who ask.
    CREATE TABLE transitions (
        seq        INTEGER PRIMARY KEY AUTOINCREMENT,
        at         INTEGER NOT NULL,
        model      TEXT NOT NULL,
        rollout    INTEGER NOT NULL,
        actor      TEXT NOT NULL,
        reason     TEXT NOT NULL,
        from_phase TEXT,
        to_phase   TEXT NOT NULL,
        document   TEXT NOT NULL
    ) STRICT;
    CREATE INDEX transitions_of_model ON transitions (model, rollout);
    CREATE INDEX transitions_of_rollout ON transitions (rollout);

    -- Which content a file of the models' folder had when it was last read.
    CREATE TABLE files (
        path        TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        digest      TEXT NOT NULL
    ) STRICT;
", "
    -- What the pairs of a rollout have shown, as one document.
    CREATE TABLE studies (
        rollout  INTEGER PRIMARY KEY,
        model    TEXT NOT NULL,
        document TEXT NOT NULL
    ) STRICT;
    CREATE INDEX studies_of_model ON studies (model, rollout);
", "
    -- What was seen of the live requests of a rollout, as one document.
    CREATE TABLE observations (
        rollout  INTEGER PRIMARY KEY,
        model    TEXT NOT NULL,
        document TEXT NOT NULL
    ) STRICT;
    CREATE INDEX observations_of_model ON observations (model, rollout);
", "
    -- Who is still to be told of which transition; a hook is named by the digest of its URL.
    CREATE TABLE notifications (
        hook TEXT NOT NULL,
        seq  INTEGER NOT NULL,
        PRIMARY KEY (hook, seq)
    ) STRICT, WITHOUT ROWID;
"];

/// The newest schema, which is the one that is written here.
pub(super) fn newest() -> i64 {
    integer(MIGRATIONS.len() as u64)
}

const READ_WRITE: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE;

/// Opens the file for writing and brings it to the present schema. The first connection waits at each commit until it
/// is on the disk; the second does not.
pub(super) fn open(path: &Path) -> Result<[Connection; 2], JournalError> {
    let failed = |error| failed(path, "opened", &error);
    let mut durable = connect(path, READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE).map_err(failed)?;
    // Nothing is written before it is sure that the file is ours.
    check(&durable, path)?;
    share(&durable).and_then(|()| migrate(&mut durable)).map_err(failed)?;
    durable.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    Ok([durable, open_relaxed(path)?])
}

/// Opens the file, which is there, once more for writing, without waiting for the disk.
pub(super) fn open_relaxed(path: &Path) -> Result<Connection, JournalError> {
    let relaxed = connect(path, READ_WRITE).and_then(|relaxed| {
        relaxed.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(relaxed)
    });
    relaxed.map_err(|error| failed(path, "opened", &error))
}

/// Opens the file as it is, to read it.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, JournalError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| failed(path, "opened", &error))
}

/// What went wrong, as an operator is told.
pub(super) fn failed(path: &Path, verb: &'static str, error: &rusqlite::Error) -> JournalError {
    let path = path.to_path_buf();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => JournalError::Foreign { path },
        Some(ErrorCode::DatabaseCorrupt) => JournalError::Damaged { path, what: error.to_string() },
        _ => JournalError::Failed { path, verb, cause: error.to_string() },
    }
}

/// SQLite's integers are signed; ours are counts, which never get so far.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The other way round.
pub(super) fn number(integer: i64) -> u64 {
    u64::try_from(integer).unwrap_or(0)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    // Each connection is used by one thread at a time, which the borrow checker sees to.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// Whether the file is ours, of a schema that is known here, and whole.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), JournalError> {
    let ask = |question: &str| -> Result<i64, JournalError> {
        let answer = connection.query_row(question, [], |row| row.get(0));
        answer.map_err(|error| failed(path, "opened", &error))
    };
    let tables = ask("SELECT count(*) FROM sqlite_schema")?;
    let (application, found) = (ask("PRAGMA application_id")?, ask("PRAGMA user_version")?);
    let known = newest();
    if tables == 0 && application == 0 {
        return Ok(());
    }
    if application != APPLICATION {
        return Err(JournalError::Foreign { path: path.to_path_buf() });
    }
    if found > known {
        return Err(JournalError::Newer { path: path.to_path_buf(), found, known });
    }
    let verdict: rusqlite::Result<String> =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match verdict.map_err(|error| failed(path, "read", &error))?.as_str() {
        "ok" => Ok(()),
        what => Err(JournalError::Damaged { path: path.to_path_buf(), what: what.to_owned() }),
    }
}

/// Lets readers and the writer work at the same time.
fn share(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    let sentence = "its file system cannot share memory; is it on a network?".to_owned();
    let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_PROTOCOL);
    Err(rusqlite::Error::SqliteFailure(error, Some(sentence)))
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let done: u16 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let left = MIGRATIONS.get(usize::from(done)..).unwrap_or_default();
    if left.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    left.iter().try_for_each(|migration| transaction.execute_batch(migration))?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", newest())?;
    transaction.commit()
}
