//! What was made from `proto/inference.proto`: the messages of the protocol, and the form of a service that speaks it.
//!
//! A test makes it again and holds it against what is here; it also says how to write it anew.

#[rustfmt::skip]
#[expect(unreachable_pub, clippy::all, reason = "it is written by a program")]
mod inference;

pub(super) use inference::*;

/// The protocol's file as reflection tells it.
pub(super) const DESCRIPTOR: &[u8] = include_bytes!("inference.binpb");
