//! Goes through folders below the models' folder, and never out of it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::super::fingerprint::Stamp;
use super::trail::Trail;

/// A walk through the models' folder, and the trail of it.
#[derive(Debug)]
pub(super) struct Walk {
    root: PathBuf,
    pub(super) trail: Trail,
}

/// Something in a folder, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) path: PathBuf,
    kind: fs::FileType,
}

/// What an entry is, links followed.
#[derive(Debug)]
pub(super) enum Kind {
    File,
    Folder,
    /// A socket or the like.
    Other,
    /// A link that is not followed, and why.
    Stray(&'static str),
    /// It is there, but the system does not let us know what it is.
    Unknown(io::Error),
}

impl Walk {
    /// The root must be free of links, as `canonicalize` gives it.
    pub(super) fn below(root: PathBuf) -> Self {
        Self { root, trail: Trail::default() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The path from the root on; this is what is shown.
    pub(super) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// What is in a folder, in the order of the names. Names that are no text belong to nobody's model.
    pub(super) fn entries(&mut self, folder: &Path) -> io::Result<Vec<Entry>> {
        // Asked before the names are read, so that a name that comes in meanwhile shows in the next look.
        self.trail.stamp(folder)?;
        read_folder(folder).inspect_err(|error| self.trail.note(error))
    }

    /// Asks about a file, and leaves the answer in the trail.
    pub(super) fn stamp(&mut self, path: &Path) -> io::Result<Stamp> {
        self.trail.stamp(path)
    }

    /// A link is followed while it stays below the root.
    pub(super) fn kind(&mut self, entry: &Entry) -> Kind {
        if !entry.kind.is_symlink() {
            return kind_of(entry.kind);
        }
        match self.follow(&entry.path) {
            Ok(Some(kind)) => kind_of(kind),
            Ok(None) => Kind::Stray("it leads out of the models' folder"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Kind::Stray("it is a link to nothing")
            }
            Err(error) => Kind::Unknown(error),
        }
    }

    /// What a link leads to; none when that is not below the root.
    fn follow(&mut self, link: &Path) -> io::Result<Option<fs::FileType>> {
        self.trail.stamp(link)?;
        let target = link.canonicalize()?;
        match target.starts_with(&self.root) {
            true => Ok(Some(fs::symlink_metadata(target)?.file_type())),
            false => Ok(None),
        }
    }
}

fn kind_of(kind: fs::FileType) -> Kind {
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Folder
    } else {
        Kind::Other
    }
}

fn read_folder(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        match entry.file_type() {
            Ok(kind) => entries.push(Entry { name, path: entry.path(), kind }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // gone meanwhile
            Err(error) => return Err(error),
        }
    }
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(entries)
}

impl Entry {
    /// The name without `.onnx`, where it has that ending.
    pub(super) fn onnx_stem(&self) -> Option<&str> {
        self.name.strip_suffix(".onnx")
    }

    /// Hidden names, and those that a copy has until it is complete, stand for nothing.
    pub(super) fn is_temporary(&self) -> bool {
        let endings = [".tmp", ".part", "~"];
        self.name.starts_with('.') || endings.iter().any(|ending| self.name.ends_with(ending))
    }
}
