//! How a request ended: who has answered it, or why nobody has, as the client, the log and the metrics are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::api::problem::Problem;
use crate::domain::rollout::RolloutId;
use crate::domain::route::Role;
use crate::domain::tensor::Tensor;
use crate::serving::{Answer, InferError, Picked, Servable};
use crate::telemetry::metrics::{self, Outcome, Rejection};
use crate::telemetry::statistics::Handling;

/// Who has answered a request.
#[derive(Clone, Debug)]
pub(in crate::api) struct By {
    pub(in crate::api) servable: Arc<Servable>,
    pub(in crate::api) role: Role,
    pub(super) rollout: Option<RolloutId>,
    pub(super) fallback: Option<Fallback>,
}

/// Why the trusted version has answered in a candidate's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fallback {
    Error,
    Timeout,
    QueueFull,
}

/// Why a request was not answered, as the client and as the log are told.
pub(in crate::api) struct Failure {
    pub(in crate::api) problem: Problem,
    pub(in crate::api) cause: Cause,
}

/// What the log and the metrics know of a failure.
#[derive(Debug)]
pub(in crate::api) enum Cause {
    Request,
    Infer(InferError),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, cause: Cause::Request }
    }
}

impl By {
    pub(in crate::api) fn of(picked: &Picked) -> Self {
        let (servable, role, rollout) = (picked.servable.clone(), picked.role, picked.rollout);
        Self { servable, role, rollout, fallback: None }
    }

    /// A request that got no further than to its route.
    pub(in crate::api) fn stable(servable: Arc<Servable>) -> Self {
        Self { servable, role: Role::Stable, rollout: None, fallback: None }
    }

    /// Says who has answered, and as what.
    pub(in crate::api) fn tell(&self, headers: &mut HeaderMap) {
        // Names that are not made anew for each answer.
        const VERSION: HeaderName = HeaderName::from_static("x-model-version");
        const ROLE: HeaderName = HeaderName::from_static("x-model-role");
        const ROLLOUT: HeaderName = HeaderName::from_static("x-rollout-id");
        const FALLBACK: HeaderName = HeaderName::from_static("x-model-fallback");
        if let Ok(version) = HeaderValue::from_str(self.servable.version().as_str()) {
            headers.insert(VERSION, version);
        }
        headers.insert(ROLE, HeaderValue::from_static(self.role.name()));
        if let Some(rollout) = self.rollout
            && let Ok(rollout) = HeaderValue::from_str(&rollout.to_string())
        {
            headers.insert(ROLLOUT, rollout);
        }
        if let Some(fallback) = self.fallback {
            headers.insert(FALLBACK, HeaderValue::from_static(fallback.name()));
        }
    }
}

impl Fallback {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::QueueFull => "queue-full",
        }
    }
}

impl Failure {
    /// Of a version that gave no answer. One that failed on inputs that do not fit each other is not to blame.
    pub(super) fn of(error: InferError, servable: &Servable, inputs: Option<&[Tensor]>) -> Self {
        let disagreement = match &error {
            InferError::RunFailed(_) => {
                inputs.and_then(|inputs| servable.signature().disagreement(inputs))
            }
            InferError::QueueFull { .. }
            | InferError::DeadlineExceeded(_)
            | InferError::Stuck
            | InferError::ShuttingDown => None,
        };
        if let Some(sentence) = disagreement {
            return Problem::bad_request("invalid_input", sentence).into();
        }
        Self { problem: not_inferred(&error, servable), cause: Cause::Infer(error) }
    }
}

fn not_inferred(error: &InferError, servable: &Servable) -> Problem {
    let (model, version) = (servable.model(), servable.version());
    match error {
        InferError::QueueFull { waiting, retry_after } => {
            let sentence =
                format!("{waiting} requests for `{model}` are waiting already; try again later");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", sentence)
                .retry_after(*retry_after)
        }
        InferError::DeadlineExceeded(timeout) => {
            let timeout = humantime::format_duration(*timeout);
            let sentence = format!("`{model}` did not answer within {timeout}");
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", sentence)
        }
        InferError::RunFailed(_) => {
            let sentence = format!(
                "version {version} of `{model}` failed on this request; the server's log says why, under the request's id"
            );
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "run_failed", sentence)
        }
        InferError::Stuck => {
            let sentence = format!(
                "version {version} of `{model}` does not answer: the runs before this request do not come to an end"
            );
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "version_stuck", sentence)
        }
        InferError::ShuttingDown => {
            let sentence = "the server is shutting down";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", sentence)
                .retry_after(Duration::from_secs(1))
        }
    }
}

/// Makes sure that each routed request is counted once on each version that it came to, also one whose client leaves.
pub(in crate::api) struct Record {
    servable: Arc<Servable>,
    role: Role,
    arrived: Instant,
    pub(super) outcome: Outcome,
    handling: Handling,
}

impl Record {
    pub(in crate::api) fn begin(by: &By, arrived: Instant) -> Self {
        let (servable, role) = (by.servable.clone(), by.role);
        let (outcome, handling) = (Outcome::Abandoned, Handling::default());
        Self { servable, role, arrived, outcome, handling }
    }

    /// Reads the request, and notes how long that took.
    pub(super) fn reading<T>(&mut self, read: impl FnOnce() -> T) -> T {
        timed(&mut self.handling.reading, read)
    }

    /// Notes how long the request waited and ran.
    pub(super) fn ran(&mut self, answer: &Answer) {
        self.handling.waiting = answer.waiting;
        self.handling.running = answer.running;
    }

    /// Writes the answer, and notes how long that took.
    pub(super) fn writing<T>(&mut self, write: impl FnOnce() -> T) -> T {
        timed(&mut self.handling.writing, write)
    }

    pub(in crate::api) fn end<R>(&mut self, reply: &Result<R, Failure>) {
        self.outcome = match reply {
            Ok(_) => Outcome::Ok,
            Err(Failure { cause: Cause::Request, .. }) => Outcome::BadRequest,
            Err(Failure { cause: Cause::Infer(error), .. }) => match error {
                InferError::QueueFull { .. } => {
                    metrics::request_rejected(self.servable.model().as_str(), Rejection::QueueFull);
                    Outcome::Rejected
                }
                InferError::DeadlineExceeded(_) => Outcome::Timeout,
                InferError::RunFailed(_) | InferError::Stuck | InferError::ShuttingDown => {
                    Outcome::Failed
                }
            },
        };
    }
}

fn timed<T>(took: &mut Duration, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    *took = began.elapsed();
    done
}

impl Drop for Record {
    fn drop(&mut self) {
        let Self { servable, role, arrived, outcome, handling } = self;
        servable.meter().answered(*role, *outcome, arrived.elapsed(), *handling);
    }
}
