//! What the file declares the model to take and give, to be compared with the model itself.

use std::fmt;

use crate::domain::tensor::DType;

/// The declared tensors; nothing is declared by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Whether the dimensions leave out the first one of the model, the rows.
    pub is_batched: bool,
    /// What a request gives; empty where that is left to the model.
    pub inputs: Vec<DeclaredTensor>,
    /// What is answered; empty where that is left to the model.
    pub outputs: Vec<DeclaredTensor>,
}

/// One declared tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredTensor {
    /// Its name in the model.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Its dimensions as clients have them; none for one of any size.
    pub dims: Vec<Option<usize>>,
    /// Its dimensions as the model has them, where those are others.
    pub reshape: Option<Vec<Option<usize>>>,
    /// Whether a request may leave it out.
    pub is_optional: bool,
    /// Where it is declared: file, line and column.
    pub origin: String,
}

impl Declared {
    /// The same, wherever it stands in the file.
    pub fn without_places(&self) -> Self {
        let anywhere =
            |tensor: &DeclaredTensor| DeclaredTensor { origin: String::new(), ..tensor.clone() };
        Self {
            is_batched: self.is_batched,
            inputs: self.inputs.iter().map(anywhere).collect(),
            outputs: self.outputs.iter().map(anywhere).collect(),
        }
    }
}

impl DeclaredTensor {
    /// The dimensions as clients have them, with the rows where those are left out.
    pub fn outside(&self, is_batched: bool) -> Vec<Option<usize>> {
        with_rows(&self.dims, is_batched)
    }

    /// The dimensions as the model has them, with the rows where those are left out.
    pub fn inside(&self, is_batched: bool) -> Vec<Option<usize>> {
        with_rows(self.reshape.as_ref().unwrap_or(&self.dims), is_batched)
    }
}

fn with_rows(dims: &[Option<usize>], is_batched: bool) -> Vec<Option<usize>> {
    let rows = is_batched.then_some(None);
    rows.into_iter().chain(dims.iter().copied()).collect()
}

/// As the model has it.
impl fmt::Display for DeclaredTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |dim: &Option<usize>| dim.map_or("?".to_owned(), |size| size.to_string());
        let dims: Vec<String> = self.inside(false).iter().map(shown).collect();
        write!(f, "{}[{}]", self.dtype, dims.join(", "))
    }
}
