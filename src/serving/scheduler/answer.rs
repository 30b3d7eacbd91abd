//! What a run gave to one request.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::tensor::{Tensor, TensorView, ValueView};
use crate::onnx::Output;

/// What a run gave, and the inputs again: whoever wants to ask another version the same needs no copy.
#[derive(Debug)]
pub struct Answer {
    /// The outputs that were asked for, in that order.
    pub outputs: Outputs,
    /// What the request gave.
    pub inputs: Vec<Tensor>,
    /// How long the request waited for its run.
    pub waiting: Duration,
    /// How long the run took.
    pub running: Duration,
}

/// When a run was.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunTime {
    pub(super) began: Instant,
    pub(super) took: Duration,
}

/// The outputs of one request.
#[derive(Debug)]
pub struct Outputs(Share);

/// Which part of a run's outputs the request is answered with.
#[derive(Debug)]
pub(super) enum Share {
    /// It ran alone.
    Whole(Vec<Output>),
    /// It ran beside others: these rows are its own.
    Rows(SharedRows),
}

/// Some rows of outputs that several requests share.
#[derive(Debug)]
pub(super) struct SharedRows {
    outputs: Arc<[Output]>,
    rows: Range<usize>,
    /// The shapes of the outputs, one after another, with this request's number of rows.
    shapes: Vec<usize>,
}

impl Answer {
    pub(super) fn new(
        share: Share,
        inputs: Vec<Tensor>,
        submitted: Instant,
        time: RunTime,
    ) -> Self {
        let waiting = time.began.saturating_duration_since(submitted);
        Self { outputs: Outputs(share), inputs, waiting, running: time.took }
    }
}

impl Outputs {
    /// Those of a model that answers nothing.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(Share::Whole(Vec::new()))
    }

    /// Each output, borrowed.
    pub fn views(&self) -> Vec<ValueView<'_>> {
        self.each().collect()
    }

    /// The same, one after another.
    pub(crate) fn each(&self) -> impl Iterator<Item = ValueView<'_>> {
        let (outputs, rows) = match &self.0 {
            Share::Whole(outputs) => (&outputs[..], None),
            Share::Rows(shared) => (&shared.outputs[..], Some(shared)),
        };
        let mut shapes = rows.map_or(&[][..], |shared| &shared.shapes[..]);
        outputs.iter().map(move |output| match rows {
            Some(shared) => shared.view(output.view(), &mut shapes),
            None => output.view(),
        })
    }

    /// About how much memory they keep from being given back: that of the whole run, also where only some of its rows
    /// are theirs.
    pub(crate) fn held_bytes(&self) -> usize {
        let outputs = match &self.0 {
            Share::Whole(outputs) => &outputs[..],
            Share::Rows(shared) => &shared.outputs[..],
        };
        let of_output = |output: &Output| match output.view() {
            ValueView::Tensor(tensor) => tensor.elements.bytes(),
            ValueView::ClassScores(scores) => size_of_val(scores.scores),
        };
        outputs.iter().map(of_output).sum()
    }
}

impl SharedRows {
    /// The rows of one request; none when an output has not as many rows as all requests together, `of`.
    pub(super) fn new(outputs: Arc<[Output]>, rows: Range<usize>, of: usize) -> Option<Self> {
        let mut shapes = Vec::new();
        for output in outputs.iter() {
            let view = output.view();
            if view.rows() != Some(of) {
                return None;
            }
            if let ValueView::Tensor(tensor) = view {
                shapes.push(rows.len());
                shapes.extend(&tensor.shape[1..]);
            }
        }
        (rows.end <= of).then_some(Self { outputs, rows, shapes })
    }

    fn view<'a>(&'a self, whole: ValueView<'a>, shapes: &mut &'a [usize]) -> ValueView<'a> {
        let Range { start, end } = self.rows;
        // Both ranges lie within, since each output has as many rows as all requests together.
        match whole {
            ValueView::Tensor(tensor) => {
                let (shape, others) = shapes.split_at(tensor.shape.len());
                *shapes = others;
                let size: usize = tensor.shape[1..].iter().product();
                let elements = tensor.elements.slice(start * size..end * size);
                let elements = elements.unwrap_or(tensor.elements);
                ValueView::Tensor(TensorView { shape, elements })
            }
            ValueView::ClassScores(scores) => {
                ValueView::ClassScores(scores.slice(start..end).unwrap_or(scores))
            }
        }
    }
}
