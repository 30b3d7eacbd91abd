//! Requests of one form that run together, as rows of one, and what each of them is answered.

use std::ops::Range;
use std::sync::Arc;

use super::shown::Shown;
use crate::domain::tensor::{Tensor, TensorView, ValueView};
use crate::onnx::Output;

/// The outputs of requests that ran together.
#[derive(Debug)]
pub(super) struct Together {
    outputs: Vec<Output>,
    requests: usize,
    /// Rows of each request.
    rows: usize,
    /// The shape of each output for one request; none of class scores.
    shapes: Vec<Vec<usize>>,
}

/// One request's part of them.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) of: Arc<Together>,
    pub(super) place: usize,
}

/// The inputs of all requests, one after another; none where they are not of one form.
pub(super) fn stacked<'t>(
    requests: impl Iterator<Item = &'t [Tensor]> + Clone,
) -> Option<Vec<Tensor>> {
    let first = requests.clone().next()?;
    let rows = first.first()?.shape().first()?;
    let is_alike = |inputs: &[Tensor]| {
        inputs.len() == first.len()
            && inputs.iter().all(|input| input.shape().first() == Some(rows))
    };
    if !requests.clone().all(is_alike) {
        return None;
    }
    let input = |place: usize| Tensor::stack(requests.clone().map(move |inputs| &inputs[place]));
    (0..first.len()).map(input).collect()
}

impl Together {
    /// None where an output has not as many rows as all requests have.
    pub(super) fn of(outputs: Vec<Output>, requests: usize, rows: usize) -> Option<Arc<Self>> {
        let shape = |output: &Output| {
            let view = output.view();
            let shape = match view {
                ValueView::Tensor(tensor) => {
                    let inner = tensor.shape.get(1..)?.iter().copied();
                    std::iter::once(rows).chain(inner).collect()
                }
                ValueView::ClassScores(_) => Vec::new(),
            };
            (view.rows() == Some(requests * rows)).then_some(shape)
        };
        let shapes = outputs.iter().map(shape).collect::<Option<Vec<_>>>()?;
        Some(Arc::new(Self { outputs, requests, rows, shapes }))
    }
}

impl Part {
    /// What the request is answered. The time of a run says nothing about one of many.
    pub(super) fn shown(&self) -> Shown<'_> {
        let Together { outputs, rows, shapes, .. } = &*self.of;
        let own = self.place * rows..(self.place + 1) * rows;
        let views = outputs.iter().zip(shapes).map(|(output, shape)| part(output, shape, &own));
        Shown::Answered(views.collect(), None)
    }

    /// About how much memory the answer takes.
    pub(super) fn bytes(&self) -> usize {
        let all: usize = self.of.outputs.iter().map(|output| super::size(&output.view())).sum();
        all / self.of.requests.max(1)
    }
}

/// Some rows of an output. Both ranges lie within, since it has as many rows as all requests together.
fn part<'v>(output: &'v Output, shape: &'v [usize], rows: &Range<usize>) -> ValueView<'v> {
    match output.view() {
        ValueView::Tensor(tensor) => {
            let size: usize = shape[1..].iter().product();
            let elements = tensor.elements.slice(rows.start * size..rows.end * size);
            ValueView::Tensor(TensorView { shape, elements: elements.unwrap_or(tensor.elements) })
        }
        ValueView::ClassScores(scores) => {
            ValueView::ClassScores(scores.slice(rows.clone()).unwrap_or(scores))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tensor::Elements;

    fn rows(rows: usize, columns: usize, first: f32) -> Vec<Tensor> {
        let elements = (0..rows * columns).map(|index| first + index as f32).collect();
        vec![Tensor::new(vec![rows, columns], Elements::F32(elements)).unwrap()]
    }

    #[test]
    fn requests_of_one_form_are_rows_of_one() {
        let requests = [rows(2, 2, 0.0), rows(2, 2, 10.0)];
        let stacked = stacked(requests.iter().map(Vec::as_slice)).unwrap();
        let expected = [0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0];
        assert_eq!(stacked, [Tensor::new(vec![4, 2], Elements::F32(expected.to_vec())).unwrap()]);
    }

    #[test]
    fn others_are_not() {
        let scalar = vec![Tensor::new(vec![], Elements::F32(vec![1.0])).unwrap()];
        for others in [
            [rows(1, 2, 0.0), rows(2, 2, 0.0)],
            [rows(1, 2, 0.0), rows(1, 3, 0.0)],
            [rows(1, 2, 0.0), Vec::new()],
            [scalar.clone(), scalar],
        ] {
            assert_eq!(stacked(others.iter().map(Vec::as_slice)), None, "{others:?}");
        }
    }
}
