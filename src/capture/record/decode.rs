//! A record, read. Whatever the bytes are, this gives a record or none.

use super::elements::{Bytes, dtype};
use super::encode::{CLASS_SCORES, DIGEST, ELEMENTS, REDACTED};
use super::{Content, Recorded, Recording};
use crate::domain::model::Digest;
use crate::domain::tensor::{ClassScores, DType, Elements, Tensor, element_count};
use crate::domain::time::WallTime;

/// How a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::capture) struct Head {
    pub(in crate::capture) time: WallTime,
    pub(in crate::capture) priority: u64,
    pub(in crate::capture) number: u64,
}

impl Head {
    /// The bytes that it takes.
    pub(in crate::capture) const BYTES: usize = 3 * size_of::<u64>();
}

/// How a record begins, without reading the rest.
pub(in crate::capture) fn head(record: &[u8]) -> Option<Head> {
    let mut bytes = Bytes(record);
    let time = WallTime(bytes.number()?);
    Some(Head { time, priority: bytes.number()?, number: bytes.number()? })
}

/// Reads a record. None when it is none.
pub(in crate::capture) fn decode(record: &[u8]) -> Option<Recording> {
    let Head { time, priority, number } = head(record)?;
    let mut bytes = Bytes(record);
    bytes.take(Head::BYTES)?;
    let digest = Digest::from_bytes(bytes.array()?);
    let version = bytes.text()?.parse().ok()?;
    let inputs = parts(&mut bytes)?;
    let outputs = parts(&mut bytes)?;
    let recording = Recording { time, priority, number, version, digest, inputs, outputs };
    bytes.0.is_empty().then_some(recording)
}

fn parts(bytes: &mut Bytes<'_>) -> Option<Vec<Recorded>> {
    (0..u16::from_le_bytes(bytes.array()?)).map(|_| part(bytes)).collect()
}

fn part(bytes: &mut Bytes<'_>) -> Option<Recorded> {
    let name = bytes.text()?.to_owned();
    let [number] = bytes.array()?;
    let dtype = dtype(number)?;
    let rank = u16::from_le_bytes(bytes.array()?);
    let shape: Vec<usize> = (0..rank).map(|_| bytes.size()).collect::<Option<_>>()?;
    let [kind] = bytes.array()?;
    let content = match kind {
        ELEMENTS => {
            let elements = bytes.elements(dtype, element_count(&shape)?)?;
            Content::Tensor(Tensor::new(shape.clone(), elements).ok()?)
        }
        CLASS_SCORES => {
            let [rows, classes] = shape[..] else { return None };
            let classes = bytes.texts(classes)?;
            let count = rows.checked_mul(classes.len())?;
            let Elements::F32(scores) = bytes.elements(DType::F32, count)? else { return None };
            Content::ClassScores(ClassScores { classes, scores, rows })
        }
        DIGEST => Content::Digest(bytes.array()?),
        REDACTED => Content::Redacted,
        _ => return None,
    };
    Some(Recorded { name, dtype, shape, content })
}
