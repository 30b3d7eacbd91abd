//! What stable's answers look like: their type and dimensions.

use serde::{Deserialize, Serialize};

use super::super::tensor::ValueView;
use super::report::Axis;

/// Type and dimensions of stable's answers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Form {
    pub(super) dtype: String,
    /// `None` for one that varies; the first one counts rows.
    dimensions: Vec<Option<usize>>,
}

impl Form {
    pub(super) fn of(value: &ValueView<'_>) -> Self {
        let dtype = match value {
            ValueView::Tensor(tensor) => tensor.elements.dtype().name(),
            ValueView::ClassScores(_) => "f32",
        };
        let dimensions = shape_of(value).into_iter().map(Some).collect();
        Self { dtype: dtype.to_owned(), dimensions }
    }

    /// Takes note of another answer: what is not the same varies.
    pub(super) fn see(&mut self, value: &ValueView<'_>) {
        let shape = shape_of(value);
        let known = self.dimensions.iter_mut().zip(shape);
        known.filter(|(known, size)| **known != Some(*size)).for_each(|(known, _)| *known = None);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let known = self.dimensions.iter_mut().zip(&other.dimensions);
        known.filter(|(known, other)| known != other).for_each(|(known, _)| *known = None);
    }

    /// The dimensions, as they are told.
    pub(super) fn axes(&self) -> Vec<Axis> {
        let axis = |(place, size): (usize, &Option<usize>)| match (place, size) {
            (0, _) => Axis::Name("N"),
            (_, Some(size)) => Axis::Size(*size),
            (_, None) => Axis::Name("?"),
        };
        self.dimensions.iter().enumerate().map(axis).collect()
    }
}

fn shape_of(value: &ValueView<'_>) -> Vec<usize> {
    match value {
        ValueView::Tensor(tensor) => tensor.shape.to_vec(),
        ValueView::ClassScores(scores) => vec![scores.rows, scores.classes.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tensor::{Elements, Tensor};
    use super::*;

    #[test]
    fn what_varies_is_told_from_what_does_not() {
        let tensor = |shape: &[usize]| {
            let count = shape.iter().product();
            Tensor::new(shape.to_vec(), Elements::F32(vec![0.0; count])).unwrap()
        };
        let form = |shape: &[usize]| Form::of(&ValueView::Tensor(tensor(shape).view()));
        let mut seen = form(&[1, 3, 7]);
        assert_eq!(seen.axes(), [Axis::Name("N"), Axis::Size(3), Axis::Size(7)]);
        seen.see(&ValueView::Tensor(tensor(&[5, 3, 8]).view()));
        assert_eq!(seen.axes(), [Axis::Name("N"), Axis::Size(3), Axis::Name("?")]);
        seen.merge(&form(&[5, 2, 7]));
        assert_eq!(seen.axes(), [Axis::Name("N"), Axis::Name("?"), Axis::Name("?")]);
        assert_eq!(form(&[]).axes(), []);
    }
}
