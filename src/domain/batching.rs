//! When requests may run together, and which.
//!
//! A batch is worth many runs: one run of 32 rows takes hardly longer than one of a single row. But it is only right
//! where a row's answer does not depend on its neighbours, and a model does not say so. So the shapes are looked at
//! first, and then the model is asked: a few rows alone, together, and together in another order.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::signature::{Dim, OutputSpec, Shape, Signature};
use super::tensor::{ElementsView, Tensor, ValueView};

/// What a row's answer may differ by, relative to its size, and the row still counts as independent: kernels choose
/// another order of additions for another number of rows.
const RELATIVE: f64 = 1e-4;
/// The same for types whose own steps are larger: two of them.
const F16_STEP: f64 = 2e-3;
const BF16_STEP: f64 = 1.6e-2;
/// The same for answers near zero.
const ABSOLUTE: f64 = 1e-6;

/// Whether requests run together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Batching {
    /// Where the probe has shown that rows are independent.
    #[default]
    Auto,
    /// Where the shapes allow it, whatever the probe has shown.
    On,
    /// Never.
    Off,
}

/// Why a version's requests run one by one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alone {
    /// An input or output has no first dimension of any size.
    FixedRows {
        /// Its name.
        name: String,
    },
    /// Rows answered otherwise beside others.
    Dependent {
        /// The output in which it was seen.
        output: String,
    },
    /// The model could not be asked.
    NotProbed {
        /// Why not.
        reason: String,
    },
}

impl fmt::Display for Alone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FixedRows { name } => write!(f, "`{name}` has no first dimension of any size"),
            Self::Dependent { output } => {
                write!(f, "a row's `{output}` depends on the rows beside it")
            }
            Self::NotProbed { reason } => write!(f, "{reason}"),
        }
    }
}

/// Whether the shapes allow requests to be put together: each input and output counts rows in its first dimension.
///
/// # Errors
/// [`Alone`], which names the first that does not.
pub fn has_rows(signature: &Signature) -> Result<(), Alone> {
    let is_open = |shape: &Shape| {
        shape.dims().and_then(<[Dim]>::first).is_some_and(|dim| match dim {
            Dim::Symbol(_) | Dim::Any => true,
            Dim::Fixed(_) => false,
        })
    };
    let inputs = signature.inputs.iter().map(|spec| (&spec.name, is_open(&spec.shape)));
    let outputs = signature.outputs.iter().map(|output| match output {
        OutputSpec::Tensor(spec) => (&spec.name, is_open(&spec.shape)),
        OutputSpec::ClassScores { name, .. } => (name, true),
    });
    match inputs.chain(outputs).find(|(_, is_open)| !is_open) {
        Some((name, _)) => Err(Alone::FixedRows { name: name.clone() }),
        None if signature.inputs.is_empty() => {
            Err(Alone::NotProbed { reason: "the model has no inputs".to_owned() })
        }
        None => Ok(()),
    }
}

/// How many rows a request has; none when its inputs do not agree, or there is not a single one.
pub fn rows(inputs: &[Tensor]) -> Option<usize> {
    let rows = *inputs.first()?.shape().first()?;
    let agree = inputs.iter().all(|input| input.shape().first() == Some(&rows));
    (agree && rows > 0).then_some(rows)
}

/// Whether two requests, each with [`rows`], can be put together: their inputs differ in nothing but the rows.
pub fn fit_together(one: &[Tensor], other: &[Tensor]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            one.dtype() == other.dtype() && one.shape().get(1..) == other.shape().get(1..)
        })
}

/// Whether an answer is the same as the rows `from..` of another answer, but for what the order of additions changes.
pub fn is_same_answer(alone: ValueView<'_>, together: ValueView<'_>, from: usize) -> bool {
    let Some(rows) = alone.rows() else { return false };
    match (alone, together) {
        (ValueView::Tensor(alone), ValueView::Tensor(together)) => {
            let size = alone.elements.len() / rows.max(1);
            let range = from * size..(from + rows) * size;
            alone.shape.get(1..) == together.shape.get(1..)
                && together
                    .elements
                    .slice(range)
                    .is_some_and(|together| are_same_elements(alone.elements, together))
        }
        (ValueView::ClassScores(alone), ValueView::ClassScores(together)) => {
            alone.classes == together.classes
                && together.slice(from..from + rows).is_some_and(|together| {
                    let (one, other) =
                        (ElementsView::F32(alone.scores), ElementsView::F32(together.scores));
                    are_same_elements(one, other)
                })
        }
        (ValueView::Tensor(_), ValueView::ClassScores(_))
        | (ValueView::ClassScores(_), ValueView::Tensor(_)) => false,
    }
}

fn are_same_elements(one: ElementsView<'_>, other: ElementsView<'_>) -> bool {
    match (one, other) {
        (ElementsView::F16(one), ElementsView::F16(other)) => all_are_near(one, other, F16_STEP),
        (ElementsView::BF16(one), ElementsView::BF16(other)) => all_are_near(one, other, BF16_STEP),
        (ElementsView::F32(one), ElementsView::F32(other)) => all_are_near(one, other, RELATIVE),
        (ElementsView::F64(one), ElementsView::F64(other)) => all_are_near(one, other, RELATIVE),
        (one, other) => one == other,
    }
}

fn all_are_near<T: Copy + Into<f64>>(one: &[T], other: &[T], relative: f64) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(&a, &b)| are_near(a.into(), b.into(), relative))
}

fn are_near(a: f64, b: f64, relative: f64) -> bool {
    a == b
        || (a.is_nan() && b.is_nan())
        || (a - b).abs() <= ABSOLUTE + relative * a.abs().max(b.abs())
}

#[cfg(test)]
mod tests {
    use super::super::signature::TensorSpec;
    use super::super::tensor::{DType, Elements};
    use super::*;

    fn spec(name: &str, dims: &[Dim]) -> TensorSpec {
        TensorSpec { name: name.into(), dtype: DType::F32, shape: Shape(Some(dims.to_vec())) }
    }

    fn signature(input: &[Dim], output: &[Dim]) -> Signature {
        let outputs = vec![OutputSpec::Tensor(spec("y", output))];
        Signature { inputs: vec![spec("x", input)], outputs }
    }

    fn tensor(shape: &[usize]) -> Tensor {
        let count = shape.iter().product();
        let elements = (0..count).map(|index| index as f32).collect();
        Tensor::new(shape.to_vec(), Elements::F32(elements)).unwrap()
    }

    #[test]
    fn rows_are_counted_by_an_open_first_dimension_everywhere() {
        let (open, fixed) = (Dim::Symbol("N".into()), Dim::Fixed(4));
        assert_eq!(has_rows(&signature(&[open.clone(), fixed.clone()], &[Dim::Any])), Ok(()));
        let alone = |name: &str| Err(Alone::FixedRows { name: name.into() });
        assert_eq!(has_rows(&signature(&[fixed], std::slice::from_ref(&open))), alone("x"));
        assert_eq!(has_rows(&signature(&[open], &[])), alone("y"));
    }

    #[test]
    fn requests_fit_together_that_differ_only_in_rows() {
        assert_eq!(rows(&[tensor(&[3, 2]), tensor(&[3])]), Some(3));
        assert_eq!(rows(&[tensor(&[3, 2]), tensor(&[2])]), None);
        assert_eq!((rows(&[tensor(&[0, 2])]), rows(&[tensor(&[])]), rows(&[])), (None, None, None));
        assert!(fit_together(&[tensor(&[3, 2])], &[tensor(&[1, 2])]));
        assert!(!fit_together(&[tensor(&[3, 2])], &[tensor(&[3, 1])]));
        assert!(!fit_together(&[tensor(&[3, 2])], &[]));
    }

    #[test]
    fn an_answer_is_found_again_among_its_neighbours() {
        let (alone, together) = (tensor(&[1, 2]), tensor(&[3, 2]));
        let view = |tensor| ValueView::Tensor(Tensor::view(tensor));
        assert!(is_same_answer(view(&alone), view(&together), 0));
        assert!(!is_same_answer(view(&alone), view(&together), 1));
        assert!(!is_same_answer(view(&alone), view(&together), 3), "beyond the end");
        let near = Tensor::new(vec![1], Elements::F32(vec![1000.0])).unwrap();
        let nearer = Tensor::new(vec![1], Elements::F32(vec![1000.05])).unwrap();
        let far = Tensor::new(vec![1], Elements::F32(vec![1000.5])).unwrap();
        assert!(is_same_answer(view(&near), view(&nearer), 0));
        assert!(!is_same_answer(view(&near), view(&far), 0));
    }
}
