//! An archive of arrays, one for each input, by its name: what `numpy.savez` writes, and `greenroom capture export`.
//!
//! Where an array has as many dimensions as the input, rows of requests stand in it one after another; each request gets
//! one, or as many as the input always has. Where it has one more, its first dimension counts the requests. So the arrays
//! of an export are read as what was exported. Of each array a few requests are in memory.

mod archive;
mod array;

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use indicatif::ProgressBar;

use self::archive::{Entry, entries};
use self::array::Array;
use super::super::progress;
use super::cast::{cast, misfit};
use super::{Asked, Request, Requests};
use crate::domain::signature::{Dim, Signature, TensorSpec};
use crate::domain::tensor::{Elements, Tensor, element_count};

/// See the module.
pub(super) struct Npz {
    arrays: Vec<OfInput>,
    requests: u64,
    read: u64,
    bar: ProgressBar,
}

/// The array of one input.
struct OfInput {
    spec: TensorSpec,
    array: Array<Box<dyn Read + Send>>,
    /// What an input of one request has.
    shape: Vec<usize>,
    elements: usize,
    /// The requests that are still to be read.
    left: u64,
    /// What was read last: some requests, as the model takes them.
    block: Elements,
    /// How many elements of that were given out.
    given: usize,
}

/// So many elements are read together, or one request where that has more.
const BLOCK: usize = 1 << 14;

impl Npz {
    pub(super) fn of(file: File, signature: &Signature, bar: &ProgressBar) -> Result<Self, String> {
        let entries = entries(&file).map_err(|error| error.to_string())?;
        let file = Arc::new(file);
        let mut arrays = Vec::new();
        let mut requests: Option<(u64, &str)> = None;
        for spec in &signature.inputs {
            let entry = entry_of(spec, &entries, signature)?;
            let (array, count) = OfInput::open(spec, entry, &file)
                .map_err(|sentence| format!("array `{}`: {sentence}", name_of(entry)))?;
            match requests {
                Some((known, other)) if known != count => {
                    return Err(format!(
                        "array `{other}` is of {known} requests, but array `{}` of {count}",
                        name_of(entry)
                    ));
                }
                Some(_) => {}
                None => requests = Some((count, name_of(entry))),
            }
            arrays.push(array);
        }
        let requests = requests.map_or(0, |(count, _)| count);
        progress::in_rows(bar, requests);
        Ok(Self { arrays, requests, read: 0, bar: bar.clone() })
    }
}

impl Requests for Npz {
    fn next(&mut self) -> Result<Option<Request>, String> {
        if self.read == self.requests {
            return Ok(None);
        }
        self.read += 1;
        self.bar.inc(1);
        let number = self.read;
        let inputs: Result<Vec<Tensor>, String> = self
            .arrays
            .iter_mut()
            .map(|array| {
                let read = array.next();
                read.map_err(|error| {
                    format!("array `{}`, from row {number} on: {error}", array.spec.name)
                })
            })
            .collect();
        Ok(Some(Request { number, asked: Asked::Inputs { inputs: inputs?, answer: None } }))
    }

    fn unit(&self) -> &'static str {
        "row"
    }
}

/// The array of that input: the one of its name, or the only one for the only input.
fn entry_of<'e>(
    spec: &TensorSpec,
    entries: &'e [Entry],
    signature: &Signature,
) -> Result<&'e Entry, String> {
    if let Some(entry) = entries.iter().find(|entry| name_of(entry) == spec.name) {
        return Ok(entry);
    }
    match entries {
        [only] if signature.inputs.len() == 1 => Ok(only),
        _ => {
            let names: Vec<String> =
                entries.iter().map(|entry| format!("`{}`", name_of(entry))).collect();
            Err(format!(
                "there is no array `{}` for that input; there are {}",
                spec.name,
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            ))
        }
    }
}

fn name_of(entry: &Entry) -> &str {
    entry.name.strip_suffix(".npy").unwrap_or(&entry.name)
}

impl OfInput {
    /// With the number of requests that there are in it.
    fn open(spec: &TensorSpec, entry: &Entry, file: &Arc<File>) -> Result<(Self, u64), String> {
        let content = entry.open(file).map_err(|error| error.to_string())?;
        let content: Box<dyn Read + Send> = Box::new(content);
        let array = Array::open(content).map_err(|error| error.to_string())?;
        let misfit =
            || format!("it is of shape {:?}; input `{}` is {spec}", array.shape, spec.name);
        let Some((&count, inner)) = array.shape.split_first() else { return Err(misfit()) };
        let dims = spec.shape.dims();
        let is_stacked = dims.is_some_and(|dims| dims.len() == inner.len());
        let (requests, shape) = if is_stacked {
            (count, inner.to_vec())
        } else {
            let each = match dims {
                Some([Dim::Fixed(rows), ..]) => *rows,
                Some([Dim::Symbol(_) | Dim::Any, ..] | []) | None => 1,
            };
            if each == 0 || !count.is_multiple_of(each) {
                return Err(misfit());
            }
            (count / each, [&[each], inner].concat())
        };
        if !spec.shape.admits(&shape) {
            return Err(misfit());
        }
        let elements = element_count(&shape).ok_or_else(misfit)?;
        let (left, block) = (requests as u64, spec.dtype.buffer(0));
        let spec = spec.clone();
        Ok((Self { spec, array, shape, elements, left, block, given: 0 }, left))
    }

    fn next(&mut self) -> Result<Tensor, String> {
        if self.given == self.block.len() {
            let together = (BLOCK / self.elements.max(1)).max(1) as u64;
            let requests = together.min(self.left);
            self.left -= requests;
            let block = self.array.next(self.elements * requests as usize);
            let block = block.map_err(|error| error.to_string())?;
            let dtype = block.dtype();
            self.block =
                cast(block, self.spec.dtype).map_err(|_| misfit(dtype, self.spec.dtype))?;
            self.given = 0;
        }
        let place = self.given..self.given + self.elements;
        self.given = place.end;
        let mut elements = self.spec.dtype.buffer(self.elements);
        if let Some(these) = self.block.view().slice(place) {
            elements.extend(these);
        }
        Tensor::new(self.shape.clone(), elements).map_err(|error| error.to_string())
    }
}
