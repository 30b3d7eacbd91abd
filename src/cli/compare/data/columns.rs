//! Which columns of a table are which inputs.
//!
//! Columns are found by the names of features, where the settings have them, or else of inputs. A table that has just as
//! many columns as the only input, by whatever names, is that input. Other columns are passed over.

use super::Taken;
use crate::domain::signature::{Dim, TensorSpec};
use crate::domain::tensor::{DType, Elements, ElementsView, Tensor};

/// The columns that are wanted, in the order in which the model takes them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) kept: Vec<Column>,
    pub(super) form: Form,
}

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Its place in the table.
    pub(super) place: usize,
    /// The name that it was found by.
    pub(super) name: String,
    /// What the model takes there.
    pub(super) dtype: DType,
}

/// What a row of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A row of the only input, by the names of its features.
    Features,
    /// A row of the only input, without names.
    Row,
    /// An input each.
    Inputs,
}

impl Columns {
    pub(super) fn of(header: &[&str], taken: Taken<'_>) -> Result<Self, String> {
        let Taken { signature, naming, .. } = taken;
        let place = |name: &str| header.iter().position(|column| column.trim() == name);
        let column = |place, name: &str, dtype| Column { place, name: name.to_owned(), dtype };
        let (names, form): (Vec<(&str, DType)>, _) =
            match (&signature.inputs[..], &naming.features[..]) {
                ([only], [_, ..]) => {
                    let features = naming.features.iter();
                    (features.map(|name| (name.as_str(), only.dtype)).collect(), Form::Features)
                }
                (inputs, _) => {
                    let named = inputs.iter().map(|input| (input.name.as_str(), input.dtype));
                    (named.collect(), Form::Inputs)
                }
            };
        let found: Option<Vec<Column>> =
            names.iter().map(|(name, dtype)| Some(column(place(name)?, name, *dtype))).collect();
        if let Some(kept) = found {
            return Ok(Self { kept, form });
        }
        if let [only] = &signature.inputs[..]
            && naming.features.is_empty()
            && columns_of(only) == Some(header.len())
        {
            let kept = header.iter().enumerate();
            let kept = kept.map(|(place, name)| column(place, name, only.dtype)).collect();
            return Ok(Self { kept, form: Form::Row });
        }
        let missing: Vec<&str> =
            names.iter().map(|(name, _)| *name).filter(|name| place(name).is_none()).collect();
        Err(format!(
            "the header has no column `{}`; name the columns after the model's inputs, or the features of its only input in the settings (`features`)",
            missing.join("`, `")
        ))
    }

    /// The inputs of one row, of the values of the columns that are kept: one each, of the type that the model takes.
    pub(super) fn inputs<'v>(
        &self,
        values: impl ExactSizeIterator<Item = ElementsView<'v>>,
        specs: &[TensorSpec],
    ) -> Result<Vec<Tensor>, String> {
        match self.form {
            Form::Features | Form::Row => {
                let Some(spec) = specs.first() else { return Ok(Vec::new()) };
                let count = values.len();
                let mut row = spec.dtype.buffer(count);
                values.for_each(|value| {
                    row.extend(value);
                });
                Ok(vec![tensor(vec![1, count], row, spec)?])
            }
            Form::Inputs => {
                let of_column = |(value, spec): (ElementsView<'_>, &TensorSpec)| {
                    let rank = spec.shape.dims().map_or(1, <[Dim]>::len);
                    let mut one = spec.dtype.buffer(1);
                    one.extend(value);
                    tensor(vec![1; rank], one, spec)
                };
                values.zip(specs).map(of_column).collect()
            }
        }
    }
}

fn tensor(shape: Vec<usize>, elements: Elements, spec: &TensorSpec) -> Result<Tensor, String> {
    let tensor = Tensor::new(shape, elements).map_err(|error| error.to_string())?;
    spec.check(&tensor).map_err(|error| error.to_string())?;
    Ok(tensor)
}

/// How many numbers a row of an input has, where it has rows of numbers.
fn columns_of(input: &TensorSpec) -> Option<usize> {
    match input.shape.dims()? {
        [_, Dim::Fixed(columns)] => Some(*columns),
        _ => None,
    }
}
