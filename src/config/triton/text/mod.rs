//! Protobuf's text format, as far as `config.pbtxt` needs it: from text to a tree of named values.
//!
//! Nothing is known here of what the fields are called or mean; [`super::fields`] does. Extensions and `Any`, which
//! are names in brackets, are not part of it. Depth and length are bounded, so that no file takes more than its
//! own size of memory, or the stack.

mod token;
mod tree;

pub(super) use self::tree::{Field, Message, Value, parse};

use std::fmt;

/// Where something stands: line and column, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

/// Why a text is no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) place: Place,
    pub(super) text: String,
}

impl SyntaxError {
    fn new(place: Place, text: impl fmt::Display) -> Self {
        Self { place, text: format!("syntax error: {text}") }
    }
}

#[cfg(test)]
mod tests;
