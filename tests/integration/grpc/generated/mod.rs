//! What was made from `proto/inference.proto`: the messages of the protocol, and a client.

#[rustfmt::skip]
#[expect(unreachable_pub, clippy::all, reason = "it is written by a program")]
mod inference;

pub(super) use inference::*;
