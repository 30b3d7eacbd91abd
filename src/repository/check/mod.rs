//! Finds out whether a model can be loaded at all, before it is loaded where it can do harm.
//!
//! A model's file is a program that somebody else wrote. It can end the process that loads it, by a fault of the
//! library or on purpose: with a number that overflows, a loop without an end, or more memory than there is. So each
//! content is tried once in a *child process*, which loads it, runs it on zeros, asks whether its rows are
//! independent, and tells what it has seen, line by line. Whatever happens to the child, the server learns of it as
//! a sentence:
//!
//! ```text
//! Checker ── greenroom check-inside ORDER ──▶ limits on itself → load → run → probe
//!    ▲                                          │ one JSON line for each step
//!    └── verdict ◀── how it ended ◀─────────────┘
//! ```
//!
//! What was found out of a good content is kept in the state folder by the content's digest and the library's version,
//! so that a restart need not try it again. What is bad is remembered by those who decide about releases.

mod child;
mod inside;
mod kept;
mod limits;
mod told;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use self::child::{Ended, run};
pub(crate) use self::inside::{Speech, examine};
use self::kept::Kept;
pub(crate) use self::limits::limits_for;
pub(crate) use self::told::{Facts, Order, Spread, Stage, Told};
pub(crate) use self::verdict::{Fault, verdict};
use crate::domain::model::Digest;

/// Tries contents in child processes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Checker {
    parts: CheckerParts,
    kept: Kept,
}

/// What a [`Checker`] works with.
#[derive(Clone, Debug)]
pub struct CheckerParts {
    /// The program that is the child: this one.
    pub program: PathBuf,
    /// The library that models are loaded with.
    pub library: PathBuf,
    /// Its version.
    pub version: String,
    /// How long a child may take.
    pub timeout: Duration,
    /// The state folder.
    pub state: PathBuf,
}

/// A content that is to be tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'c> {
    /// What it is.
    pub(crate) digest: &'c Digest,
    /// Its model, in the store.
    pub(crate) path: &'c Path,
    /// The length of all its files.
    pub(crate) bytes: u64,
    /// The version in words, for the log.
    pub(crate) name: &'c str,
}

impl Checker {
    /// Nothing is tried yet.
    pub fn new(parts: CheckerParts) -> Self {
        let kept = Kept::in_state(&parts.state, &parts.version);
        Self { parts, kept }
    }

    /// What a content is like: by a child process, unless that is known already.
    ///
    /// # Errors
    /// [`Fault`] when it must not be loaded, or when that could not be found out this time.
    pub(crate) fn check(&self, candidate: Candidate<'_>) -> Result<Facts, Fault> {
        if let Some(facts) = self.kept.read(candidate.digest) {
            return Ok(facts);
        }
        let order = Order {
            model: candidate.path.to_path_buf(),
            library: self.parts.library.clone(),
            limits: limits_for(candidate.bytes, self.parts.timeout),
            name: candidate.name.to_owned(),
        };
        let ended = run(&self.parts.program, &order, self.parts.timeout)
            .map_err(|error| Fault::passing(no_child(&error)))?;
        for line in &ended.log {
            tracing::debug!(target: "onnxruntime", "{}, while it was tried: {line}", candidate.name);
        }
        let words = ended.words.clone();
        let facts =
            verdict(ended, &order, self.parts.timeout).map_err(|fault| Fault { words, ..fault })?;
        self.kept.write(candidate.digest, &facts);
        Ok(facts)
    }

    /// Forgets what was found out of contents that are not kept any more.
    pub fn forget_all_but(&self, is_kept: impl Fn(&Digest) -> bool) {
        self.kept.forget_all_but(is_kept);
    }
}

fn no_child(error: &std::io::Error) -> String {
    format!(
        "there is no process to try it in: {error} (`repository.trial = false` loads versions without a trial)"
    )
}
