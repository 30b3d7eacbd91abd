//! What ONNX Runtime reports, as types of ours.
//!
//! The library's own text is kept for the log. It names nodes and files and is written for people who
//! debug models, so clients are never shown it.

use std::fmt;
use std::path::PathBuf;

/// Why there is no ONNX Runtime in this process.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// None of the places has a library that can be used.
    #[error(
        "cannot load ONNX Runtime (1.{minimum} or newer is needed); looked at:\n{}\nrun `scripts/onnxruntime` to fetch it, or name the library with --onnxruntime or ORT_DYLIB_PATH",
        lines(.looked_at)
    )]
    NotFound {
        /// The oldest minor version that can be used.
        minimum: u32,
        /// The places, in the order in which they were tried.
        looked_at: Vec<LookedAt>,
    },
    /// The library was loaded, but did not start.
    #[error("ONNX Runtime at `{}` does not start: {reason}", path.display())]
    NotStarted {
        /// The library.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}

/// A place where the library was looked for, and why it was not taken.
#[derive(Debug)]
pub struct LookedAt {
    /// File, folder or name for the system's loader.
    pub place: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

fn lines(places: &[LookedAt]) -> String {
    let lines: Vec<String> =
        places.iter().map(|at| format!("  {}: {}", at.place.display(), at.reason)).collect();
    lines.join("\n")
}

/// Why a file did not become a session.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// ONNX Runtime does not accept the model.
    #[error("ONNX Runtime does not accept the model: {message}")]
    Rejected {
        /// ONNX Runtime's own words.
        message: String,
    },
    /// The model loads, but takes or gives something that this server has no form for.
    #[error("{kind} `{name}` is {what}, which this server cannot pass on")]
    Unsupported {
        /// Input or output.
        kind: Port,
        /// Its name in the model.
        name: String,
        /// Its type, in words.
        what: String,
    },
    /// The binding of the library gave up on the file.
    #[error("the model's description cannot be read")]
    Unreadable,
}

/// The two sides of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Something that the model takes.
    Input,
    /// Something that the model gives.
    Output,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// Why a run has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// It was told to stop, and did.
    #[error("the run was stopped")]
    Stopped,
    /// The model failed on this input.
    #[error("the model failed: {message}")]
    Failed {
        /// ONNX Runtime's own words, for the log.
        message: String,
    },
}
