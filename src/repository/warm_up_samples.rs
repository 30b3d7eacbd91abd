//! The requests that `config.pbtxt` names for the warm-up: a version that does not answer them is not served.

use std::time::Duration;

use bytes::Bytes;
use zerocopy::IntoBytes;

use super::not_loaded::NotLoaded;
use super::warm_up::stopped_after;
use crate::config::{Fill, WarmUpInput, WarmUpSample};
use crate::domain::signature::TensorSpec;
use crate::domain::tensor::{DType, Elements, Tensor, element_count};
use crate::domain::wording::printable;
use crate::onnx::{RunError, Session, StopFlag, random_tensor};

/// A row of an input may be small, but a sample has many.
const MOST_ELEMENTS: usize = 1 << 26;

/// Runs each of them as often as it says.
///
/// # Errors
/// [`NotLoaded`], which names the first that does not fit the model, or that it fails on.
pub(super) fn run_samples(
    session: &Session,
    samples: &[WarmUpSample],
    limit: Duration,
) -> Result<(), NotLoaded> {
    if samples.is_empty() {
        return Ok(());
    }
    let run_all = |stop: &StopFlag| samples.iter().try_for_each(|one| run(session, one, stop));
    match stopped_after(limit, run_all) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Failure::Misfit(sentence))) => Err(NotLoaded::Misfit(sentence)),
        Ok(Err(Failure::Run(sentence, RunError::Failed { message }))) => {
            Err(NotLoaded::FailsOnSample { sentence, words: message })
        }
        Ok(Err(Failure::Run(_, RunError::Stopped))) | Err(RunError::Stopped) => {
            Err(NotLoaded::TooSlow(limit))
        }
        Err(RunError::Failed { message }) => {
            let sentence = "the requests for its warm-up cannot be run now".to_owned();
            Err(NotLoaded::FailsOnSample { sentence, words: message })
        }
    }
}

/// Why a sample was not answered.
enum Failure {
    Misfit(String),
    Run(String, RunError),
}

fn run(session: &Session, sample: &WarmUpSample, stop: &StopFlag) -> Result<(), Failure> {
    let signature = session.signature();
    let named = |reason: &str| format!("{}: warm-up `{}`: {reason}", sample.origin, sample.name);
    let misfit = |reason: String| Failure::Misfit(named(&reason));
    let unknown = |input: &&WarmUpInput| signature.input(&input.name).is_none();
    if let Some(input) = sample.inputs.iter().find(unknown) {
        let name = printable(&input.name, 80);
        return Err(misfit(format!("`{name}` is no input of the model")));
    }
    let inputs: Result<Vec<Tensor>, String> =
        signature.inputs.iter().map(|spec| tensor(spec, sample)).collect();
    let inputs = inputs.map_err(misfit)?;
    let outputs: Vec<usize> = (0..signature.outputs.len()).collect();
    for _ in 0..sample.count {
        let ran = session.run(&inputs, &outputs, stop);
        ran.map_err(|error| Failure::Run(named("the model fails on it"), error))?;
    }
    Ok(())
}

/// What the sample gives for an input, with all its rows.
fn tensor(spec: &TensorSpec, sample: &WarmUpSample) -> Result<Tensor, String> {
    let name = printable(&spec.name, 80);
    let input = sample.inputs.iter().find(|input| input.name == spec.name);
    let WarmUpInput { dtype, dims, fill, .. } =
        input.ok_or_else(|| format!("input `{name}` is missing"))?;
    let rows = sample.rows.into_iter();
    let shape: Vec<usize> = rows.chain(dims.iter().copied()).collect();
    let count = element_count(&shape).filter(|count| *count <= MOST_ELEMENTS);
    let count =
        count.ok_or_else(|| format!("input `{name}` has more than {MOST_ELEMENTS} elements"))?;
    let tensor = match fill {
        Fill::Zeros => Tensor::new(shape, dtype.zeros(count)).map_err(|error| error.to_string())?,
        Fill::Random => random_tensor(shape, *dtype).ok_or("its shape is impossible")?,
        Fill::Bytes(bytes) => {
            let rows = sample.rows.unwrap_or(1);
            given(shape, *dtype, bytes, rows, count / rows.max(1))
                .map_err(|reason| format!("the file for input `{name}` {reason}"))?
        }
    };
    spec.check(&tensor).map_err(|error| error.to_string())?;
    Ok(tensor)
}

/// The same row so many times, from its bytes.
fn given(
    shape: Vec<usize>,
    dtype: DType,
    bytes: &Bytes,
    rows: usize,
    elements_of_row: usize,
) -> Result<Tensor, String> {
    let Some(size) = dtype.size() else {
        let row = texts(bytes).filter(|texts| texts.len() == elements_of_row);
        let row = row.ok_or_else(|| {
            format!("must have {elements_of_row} texts, each behind its length in four bytes")
        })?;
        let all = std::iter::repeat_n(row, rows).flatten().collect();
        return Tensor::new(shape, Elements::String(all)).map_err(|error| error.to_string());
    };
    let expected = elements_of_row.saturating_mul(size);
    if bytes.len() != expected {
        return Err(format!("must have {expected} bytes, got {}", bytes.len()));
    }
    if dtype == DType::Bool {
        let row = bytes.iter().map(|byte| *byte != 0);
        let all = std::iter::repeat_n(row, rows).flatten().collect();
        return Tensor::new(shape, Elements::Bool(all)).map_err(|error| error.to_string());
    }
    Tensor::lent(shape, dtype, repeated(bytes, rows)).ok_or("cannot be used".to_owned())
}

/// Bytes in memory that numbers of any type may lie in.
struct Aligned {
    words: Vec<u64>,
    length: usize,
}

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        self.words.as_bytes().get(..self.length).unwrap_or_default()
    }
}

fn repeated(row: &[u8], rows: usize) -> Bytes {
    let length = row.len() * rows;
    let mut words = vec![0_u64; length.div_ceil(size_of::<u64>())];
    if !row.is_empty() {
        for place in words.as_mut_bytes().chunks_exact_mut(row.len()).take(rows) {
            place.copy_from_slice(row);
        }
    }
    Bytes::from_owner(Aligned { words, length })
}

/// Texts that stand behind their lengths; none when that is not what the bytes are.
fn texts(mut bytes: &[u8]) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        texts.push(std::str::from_utf8(text).ok()?.to_owned());
        bytes = rest;
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::session;

    /// Of a model that adds something to rows of two.
    fn told(rows: Option<usize>, dims: &[usize], fill: Fill) -> String {
        let input = WarmUpInput { name: "X".into(), dtype: DType::F32, dims: dims.to_vec(), fill };
        told_of(vec![input], rows)
    }

    fn told_of(inputs: Vec<WarmUpInput>, rows: Option<usize>) -> String {
        let (name, origin) = ("first".to_owned(), "m/config.pbtxt:3:14".to_owned());
        let sample = WarmUpSample { name, rows, inputs, count: 2, origin };
        let outcome =
            run_samples(&session("tests/models/adder.onnx"), &[sample], Duration::from_secs(60));
        outcome.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn samples_are_run_whatever_their_elements_come_from() {
        assert_eq!(told(Some(3), &[2], Fill::Zeros), "");
        assert_eq!(told(None, &[5, 2], Fill::Random), "");
        let row = [1.5_f32, -2.0].map(f32::to_le_bytes).concat();
        assert_eq!(told(Some(3), &[2], Fill::Bytes(row.into())), "");
    }

    #[test]
    fn what_does_not_fit_the_model_is_told_with_the_samples_place() {
        assert_eq!(
            told(Some(1), &[3], Fill::Zeros),
            "m/config.pbtxt:3:14: warm-up `first`: input `X`: expected f32[N, 2], got f32[1, 3]"
        );
        assert_eq!(
            told(Some(2), &[2], Fill::Bytes(vec![0; 7].into())),
            "m/config.pbtxt:3:14: warm-up `first`: the file for input `X` must have 8 bytes, got 7"
        );
        assert_eq!(
            told_of(vec![], None),
            "m/config.pbtxt:3:14: warm-up `first`: input `X` is missing"
        );
    }

    #[test]
    fn each_row_has_the_bytes_of_the_file() {
        let row = [1.5_f32, -2.0].map(f32::to_le_bytes).concat();
        let tensor = given(vec![2, 2], DType::F32, &row.into(), 2, 2).unwrap();
        let expected = Tensor::new(vec![2, 2], Elements::F32(vec![1.5, -2.0, 1.5, -2.0]));
        assert_eq!(tensor, expected.unwrap());
        let tensor = given(vec![2, 1], DType::Bool, &vec![7].into(), 2, 1).unwrap();
        assert_eq!(tensor, Tensor::new(vec![2, 1], Elements::Bool(vec![true, true])).unwrap());
        let texts = b"\x02\0\0\0ab\0\0\0\0".to_vec();
        let tensor = given(vec![1, 2], DType::String, &texts.clone().into(), 1, 2).unwrap();
        let expected = Elements::String(vec!["ab".into(), String::new()]);
        assert_eq!(tensor, Tensor::new(vec![1, 2], expected).unwrap());
        assert!(given(vec![1, 3], DType::String, &texts.into(), 1, 3).is_err());
    }
}
