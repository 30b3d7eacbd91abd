//! The files that make up one version: the model, and in a version's folder whatever lies beside it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::super::contract;
use super::super::fingerprint::{Fingerprint, Stamp};
use super::walk::{Entry, Kind, Walk};
use crate::system::filesystem::path_of;

/// The files of one version, as a look saw them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::repository) struct VersionFiles {
    /// The model, from the models' folder on; this is what is shown.
    pub(in crate::repository) file: String,
    pub(in crate::repository) fingerprint: Fingerprint,
    /// In the order of their names.
    pub(in crate::repository) files: Vec<VersionFile>,
    origin: Origin,
}

/// One file of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::repository) struct VersionFile {
    /// What it is called in the store: [`MODEL`], or the name by which the model refers to it.
    pub(in crate::repository) name: String,
    pub(in crate::repository) path: PathBuf,
    pub(in crate::repository) stamp: Stamp,
}

/// What the model itself is called in the store, whatever it was called before.
pub(in crate::repository) const MODEL: &str = "model.onnx";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    root: PathBuf,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    File(PathBuf),
    /// With what the model in it is called, where that is said.
    Folder(PathBuf, Option<String>),
}

/// Why there is no version where one could be.
#[derive(Debug)]
pub(super) enum NoVersion {
    /// There is no model in the folder, or it has just gone.
    Nothing,
    /// There are several, and none has the name that would tell.
    Ambiguous,
    /// It is there, but cannot be taken.
    Unreadable { file: String, reason: String },
}

/// More than this is no model, but a folder that somebody put into the wrong place.
const MOST_FILES: usize = 10_000;
const DEEPEST: usize = 8;

impl VersionFiles {
    /// A version that is one file.
    pub(super) fn of_file(walk: &mut Walk, path: &Path) -> Result<Self, NoVersion> {
        let file = walk.shown(path);
        let stamp =
            walk.stamp(path).map_err(|error| NoVersion::unreadable(file.clone(), &error))?;
        check_size(&file, stamp)?;
        Ok(Self {
            fingerprint: Fingerprint::of([(MODEL, stamp)]),
            files: vec![VersionFile { name: MODEL.to_owned(), path: path.to_path_buf(), stamp }],
            origin: Origin {
                root: walk.root().to_path_buf(),
                shape: Shape::File(path.to_path_buf()),
            },
            file,
        })
    }

    /// A version that is a folder, with everything that is in it.
    pub(super) fn of_folder(
        walk: &mut Walk,
        folder: &Path,
        name: Option<&str>,
    ) -> Result<Self, NoVersion> {
        let shown = walk.shown(folder);
        let entries = walk.entries(folder).map_err(|error| NoVersion::unreadable(shown, &error))?;
        // Triton allows `1/model.onnx/model.onnx`: a model with its data in a folder that is called like the model.
        let wanted = name.unwrap_or(MODEL);
        let inner = entries.iter().find(|entry| entry.name == wanted);
        if let Some(inner) = inner
            && !folder.ends_with(wanted)
            && matches!(walk.kind(inner), Kind::Folder)
        {
            return Self::of_folder(walk, &inner.path, name);
        }
        let model = model_among(walk, &entries, name)?.path.clone();
        let file = walk.shown(&model);
        let mut collection = Collection { model: model.clone(), ..Collection::default() };
        collection.add(walk, entries, "", DEEPEST).map_err(|error| NoVersion::Unreadable {
            file: file.clone(),
            reason: error.to_string(),
        })?;
        collection.files.sort_by(|left, right| left.name.cmp(&right.name));
        for model in collection.files.iter().filter(|file| file.name == MODEL) {
            check_size(&file, model.stamp)?;
        }
        Ok(Self {
            fingerprint: collection.fingerprint(),
            files: collection.files,
            origin: Origin {
                root: walk.root().to_path_buf(),
                shape: Shape::Folder(folder.to_path_buf(), name.map(str::to_owned)),
            },
            file,
        })
    }

    /// The length of all files together.
    pub(in crate::repository) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.stamp.size).sum()
    }

    /// Whether an opened file really lies below the models' folder: the folders and links that lead to it may have
    /// been exchanged since they were looked at.
    pub(in crate::repository) fn holds(&self, opened: &File) -> io::Result<bool> {
        Ok(path_of(opened)?.starts_with(&self.origin.root))
    }

    /// Looks again: true when the very same files are there and none was touched.
    pub(in crate::repository) fn is_unchanged(&self) -> bool {
        let mut walk = Walk::below(self.origin.root.clone());
        let now = match &self.origin.shape {
            Shape::File(path) => Self::of_file(&mut walk, path),
            Shape::Folder(folder, name) => Self::of_folder(&mut walk, folder, name.as_deref()),
        };
        now.is_ok_and(|now| now.fingerprint == self.fingerprint)
    }
}

impl NoVersion {
    pub(super) fn unreadable(file: String, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Nothing,
            _ => Self::Unreadable { reason: format!("`{file}` cannot be read: {error}"), file },
        }
    }
}

/// A model that is too large for its form is not even copied.
fn check_size(file: &str, stamp: Stamp) -> Result<(), NoVersion> {
    contract::check_size(stamp.size)
        .map_err(|error| NoVersion::Unreadable { file: file.to_owned(), reason: error.to_string() })
}

/// The model in a version's folder: the one of this name, or else `model.onnx`, or the only `.onnx` file there is.
fn model_among<'a>(
    walk: &mut Walk,
    entries: &'a [Entry],
    name: Option<&str>,
) -> Result<&'a Entry, NoVersion> {
    let mut models = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_temporary()) {
        let may_be_it = match name {
            Some(name) => entry.name == name,
            None => entry.onnx_stem().is_some(),
        };
        match may_be_it.then(|| walk.kind(entry)) {
            Some(Kind::File) => models.push(entry),
            Some(Kind::Unknown(error)) => {
                return Err(NoVersion::unreadable(walk.shown(&entry.path), &error));
            }
            Some(Kind::Folder | Kind::Other | Kind::Stray(_)) | None => {}
        }
    }
    match &models[..] {
        [] => Err(NoVersion::Nothing),
        [only] => Ok(only),
        several => {
            several.iter().find(|entry| entry.name == MODEL).copied().ok_or(NoVersion::Ambiguous)
        }
    }
}

/// The files of a folder and the folders in it, being gathered.
#[derive(Default)]
struct Collection {
    model: PathBuf,
    files: Vec<VersionFile>,
    /// What copies have not given its name yet. No part of the version, but while it grows, the version is not
    /// still.
    unfinished: Vec<(String, Stamp)>,
}

#[derive(Debug, thiserror::Error)]
enum CollectError {
    #[error("`{0}` cannot be read: {1}")]
    Unreadable(String, io::Error),
    #[error("`{0}` is left out, {1}, and without it the version is not complete")]
    Stray(String, &'static str),
    #[error("{0:?} cannot be the name of a file that belongs to a model")]
    Name(String),
    #[error(
        "`{0}` has other names on its disk (hard links), so it may be a file from somewhere else; put a copy of it there instead"
    )]
    Linked(String),
    #[error("there are more than {MOST_FILES} files in the version's folder")]
    TooMany,
    #[error("the version's folder has more than {DEEPEST} levels of folders in it")]
    TooDeep,
}

/// None for what went away since its folder was read, as the unfinished copy does when it gets its name.
fn present<T>(found: io::Result<T>, name: &str) -> Result<Option<T>, CollectError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CollectError::Unreadable(name.to_owned(), error)),
    }
}

impl Collection {
    fn add(
        &mut self,
        walk: &mut Walk,
        entries: Vec<Entry>,
        prefix: &str,
        levels: usize,
    ) -> Result<(), CollectError> {
        for entry in entries {
            let name = format!("{prefix}{}", entry.name);
            match (walk.kind(&entry), entry.is_temporary()) {
                (Kind::File, is_temporary) => {
                    if let Some(stamp) = present(walk.stamp(&entry.path), &name)? {
                        self.add_file(name, entry.path, stamp, is_temporary)?;
                    }
                }
                (Kind::Folder, false) => {
                    let levels = levels.checked_sub(1).ok_or(CollectError::TooDeep)?;
                    if let Some(entries) = present(walk.entries(&entry.path), &name)? {
                        self.add(walk, entries, &format!("{name}/"), levels)?;
                    }
                }
                (Kind::Stray(why), false) => return Err(CollectError::Stray(name, why)),
                (Kind::Unknown(error), false) => return Err(CollectError::Unreadable(name, error)),
                (Kind::Other, false) => {}
                (Kind::Folder | Kind::Stray(_) | Kind::Unknown(_) | Kind::Other, true) => {}
            }
        }
        Ok(())
    }

    fn add_file(
        &mut self,
        name: String,
        path: PathBuf,
        stamp: Stamp,
        is_temporary: bool,
    ) -> Result<(), CollectError> {
        if self.files.len() + self.unfinished.len() == MOST_FILES {
            return Err(CollectError::TooMany);
        }
        if is_temporary {
            self.unfinished.push((name, stamp));
            return Ok(());
        }
        // The digest is over lines of names, so a name must not be able to look like two.
        if name.chars().any(char::is_control) {
            return Err(CollectError::Name(name));
        }
        let is_model = path == self.model;
        // What is no model is not loaded as one. But any file, such as one with passwords, can be weights, which a
        // model then gives away: that the link is here does not mean that somebody here may read it.
        if stamp.links > 1 && !is_model {
            return Err(CollectError::Linked(name));
        }
        // The settings say that another file is the model, so this one's name is taken.
        if name == MODEL && !is_model {
            return Ok(());
        }
        let name = if is_model { MODEL.to_owned() } else { name };
        self.files.push(VersionFile { name, path, stamp });
        Ok(())
    }

    fn fingerprint(&self) -> Fingerprint {
        let files = self.files.iter().map(|file| (file.name.as_str(), file.stamp));
        let unfinished = self.unfinished.iter().map(|(name, stamp)| (name.as_str(), *stamp));
        Fingerprint::of(files.chain(unfinished))
    }
}
