//! What a model's file must be before ONNX Runtime may see it.
//!
//! ONNX Runtime is a large C++ library that takes a file at its word: where weights lie, how large they are, how
//! deep graphs go. So the file is read here first, as the protobuf that it is, and what no honest model has is
//! refused with a sentence. What only running it can show (loops without an end, memory asked for by a node) is for
//! a child process to find out.
//!
//! - [`wire`]: protobuf's form; [`schema`]: ONNX's messages in it.
//! - [`walk`], [`graph`]: the way through the messages; [`tensor`], [`external`], [`operators`]: what is judged there.
//! - [`limits`]: how large a model may be in its parts; [`error`]: the sentences.
//!
//! Weights are stepped over and never read, and what is kept of a model does not grow with them.

mod error;
mod external;
mod graph;
mod limits;
mod operators;
mod schema;
mod tensor;
#[cfg(test)]
mod tests;
mod walk;
mod wire;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use self::error::Breach;
pub(crate) use self::error::{ContractError, NotAModel};
use self::external::Beside;
pub(crate) use self::limits::ContractLimits;
use self::walk::Walk;
use self::wire::Reader;
use super::layout::MODEL;

/// What the file says of a model that keeps to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contract {
    /// Bytes of the file itself.
    pub(crate) file_bytes: u64,
    /// The nodes of all graphs, with the model's functions written out where they are called.
    pub(crate) nodes: u64,
    /// The version of the operators of each domain that the model names; the empty domain is ONNX's own.
    pub(crate) opsets: BTreeMap<String, i64>,
    /// Bytes in memory of the tensors in the file.
    pub(crate) inline_bytes: u64,
    /// Bytes of the tensors in files beside it. Tensors that share bytes of a file count each.
    pub(crate) external_bytes: u64,
}

impl Contract {
    /// Bytes of the file, and of all that it refers to in other files.
    pub(crate) fn bytes(&self) -> u64 {
        self.file_bytes.saturating_add(self.external_bytes)
    }
}

/// Checks the model in a folder of the store, where its external data lies beside it.
///
/// # Errors
/// [`ContractError`], which says what is wrong with it and where.
pub(crate) fn check(folder: &Path, limits: &ContractLimits) -> Result<Contract, ContractError> {
    let file = File::open(folder.join(MODEL)).map_err(ContractError::Unreadable)?;
    let bytes = file.metadata().map_err(ContractError::Unreadable)?.len();
    check_file(file, bytes, folder, limits)
}

/// Checks a model that is read from somewhere, with external data in a folder.
pub(crate) fn check_file(
    file: impl Read + Seek,
    bytes: u64,
    folder: &Path,
    limits: &ContractLimits,
) -> Result<Contract, ContractError> {
    if bytes == 0 {
        return Err(NotAModel::Empty.into());
    }
    check_size(bytes)?;
    let reader = Reader::new(file, bytes, limits);
    let mut walk = Walk::new(reader, Beside::of(folder), limits);
    let error = match walk.check() {
        Err(error) if looks_foreign(&error) => error,
        outcome => return outcome,
    };
    let beginning = walk.beginning().map_err(ContractError::Unreadable)?;
    Err(NotAModel::by_its_beginning(beginning).map_or(error, ContractError::from))
}

/// Says whether protobuf can hold a model's file, which needs no look into it.
pub(super) fn check_size(bytes: u64) -> Result<(), ContractError> {
    /// Protobuf counts in signed numbers of 32 bits.
    const MOST_BYTES: u64 = i32::MAX as u64;
    if bytes > MOST_BYTES { Err(ContractError::TooLarge { bytes }) } else { Ok(()) }
}

/// Whether the file may be something else altogether.
fn looks_foreign(error: &ContractError) -> bool {
    match error {
        ContractError::Broken { breach, .. } => {
            matches!(breach, Breach::Wire(_) | Breach::NoGraph)
        }
        ContractError::Unreadable(_)
        | ContractError::NotAModel(_)
        | ContractError::TooLarge { .. } => false,
    }
}

impl NotAModel {
    fn by_its_beginning(bytes: &[u8]) -> Option<Self> {
        let is_text =
            |text: &str| text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
        if bytes.iter().all(|byte| *byte == 0) {
            return Some(Self::Zeros);
        }
        // The last letter may be cut off.
        let text = std::str::from_utf8(bytes).or_else(|error| {
            let whole = &bytes[..error.valid_up_to()];
            if error.error_len().is_none() { std::str::from_utf8(whole) } else { Err(error) }
        });
        match text {
            Ok(text) if text.starts_with("version https://git-lfs") => Some(Self::LfsPointer),
            Ok(text) if is_text(text) => Some(Self::Text),
            Ok(_) | Err(_) => None,
        }
    }
}
