//! Reading JSON straight into tensors, and writing it straight from them: what the protocols have in common.
//!
//! [`decode`] reads a text by a [`Reader`] for its root, within the limits of a request ([`Progress`]). Numbers go into
//! the buffers of the tensors as they are read ([`TensorBuilder`]); there is no tree of JSON values in between.

mod decode;
mod element;
mod ignored;
mod members;
mod nested;
mod progress;
mod reader;
mod special;
mod sticky;
mod texts;
mod trail;
pub(super) mod write;

pub(super) use decode::{DecodeError, decode};
pub(super) use ignored::Ignored;
pub(super) use members::{Found, Members, Names};
pub(super) use nested::{TensorBuilder, fitting, is_base64};
pub(super) use progress::Progress;
pub(super) use reader::{Key, Reader, Scalar};
pub(crate) use special::mark_words;
pub(super) use sticky::{field, parameter};
pub(super) use texts::Text;
pub(super) use trail::{did_you_mean, listed, shortened};
