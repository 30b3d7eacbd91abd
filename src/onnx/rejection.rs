//! Why ONNX Runtime does not take a model, in words of ours.
//!
//! The library's own text names nodes and files of the machine and is written for people who debug it. What it says
//! is recognised by its fixed parts; of the variable ones only names that the model's author gave are passed on, short
//! and printable. What is not recognised is said to be in the log.

use serde::{Deserialize, Serialize};

use crate::domain::wording::printable;

/// Why a model is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Rejection {
    /// The file is no model.
    #[error("it is not an ONNX model: the file cannot be read as one")]
    NotAModel,
    /// It was made by a newer program.
    #[error("it is newer than this ONNX Runtime: {0}")]
    TooNew(String),
    /// It has a node that nothing is known of.
    #[error("it uses the operator `{0}`, which this ONNX Runtime does not have")]
    UnknownOperator(String),
    /// The operator is known, and not for these types.
    #[error("it uses the operator `{0}` in a way that this ONNX Runtime cannot run")]
    NoKernel(String),
    /// Nodes that wait for each other.
    #[error("its graph has a cycle: some nodes need their own outputs")]
    Cycle,
    /// A node's input that nothing gives.
    #[error("its graph needs `{0}`, which no input, initializer or node gives")]
    Dangling(String),
    /// A name that stands for two things.
    #[error("its graph defines `{0}` twice")]
    Duplicate(String),
    /// A node that is not as its operator is declared.
    #[error(
        "a node of its graph has inputs, outputs or attributes that its operator `{0}` does not have"
    )]
    Node(String),
    /// Types or shapes contradict each other.
    #[error("types or shapes in its graph contradict each other{}", at(.0))]
    Shapes(String),
    /// Weights in files of their own cannot be read.
    #[error("its external data cannot be read: a file is missing or too short")]
    ExternalData,
    /// There was no memory for it.
    #[error("it asks for more memory than there is")]
    OutOfMemory,
    /// It loads, but takes or gives something that the server has no form for.
    #[error("{0}")]
    Unfit(String),
    /// Anything else.
    #[error("ONNX Runtime does not take it; its own words are in the log")]
    Other,
}

fn at(node: &str) -> String {
    if node.is_empty() { String::new() } else { format!(", at the operator `{node}`") }
}

/// The longest name that is passed on.
const MOST: usize = 80;

impl Rejection {
    /// What the library's words mean.
    pub fn of(words: &str) -> Self {
        let has = |part: &str| words.contains(part);
        let between = |before: &str, after: &str| {
            let (_, rest) = words.split_once(before)?;
            let (name, _) = rest.split_once(after)?;
            Some(printable(name.trim(), MOST))
        };
        if has("bad_alloc") || has("Failed to allocate memory") || has("bad allocation") {
            return Self::OutOfMemory;
        }
        if has("Protobuf parsing failed") || has("No graph was found in the protobuf") {
            return Self::NotAModel;
        }
        if has("Unsupported model IR version") {
            return Self::TooNew(match between("Unsupported model IR version: ", ",") {
                Some(version) => format!("it has version {version} of the format"),
                None => "it has a later version of the format".to_owned(),
            });
        }
        if has("is under development and support for this is limited") {
            return Self::TooNew(match between("Opset ", " is under development") {
                Some(opset) => format!("it needs version {opset} of the operators"),
                None => "it needs a later version of the operators".to_owned(),
            });
        }
        if has("is not a registered function/op") {
            let name = between("Fatal error: ", "(").unwrap_or_default();
            let name = name.trim_start_matches("ai.onnx:").trim_start_matches(':');
            return Self::UnknownOperator(name.to_owned());
        }
        if has("No Op registered for ") {
            return Self::UnknownOperator(
                between("No Op registered for ", " with").unwrap_or_default(),
            );
        }
        if has("Could not find an implementation for ") {
            let name = between("Could not find an implementation for ", "(");
            return Self::NoKernel(name.unwrap_or_default());
        }
        if has("the graph is not acyclic") || has("graph is not acyclic") {
            return Self::Cycle;
        }
        if has("is not a graph input, initializer, or output of a previous node") {
            return Self::Dangling(between("Node input '", "'").unwrap_or_default());
        }
        if has("does not exist in the graph") {
            return Self::Dangling(between("Graph output (", ")").unwrap_or_default());
        }
        if has("Duplicate definition of name") || has("Duplicate initializer") {
            return Self::Duplicate(between("name (", ")").unwrap_or_default());
        }
        if has("External data") || has("external data") || has("External initializer") {
            return Self::ExternalData;
        }
        let is_about_shapes = ["[ShapeInferenceError]", "[TypeInferenceError]", "Type Error"];
        if is_about_shapes.iter().any(|part| has(part)) {
            let operator = between("Op (", ")").or_else(|| between("Optype (", ")"));
            return Self::Shapes(operator.unwrap_or_default());
        }
        if has("This is an invalid model. In Node, (") {
            return Self::Node(between("\", ", ", ").unwrap_or_default());
        }
        Self::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_says_becomes_a_sentence_of_ours() {
        let said = [
            "Load model from /m/1.onnx failed:Protobuf parsing failed.",
            "Load model from /m/1.onnx failed:Unsupported model IR version: 120, max supported IR version: 14",
            "Load model from /m/1.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model_load_utils.h:46 void \
             onnxruntime::model_load_utils::ValidateOpsetForDomain(…) ONNX Runtime only *guarantees* support for models \
             stamped with official released onnx opset versions. Opset 9999 is under development and support for this \
             is limited.",
            "Fatal error: Warp(-1) is not a registered function/op",
            "Could not find an implementation for Erf(13) node with name ''",
            "This is an invalid model. Error: the graph is not acyclic.",
            "Load model from /m/1.onnx failed:This is an invalid model. Error: Duplicate definition of name (a).",
            "Load model from /m/1.onnx failed:This is an invalid model. Graph output (Y) does not exist in the graph.",
            "Load model from /m/1.onnx failed:This is an invalid model. In Node, (\"\", Add, \"\", -1) : (\"X\": \
             tensor(float),) -> (\"Y\": tensor(float),) , Error Node with schema(::Add:14) has input size 1 not in \
             range [min=2, max=2].",
            "Load model from /m/1.onnx failed:Node () Op (MatMul) [ShapeInferenceError] Incompatible dimensions for \
             matrix multiplication",
            "Load model from /m/1.onnx failed:Type Error: Type parameter (T) of Optype (Add) bound to different types \
             (tensor(float) and tensor(int64) in node ().",
            "Exception during initialization: std::bad_alloc",
            "something new about /etc/passwd",
        ];
        let sentences: Vec<String> =
            said.iter().map(|words| Rejection::of(words).to_string()).collect();
        insta::assert_snapshot!(sentences.join("\n"), @"
        it is not an ONNX model: the file cannot be read as one
        it is newer than this ONNX Runtime: it has version 120 of the format
        it is newer than this ONNX Runtime: it needs version 9999 of the operators
        it uses the operator `Warp`, which this ONNX Runtime does not have
        it uses the operator `Erf` in a way that this ONNX Runtime cannot run
        its graph has a cycle: some nodes need their own outputs
        its graph defines `a` twice
        its graph needs `Y`, which no input, initializer or node gives
        a node of its graph has inputs, outputs or attributes that its operator `Add` does not have
        types or shapes in its graph contradict each other, at the operator `MatMul`
        types or shapes in its graph contradict each other, at the operator `Add`
        it asks for more memory than there is
        ONNX Runtime does not take it; its own words are in the log
        ");
    }

    #[test]
    fn names_of_the_models_author_are_short_and_printable() {
        let wild = format!("Duplicate definition of name (a\n\u{1b}[31m{})", "x".repeat(500));
        let sentence = Rejection::of(&wild).to_string();
        assert!(sentence.len() < 200 && !sentence.contains(char::is_control), "{sentence}");
    }
}
