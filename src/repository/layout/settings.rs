//! The files of a model's settings.

use std::io;
use std::path::PathBuf;

use super::super::fingerprint::Stamp;
use super::ModelFiles;
use super::walk::{Entry, Kind, Walk};
use crate::config::WARM_UP_FOLDER;

/// What Triton calls a model's settings.
pub(super) const TRITON: &str = "config.pbtxt";

/// More files than these in one folder are not looked at: what settings name is a file or two.
const MOST_BESIDE: usize = 64;

/// The files of a model's settings, as a look saw them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::repository) struct SettingsFiles {
    /// `model.toml`, or `NAME.toml`.
    pub(in crate::repository) toml: Option<SettingsFile>,
    /// `config.pbtxt`.
    pub(in crate::repository) triton: Option<SettingsFile>,
    /// What lies beside `config.pbtxt`, and in the folder for the warm-up, and may be named in it.
    pub(in crate::repository) beside: Vec<SettingsFile>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::repository) struct SettingsFile {
    /// What it is called from the model's folder on.
    pub(in crate::repository) name: String,
    pub(in crate::repository) path: PathBuf,
    /// From the models' folder on; this is what is shown.
    pub(in crate::repository) file: String,
    pub(in crate::repository) stamp: Stamp,
    /// The models' folder, below which it has to lie.
    pub(in crate::repository) root: PathBuf,
}

/// Whether a model's folder comes from a Triton repository.
pub(super) fn has_triton(among: &[Entry]) -> bool {
    find(among, TRITON).is_some()
}

impl ModelFiles {
    /// Settings that are there and cannot be read must not be mistaken for none.
    pub(super) fn look_for_settings(
        &mut self,
        walk: &mut Walk,
        among: &[Entry],
        toml: &str,
        triton: Option<&str>,
    ) {
        self.settings.toml = find(among, toml).and_then(|entry| self.settings_file(walk, entry));
        let triton = triton.and_then(|name| find(among, name));
        self.settings.triton = triton.and_then(|entry| self.settings_file(walk, entry));
        if self.settings.triton.is_none() {
            return;
        }
        let is_other = |entry: &&Entry| {
            let is_known = entry.name == toml || entry.name == TRITON;
            !is_known && !entry.is_temporary() && entry.onnx_stem().is_none()
        };
        self.look_beside(walk, among.iter().filter(is_other), "");
        if let Some(folder) = find(among, WARM_UP_FOLDER)
            && let Kind::Folder = walk.kind(folder)
            && let Ok(entries) = walk.entries(&folder.path)
        {
            let entries = entries.iter().filter(|entry| !entry.is_temporary());
            self.look_beside(walk, entries, &format!("{WARM_UP_FOLDER}/"));
        }
    }

    fn look_beside<'e>(
        &mut self,
        walk: &mut Walk,
        entries: impl Iterator<Item = &'e Entry>,
        folder: &str,
    ) {
        let known = self.settings.beside.len();
        for entry in entries {
            if self.settings.beside.len() - known < MOST_BESIDE
                && let Kind::File = walk.kind(entry)
                && let Ok(stamp) = walk.stamp(&entry.path)
            {
                let file = SettingsFile::of(walk, entry, stamp);
                let name = format!("{folder}{}", file.name);
                self.settings.beside.push(SettingsFile { name, ..file });
            }
        }
    }

    fn settings_file(&mut self, walk: &mut Walk, entry: &Entry) -> Option<SettingsFile> {
        let stamp = match walk.kind(entry) {
            Kind::File => walk.stamp(&entry.path),
            Kind::Folder | Kind::Other => return None,
            Kind::Stray(why) => Err(io::Error::other(why)),
            Kind::Unknown(error) => Err(error),
        };
        match stamp {
            Ok(stamp) => Some(SettingsFile::of(walk, entry, stamp)),
            Err(error) => {
                let problem = format!("`{}` cannot be read: {error}", walk.shown(&entry.path));
                self.problem = self.problem.take().or(Some(problem));
                None
            }
        }
    }
}

impl SettingsFile {
    fn of(walk: &Walk, entry: &Entry, stamp: Stamp) -> Self {
        Self {
            name: entry.name.clone(),
            path: entry.path.clone(),
            file: walk.shown(&entry.path),
            stamp,
            root: walk.root().to_path_buf(),
        }
    }
}

/// Entries are in the order of their names.
fn find<'e>(among: &'e [Entry], name: &str) -> Option<&'e Entry> {
    let found = among.binary_search_by(|entry| entry.name.as_str().cmp(name));
    found.ok().map(|at| &among[at])
}
