//! A thread that runs pairs.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::Studies;
use super::blocks::{UnderWay, now};
use super::budget::Budget;
use super::counts::Dropped;
use super::difference_log::DifferenceLog;
use super::job::{Job, Origin};
use super::queue::Queue;
use super::quiet::{OwnWork, QuietTimes};
use super::run::run;
use super::study::{Added, Study};
use super::watch::Watch;
use crate::domain::comparison::Arm;
use crate::domain::time::WallTime;
use crate::system::thread;
use crate::telemetry::metrics;

/// How long a worker waits at most before it looks whether there is a pair that it may run.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What came of a job.
#[derive(Debug)]
enum Worked {
    /// It is done with, and took so much of a core.
    Busy(Duration),
    /// It came too late to be run.
    TooLate,
    /// Its rollout has no pairs for so long.
    TooEarly(Duration),
}

/// What a worker works with.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) queue: Arc<Queue>,
    pub(super) studies: Arc<Studies>,
    pub(super) log: Arc<DifferenceLog>,
    pub(super) watch: Watch,
    pub(super) quiet: Arc<QuietTimes>,
    pub(super) own: Arc<OwnWork>,
    pub(super) under_way: Arc<UnderWay>,
    pub(super) max_rps: f64,
    pub(super) max_busy: f64,
    pub(super) max_age: Duration,
}

impl Worker {
    /// Works for ever: the process ends without waiting for it.
    pub(super) fn run(self) {
        thread::give_way_to_all();
        self.own.of_this_thread();
        // One after the other, since a pair of another rollout was run.
        let mut put_back = 0;
        let mut budget = Budget::new(self.max_rps, self.max_busy, Instant::now());
        loop {
            while let Some(rest) = budget.rest_before(Instant::now()) {
                self.queue.rest(self.index, rest);
            }
            let job = self.queue.take(self.index);
            match self.work(job) {
                Worked::Busy(busy) => {
                    put_back = 0;
                    let rest = budget.rest_after(busy);
                    if !rest.is_zero() {
                        self.queue.rest(self.index, rest);
                    }
                }
                // Or else a queue that is too long for the rate would be all that there is time for.
                Worked::TooLate => budget.give_back(),
                Worked::TooEarly(wait) => {
                    budget.give_back();
                    put_back += 1;
                    if put_back >= self.queue.waiting(self.index) {
                        put_back = 0;
                        std::thread::sleep(wait.min(LOOK_AGAIN));
                    }
                }
            }
        }
    }

    fn work(&self, job: Job) -> Worked {
        let Some(study) = self.studies.get(job.sampled.pairing.rollout()) else {
            return Worked::TooLate; // the rollout is over
        };
        let job = match job.origin {
            // Its time may be over since it was left here.
            Origin::Deferred if !self.quiet.is_time() => job.put_off(),
            Origin::Live | Origin::Rehearsal(_) | Origin::Deferred => Some(job),
        };
        let Some(job) = job else { return Worked::TooLate };
        let (bytes, origin, number) = (job.bytes(), job.origin, job.sampled.number);
        // What was recorded is of the past anyway.
        if origin == Origin::Live && job.age(Instant::now()) > self.max_age {
            study.counts().dropped(Dropped::Stale, bytes);
            return Worked::TooLate;
        }
        let _pass = match study.meter().admit(&self.under_way, self.index, now) {
            Ok(pass) => pass,
            Err(wait) => {
                if let Err(dropped) = self.queue.put_back(self.index, job) {
                    study.drop_one(dropped, bytes);
                    study.is_not_run(origin, number);
                }
                return Worked::TooEarly(wait);
            }
        };
        let pairing = &job.sampled.pairing;
        let runs_here = |arm| pairing.servable(arm).runs_on_one_thread();
        let runs = if runs_here(Arm::Stable) && runs_here(Arm::Candidate) {
            run(&job, &study, &self.watch)
        } else {
            self.own.spread(|| run(&job, &study, &self.watch))
        };
        let busy = runs.busy;
        let at = WallTime::from(SystemTime::now());
        match study.add(job, runs, at) {
            Some(added) => self.tell(&study, number, at, &added),
            None => study.counts().dropped(Dropped::Stale, bytes),
        }
        study.meter().ran(busy, now());
        Worked::Busy(busy)
    }

    fn tell(&self, study: &Study, number: u64, at: WallTime, added: &Added) {
        let (subject, observed) = (study.subject(), &added.observed);
        metrics::pair_compared(&subject.model, added.agreed);
        if added.agreed {
            return;
        }
        self.log.write(|| {
            let differs: serde_json::Map<String, serde_json::Value> = subject
                .stable
                .outputs
                .iter()
                .zip(&observed.outputs)
                .filter(|(_, outcome)| outcome.differs > 0.0)
                .map(|(output, outcome)| (output.name().to_owned(), json!(outcome.differs)))
                .collect();
            let examples = observed.beyond_tolerance.iter();
            let examples: Vec<_> = examples
                .map(|difference| {
                    json!({
                        "output": difference.output,
                        "score": difference.score,
                        "rows": difference.rows,
                        "stable": difference.stable,
                        "candidate": difference.candidate,
                    })
                })
                .collect();
            let contract: Vec<_> = observed.contract.iter().map(ToString::to_string).collect();
            json!({
                "at": at.to_string(),
                "model": subject.model.as_str(),
                "rollout": subject.rollout.to_string(),
                "request_number": number,
                "differs": differs,
                "examples": examples,
                "contract": contract,
            })
        });
    }
}
