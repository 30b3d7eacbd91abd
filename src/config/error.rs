//! What is wrong with the settings, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::wording;

/// Why settings were refused. Shown with one problem per line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that `--config` names is not there.
    #[error("settings file `{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// The settings file is there, but cannot be read.
    #[error("settings file `{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The settings were read and do not hold; in the order of the file, then of variables and flags.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

/// One thing that is wrong: where, and what a person can do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    origin: Option<Origin>,
    text: String,
}

impl Problem {
    pub(super) fn new(origin: Option<Origin>, text: impl Into<String>) -> Self {
        Self { origin, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// The place where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A line of a settings file, counted from 1; the column only where TOML itself is broken.
    File { file: Arc<Path>, line: usize, column: Option<usize> },
    /// An environment variable, by its full name.
    Environment(String),
    /// A flag of the command line, with its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { file, line, column: None } => write!(f, "{}:{line}", file.display()),
            Origin::File { file, line, column: Some(column) } => {
                write!(f, "{}:{line}:{column}", file.display())
            }
            Origin::Environment(name) => write!(f, "environment variable {}", printable(name)),
            Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// Foreign text inside a message: short and on one line.
pub(super) fn printable(text: &str) -> String {
    wording::printable(text, 80)
}
