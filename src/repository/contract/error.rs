//! Why a model's file is not handed to ONNX Runtime, each reason one sentence.

use std::fmt;
use std::io;

use super::external::ExternalFault;
use super::operators::OperatorFault;
use super::tensor::TensorFault;
use super::wire::WireFault;
use crate::domain::wording::printable;

/// Why a model breaks the contract. Names in it are the model's own, shortened; there are no paths of this machine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContractError {
    /// The system does not give the file, which says nothing about the model.
    #[error("the model's file cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is something else.
    #[error(transparent)]
    NotAModel(#[from] NotAModel),
    /// Protobuf has an end.
    #[error(
        "the model's file has {}, and ONNX files end at 2 GiB; keep the weights in a file beside it (external data)",
        bytesize::ByteSize(*.bytes)
    )]
    TooLarge {
        /// The file's length.
        bytes: u64,
    },
    /// Something in it is not as it must be.
    #[error("{place}{breach}")]
    Broken {
        /// Where.
        place: Place,
        /// What.
        breach: Breach,
    },
}

/// What a file is that is no ONNX model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAModel {
    /// It was made and never written.
    #[error("the model's file is empty")]
    Empty,
    /// Room was made for it, but what belongs there has not come.
    #[error(
        "the model's file begins with nothing but zeros, as one does whose copy was broken off"
    )]
    Zeros,
    /// The file itself lies elsewhere.
    #[error("the model's file is a pointer of Git LFS; `git lfs pull` fetches the model itself")]
    LfsPointer,
    /// A page with an error, or a script.
    #[error("the model's file is text, not an ONNX model")]
    Text,
}

/// What is wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Breach {
    /// The file's form.
    #[error(transparent)]
    Wire(#[from] WireFault),
    /// A tensor.
    #[error(transparent)]
    Tensor(#[from] TensorFault),
    /// A tensor's data in another file.
    #[error(transparent)]
    External(#[from] ExternalFault),
    /// An operator, or a function of the model.
    #[error(transparent)]
    Operator(#[from] OperatorFault),
    /// There is nothing to run.
    #[error("the model has no graph")]
    NoGraph,
    /// It is unknown what its operators mean.
    #[error("the model does not say which version of ONNX's operators it uses (`opset_import`)")]
    NoOpset,
    /// Nobody could see what it does.
    #[error("the graph has no outputs, so it could never answer")]
    NoOutputs,
    /// More than any honest model has.
    #[error("there are more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: u64,
    },
    /// Each level takes room on the stack of who loads it.
    #[error("graphs are nested more than {0} deep")]
    NestedTooDeep(usize),
}

/// Where in the model something is, from the inside out: the empty place is the model itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place(pub(super) Vec<String>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// So many steps at each end say enough.
        const SHOWN: usize = 3;
        let steps = &self.0;
        match steps.len() {
            0 => Ok(()),
            all if all <= 2 * SHOWN + 1 => write!(f, "{}: ", steps.join(" in ")),
            all => {
                let [inner, outer] = [&steps[..SHOWN], &steps[all - SHOWN..]];
                write!(f, "{} in … in {}: ", inner.join(" in "), outer.join(" in "))
            }
        }
    }
}

/// A name of the model's as it is shown.
pub(super) fn shown(name: &str) -> String {
    const LONGEST_SHOWN: usize = 64;
    printable(name, LONGEST_SHOWN)
}

/// Why the check ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The system does not give the file.
    Unreadable(io::Error),
    /// The model breaks the contract where the check is now.
    Here(Breach),
    /// It does so where the check was before.
    At(Place, Breach),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

impl<B: Into<Breach>> From<B> for Stop {
    fn from(breach: B) -> Self {
        Self::Here(breach.into())
    }
}
