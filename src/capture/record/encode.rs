//! A request, as it is answered, written as a record.

use sha2::{Digest as _, Sha256};

use super::elements::{code, put, put_text};
use crate::domain::model::{Digest, VersionLabel};
use crate::domain::tensor::{DType, ValueView};
use crate::domain::time::WallTime;

/// How the content of a value is written.
pub(super) const ELEMENTS: u8 = 0;
pub(super) const CLASS_SCORES: u8 = 1;
pub(super) const DIGEST: u8 = 2;
pub(super) const REDACTED: u8 = 3;

/// What is written of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::capture) struct Rule {
    /// Digests in place of what they are of.
    pub(in crate::capture) only_digests: bool,
    /// Names of what is never written, not as a digest either: of few values the one with a known digest is soon found.
    pub(in crate::capture) redact: Vec<String>,
}

/// A request that was answered, borrowed.
#[derive(Debug)]
pub(in crate::capture) struct Answered<'a, I, O> {
    pub(in crate::capture) time: WallTime,
    pub(in crate::capture) priority: u64,
    pub(in crate::capture) number: u64,
    pub(in crate::capture) version: &'a VersionLabel,
    pub(in crate::capture) digest: Digest,
    pub(in crate::capture) inputs: I,
    pub(in crate::capture) outputs: O,
}

/// One of its inputs or outputs.
#[derive(Clone, Copy, Debug)]
pub(in crate::capture) struct Part<'a> {
    pub(in crate::capture) name: &'a str,
    pub(in crate::capture) value: ValueView<'a>,
}

/// Adds a record at the end.
pub(in crate::capture) fn encode<'a, I, O>(
    out: &mut Vec<u8>,
    request: Answered<'a, I, O>,
    rule: &Rule,
) where
    I: Iterator<Item = Part<'a>> + Clone,
    O: Iterator<Item = Part<'a>>,
{
    out.extend_from_slice(&request.time.0.to_le_bytes());
    out.extend_from_slice(&request.priority.to_le_bytes());
    out.extend_from_slice(&request.number.to_le_bytes());
    out.extend_from_slice(request.digest.bytes());
    put_text(out, request.version.as_str());
    let is_redacted = |part: &Part<'_>| rule.redact.iter().any(|name| name == part.name);
    let hidden = request.inputs.clone().filter(is_redacted);
    let hidden: Vec<Vec<u8>> = hidden.map(|input| bytes_of(&input)).collect();
    put_all(out, request.inputs, |out, input| {
        put_part(out, input, rule, |_| is_redacted(input));
    });
    put_all(out, request.outputs, |out, output| {
        // A model may hand an input through, under whatever name.
        let is_echo = |bytes: &[u8]| hidden.iter().any(|hidden| hidden == bytes);
        put_part(out, output, rule, |bytes| is_redacted(output) || is_echo(bytes));
    });
}

/// Writes parts with their number before them.
fn put_all<'a>(
    out: &mut Vec<u8>,
    parts: impl Iterator<Item = Part<'a>>,
    put: impl Fn(&mut Vec<u8>, &Part<'a>),
) {
    let place = out.len();
    put_count(out, 0);
    let mut all = 0;
    for part in parts {
        put(out, &part);
        all += 1;
    }
    out[place..place + COUNT].copy_from_slice(&count(all));
}

fn put_part(out: &mut Vec<u8>, part: &Part<'_>, rule: &Rule, is_hidden: impl Fn(&[u8]) -> bool) {
    put_text(out, part.name);
    let (dtype, kind) = match part.value {
        ValueView::Tensor(tensor) => (tensor.elements.dtype(), ELEMENTS),
        ValueView::ClassScores(_) => (DType::F32, CLASS_SCORES),
    };
    out.push(code(dtype));
    match part.value {
        ValueView::Tensor(tensor) => put_shape(out, tensor.shape),
        ValueView::ClassScores(scores) => put_shape(out, &[scores.rows, scores.classes.len()]),
    }
    let place = out.len();
    out.push(kind);
    put_value(out, &part.value);
    let bytes = &out[place + 1..];
    let other = if is_hidden(bytes) {
        Some((REDACTED, None))
    } else {
        rule.only_digests.then(|| (DIGEST, Some(Sha256::digest(bytes))))
    };
    if let Some((kind, digest)) = other {
        out.truncate(place);
        out.push(kind);
        out.extend(digest.into_iter().flatten());
    }
}

fn put_value(out: &mut Vec<u8>, value: &ValueView<'_>) {
    match value {
        ValueView::Tensor(tensor) => put(out, tensor.elements),
        ValueView::ClassScores(scores) => {
            scores.classes.iter().for_each(|class| put_text(out, class));
            put(out, crate::domain::tensor::ElementsView::F32(scores.scores));
        }
    }
}

fn bytes_of(part: &Part<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_value(&mut bytes, &part.value);
    bytes
}

fn put_shape(out: &mut Vec<u8>, shape: &[usize]) {
    put_count(out, shape.len());
    shape.iter().for_each(|size| out.extend_from_slice(&(*size as u64).to_le_bytes()));
}

fn put_count(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&count(number));
}

/// Bytes of a number of tensors or dimensions.
const COUNT: usize = size_of::<u16>();

fn count(number: usize) -> [u8; COUNT] {
    // Models have fewer tensors, and tensors fewer dimensions.
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}
