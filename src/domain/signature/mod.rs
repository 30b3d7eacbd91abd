//! What a version takes and gives: names, element types and shapes of its inputs and outputs.
//!
//! Requests are checked against the signature before the model sees them, because the library's own
//! messages do not say which input was wrong. A new version's signature is checked against that of the version whose
//! place it takes: [`differences`].

mod change;
mod presented;

use std::fmt;

pub use change::{Difference, SignatureRule, differences};
pub use presented::{Presented, Reshape};

use super::tensor::{DType, Tensor};

/// The size of one dimension, as a model declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Always this size.
    Fixed(usize),
    /// Any size, with the name that the model gives it (`N`, `batch`).
    Symbol(String),
    /// Any size, without a name.
    Any,
}

/// A declared shape; `None` where the model does not even say how many dimensions there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(pub Option<Vec<Dim>>);

impl Shape {
    /// The dimensions, where the rank is known.
    pub fn dims(&self) -> Option<&[Dim]> {
        self.0.as_deref()
    }

    /// Whether a tensor with these dimensions fits.
    pub fn admits(&self, shape: &[usize]) -> bool {
        self.dims().is_none_or(|dims| {
            dims.len() == shape.len()
                && dims.iter().zip(shape).all(|(dim, size)| match dim {
                    Dim::Fixed(fixed) => fixed == size,
                    Dim::Symbol(_) | Dim::Any => true,
                })
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(dims) = self.dims() else { return f.write_str("[…]") };
        f.write_str("[")?;
        for (index, dim) in dims.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match dim {
                Dim::Fixed(size) => write!(f, "{size}")?,
                Dim::Symbol(name) => f.write_str(name)?,
                Dim::Any => f.write_str("?")?,
            }
        }
        f.write_str("]")
    }
}

/// Name, element type and shape of one tensor that a model takes or gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name inside the model.
    pub name: String,
    /// The type of the elements.
    pub dtype: DType,
    /// The declared shape.
    pub shape: Shape,
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// The type of the keys in a classifier's map of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassKey {
    /// Class numbers.
    I64,
    /// Class names.
    String,
}

impl ClassKey {
    /// The type of such a map, as it is shown.
    pub fn map_name(self) -> &'static str {
        match self {
            Self::I64 => "map(i64, f32)",
            Self::String => "map(string, f32)",
        }
    }
}

/// One output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputSpec {
    /// A tensor.
    Tensor(TensorSpec),
    /// One map from class to f32 score per row (scikit-learn's ZipMap).
    ClassScores {
        /// The name inside the model.
        name: String,
        /// What the maps' keys are.
        key: ClassKey,
    },
}

impl OutputSpec {
    /// The name inside the model.
    pub fn name(&self) -> &str {
        match self {
            Self::Tensor(spec) => &spec.name,
            Self::ClassScores { name, .. } => name,
        }
    }
}

impl fmt::Display for OutputSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor(spec) => spec.fmt(f),
            Self::ClassScores { key, .. } => write!(f, "{}[N]", key.map_name()),
        }
    }
}

/// Everything a caller must know to ask a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What must be given, in the model's order. All are required: an input for which the model has a value of its own is
    /// not among them, and cannot be given.
    pub inputs: Vec<TensorSpec>,
    /// What is answered, in the model's order.
    pub outputs: Vec<OutputSpec>,
}

impl Signature {
    /// The input of that name.
    pub fn input(&self, name: &str) -> Option<&TensorSpec> {
        self.inputs.iter().find(|input| input.name == name)
    }

    /// The output of that name.
    pub fn output(&self, name: &str) -> Option<&OutputSpec> {
        self.outputs.iter().find(|output| output.name() == name)
    }

    /// Which two inputs of a request do not fit each other, as far as the signature tells: they give the same symbol
    /// two sizes, or have not the same number of rows. Models may allow for that, such as one row for all the others.
    pub fn disagreement(&self, inputs: &[Tensor]) -> Option<String> {
        self.symbols_disagree(inputs).or_else(|| self.rows_disagree(inputs))
    }

    fn symbols_disagree(&self, inputs: &[Tensor]) -> Option<String> {
        let mut known: Vec<(&str, usize, &str)> = Vec::new();
        for (spec, tensor) in self.inputs.iter().zip(inputs) {
            let dims = spec.shape.dims().unwrap_or_default();
            for (dim, &size) in dims.iter().zip(tensor.shape()) {
                let Dim::Symbol(symbol) = dim else { continue };
                match known.iter().find(|(other, ..)| *other == symbol.as_str()) {
                    Some((_, other, of)) if *other != size => {
                        let name = &spec.name;
                        return Some(format!(
                            "`{symbol}` is {other} in input `{of}`, but {size} in input `{name}`"
                        ));
                    }
                    Some(_) => {}
                    None => known.push((symbol.as_str(), size, spec.name.as_str())),
                }
            }
        }
        None
    }

    fn rows_disagree(&self, inputs: &[Tensor]) -> Option<String> {
        let is_open = |spec: &TensorSpec| match spec.shape.dims() {
            Some([Dim::Fixed(_), ..] | []) => false,
            Some([Dim::Symbol(_) | Dim::Any, ..]) | None => true,
        };
        let open = self.inputs.iter().zip(inputs).filter(|(spec, _)| is_open(spec));
        let mut rows =
            open.filter_map(|(spec, tensor)| Some((&spec.name, *tensor.shape().first()?)));
        let (first, expected) = rows.next()?;
        let (other, got) = rows.find(|(_, rows)| *rows != expected)?;
        Some(format!("input `{first}` has {expected} rows, but input `{other}` has {got}"))
    }
}

/// A tensor that does not fit the input it was given for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input `{input}`: expected {expected}, got {got}")]
pub struct InputMismatch {
    /// The input's name.
    pub input: String,
    /// Type and shape as declared.
    pub expected: String,
    /// Type and shape as given.
    pub got: String,
}

impl TensorSpec {
    /// Checks that a tensor may be given for this input: element type, rank and fixed dimensions.
    ///
    /// # Errors
    /// [`InputMismatch`] that names the input, what it expects and what was given.
    pub fn check(&self, tensor: &Tensor) -> Result<(), InputMismatch> {
        if self.dtype == tensor.dtype() && self.shape.admits(tensor.shape()) {
            return Ok(());
        }
        Err(InputMismatch {
            input: self.name.clone(),
            expected: self.to_string(),
            got: format!("{}{:?}", tensor.dtype(), tensor.shape()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tensor::Elements;
    use super::*;

    fn features() -> TensorSpec {
        TensorSpec {
            name: "features".into(),
            dtype: DType::F32,
            shape: Shape(Some(vec![Dim::Any, Dim::Fixed(4)])),
        }
    }

    #[test]
    fn a_tensor_that_does_not_fit_is_told_which_input_and_why() {
        let three = Tensor::new(vec![1, 3], Elements::F32(vec![0.0; 3])).unwrap();
        assert_eq!(
            features().check(&three).unwrap_err().to_string(),
            "input `features`: expected f32[?, 4], got f32[1, 3]"
        );
        let integers = Tensor::new(vec![1, 4], Elements::I64(vec![0; 4])).unwrap();
        assert_eq!(
            features().check(&integers).unwrap_err().to_string(),
            "input `features`: expected f32[?, 4], got i64[1, 4]"
        );
    }

    #[test]
    fn inputs_that_do_not_fit_each_other_are_told() {
        let spec = |name: &str, dims: Vec<Dim>| TensorSpec {
            name: name.into(),
            dtype: DType::F32,
            shape: Shape(Some(dims)),
        };
        let symbol = || Dim::Symbol("N".into());
        let told = |dims: [Vec<Dim>; 2], shapes: [&[usize]; 2]| {
            let [a, b] = dims;
            let signature = Signature { inputs: vec![spec("a", a), spec("b", b)], outputs: vec![] };
            let tensor = |shape: &[usize]| {
                let count = shape.iter().product();
                Tensor::new(shape.to_vec(), Elements::F32(vec![0.0; count])).unwrap()
            };
            signature.disagreement(&shapes.map(tensor))
        };
        let symbols = || [vec![Dim::Any, symbol()], vec![symbol()]];
        let sentence = "`N` is 3 in input `a`, but 2 in input `b`";
        assert_eq!(told(symbols(), [&[2, 3], &[2]]).as_deref(), Some(sentence));
        let sentence = "input `a` has 2 rows, but input `b` has 3";
        assert_eq!(told(symbols(), [&[2, 3], &[3]]).as_deref(), Some(sentence));
        assert_eq!(told(symbols(), [&[3, 3], &[3]]), None);
        assert_eq!(told([vec![Dim::Fixed(2)], vec![Dim::Any]], [&[2], &[3]]), None);
        assert_eq!(told([vec![], vec![Dim::Any]], [&[], &[3]]), None);
    }

    #[test]
    fn an_open_dimension_takes_any_size() {
        for rows in [0, 1, 1000] {
            let rows = Tensor::new(vec![rows, 4], Elements::F32(vec![0.0; rows * 4])).unwrap();
            assert_eq!(features().check(&rows), Ok(()));
        }
        assert!(Shape(None).admits(&[3, 1, 4]));
        assert!(Shape(Some(vec![])).admits(&[]));
        assert!(!Shape(Some(vec![])).admits(&[1]));
    }

    #[test]
    fn a_shape_is_shown_with_the_names_that_the_model_gives() {
        let shape = Shape(Some(vec![Dim::Symbol("N".into()), Dim::Fixed(4), Dim::Any]));
        assert_eq!(shape.to_string(), "[N, 4, ?]");
        assert_eq!(Shape(None).to_string(), "[…]");
    }
}
