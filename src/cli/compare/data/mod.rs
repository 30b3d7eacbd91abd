//! Requests from a file, or from what a server has recorded: one after the other, so that there may be more of them than
//! fit into memory.

mod cast;
mod columns;
mod lines;
mod npz;
mod parquet;
mod recorded;
mod table;

use std::fs::{self, File};
use std::path::Path;

use indicatif::ProgressBar;

use self::lines::Lines;
use self::npz::Npz;
use self::parquet::Parquet;
use self::table::Table;
use super::progress;
use crate::domain::model::Digest;
use crate::domain::signature::Signature;
use crate::domain::tensor::{Tensor, Value};
use crate::serving::Naming;

pub(in crate::cli) use self::recorded::RecordedRequests;

/// Where requests come from.
pub(in crate::cli) trait Requests: Send {
    /// The next request; none at the end.
    ///
    /// # Errors
    /// A sentence that says where it cannot be read, and why.
    fn next(&mut self) -> Result<Option<Request>, String>;

    /// What its requests are numbered by.
    fn unit(&self) -> &'static str;

    /// A sentence about what could not be asked, where there was any.
    fn left_out(&self) -> Option<String> {
        None
    }
}

/// One request.
#[derive(Debug, PartialEq)]
pub(in crate::cli) struct Request {
    /// Where it stands: a line, or a row.
    pub(in crate::cli) number: u64,
    pub(in crate::cli) asked: Asked,
}

/// What is asked.
#[derive(Debug, PartialEq)]
pub(in crate::cli) enum Asked {
    /// The body of a predict request. Whoever runs it reads it: that takes longer than to find it.
    Body(Vec<u8>),
    /// The inputs of the trusted model, in its order, and what it has answered to them where that is known: all of its
    /// outputs, in its order.
    Inputs { inputs: Vec<Tensor>, answer: Option<Vec<Value>> },
}

impl Asked {
    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Body(body) => body.len(),
            Self::Inputs { inputs, answer } => {
                let values = answer.iter().flatten();
                let of_values = values.map(|value| match value {
                    Value::Tensor(tensor) => tensor.bytes(),
                    Value::ClassScores(scores) => size_of_val(&scores.scores[..]),
                });
                inputs.iter().map(Tensor::bytes).chain(of_values).sum()
            }
        }
    }
}

/// What the trusted model takes.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Taken<'t> {
    pub(in crate::cli) signature: &'t Signature,
    pub(in crate::cli) naming: &'t Naming,
    /// The model itself: what it has answered to recorded requests is known.
    pub(in crate::cli) digest: Digest,
}

const KINDS: &str = "expected a file that ends in `.ndjson`, `.jsonl`, `.csv`, `.npz` or `.parquet`, or a folder \
                     `STATE/captures/MODEL` of recorded requests";

/// Opens a file or a folder. The bar shows how much of it was read.
pub(super) fn open(
    path: &Path,
    taken: Taken<'_>,
    bar: &ProgressBar,
) -> Result<Box<dyn Requests>, String> {
    let failed = |error: std::io::Error| error.to_string();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Ok(Box::new(RecordedRequests::in_folder(path, taken, bar)?));
    }
    let open = || File::open(path).map_err(failed);
    let in_bytes = || {
        progress::in_bytes(bar, metadata.len());
        open().map(|file| bar.wrap_read(file))
    };
    match ending.to_ascii_lowercase().as_str() {
        "ndjson" | "jsonl" | "json" => Ok(Box::new(Lines::of(in_bytes()?))),
        "csv" => Ok(Box::new(Table::of(in_bytes()?, taken)?)),
        "npz" => Ok(Box::new(Npz::of(open()?, taken.signature, bar)?)),
        "parquet" => Ok(Box::new(Parquet::of(open()?, taken, bar)?)),
        _ => Err(KINDS.to_owned()),
    }
}
