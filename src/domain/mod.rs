//! Decides, and can do nothing: no I/O, no clock, no randomness, no threads.
//!
//! The words of the trade live here as types (a [`model::ModelName`] is right by construction), and so
//! do the rules that need nothing but data: how labels are ordered, what a tensor is, whether a request
//! fits a signature, which version a route picks. Time and chance come in as arguments, so that every
//! rule can be tested on a clock that the test turns.

pub mod analysis;
pub mod attribution;
pub mod batching;
pub mod comparison;
pub mod lifecycle;
pub mod model;
pub mod quiet;
pub mod recall;
pub mod retention;
pub mod retrying;
pub mod rollout;
pub mod room;
pub mod route;
pub mod sampling;
pub mod signature;
pub mod simulation;
pub mod tensor;
pub mod time;
pub mod weight;
pub mod wording;
