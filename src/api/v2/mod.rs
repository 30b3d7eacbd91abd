//! The Open Inference Protocol, which is called "v2": KServe's, and Triton's with its extensions for bytes and classes.
//!
//! What every wire of it needs is in files of its own: the names of types (`datatype`), the inputs of a request by name
//! (`inputs`), the outputs that are wanted (`wanted`), parameters (`parameters`), tensors as bytes (`raw`), the best
//! classes (`classification`) and what is told of a model (`metadata`). The REST interface is the rest: `infer` answers
//! a request, which `request` and `binary` read and `reply` writes, and `models` tells which there are.
//!
//! Triton's additions are told by `configuration` (how a version is run), `statistics` (what it has done) and
//! `repository` (what there is, and loading and unloading).

pub(super) mod binary;
mod classification;
pub(super) mod configuration;
pub(super) mod datatype;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod infer;
pub(super) mod inputs;
pub(super) mod metadata;
pub(super) mod models;
pub(super) mod parameters;
pub(super) mod raw;
pub(super) mod reply;
pub(super) mod repository;
mod request;
pub(super) mod statistics;
pub(super) mod wanted;

#[cfg(feature = "fuzzing")]
pub(crate) use fuzzing::infer_anything;
pub(super) use infer::{of_model as infer, of_version as infer_version};
pub(super) use models::{metadata, ready, server, version_metadata, version_ready};
