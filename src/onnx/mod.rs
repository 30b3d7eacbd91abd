//! The only folder that knows ONNX Runtime.
//!
//! [`Runtime`] finds and loads the shared library, once per process. [`Session`] is one version of a
//! model, loaded: all threads run it at the same time. A run takes [`Tensor`](crate::domain::tensor::Tensor)s
//! without copying them and gives [`Output`]s that are read where the library wrote them. A [`StopFlag`]
//! tells a run to end early.
//!
//! This is one of the two rooms where `unsafe` is allowed; each block says why it is sound.
#![allow(unsafe_code)]

mod error;
mod library;
mod output;
mod probe;
mod rejection;
mod runtime;
mod session;
mod signature;
mod stop;

pub use error::{LoadError, LookedAt, RunError, RuntimeError};
pub use output::Output;
pub use probe::random_tensor;
pub use rejection::Rejection;
pub use runtime::Runtime;
pub use session::{GraphOptimization, Session, SessionOptions};
pub use stop::StopFlag;

#[cfg(test)]
pub(crate) mod testing;
