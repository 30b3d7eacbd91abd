//! What ONNX Runtime reports, as types of ours.
//!
//! The library's own text is kept for the log. It names nodes and files and is written for people who
//! debug models, so clients are never shown it.

use std::fmt;
use std::path::PathBuf;

use super::rejection::Rejection;

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
    #[error("{reason}")]
    Rejected {
        /// In our words.
        reason: Rejection,
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

/// What the library says about a model, without the places in its own source text that it begins its sentences with:
/// `model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&) Unsupported model IR version: 99`.
pub(super) fn without_source_places(message: &str) -> String {
    let mut told = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, after)) = split_at_place(rest) {
        told.push_str(before);
        rest = without_function(after);
    }
    told.push_str(rest);
    told
}

/// What stands before and behind the first `file.cc:123 `.
fn split_at_place(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '\\');
    let found = text.match_indices(':').find_map(|(colon, _)| {
        let number = text[colon + 1..].bytes().take_while(u8::is_ascii_digit).count();
        let end = colon + 1 + number;
        let begin = text[..colon].rfind(|c| !is_part(c)).map_or(0, |at| at + 1);
        let ending = text[begin..colon].rsplit_once('.').map(|(_, ending)| ending);
        let is_source = matches!(ending, Some("cc" | "h" | "hpp" | "cpp" | "cxx" | "cu" | "inc"));
        (is_source && number > 0 && text[end..].starts_with(' ')).then_some((begin, end + 1))
    });
    found.map(|(begin, end)| (&text[..begin], &text[end..]))
}

/// Cuts off the function that comes next: a name, or all of its declaration.
fn without_function(text: &str) -> &str {
    let bracket = text.find('(').filter(|bracket| {
        let name = text[..*bracket].rsplit(' ').next().unwrap_or_default();
        name.contains("::") || name.starts_with("operator")
    });
    let Some(bracket) = bracket else {
        return text.split_once(' ').map_or("", |(_, rest)| rest);
    };
    let mut depth = 0;
    let end = text[bracket..].find(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    let rest = end.map_or("", |end| &text[bracket + end + 1..]);
    rest.trim_start_matches(" const").trim_start()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_in_the_librarys_source_are_left_out() {
        for (said, told) in [
            (
                "Load model from a.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:256 \
                 onnxruntime::Model::Model(onnx::ModelProto&&, const onnxruntime::PathString&) \
                 Unsupported model IR version: 99, max supported IR version: 14",
                "Load model from a.onnx failed:Unsupported model IR version: 99, max supported IR version: 14",
            ),
            (
                "failed:model_load_utils.h:46 void onnxruntime::model_load_utils::Validate(\
                 const std::unordered_map<std::basic_string<char>, int>&, bool (*)(int)) const \
                 Opset 99 is under development",
                "failed:Opset 99 is under development",
            ),
            (
                "Status Message: concatbase.h:135 PrepareForComputeImpl Axis 0 has mismatched dimensions",
                "Status Message: Axis 0 has mismatched dimensions",
            ),
            (
                "Node (a) Op (Cast) [TypeInferenceError] in .",
                "Node (a) Op (Cast) [TypeInferenceError] in .",
            ),
            ("failed:Protobuf parsing failed.", "failed:Protobuf parsing failed."),
            ("see x.cc:12", "see x.cc:12"),
            ("", ""),
        ] {
            assert_eq!(without_source_places(said), told);
        }
    }
}
