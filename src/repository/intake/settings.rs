//! What is known of a model's settings: the text, which somebody else understands.

use std::fs::File;
use std::io::Read;
use std::time::Instant;

use super::super::fingerprint::Stamp;
use super::super::layout::SettingsFile;
use super::pending::Pending;
use super::sighting::{Report, Sighting};

/// The settings of one model.
#[derive(Debug, Default)]
pub(super) struct KnownSettings {
    /// How the file was when it was last read; none when it was not there.
    read: Option<Stamp>,
    /// The last text that was told.
    told: Option<Told>,
    /// The file as it is now, until it has been still; none when it is gone.
    pending: Option<Pending<Option<Stamp>>>,
    /// Why it could not be read last time.
    problem: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Told {
    file: String,
    text: String,
}

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
    #[error("it is longer than {}", bytesize::ByteSize(LONGEST))]
    TooLong,
    #[error("it is not UTF-8 text")]
    NotText(#[from] std::string::FromUtf8Error),
}

/// Settings are a page of text; anything much longer got its name by mistake.
const LONGEST: u64 = 1 << 20;

impl KnownSettings {
    pub(super) fn is_known(&self) -> bool {
        self.told.is_some()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.as_ref().map(Pending::due)
    }

    /// Compares with what is there, and tells what changed when it has been still.
    pub(super) fn see(
        &mut self,
        found: Option<&SettingsFile>,
        report: &mut Report<'_>,
    ) -> Readiness {
        let stamp = found.map(|file| file.stamp);
        if stamp == self.read && self.problem.is_none() {
            self.pending = None;
            return Readiness::Ready;
        }
        let mut pending = Pending::follow(self.pending.take(), stamp, report.due());
        // A model that is there when the server starts must not be loaded with other settings first.
        if !report.is_first && !pending.is_due(report.now) {
            self.pending = Some(pending);
            return self.problem.clone().map_or(Readiness::Waiting, Readiness::Problem);
        }
        match found.map(read).transpose() {
            Ok(text) => {
                self.read = stamp;
                self.problem = None;
                self.tell(found.zip(text), report);
                Readiness::Ready
            }
            Err(ReadError::Changed) => {
                pending.restart(report.due());
                self.pending = Some(pending);
                Readiness::Waiting
            }
            Err(
                error @ (ReadError::Unreadable(_) | ReadError::TooLong | ReadError::NotText(_)),
            ) => {
                pending.postpone(report.now);
                self.pending = Some(pending);
                let file = found.map(|file| file.file.as_str()).unwrap_or_default();
                let problem = format!("`{file}` cannot be read: {error}");
                self.problem = Some(problem.clone());
                Readiness::Problem(problem)
            }
        }
    }

    fn tell(&mut self, found: Option<(&SettingsFile, String)>, report: &mut Report<'_>) {
        let now = found.map(|(file, text)| Told { file: file.file.clone(), text });
        if now == self.told {
            return;
        }
        let before = std::mem::replace(&mut self.told, now);
        let file = self.told.as_ref().or(before.as_ref()).map(|told| told.file.clone());
        report.tell(Sighting::Settings {
            model: report.model.clone(),
            text: self.told.as_ref().map(|told| told.text.clone()),
            file: file.unwrap_or_default(),
        });
    }
}

fn read(found: &SettingsFile) -> Result<String, ReadError> {
    let file = File::open(&found.path)?;
    let check = || match Stamp::from(&file.metadata()?) == found.stamp {
        true => Ok(()),
        false => Err(ReadError::Changed),
    };
    check()?;
    if found.stamp.size > LONGEST {
        return Err(ReadError::TooLong);
    }
    let mut bytes = Vec::new();
    (&file).take(LONGEST + 1).read_to_end(&mut bytes)?;
    check()?;
    Ok(String::from_utf8(bytes)?)
}
