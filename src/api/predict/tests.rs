//! The decoder and the encoder as a whole.
//!
//! What is right is said twice: by examples, which show what a client reads, and by a slow and obvious
//! second decoder ([`reference`]), which random requests ([`requests`]) are compared with.

mod agreement;
mod encoding;
mod limits;
mod messages;
mod reference;
mod requests;

use super::decode::{self, Decoded, Expected};
use crate::api::json::DecodeError;
use crate::config::LimitsConfig;
use crate::domain::signature::{Dim, Shape, Signature, TensorSpec};
use crate::domain::tensor::DType;
use crate::serving::Naming;

/// What a request is for.
#[derive(Clone, Debug)]
struct Model {
    signature: Signature,
    naming: Naming,
    limits: LimitsConfig,
}

impl Model {
    /// A model with these inputs.
    fn of(inputs: Vec<TensorSpec>) -> Self {
        let signature = Signature { inputs, outputs: Vec::new() };
        Self { signature, naming: Naming::default(), limits: LimitsConfig::default() }
    }

    fn with_features(mut self, features: &[&str]) -> Self {
        self.naming.features = features.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    fn decode(&self, body: impl AsRef<[u8]>) -> Result<Decoded, DecodeError> {
        let Self { signature, naming, limits } = self;
        decode::decode(body.as_ref(), Expected { signature, naming, limits })
    }

    /// What a client is told about a body that is JSON but does not fit.
    fn refuses(&self, body: impl AsRef<[u8]>) -> String {
        match self.decode(body) {
            Err(DecodeError::Unfit(sentence)) => sentence,
            other => panic!("expected a request that does not fit, got {other:?}"),
        }
    }
}

/// An input with these dimensions; 0 stands for any size.
fn input(name: &str, dtype: DType, sizes: &[usize]) -> TensorSpec {
    let dim = |size: &usize| match size {
        0 => Dim::Symbol("N".into()),
        size => Dim::Fixed(*size),
    };
    let shape = Shape(Some(sizes.iter().map(dim).collect()));
    TensorSpec { name: name.into(), dtype, shape }
}
