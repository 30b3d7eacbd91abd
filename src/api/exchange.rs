//! Answers one request, whatever its wire format: on the version that it was routed to or, where that one is on trial
//! and has no answer, on the trusted one.
//!
//! The client of a bad candidate gets what it would have got without it, in the same request. What the candidate did
//! instead of answering is counted against it, and said in a header.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::ApiParts;
use super::problem::Problem;
use crate::domain::comparison::Arm;
use crate::domain::rollout::RolloutId;
use crate::domain::route::Role;
use crate::domain::tensor::{Tensor, ValueView};
use crate::serving::{
    Answer, Assigned, InferError, InferRequest, Outputs, Picked, Sampled, Servable, Unanswered,
    Watched,
};
use crate::telemetry::metrics::{self, Outcome, Rejection};

/// A request as one protocol writes it, and its answer.
pub(super) trait Wire {
    /// What the answer's form depends on.
    type Form;
    /// The answer.
    type Reply;

    /// What a version is to run.
    fn read(&self, servable: &Servable) -> Result<Question<Self::Form>, Problem>;

    /// What the client gets.
    fn write(
        &self,
        form: &Self::Form,
        servable: &Servable,
        outputs: &Outputs,
    ) -> Result<Self::Reply, Problem>;
}

/// What a version is to run.
pub(super) struct Question<F> {
    pub(super) inputs: Vec<Tensor>,
    /// The indices of the outputs that are to be computed.
    pub(super) outputs: Vec<usize>,
    pub(super) form: F,
}

/// The time that a request has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    pub(super) arrived: Instant,
    pub(super) deadline: Instant,
}

/// What came of a request, and who has answered it.
pub(super) struct Exchanged<R> {
    pub(super) reply: Result<R, Failure>,
    pub(super) by: By,
}

/// Who has answered a request.
#[derive(Clone, Debug)]
pub(super) struct By {
    pub(super) servable: Arc<Servable>,
    pub(super) role: Role,
    pub(super) rollout: Option<RolloutId>,
    fallback: Option<Fallback>,
}

/// Why the trusted version has answered in a candidate's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fallback {
    Error,
    Timeout,
    QueueFull,
}

/// Why a request was not answered, as the client and as the log are told.
pub(super) struct Failure {
    pub(super) problem: Problem,
    pub(super) cause: Cause,
}

/// What the log and the metrics know of a failure.
#[derive(Debug)]
pub(super) enum Cause {
    Request,
    Infer(InferError),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, cause: Cause::Request }
    }
}

/// An answer on its way out, and what it was made of.
struct Replied<R> {
    reply: R,
    answer: Answer,
}

/// Why there is none, and the inputs again where the model failed on them.
type Unreplied = Box<(Failure, Option<Vec<Tensor>>)>;

/// What a candidate did instead of answering.
enum Lapse {
    /// It has failed.
    Failed(Failure),
    /// It has answered what is no finite number, in these outputs, in which the trusted version never did.
    NotFinite(u64),
    /// It has to go, for no fault of this request.
    TrialIsOver,
}

/// Answers a request.
pub(super) async fn exchange<W: Wire>(
    api: &ApiParts,
    picked: Picked,
    wire: &W,
    time: Time,
) -> Exchanged<W::Reply> {
    let by = By::of(&picked);
    let Picked { sampled, assigned, .. } = picked;
    let exchange = Exchange { api, wire, time };
    let rescuer = assigned.as_ref().and_then(Assigned::rescuer).cloned();
    match (assigned, rescuer) {
        (Some(assigned), Some(rescuer)) => exchange.on_trial(by, assigned, rescuer, sampled).await,
        (assigned, _) => exchange.for_better_or_worse(by, assigned, sampled).await,
    }
}

struct Exchange<'e, W> {
    api: &'e ApiParts,
    wire: &'e W,
    time: Time,
}

impl<W: Wire> Exchange<'_, W> {
    /// On one version, whatever it does.
    async fn for_better_or_worse(
        &self,
        by: By,
        assigned: Option<Assigned>,
        sampled: Option<Sampled>,
    ) -> Exchanged<W::Reply> {
        let mut record = Record::begin(&by, self.time.arrived);
        let question = match self.wire.read(&by.servable) {
            Ok(question) => question,
            Err(problem) => {
                record.outcome = Outcome::BadRequest;
                return Exchanged { reply: Err(problem.into()), by };
            }
        };
        let watched = assigned.map(|assigned| assigned.begin(Instant::now(), self.time.deadline));
        let ran = self.run(&by, question, self.time).await;
        if let Some(watched) = watched {
            match &ran {
                Ok(Replied { answer, .. }) => {
                    if watched.arm() == Arm::Stable {
                        watched.stable_is_not_finite(not_finite(&answer.outputs));
                    }
                    watched.answered(Instant::now());
                }
                Err(unreplied) => match unreplied.0.cause {
                    Cause::Infer(InferError::ShuttingDown) | Cause::Request => watched.call_off(),
                    Cause::Infer(_) => watched.failed(false),
                },
            }
        }
        let reply = self.offer(sampled, ran);
        record.end(&reply);
        Exchanged { reply, by }
    }

    /// On a candidate, or where it has no answer on the trusted version.
    async fn on_trial(
        &self,
        by: By,
        assigned: Assigned,
        rescuer: Arc<Servable>,
        sampled: Option<Sampled>,
    ) -> Exchanged<W::Reply> {
        let mut record = Record::begin(&by, self.time.arrived);
        let question = self.wire.read(&by.servable);
        if question.is_err()
            && let Err(problem) = self.wire.read(&rescuer)
        {
            // Nobody understands it.
            record.outcome = Outcome::BadRequest;
            return Exchanged { reply: Err(problem.into()), by };
        }
        let mut watched = assigned.begin(Instant::now(), self.time.deadline);
        let time = Time { deadline: watched.given_up(), ..self.time };
        let lapse = match question {
            Err(problem) => Lapse::Failed(problem.into()),
            Ok(question) => tokio::select! {
                biased;
                ran = self.run(&by, question, time) => match ran {
                    Ok(replied) => {
                        let unheard_of = watched.unheard_of(not_finite(&replied.answer.outputs));
                        if unheard_of == 0 {
                            watched.answered(Instant::now());
                            let reply = self.offer(sampled, Ok(replied));
                            record.end(&reply);
                            return Exchanged { reply, by };
                        }
                        Lapse::NotFinite(unheard_of)
                    }
                    Err(unreplied) => Lapse::Failed(unreplied.0),
                },
                () = watched.trial_is_over() => Lapse::TrialIsOver,
            },
        };
        record.outcome = Outcome::Rescued;
        drop(record);
        tell(&watched, &by, &rescuer, &lapse);
        self.rescue(by, watched, rescuer, lapse, sampled).await
    }

    /// On the trusted version, in a candidate's place.
    async fn rescue(
        &self,
        by: By,
        watched: Watched,
        rescuer: Arc<Servable>,
        lapse: Lapse,
        sampled: Option<Sampled>,
    ) -> Exchanged<W::Reply> {
        let fallback = lapse.fallback();
        let by = By { servable: rescuer, role: Role::Stable, fallback, ..by };
        let mut record = Record::begin(&by, self.time.arrived);
        let ran = match self.wire.read(&by.servable) {
            Ok(question) => self.run(&by, question, self.time).await,
            Err(problem) => Err(Box::new((problem.into(), None))),
        };
        match (lapse, &ran) {
            (Lapse::TrialIsOver, _) => watched.call_off(),
            (Lapse::Failed(_), ran) => watched.failed(ran.is_ok()),
            (Lapse::NotFinite(outputs), Ok(Replied { answer, .. })) => {
                let of_trusted = not_finite(&answer.outputs);
                watched.stable_is_not_finite(of_trusted);
                if outputs & !of_trusted == 0 {
                    watched.answered(Instant::now()); // it is the request's fault
                } else {
                    watched.failed(true);
                }
            }
            (Lapse::NotFinite(_), Err(_)) => watched.failed(false),
        }
        // It is the trusted version's answer that is compared with its run.
        let sampled = sampled.map(|sampled| Sampled { answered: Arm::Stable, ..sampled });
        let reply = self.offer(sampled, ran);
        record.end(&reply);
        Exchanged { reply, by }
    }

    async fn run(
        &self,
        by: &By,
        question: Question<W::Form>,
        time: Time,
    ) -> Result<Replied<W::Reply>, Unreplied> {
        let Question { inputs, outputs, form } = question;
        let Time { arrived, deadline } = time;
        let timeout = deadline.saturating_duration_since(arrived);
        let request = InferRequest { inputs, outputs, role: by.role, arrived, timeout };
        let answer = self.api.scheduler.infer(&by.servable, request).await;
        let answer = answer.map_err(|Unanswered { error, inputs }| {
            let problem = not_inferred(&error, &by.servable);
            Box::new((Failure { problem, cause: Cause::Infer(error) }, inputs))
        })?;
        match self.wire.write(&form, &by.servable, &answer.outputs) {
            Ok(reply) => Ok(Replied { reply, answer }),
            Err(problem) => Err(Box::new((problem.into(), None))),
        }
    }

    /// Everything that the client needs is written: what the run used can go on to be compared.
    fn offer(
        &self,
        sampled: Option<Sampled>,
        ran: Result<Replied<W::Reply>, Unreplied>,
    ) -> Result<W::Reply, Failure> {
        let (reply, inputs, live) = match ran {
            Ok(Replied { reply, answer: Answer { inputs, outputs } }) => {
                (Ok(reply), Some(inputs), Some(outputs))
            }
            Err(unreplied) => {
                let (failure, inputs) = *unreplied;
                (Err(failure), inputs, None)
            }
        };
        if let (Some(sampled), Some(inputs)) = (sampled, inputs) {
            self.api.shadow.offer(sampled, inputs, live);
        }
        reply
    }
}

impl By {
    pub(super) fn of(picked: &Picked) -> Self {
        let (servable, role, rollout) = (picked.servable.clone(), picked.role, picked.rollout);
        Self { servable, role, rollout, fallback: None }
    }

    /// A request that got no further than to its route.
    pub(super) fn stable(servable: Arc<Servable>) -> Self {
        Self { servable, role: Role::Stable, rollout: None, fallback: None }
    }

    /// Says who has answered, and as what.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Ok(version) = HeaderValue::from_str(self.servable.version().as_str()) {
            headers.insert("x-model-version", version);
        }
        headers.insert("x-model-role", HeaderValue::from_static(self.role.name()));
        if let Some(rollout) = self.rollout
            && let Ok(rollout) = HeaderValue::from_str(&rollout.to_string())
        {
            headers.insert("x-rollout-id", rollout);
        }
        if let Some(fallback) = self.fallback {
            let name = HeaderName::from_static("x-model-fallback");
            headers.insert(name, HeaderValue::from_static(fallback.name()));
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

impl Lapse {
    /// What the client is told of it.
    fn fallback(&self) -> Option<Fallback> {
        match self {
            Self::Failed(Failure { cause: Cause::Infer(error), .. }) => match error {
                InferError::QueueFull { .. } => Some(Fallback::QueueFull),
                InferError::DeadlineExceeded(_) => Some(Fallback::Timeout),
                InferError::RunFailed(_) | InferError::Stuck | InferError::ShuttingDown => {
                    Some(Fallback::Error)
                }
            },
            Self::Failed(Failure { cause: Cause::Request, .. }) | Self::NotFinite(_) => {
                Some(Fallback::Error)
            }
            Self::TrialIsOver => None,
        }
    }
}

/// Says in the log what a candidate did: once in a while, since a bad one does it all the time.
fn tell(watched: &Watched, by: &By, rescuer: &Servable, lapse: &Lapse) {
    let what = match lapse {
        Lapse::Failed(Failure { cause: Cause::Infer(error), .. }) => error.to_string(),
        Lapse::Failed(Failure { problem, cause: Cause::Request }) => problem.sentence().to_owned(),
        Lapse::NotFinite(_) => "it answered what is no finite number".to_owned(),
        Lapse::TrialIsOver => return,
    };
    if watched.may_be_told() {
        let (model, version, rescuer) =
            (by.servable.model(), by.servable.version(), rescuer.version());
        tracing::warn!(
            model.name = %model, model.version = %version,
            "version {version} of `{model}`, which is on trial, had no answer, and version {rescuer} gave it: {what}"
        );
    }
}

/// The outputs, by their places, in which there is anything that is no finite number. The last bit is for all that have
/// no bit of their own.
fn not_finite(outputs: &Outputs) -> u64 {
    let views = outputs.views();
    let places = views.iter().enumerate().filter(|(_, output)| !is_finite(output));
    places.fold(0, |places, (place, _)| places | 1 << place.min(63))
}

fn is_finite(output: &ValueView<'_>) -> bool {
    match output {
        ValueView::Tensor(tensor) => tensor.elements.is_finite(),
        ValueView::ClassScores(scores) => scores.scores.iter().all(|score| score.is_finite()),
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
pub(super) struct Record {
    servable: Arc<Servable>,
    role: Role,
    arrived: Instant,
    outcome: Outcome,
}

impl Record {
    pub(super) fn begin(by: &By, arrived: Instant) -> Self {
        let (servable, role) = (by.servable.clone(), by.role);
        Self { servable, role, arrived, outcome: Outcome::Abandoned }
    }

    pub(super) fn end<R>(&mut self, reply: &Result<R, Failure>) {
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

impl Drop for Record {
    fn drop(&mut self) {
        self.servable.meter().answered(self.role, self.outcome, self.arrived.elapsed());
    }
}
