//! Which models and versions the files of a folder stand for.
//!
//! Three layouts, told apart for each model and usable side by side: `NAME.onnx`, `NAME/VERSION.onnx` and
//! `NAME/VERSION/model.onnx` (or whatever the only `.onnx` file in there is called).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::domain::model::{ModelName, VersionLabel};

/// What one look at the folder saw.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) models: BTreeMap<ModelName, FoundModel>,
    /// Sentences about files that look like models and are none.
    pub(super) warnings: Vec<String>,
}

/// One model's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FoundModel {
    pub(super) versions: BTreeMap<VersionLabel, FoundVersion>,
    /// The model's settings, where there are some.
    pub(super) settings: Option<PathBuf>,
    /// Why none of it can be used.
    pub(super) problem: Option<String>,
}

/// One version's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundVersion {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// The same, from the folder of the models on; this is what is shown.
    pub(super) file: String,
}

/// The label of the first content of a model that is a single file.
const FIRST_LABEL: &str = "1";

/// Looks at the folder.
///
/// # Errors
/// When the folder itself cannot be read. Anything inside that cannot be read is left out, with a warning.
pub(super) fn look(root: &Path) -> io::Result<Look> {
    let root = root.canonicalize()?;
    let mut look = Look::default();
    for entry in entries(&root)? {
        if let Some(stem) = entry.onnx_stem() {
            look.add_single_file(&root, &entry, stem);
        } else if entry.path.is_dir() {
            look.add_folder(&root, &entry);
        }
    }
    Ok(look)
}

impl Look {
    /// `NAME.onnx`, with settings in `NAME.toml`.
    fn add_single_file(&mut self, root: &Path, entry: &Entry, stem: &str) {
        let Some(name) = self.model_name(stem) else { return };
        let Some(version) = self.version(root, &entry.path) else { return };
        let model = self.models.entry(name).or_default();
        if model.versions.is_empty() {
            model.versions.extend(FIRST_LABEL.parse().ok().map(|label| (label, version)));
            model.settings = Some(root.join(format!("{stem}.toml"))).filter(|path| path.is_file());
        } else {
            model.problem = Some(two_layouts(stem));
        }
    }

    /// `NAME/` with a file or a folder for each version.
    fn add_folder(&mut self, root: &Path, folder: &Entry) {
        let children = match entries(&folder.path) {
            Ok(children) => children,
            Err(error) => {
                self.warnings.push(format!("`{}` cannot be read: {error}", folder.name));
                return;
            }
        };
        let mut found = FoundModel::default();
        for child in children {
            let (label, path) = match child.onnx_stem() {
                Some(stem) => (stem.to_owned(), Some(child.path.clone())),
                None if child.path.is_dir() => (child.name.clone(), model_file(&child.path)),
                None => continue,
            };
            let Some(path) = path else { continue };
            let Some(version) = self.version(root, &path) else { continue };
            match label.parse::<VersionLabel>() {
                Ok(label) => {
                    if let Some(other) = found.versions.insert(label, version) {
                        let sentence =
                            format!("`{}` is there as a file and as a folder", other.file);
                        found.problem = Some(sentence);
                    }
                }
                Err(error) => {
                    self.warnings.push(format!("`{}` is left out: {error}", version.file))
                }
            }
        }
        if found.versions.is_empty() {
            return; // a folder without models is nobody's model
        }
        let Some(name) = self.model_name(&folder.name) else { return };
        found.settings = Some(folder.path.join("model.toml")).filter(|path| path.is_file());
        if self.models.contains_key(&name) {
            found.problem = Some(two_layouts(&folder.name));
        }
        self.models.insert(name, found);
    }

    fn model_name(&mut self, text: &str) -> Option<ModelName> {
        text.parse().map_err(|error| self.warnings.push(format!("left out: {error}"))).ok()
    }

    /// A file, unless a link leads out of the folder of the models.
    fn version(&mut self, root: &Path, path: &Path) -> Option<FoundVersion> {
        let file = path.strip_prefix(root).unwrap_or(path).display().to_string();
        match path.canonicalize() {
            Ok(target) if target.starts_with(root) && target.is_file() => {
                Some(FoundVersion { path: path.to_path_buf(), file })
            }
            Ok(_) => {
                self.warnings.push(format!(
                    "`{file}` is left out: it is not a file below the models' folder"
                ));
                None
            }
            Err(error) => {
                self.warnings.push(format!("`{file}` cannot be read: {error}"));
                None
            }
        }
    }
}

fn two_layouts(name: &str) -> String {
    format!(
        "`{name}.onnx` and the folder `{name}` both claim to be the model `{name}`; keep one of them"
    )
}

/// The model in a version's folder: `model.onnx`, or the only `.onnx` file there is.
fn model_file(folder: &Path) -> Option<PathBuf> {
    let files: Vec<Entry> =
        entries(folder).ok()?.into_iter().filter(|entry| entry.onnx_stem().is_some()).collect();
    match &files[..] {
        [only] => Some(only.path.clone()),
        several => {
            several.iter().find(|entry| entry.name == "model.onnx").map(|entry| entry.path.clone())
        }
    }
}

/// Something in a folder that is not hidden and not on its way to another name.
struct Entry {
    name: String,
    path: PathBuf,
}

impl Entry {
    /// The name without `.onnx`, where it has that ending.
    fn onnx_stem(&self) -> Option<&str> {
        self.name.strip_suffix(".onnx").filter(|_| !self.path.is_dir())
    }
}

/// What is in a folder, in the order of the names. Hidden names, and those that a copy has until it is
/// complete, are not there.
fn entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().filter(|name| !is_temporary(name)) {
            entries.push(Entry { name: name.to_owned(), path: entry.path() });
        }
    }
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(entries)
}

fn is_temporary(name: &str) -> bool {
    name.starts_with('.') || [".tmp", ".part", "~"].iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(files: &[&str]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for file in files {
                let path = folder.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, b"model").unwrap();
            }
            Self(folder)
        }

        /// `model: file file` a line.
        fn seen(&self) -> Vec<String> {
            let look = look(self.0.path()).unwrap();
            look.models
                .iter()
                .map(|(name, model)| {
                    let versions =
                        model.versions.iter().map(|(label, v)| format!(" {label}={}", v.file));
                    format!("{name}:{}", versions.collect::<String>())
                })
                .collect()
        }
    }

    #[test]
    fn the_three_layouts_live_side_by_side() {
        let folder = Folder::with(&[
            "flat.onnx",
            "flat.toml",
            "files/1.onnx",
            "files/10.onnx",
            "files/model.toml",
            "folders/1/model.onnx",
            "folders/1/weights.bin",
            "folders/2/any-name.onnx",
            "README.md",
        ]);
        assert_eq!(
            folder.seen(),
            [
                "files: 1=files/1.onnx 10=files/10.onnx",
                "flat: 1=flat.onnx",
                "folders: 1=folders/1/model.onnx 2=folders/2/any-name.onnx",
            ]
        );
        let look = look(folder.0.path()).unwrap();
        assert_eq!(look.warnings, Vec::<String>::new());
        assert!(
            look.models["flat"].settings.as_ref().is_some_and(|path| path.ends_with("flat.toml"))
        );
        assert!(look.models["files"].settings.is_some());
        assert!(look.models["folders"].settings.is_none());
    }

    #[test]
    fn what_is_on_its_way_to_another_name_is_not_there() {
        let folder = Folder::with(&[
            "m/1.onnx",
            "m/2.onnx.part",
            "m/.3.onnx.Xa7",
            "m/4.tmp/model.onnx",
            "m/5/.model.onnx.tmp",
            "m/notes.txt",
            ".hidden/1.onnx",
        ]);
        assert_eq!(folder.seen(), ["m: 1=m/1.onnx"]);
    }

    #[test]
    fn a_model_in_two_layouts_is_a_problem_of_that_model_alone() {
        let folder = Folder::with(&["twice.onnx", "twice/1.onnx", "fine.onnx"]);
        let look = look(folder.0.path()).unwrap();
        assert_eq!(
            look.models["twice"].problem.as_deref(),
            Some(
                "`twice.onnx` and the folder `twice` both claim to be the model `twice`; keep one of them"
            )
        );
        assert_eq!(look.models["fine"].problem, None);
    }

    #[test]
    fn names_that_cannot_be_asked_for_are_left_out_and_said() {
        let folder = Folder::with(&["m/latest.onnx", "m/1.onnx", "bad name.onnx"]);
        assert_eq!(folder.seen(), ["m: 1=m/1.onnx"]);
        let warnings = look(folder.0.path()).unwrap().warnings;
        assert_eq!(warnings.len(), 2);
        assert!(warnings[1].starts_with("`m/latest.onnx` is left out: "), "{}", warnings[1]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_while_it_stays_inside() {
        let outside = Folder::with(&["secret.onnx"]);
        let folder = Folder::with(&["m/..data/1.onnx"]);
        let root = folder.0.path();
        std::os::unix::fs::symlink("..data/1.onnx", root.join("m/1.onnx")).unwrap();
        std::os::unix::fs::symlink(outside.0.path().join("secret.onnx"), root.join("m/2.onnx"))
            .unwrap();
        assert_eq!(folder.seen(), ["m: 1=m/1.onnx"]);
    }
}
