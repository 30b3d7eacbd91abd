//! Asks a model whether its rows are independent.

use half::{bf16, f16};

use super::error::RunError;
use super::output::Output;
use super::session::Session;
use super::stop::StopFlag;
use crate::domain::batching::{self, Alone};
use crate::domain::signature::{Dim, TensorSpec};
use crate::domain::tensor::{DType, Elements, Tensor, element_count};

/// Rows that are compared. Few, because they are run by themselves as well.
const ROWS: usize = 4;
/// Another order of them, in which no row stays where it was.
const REORDERED: [usize; ROWS] = [2, 0, 3, 1];
/// What an open dimension beyond the first is taken to be. The first that the model accepts counts.
const OPEN_SIZES: [usize; 2] = [3, 1];
/// A model whose rows are larger is not asked.
const MOST_ELEMENTS: usize = 1 << 22;

impl Session {
    /// Runs a few random rows alone, together, and together in another order, and compares the answers.
    ///
    /// # Errors
    /// [`Alone`] when the requests of this model must run one by one, and why.
    pub fn probe_rows(&self, stop: &StopFlag) -> Result<(), Alone> {
        batching::has_rows(self.signature())?;
        let mut failed = None;
        for open in OPEN_SIZES {
            let rows: Option<Vec<Vec<Tensor>>> = (0..ROWS).map(|row| self.row(row, open)).collect();
            let Some(rows) = rows else { return Err(not_probed("its rows are of unknown size")) };
            match self.compare_rows(&rows, stop) {
                Ok(compared) => return compared,
                Err(error) => failed = Some(error),
            }
        }
        let reason = failed.map_or_else(String::new, |error| format!(": {error}"));
        Err(not_probed(&format!("it fails on random rows{reason}")))
    }

    /// One random row for each input. The same in each call.
    fn row(&self, row: usize, open: usize) -> Option<Vec<Tensor>> {
        let inputs = self.signature().inputs.iter().enumerate();
        inputs.map(|(input, spec)| random_row(spec, open, (row * 64 + input) as u64)).collect()
    }

    fn compare_rows(
        &self,
        rows: &[Vec<Tensor>],
        stop: &StopFlag,
    ) -> Result<Result<(), Alone>, RunError> {
        let outputs: Vec<usize> = (0..self.signature().outputs.len()).collect();
        let alone: Vec<Vec<Output>> =
            rows.iter().map(|row| self.run(row, &outputs, stop)).collect::<Result<_, _>>()?;
        let in_order: Vec<usize> = (0..rows.len()).collect();
        for order in [&in_order[..], &REORDERED] {
            let Some(together) = stacked(rows, order) else {
                return Ok(Err(not_probed("its rows cannot be put together")));
            };
            let together = self.run(&together, &outputs, stop)?;
            for (place, &row) in order.iter().enumerate() {
                for (index, spec) in self.signature().outputs.iter().enumerate() {
                    let (one, all) = (alone[row][index].view(), together[index].view());
                    if all.rows() != Some(rows.len())
                        || one.rows() != Some(1)
                        || !batching::is_same_answer(one, all, place)
                    {
                        return Ok(Err(Alone::Dependent { output: spec.name().to_owned() }));
                    }
                }
            }
        }
        Ok(Ok(()))
    }
}

fn not_probed(reason: &str) -> Alone {
    Alone::NotProbed { reason: reason.to_owned() }
}

fn stacked(rows: &[Vec<Tensor>], order: &[usize]) -> Option<Vec<Tensor>> {
    let inputs = rows.first()?.len();
    (0..inputs).map(|input| Tensor::stack(order.iter().map(|&row| &rows[row][input]))).collect()
}

fn random_row(spec: &TensorSpec, open: usize, seed: u64) -> Option<Tensor> {
    let mut shape: Vec<usize> = spec
        .shape
        .dims()?
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => *size,
            Dim::Symbol(_) | Dim::Any => open,
        })
        .collect();
    *shape.first_mut()? = 1;
    element_count(&shape).filter(|&count| count <= MOST_ELEMENTS)?;
    random(shape, spec.dtype, seed)
}

/// Elements that nobody chose: numbers from -2 to 2, and small integers that are not negative. The same for each call;
/// none for an impossible shape.
pub fn random_tensor(shape: Vec<usize>, dtype: DType) -> Option<Tensor> {
    random(shape, dtype, 0)
}

fn random(shape: Vec<usize>, dtype: DType, seed: u64) -> Option<Tensor> {
    let count = element_count(&shape)?;
    let numbers = (0..count as u64).map(|index| {
        xxhash_rust::xxh3::xxh3_64_with_seed(&index.to_le_bytes(), seed) as f64 / u64::MAX as f64
    });
    Tensor::new(shape, random_elements(dtype, numbers)).ok()
}

/// Numbers from -2 to 2. Integers are often indices or categories, so they are small and not negative.
fn random_elements(dtype: DType, numbers: impl Iterator<Item = f64> + Clone) -> Elements {
    let small = numbers.clone().map(|number| (number * 3.0).min(2.0) as u8);
    let wide = numbers.clone().map(|number| number * 4.0 - 2.0);
    match dtype {
        DType::Bool => Elements::Bool(numbers.map(|number| number < 0.5).collect()),
        DType::U8 => Elements::U8(small.collect()),
        DType::U16 => Elements::U16(small.map(Into::into).collect()),
        DType::U32 => Elements::U32(small.map(Into::into).collect()),
        DType::U64 => Elements::U64(small.map(Into::into).collect()),
        DType::I8 => Elements::I8(small.map(|number| number as i8).collect()),
        DType::I16 => Elements::I16(small.map(Into::into).collect()),
        DType::I32 => Elements::I32(small.map(Into::into).collect()),
        DType::I64 => Elements::I64(small.map(Into::into).collect()),
        DType::F16 => Elements::F16(wide.map(f16::from_f64).collect()),
        DType::BF16 => Elements::BF16(wide.map(bf16::from_f64).collect()),
        DType::F32 => Elements::F32(wide.map(|number| number as f32).collect()),
        DType::F64 => Elements::F64(wide.collect()),
        DType::String => Elements::String(small.map(|number| number.to_string()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::session;
    use super::*;

    fn probed(name: &str) -> Result<(), String> {
        let probed = session(name).probe_rows(&StopFlag::new().unwrap());
        probed.map_err(|alone| alone.to_string())
    }

    #[test]
    fn models_that_answer_row_by_row_are_found_out() {
        for name in [
            "models/iris/1.onnx",
            "models/diabetes/1.onnx",
            "models/digits/1.onnx",
            "models/wine/1.onnx",
            "tests/models/adder.onnx",
            "tests/models/types.onnx",
            "tests/models/fails.onnx",
        ] {
            assert_eq!(probed(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn models_whose_rows_depend_on_each_other_are_found_out() {
        for (name, reason) in [
            ("softmax_over_rows", "a row's `Y` depends on the rows beside it"),
            ("sequence", "a row's `Y` depends on the rows beside it"),
            ("quantized", "a row's `Y` depends on the rows beside it"),
            ("scalar", "`total` has no first dimension of any size"),
            ("slow", "`loops` has no first dimension of any size"),
        ] {
            let name = format!("tests/models/{name}.onnx");
            assert_eq!(probed(&name).unwrap_err(), reason, "{name}");
        }
    }
}
