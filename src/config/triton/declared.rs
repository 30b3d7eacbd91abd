//! What the file declares the model to take and give, to be compared with the model itself.

use std::fmt;

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
    /// The type of its elements, as it is shown: `f32`.
    pub element: &'static str,
    /// Its dimensions as declared; none for one of any size.
    pub dims: Vec<Option<usize>>,
    /// Whether a request may leave it out.
    pub is_optional: bool,
    /// Where it is declared: file, line and column.
    pub origin: String,
}

impl DeclaredTensor {
    /// The dimensions as the model has them, with the rows where those are left out.
    pub fn full_dims(&self, is_batched: bool) -> Vec<Option<usize>> {
        let rows = is_batched.then_some(None);
        rows.into_iter().chain(self.dims.iter().copied()).collect()
    }
}

impl fmt::Display for DeclaredTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |dim: &Option<usize>| dim.map_or("?".to_owned(), |size| size.to_string());
        let dims: Vec<String> = self.dims.iter().map(shown).collect();
        write!(f, "{}[{}]", self.element, dims.join(", "))
    }
}
