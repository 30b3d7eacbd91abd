//! Complete contents, each under its digest: what is judged, loaded, restarted from and rolled back to.
//!
//! A file in the models' folder can be overwritten or cut short under a running model, which changes its answers
//! or kills the process. So every version is copied here first, and only the copy is used. A content appears
//! under its digest in one step and never changes afterwards.
//!
//! ```text
//! STATE/lock                             held while the server runs
//! STATE/store/<digest>/model.onnx        and what belongs to it, by the names that the model uses
//! STATE/store/.tmp-3/                    a copy being made
//! ```

mod draft;
mod lock;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::draft::Draft;
use super::layout::{MODEL, VersionFiles};
use crate::domain::model::Digest;
use crate::system::filesystem::{Sharing, sharing};

/// The folder of the contents. One server at a time has it.
#[derive(Debug)]
pub struct ContentStore {
    folder: PathBuf,
    next_draft: AtomicU64,
    /// Copies are made one at a time, and never while something is thrown away. What was copied stays until
    /// somebody who decides has heard of it: these, and how often.
    fresh: Mutex<HashMap<Digest, usize>>,
    /// Released by the system, at the latest when the process ends.
    _lock: File,
}

/// What a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Of the model's file, or of the list of the files where there are more.
    pub digest: Digest,
    /// All files together.
    pub bytes: u64,
}

/// Why the state folder cannot be used. Each is one sentence for the person who started the server.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be made or written.
    #[error("the state folder `{}` cannot be written: {source}; name another with --state", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another server has it.
    #[error("the state folder `{}` belongs to another server that runs{}; stop that one, or name another folder with --state", path.display(), with_pid(*pid))]
    Held {
        /// The folder.
        path: PathBuf,
        /// The other server, where it could be read.
        pid: Option<u32>,
    },
    /// Locks and the journal's shared memory do not reach other machines.
    #[error("the state folder `{}` is on a network file system ({kind}), where two servers could not be kept apart; name a folder on a local disk with --state", path.display())]
    Network {
        /// The folder.
        path: PathBuf,
        /// The file system.
        kind: &'static str,
    },
}

fn with_pid(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// Why a version is not in the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum PutError {
    /// It was written to, replaced or removed while it was read. The next look will see what it became.
    #[error("`{0}` changed while it was read")]
    Changed(String),
    /// The models' folder does not give it.
    #[error("`{file}` cannot be read: {source}")]
    Unreadable {
        /// The version's file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is no room for it.
    #[error("the disk of the state folder is full: `{file}` needs {}", bytesize::ByteSize(*.bytes))]
    Full {
        /// The version's file.
        file: String,
        /// All its files together.
        bytes: u64,
    },
    /// The state folder does not take it.
    #[error("`{file}` cannot be copied into the state folder: {source}")]
    Unwritable {
        /// The version's file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
}

impl ContentStore {
    /// Opens the store in a state folder, which is made if need be, and holds the folder until it is dropped.
    ///
    /// # Errors
    /// [`StoreError`], when the folder cannot be used or is in use.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let folder = state.join(FOLDER);
        let unusable = |source| StoreError::Unusable { path: state.to_path_buf(), source };
        fs::create_dir_all(&folder).map_err(unusable)?;
        match sharing(&folder).map_err(unusable)? {
            Sharing::Local => {}
            Sharing::Unsure(kind) => tracing::warn!(
                "the state folder `{}` is on {kind}; where that leads to another machine, the journal is not safe",
                state.display()
            ),
            Sharing::Network(kind) => {
                return Err(StoreError::Network { path: state.to_path_buf(), kind });
            }
        }
        let lock = lock::hold(state)?;
        Ok(Self { folder, next_draft: AtomicU64::new(0), fresh: Mutex::default(), _lock: lock })
    }

    /// The model of a content in the store of a state folder, where it is there; for who only reads, beside a server or
    /// without one. It may be thrown away at any time.
    pub fn model_in(state: &Path, digest: &Digest) -> Option<PathBuf> {
        let path = state.join(FOLDER).join(digest.hex()).join(MODEL);
        Some(path).filter(|path| path.is_file())
    }

    /// Copies a version into the store, unless the same content is there already.
    ///
    /// # Errors
    /// [`PutError`]; nothing is left behind then.
    pub(super) fn put(&self, version: &VersionFiles) -> Result<Content, PutError> {
        self.put_while(version, &mut || {})
    }

    /// Like [`Self::put`]. `meanwhile` is called after each block, for tests of what happens meanwhile.
    fn put_while(
        &self,
        version: &VersionFiles,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Content, PutError> {
        let mut fresh = self.alone();
        let number = self.next_draft.fetch_add(1, Ordering::Relaxed);
        let mut draft = Draft::begin(self.folder.join(format!("{DRAFT}{number}")), version)?;
        for file in &version.files {
            draft.add(file, meanwhile)?;
        }
        // The files were still while each of them was read; this is about all of them together.
        if !version.is_unchanged() {
            return Err(PutError::Changed(version.file.clone()));
        }
        let content = Content { digest: draft.digest(), bytes: version.bytes() };
        if self.model_path(&content.digest).is_none() {
            draft.publish(&self.folder_of(&content.digest))?;
        }
        *fresh.entry(content.digest).or_default() += 1;
        Ok(content)
    }

    /// Says that a content which was put here is known to those who decide what is kept.
    pub fn acknowledge(&self, digest: &Digest) {
        let mut fresh = self.alone();
        if let Some(times) = fresh.get_mut(digest) {
            *times -= 1;
            if *times == 0 {
                fresh.remove(digest);
            }
        }
    }

    /// The model of a content, where the store has it. What belongs to the model lies beside it.
    pub fn model_path(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.folder_of(digest).join(MODEL)).filter(|path| path.is_file())
    }

    /// The contents that the store has, in the order of their digests.
    ///
    /// # Errors
    /// When the store's folder cannot be read.
    pub fn contents(&self) -> io::Result<Vec<Digest>> {
        let names = self.names()?;
        let mut contents: Vec<Digest> = names.iter().filter_map(|name| digest_of(name)).collect();
        contents.sort_unstable();
        Ok(contents)
    }

    /// Throws away the contents that nobody wants to keep, and copies that were never finished. Returns the
    /// contents that went. What was put here and is not [acknowledged](Self::acknowledge) yet stays.
    ///
    /// A content that is loaded may go: the system keeps the bytes for who has the file open.
    ///
    /// # Errors
    /// At the first thing that cannot be removed.
    pub fn collect(&self, keep: impl Fn(&Digest) -> bool) -> io::Result<Vec<Digest>> {
        let fresh = self.alone();
        let mut gone = Vec::new();
        for name in self.names()? {
            let path = self.folder.join(&name);
            match digest_of(&name) {
                Some(digest) if !keep(&digest) && !fresh.contains_key(&digest) => {
                    // Renamed first, so that there is never half a content under a digest.
                    let condemned = self.folder.join(format!("{DRAFT}{name}"));
                    fs::rename(path, &condemned)?;
                    fs::remove_dir_all(condemned)?;
                    gone.push(digest);
                }
                None if name.starts_with(DRAFT) => fs::remove_dir_all(path)?,
                Some(_) | None => {}
            }
        }
        Ok(gone)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.file_name()));
        let names: Vec<_> = names.collect::<io::Result<_>>()?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    fn folder_of(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    fn alone(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In the state folder.
const FOLDER: &str = "store";

/// What the names of unfinished copies begin with.
const DRAFT: &str = ".tmp-";

/// The content that a folder's name stands for.
fn digest_of(name: &str) -> Option<Digest> {
    name.parse().ok().filter(|digest: &Digest| digest.hex() == name)
}

#[cfg(test)]
mod tests;
