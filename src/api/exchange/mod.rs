//! Answers one request, whatever its wire format: on the version that it was routed to or, where that one is on trial
//! and has no answer, on the trusted one.
//!
//! The client of a bad candidate gets what it would have got without it, in the same request. What the candidate did
//! instead of answering is counted against it, and said in a header.

mod http;
mod outcome;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use self::http::{
    Asked, HttpWire, answer, header_pin, log_failure, metrics_not_routed, timeout,
};
pub(super) use self::outcome::{By, Failure, Record};
use self::outcome::{Cause, Fallback};
use super::ApiParts;
use super::problem::Problem;
use crate::domain::comparison::Arm;
use crate::domain::route::Role;
use crate::domain::tensor::{Tensor, ValueView};
use crate::serving::{
    Answer, Assigned, InferError, InferRequest, Outputs, Picked, Sampled, Servable, Unanswered,
    Watched,
};
use crate::telemetry::metrics::Outcome;

/// A request as one protocol writes it, and its answer.
pub(in crate::api) trait Wire {
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
pub(in crate::api) struct Question<F> {
    pub(in crate::api) inputs: Vec<Tensor>,
    /// The indices of the outputs that are to be computed.
    pub(in crate::api) outputs: Vec<usize>,
    /// How long after its arrival an answer is of use, where the request itself says so.
    pub(in crate::api) timeout: Option<Duration>,
    pub(in crate::api) form: F,
}

/// The time that a request has.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Time {
    pub(in crate::api) arrived: Instant,
    pub(in crate::api) deadline: Instant,
}

impl Time {
    /// The same, for a request that may want its answer sooner.
    fn within(self, timeout: Option<Duration>) -> Self {
        let sooner = timeout.and_then(|timeout| self.arrived.checked_add(timeout));
        Self { deadline: sooner.map_or(self.deadline, |sooner| sooner.min(self.deadline)), ..self }
    }
}

/// What came of a request, and who has answered it.
pub(in crate::api) struct Exchanged<R> {
    pub(in crate::api) reply: Result<R, Failure>,
    pub(in crate::api) by: By,
}

/// An answer on its way out, and what it was made of.
struct Replied<R> {
    reply: R,
    answer: Answer,
    /// Which of the version's outputs were computed, where it was not all of them in their order.
    chosen: Option<Vec<usize>>,
}

impl<R> Replied<R> {
    /// The outputs, by their places in the version's signature, in which there is anything that is no finite number.
    /// The last bit is for all that have no bit of their own.
    fn not_finite(&self) -> u64 {
        let views = self.answer.outputs.views();
        let places = views.iter().enumerate().filter(|(_, output)| !is_finite(output));
        let place_of = |place: usize| match &self.chosen {
            Some(chosen) => chosen.get(place).copied().unwrap_or(place),
            None => place,
        };
        places.fold(0, |places, (place, _)| places | 1 << place_of(place).min(63))
    }
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
pub(in crate::api) async fn exchange<W: Wire>(
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
        let question = match record.reading(|| self.wire.read(&by.servable)) {
            Ok(question) => question,
            Err(problem) => {
                record.outcome = Outcome::BadRequest;
                return Exchanged { reply: Err(problem.into()), by };
            }
        };
        let time = self.time.within(question.timeout);
        let watched = assigned.map(|assigned| assigned.begin(Instant::now(), time.deadline));
        let ran = self.run(&by, question, time, &mut record).await;
        if let (Ok(_), Role::Stable) = (&ran, by.role) {
            by.servable.took(self.time.arrived.elapsed());
        }
        if let Some(watched) = watched {
            match &ran {
                Ok(replied) => {
                    if watched.arm() == Arm::Stable {
                        watched.stable_is_not_finite(replied.not_finite());
                    }
                    watched.answered(Instant::now());
                }
                Err(unreplied) => match unreplied.0.cause {
                    Cause::Infer(InferError::ShuttingDown) | Cause::Request => watched.call_off(),
                    Cause::Infer(_) => watched.failed(false),
                },
            }
        }
        let reply = self.offer(&by, sampled, ran);
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
        let question = record.reading(|| self.wire.read(&by.servable));
        if question.is_err()
            && let Err(problem) = self.wire.read(&rescuer)
        {
            // Nobody understands it.
            record.outcome = Outcome::BadRequest;
            return Exchanged { reply: Err(problem.into()), by };
        }
        let time = self.time.within(question.as_ref().ok().and_then(|question| question.timeout));
        let mut watched = assigned.begin(Instant::now(), time.deadline);
        let time = Time { deadline: watched.given_up(), ..time };
        let lapse = match question {
            Err(problem) => Lapse::Failed(problem.into()),
            Ok(question) => tokio::select! {
                biased;
                ran = self.run(&by, question, time, &mut record) => match ran {
                    Ok(replied) => {
                        let unheard_of = watched.unheard_of(replied.not_finite());
                        if unheard_of == 0 {
                            watched.answered(Instant::now());
                            let reply = self.offer(&by, sampled, Ok(replied));
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
        let ran = match record.reading(|| self.wire.read(&by.servable)) {
            Ok(question) => {
                let time = self.time.within(question.timeout);
                self.run(&by, question, time, &mut record).await
            }
            Err(problem) => Err(Box::new((problem.into(), None))),
        };
        match (lapse, &ran) {
            (Lapse::TrialIsOver, _) => watched.call_off(),
            (Lapse::Failed(_), ran) => watched.failed(ran.is_ok()),
            (Lapse::NotFinite(outputs), Ok(replied)) => {
                let of_trusted = replied.not_finite();
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
        let reply = self.offer(&by, sampled, ran);
        record.end(&reply);
        Exchanged { reply, by }
    }

    async fn run(
        &self,
        by: &By,
        question: Question<W::Form>,
        time: Time,
        record: &mut Record,
    ) -> Result<Replied<W::Reply>, Unreplied> {
        let Question { inputs, outputs, form, timeout: _ } = question;
        if let Some(too_many) = by.servable.too_many_rows(&inputs) {
            let problem = Problem::bad_request("invalid_input", too_many.to_string());
            return Err(Box::new((problem.into(), None)));
        }
        let all = 0..by.servable.signature().outputs.len();
        let chosen = (!all.eq(outputs.iter().copied())).then(|| outputs.clone());
        let Time { arrived, deadline } = time;
        let timeout = deadline.saturating_duration_since(arrived);
        let request = InferRequest { inputs, outputs, role: by.role, arrived, timeout };
        let answer = self.api.scheduler.infer(&by.servable, request).await;
        let answer = answer.map_err(|Unanswered { error, inputs }| {
            Box::new((Failure::of(error, &by.servable, inputs.as_deref()), inputs))
        })?;
        record.ran(&answer);
        match record.writing(|| self.wire.write(&form, &by.servable, &answer.outputs)) {
            Ok(reply) => Ok(Replied { reply, answer, chosen }),
            Err(problem) => Err(Box::new((problem.into(), None))),
        }
    }

    /// Everything that the client needs is written: what the run used can go on to be compared, and recorded.
    fn offer(
        &self,
        by: &By,
        sampled: Option<Sampled>,
        ran: Result<Replied<W::Reply>, Unreplied>,
    ) -> Result<W::Reply, Failure> {
        let ApiParts { backlog, capture, .. } = self.api;
        let Replied { reply, answer: Answer { inputs, outputs, .. }, chosen } = match ran {
            Ok(replied) => replied,
            Err(unreplied) => {
                let (failure, inputs) = *unreplied;
                if let (Some(sampled), Some(inputs)) = (sampled, inputs) {
                    backlog.offer(sampled, &by.servable, Arc::new(inputs), None);
                }
                return Err(failure);
            }
        };
        // Only an answer with all of its outputs can be held against another.
        let is_whole = chosen.is_none();
        let to_record = match by.role {
            Role::Stable if is_whole => capture.choose(),
            Role::Stable | Role::Candidate | Role::Pinned => None,
        };
        if sampled.is_none() && to_record.is_none() {
            return Ok(reply);
        }
        let (inputs, outputs) = (Arc::new(inputs), is_whole.then(|| Arc::new(outputs)));
        if let (Some(to_record), Some(outputs)) = (to_record, &outputs) {
            capture.offer(to_record, &by.servable, &inputs, outputs);
        }
        if let Some(sampled) = sampled {
            backlog.offer(sampled, &by.servable, inputs, outputs);
        }
        Ok(reply)
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

fn is_finite(output: &ValueView<'_>) -> bool {
    match output {
        ValueView::Tensor(tensor) => tensor.elements.is_finite(),
        ValueView::ClassScores(scores) => scores.scores.iter().all(|score| score.is_finite()),
    }
}
