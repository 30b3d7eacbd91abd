//! Which models and versions the files of a folder stand for.
//!
//! Three layouts, told apart for each model and usable side by side: `NAME.onnx`, `NAME/VERSION.onnx` and
//! `NAME/VERSION/model.onnx` (or whatever the only `.onnx` file in there is called) with everything that lies
//! beside it. Settings are in `NAME.toml` or `NAME/model.toml`, and Triton's in `NAME/config.pbtxt`: a folder that has
//! it is a model even without a version, and only folders with a number as their name are versions in it.
//!
//! This part only looks and never opens a file; what it saw may be half-written or gone a moment later.

mod settings;
mod trail;
mod version;
mod walk;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use self::trail::Trail;
use self::version::NoVersion;
use self::walk::{Entry, Kind, Walk};
use crate::domain::model::ModelName;
use crate::domain::rollout::Place;

pub(super) use self::settings::{SettingsFile, SettingsFiles};
pub(super) use self::trail::Care;
pub(super) use self::version::{MODEL, VersionFile, VersionFiles};

/// What one look at the folder saw.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) models: BTreeMap<ModelName, ModelFiles>,
    /// Sentences about files that look like models and are none.
    pub(super) warnings: Vec<String>,
    /// The device that the models' folder is on. Another one means that something was mounted or went away.
    pub(super) device: u64,
    trail: Trail,
}

/// One model's files.
#[derive(Debug, Default)]
pub(super) struct ModelFiles {
    pub(super) versions: BTreeMap<Place, Result<VersionFiles, Unreadable>>,
    /// The model's settings, where there are some.
    pub(super) settings: SettingsFiles,
    /// What the model is called in its versions' folders, where the look was told.
    pub(super) model_file: Option<String>,
    /// Why none of it can be used.
    pub(super) problem: Option<String>,
}

/// A version that is there and cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// From the models' folder on.
    pub(super) file: String,
    /// A sentence.
    pub(super) reason: String,
}

/// What models are called in their versions' folders, where not as everywhere.
pub(super) type ModelFileNames = BTreeMap<ModelName, String>;

/// Looks at the folder.
///
/// # Errors
/// When the folder itself cannot be read. What cannot be read inside is a problem of its model alone.
pub(super) fn list(root: &Path, names: &ModelFileNames) -> io::Result<Listing> {
    let mut walk = Walk::below(root.canonicalize()?);
    let device = walk.stamp(root)?.device;
    let real_root = walk.root().to_path_buf();
    let entries = walk.entries(&real_root)?;
    let mut list = List { walk, names, models: BTreeMap::new(), warnings: Vec::new() };
    for entry in entries.iter().filter(|entry| !entry.is_temporary()) {
        match (list.walk.kind(entry), entry.onnx_stem()) {
            (Kind::File, Some(stem)) => list.add_single_file(entry, stem, &entries),
            (Kind::Folder, _) => list.add_folder(entry),
            (Kind::Stray(why), _) => list.leave_out(entry, why),
            (Kind::Other, Some(_)) => list.leave_out(entry, "it is neither a file nor a folder"),
            (Kind::Unknown(error), stem) => {
                list.add_unreadable(stem.unwrap_or(&entry.name), &entry.name, &error);
            }
            (Kind::File | Kind::Other, None) => {}
        }
    }
    Ok(Listing { models: list.models, warnings: list.warnings, device, trail: list.walk.trail })
}

impl Listing {
    /// True when the folder is as it was, as far as was checked.
    pub(super) fn is_current(&mut self, care: Care) -> bool {
        self.trail.is_unchanged(care)
    }

    /// True when both looks went by the very same files.
    pub(super) fn saw_the_same(&self, other: &Self) -> bool {
        self.trail == other.trail
    }
}

/// A listing being made.
struct List<'n> {
    walk: Walk,
    names: &'n ModelFileNames,
    models: BTreeMap<ModelName, ModelFiles>,
    warnings: Vec<String>,
}

impl List<'_> {
    /// `NAME.onnx`, with settings in `NAME.toml`.
    fn add_single_file(&mut self, entry: &Entry, stem: &str, beside: &[Entry]) {
        let version = VersionFiles::of_file(&mut self.walk, &entry.path);
        let Some(version) = self.version(entry, version) else { return };
        let Some(name) = self.model_name(stem) else { return };
        let mut model = ModelFiles::default();
        model.versions.insert(Place::Flat, version);
        model.look_for_settings(&mut self.walk, beside, &format!("{stem}.toml"), None);
        self.add_model(name, model);
    }

    /// `NAME/` with a file or a folder for each version.
    fn add_folder(&mut self, folder: &Entry) {
        let children = match self.walk.entries(&folder.path) {
            Ok(children) => children,
            Err(error) => return self.add_unreadable(&folder.name, &folder.name, &error),
        };
        let is_triton = settings::has_triton(&children);
        let model_file = self.names.get(folder.name.as_str()).cloned().filter(|_| is_triton);
        let mut model = ModelFiles { model_file, ..ModelFiles::default() };
        for child in children.iter().filter(|child| !child.is_temporary()) {
            let name = model.model_file.as_deref();
            let Some((label, version)) = self.child(child, name) else { continue };
            if is_triton && child.onnx_stem().is_none() && !is_number(label) {
                self.leave_out(
                    child,
                    "beside `config.pbtxt` only a folder named by a number is a version",
                );
                continue;
            }
            match label.parse() {
                Ok(label) => {
                    let known = model.versions.insert(Place::Labelled(label), version);
                    if known.is_some() {
                        model.problem = Some(twice(&folder.name, &child.name));
                    }
                }
                Err(error) => {
                    let file = self.walk.shown(&child.path);
                    self.warnings.push(format!("`{file}` is left out: {error}"));
                }
            }
        }
        if model.versions.is_empty() && !is_triton {
            return; // a folder without models is nobody's model
        }
        let Some(name) = self.model_name(&folder.name) else { return };
        model.look_for_settings(&mut self.walk, &children, "model.toml", Some(settings::TRITON));
        self.add_model(name, model);
    }

    /// A version in a model's folder, and what may be its label.
    fn child<'a>(
        &mut self,
        child: &'a Entry,
        name: Option<&str>,
    ) -> Option<(&'a str, Result<VersionFiles, Unreadable>)> {
        let stem = child.onnx_stem();
        let version = match (self.walk.kind(child), stem) {
            (Kind::File, Some(_)) => VersionFiles::of_file(&mut self.walk, &child.path),
            (Kind::Folder, _) => VersionFiles::of_folder(&mut self.walk, &child.path, name),
            (Kind::Unknown(error), _) => {
                Err(NoVersion::unreadable(self.walk.shown(&child.path), &error))
            }
            (Kind::Stray(why), _) => {
                self.leave_out(child, why);
                return None;
            }
            (Kind::Other, Some(_)) => {
                self.leave_out(child, "it is neither a file nor a folder");
                return None;
            }
            (Kind::File | Kind::Other, None) => return None,
        };
        let label = stem.unwrap_or(&child.name);
        Some((label, self.version(child, version)?))
    }

    fn version(
        &mut self,
        entry: &Entry,
        version: Result<VersionFiles, NoVersion>,
    ) -> Option<Result<VersionFiles, Unreadable>> {
        match version {
            Ok(files) => Some(Ok(files)),
            Err(NoVersion::Unreadable { file, reason }) => Some(Err(Unreadable { file, reason })),
            Err(NoVersion::Ambiguous) => {
                self.leave_out(entry, "it has several `.onnx` files and none is `model.onnx`");
                None
            }
            Err(NoVersion::Nothing) => None,
        }
    }

    fn add_model(&mut self, name: ModelName, mut model: ModelFiles) {
        if let Some(other) = self.models.remove(&name) {
            model.problem = Some(two_layouts(&name));
            model.versions.extend(other.versions);
        }
        self.models.insert(name, model);
    }

    /// Something that has a model's name. Whoever put it there should hear why it is not served.
    fn add_unreadable(&mut self, name: &str, file: &str, error: &io::Error) {
        match (name.parse(), error.kind()) {
            (_, io::ErrorKind::NotFound) => {} // it has just gone
            (Ok(name), _) => {
                let problem = Some(format!("`{file}` cannot be read: {error}"));
                self.add_model(name, ModelFiles { problem, ..ModelFiles::default() });
            }
            (Err(_), _) => self.warnings.push(format!("`{file}` cannot be read: {error}")),
        }
    }

    fn model_name(&mut self, text: &str) -> Option<ModelName> {
        text.parse().map_err(|error| self.warnings.push(format!("left out: {error}"))).ok()
    }

    fn leave_out(&mut self, entry: &Entry, why: &str) {
        let file = self.walk.shown(&entry.path);
        self.warnings.push(format!("`{file}` is left out: {why}"));
    }
}

/// A whole number without zeros before it, as Triton numbers versions.
fn is_number(label: &str) -> bool {
    let is_digits = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    is_digits && (label == "0" || !label.starts_with('0'))
}

fn two_layouts(name: &ModelName) -> String {
    format!(
        "`{name}.onnx` and the folder `{name}` both claim to be the model `{name}`; keep one of them"
    )
}

fn twice(model: &str, file: &str) -> String {
    let label = file.strip_suffix(".onnx").unwrap_or(file);
    format!("version {label} of `{model}` is there as a file and as a folder; keep one of them")
}

/// Reads back from a shown path what it stands for.
pub(super) fn place_of(file: &str) -> Option<(ModelName, Place)> {
    let without_ending = file.strip_suffix(".onnx")?;
    match without_ending.split_once('/') {
        None => Some((without_ending.parse().ok()?, Place::Flat)),
        Some((model, rest)) => {
            let label = rest.split_once('/').map_or(rest, |(folder, _)| folder);
            Some((model.parse().ok()?, Place::Labelled(label.parse().ok()?)))
        }
    }
}

#[cfg(test)]
mod tests;
