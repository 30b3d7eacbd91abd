//! What one of the two runs of a pair showed, borrowed from wherever it is.

use std::time::Duration;

use super::run::Ran;
use crate::domain::comparison::{Outputs, Run};
use crate::domain::tensor::ValueView;
use crate::onnx::Output;

/// See the module.
#[derive(Debug)]
pub(super) enum Shown<'v> {
    /// Outputs as they were asked for, and how long that took; none where it says nothing about the request alone.
    Answered(Vec<ValueView<'v>>, Option<Duration>),
    /// A failure.
    Failed,
    /// Nothing in time.
    TimedOut,
}

impl Ran {
    /// What it showed; none where it was cut off for no fault of its own.
    pub(super) fn shown(&self) -> Option<Shown<'_>> {
        match self {
            Self::Answered(outputs, time) => {
                Some(Shown::Answered(outputs.iter().map(Output::view).collect(), Some(*time)))
            }
            Self::Failed => Some(Shown::Failed),
            Self::TooSlow => Some(Shown::TimedOut),
            Self::Starved => None,
        }
    }
}

impl<'v> Shown<'v> {
    pub(super) fn outputs(&self) -> &[ValueView<'v>] {
        match self {
            Self::Answered(outputs, _) => outputs,
            Self::Failed | Self::TimedOut => &[],
        }
    }

    /// The same, with the outputs in the order in which they are compared.
    pub(super) fn run<'a>(&self, outputs: Outputs<'a>) -> Run<'a> {
        match self {
            Self::Answered(_, time) => Run::Answered { outputs, time: *time },
            Self::Failed => Run::Failed,
            Self::TimedOut => Run::TimedOut,
        }
    }
}
