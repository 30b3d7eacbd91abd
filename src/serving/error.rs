//! Why a request has no answer.

use std::time::Duration;

use crate::domain::model::VersionLabel;
use crate::domain::route::Pin;
use crate::domain::tensor::Tensor;

/// Why a request cannot be sent to a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No version of such a model can answer now.
    #[error("no version of the model is ready")]
    NotServed,
    /// The model answers, but not with the version that was asked for.
    #[error("{pin} is not loaded")]
    NotLoaded {
        /// What was asked for.
        pin: Pin,
        /// What could be asked for instead.
        loaded: Vec<VersionLabel>,
    },
}

/// Why a routed request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InferError {
    /// As many requests as may wait are waiting already.
    #[error("{waiting} requests are waiting already")]
    QueueFull {
        /// How many wait.
        waiting: usize,
        /// When there is probably room again.
        retry_after: Duration,
    },
    /// The deadline passed before there was an answer.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    DeadlineExceeded(
        /// How long the request was allowed to take.
        Duration,
    ),
    /// The model failed on this request.
    #[error("the model failed: {0}")]
    RunFailed(
        /// The library's words, for the log only.
        String,
    ),
    /// The version may not run more at once than it does, and none of these runs comes to an end. Or the same holds for
    /// all versions on trial together.
    #[error("the runs before it do not come to an end")]
    Stuck,
    /// The server is going away.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// A request without an answer.
#[derive(Debug)]
pub struct Unanswered {
    /// Why.
    pub error: InferError,
    /// What the request gave, where the version has failed on it or is stuck: whoever wants another version to answer,
    /// or wants to know whether it fails as well, can ask it.
    pub inputs: Option<Vec<Tensor>>,
}

impl Unanswered {
    pub(super) fn new(error: InferError, inputs: Vec<Tensor>) -> Self {
        let inputs = match error {
            InferError::RunFailed(_) | InferError::Stuck => Some(inputs),
            InferError::QueueFull { .. }
            | InferError::DeadlineExceeded(_)
            | InferError::ShuttingDown => None,
        };
        Self { error, inputs }
    }
}

impl From<InferError> for Unanswered {
    fn from(error: InferError) -> Self {
        Self { error, inputs: None }
    }
}
