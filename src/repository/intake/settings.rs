//! What is known of a model's settings: the texts, which somebody else understands, but for what they say of the files
//! around them.

use std::fs::File;
use std::io::Read;
use std::time::Instant;

use super::super::fingerprint::Stamp;
use super::super::layout::{SettingsFile, SettingsFiles};
use super::pending::Pending;
use super::sighting::{Report, Sighting};
use crate::config::{ModelTexts, Outline, SettingsText};
use crate::domain::model::ModelName;
use crate::domain::wording::printable;
use crate::system::filesystem::path_of;

/// The settings of one model.
#[derive(Debug, Default)]
pub(super) struct KnownSettings {
    /// How the files were when they were last read; none of them when there were none.
    read: Stamps,
    /// The last texts that were told.
    told: Option<ModelTexts>,
    /// What they say of the files around them.
    outline: Outline,
    /// The files as they are now, until they have been still.
    pending: Option<Pending<Stamps>>,
    /// Why they could not be read last time.
    problem: Option<String>,
}

/// How files are, by name.
type Stamps = Vec<(String, Stamp)>;

/// Whether the model's versions may be taken: not before it is known how they are to be treated.
#[derive(Debug)]
pub(super) enum Readiness {
    Ready,
    Waiting,
    Problem(String),
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("it changed while it was read")]
    Changed,
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    #[error("it is longer than {}", bytesize::ByteSize(*.0))]
    TooLong(u64),
    #[error("it is not UTF-8 text")]
    NotText(#[from] std::string::FromUtf8Error),
    #[error(
        "it leads out of the models' folder, or has other names on its disk (hard links); put a copy of it there instead"
    )]
    Foreign,
}

/// Which file cannot be read, and why.
#[derive(Debug)]
struct NotRead {
    file: String,
    error: ReadError,
}

/// Settings are a page of text; anything much longer got its name by mistake.
const LONGEST: u64 = 1 << 20;
/// What they name may be a row of an input: a picture, say. It is kept in memory for as long as the settings hold.
const LONGEST_BESIDE: u64 = 16 << 20;

impl KnownSettings {
    pub(super) fn is_known(&self) -> bool {
        self.told.is_some()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.as_ref().map(Pending::due)
    }

    pub(super) fn outline(&self) -> &Outline {
        &self.outline
    }

    /// The sentence about a model that has settings of Triton's and no version, or none that they choose.
    pub(super) fn why_no_version(&self, model: &ModelName, has_others: bool) -> String {
        match (&self.outline, has_others) {
            (Outline { foreign: Some(sentence), .. }, _) => {
                format!("`{model}/config.pbtxt`: {sentence}")
            }
            (Outline { foreign: None, .. }, true) => format!(
                "`{model}/config.pbtxt`: `version_policy` names none of the versions that there are"
            ),
            (Outline { foreign: None, model_file, .. }, false) => {
                let name = model_file.as_deref().unwrap_or("model.onnx");
                let name = printable(name, 80);
                format!(
                    "`{model}` has no version: a model is expected in a file such as `{model}/1/{name}`"
                )
            }
        }
    }

    /// Compares with what is there, and tells what changed when it has been still.
    pub(super) fn see(&mut self, found: &SettingsFiles, report: &mut Report<'_>) -> Readiness {
        let stamps = stamps_of(found, &self.outline);
        if stamps == self.read && self.problem.is_none() {
            self.pending = None;
            return Readiness::Ready;
        }
        let mut pending = Pending::follow(self.pending.take(), stamps, report.due());
        // A model that is there when the server starts must not be loaded with other settings first.
        if !report.is_first && !pending.is_due(report.now) {
            self.pending = Some(pending);
            return self.problem.clone().map_or(Readiness::Waiting, Readiness::Problem);
        }
        match read_all(found) {
            Ok((texts, outline)) => {
                self.read = stamps_of(found, &outline);
                self.outline = outline;
                self.problem = None;
                self.tell(texts, report);
                Readiness::Ready
            }
            Err(NotRead { error: ReadError::Changed, .. }) => {
                pending.restart(report.due());
                self.pending = Some(pending);
                Readiness::Waiting
            }
            Err(NotRead {
                file,
                error:
                    error @ (ReadError::Unreadable(_)
                    | ReadError::TooLong(_)
                    | ReadError::NotText(_)
                    | ReadError::Foreign),
            }) => {
                pending.postpone(report.now);
                self.pending = Some(pending);
                let problem = format!("`{file}` cannot be read: {error}");
                self.problem = Some(problem.clone());
                Readiness::Problem(problem)
            }
        }
    }

    fn tell(&mut self, texts: ModelTexts, report: &mut Report<'_>) {
        let now = Some(texts).filter(|texts| *texts != ModelTexts::default());
        if now == self.told {
            return;
        }
        let before = std::mem::replace(&mut self.told, now);
        let file = self.told.as_ref().or(before.as_ref()).map(ModelTexts::files);
        report.tell(Sighting::Settings {
            model: report.model.clone(),
            texts: self.told.clone(),
            file: file.unwrap_or_default(),
        });
    }
}

/// How the files are that make a difference.
fn stamps_of(found: &SettingsFiles, outline: &Outline) -> Stamps {
    let is_named = |file: &&SettingsFile| outline.files.contains(&file.name);
    let files = found.toml.iter().chain(&found.triton);
    let files = files.chain(found.beside.iter().filter(is_named));
    files.map(|file| (file.name.clone(), file.stamp)).collect()
}

/// The texts of all files that count, and what they say of others.
fn read_all(found: &SettingsFiles) -> Result<(ModelTexts, Outline), NotRead> {
    let text = |file: &SettingsFile| {
        let not_read = |error| NotRead { file: file.file.clone(), error };
        let bytes = read(file, LONGEST).map_err(not_read)?;
        let text = String::from_utf8(bytes).map_err(|error| not_read(error.into()))?;
        Ok(SettingsText { file: file.file.clone(), text })
    };
    let mut texts = ModelTexts {
        toml: found.toml.as_ref().map(text).transpose()?,
        triton: found.triton.as_ref().map(text).transpose()?,
        ..ModelTexts::default()
    };
    let outline = texts.triton.as_ref().map(|file| Outline::of(&file.text)).unwrap_or_default();
    for file in found.beside.iter().filter(|file| outline.files.contains(&file.name)) {
        let not_read = |error| NotRead { file: file.file.clone(), error };
        // What is in it is told to whoever asks the model, so that the link is here must not be enough.
        if file.stamp.links > 1 {
            return Err(not_read(ReadError::Foreign));
        }
        let bytes = read(file, LONGEST_BESIDE).map_err(not_read)?;
        texts.beside.insert(file.name.clone(), bytes.into());
    }
    Ok((texts, outline))
}

fn read(found: &SettingsFile, longest: u64) -> Result<Vec<u8>, ReadError> {
    let file = File::open(&found.path)?;
    let check = || match Stamp::from(&file.metadata()?) == found.stamp {
        true => Ok(()),
        false => Err(ReadError::Changed),
    };
    check()?;
    // The folders and links that lead to it may have been exchanged since they were looked at.
    if !path_of(&file)?.starts_with(&found.root) {
        return Err(ReadError::Foreign);
    }
    if found.stamp.size > longest {
        return Err(ReadError::TooLong(longest));
    }
    let mut bytes = Vec::new();
    (&file).take(longest + 1).read_to_end(&mut bytes)?;
    check()?;
    Ok(bytes)
}
