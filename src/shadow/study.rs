//! What is known of the two versions of one rollout.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use super::counts::{Counted, Counts, Dropped};
use super::curve::{Curve, Point};
use super::hours::Hours;
use super::job::{Answer, Job, Origin};
use super::meter::{Meter, SavedMeter};
use super::run::{Ran, Runs};
use super::samples::{Sample, Samples};
use super::shown::Shown;
use super::standing::{Beside, Rate, Standing};
use super::subject::{Orders, Subject};
use crate::config::ShadowConfig;
use crate::domain::analysis::{Alarm, Latencies, PairEvidence, PairOutcome, RunOutcome};
use crate::domain::comparison::{Arm, Comparison, Live, Observed, Pair, Run};
use crate::domain::recall::Recalled;
use crate::domain::rollout::RolloutId;
use crate::domain::sampling::Purpose;
use crate::domain::signature::OutputSpec;
use crate::domain::tensor::ValueView;
use crate::domain::time::WallTime;
use crate::serving::Servable;

/// The comparison of one rollout's versions, while it goes on.
///
/// What workers add to is behind a lock that a worker may hold while others have its core. So nobody who is in a
/// hurry waits for it: the judge comes back later, and everybody else reads what it has found.
#[derive(Debug)]
pub struct Study {
    subject: Subject,
    /// For the requests that stable answered.
    by_stable: Orders,
    /// For those that the candidate answered.
    by_candidate: Orders,
    counts: Counts,
    meter: Meter,
    opened: Instant,
    seen: Mutex<Seen>,
    hours: Mutex<Hours>,
    rate: Mutex<Rate>,
    standing: ArcSwapOption<Standing>,
    /// Whether a run of the candidate does not end although it was told to.
    candidate_is_stuck: AtomicBool,
}

/// A request that was run on both versions, wherever it came from.
#[derive(Debug)]
pub(super) struct Tried<'v> {
    pub(super) number: u64,
    pub(super) at: WallTime,
    /// The version that answered it before, or whose inputs it has.
    pub(super) answered: Arm,
    /// What that one answered, with all of its outputs.
    pub(super) live: Option<&'v [ValueView<'v>]>,
    /// Where it comes from.
    pub(super) origin: Origin,
    /// The size of its inputs.
    pub(super) bytes: usize,
    /// Drawn for it: what is kept as an example depends on it.
    pub(super) chance: u64,
}

/// A pair that was added, and what it showed.
#[derive(Debug)]
pub(super) struct Added {
    pub(super) observed: Observed,
    /// Whether the versions agree in it.
    pub(super) agreed: bool,
}

/// What pairs have shown.
#[derive(Debug)]
struct Seen {
    gathered: Gathered,
    samples: Samples,
}

/// The part of it that is written down.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Gathered {
    pub(super) comparison: Comparison,
    pub(super) evidence: PairEvidence,
    pub(super) curve: Curve,
    /// Pairs in which the versions agree.
    pub(super) agreed: u64,
    /// The recorded requests that the candidate was rehearsed on.
    #[serde(default)]
    pub(super) rehearsed: Recalled,
    /// The number of the last request that had waited on the disk.
    #[serde(default)]
    pub(super) worked_off: Option<u64>,
}

/// A study to be written down.
#[derive(Debug)]
pub struct Written {
    /// All of it.
    pub text: String,
    /// The number of the last request in it that had waited on the disk.
    pub worked_off: Option<u64>,
}

/// A study as it is written down, and told of when its rollout is over.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Saved {
    pub(super) gathered: Gathered,
    pub(super) counted: Counted,
    pub(super) hours: Hours,
    /// What it came to together with live requests, where these are judged.
    #[serde(default)]
    pub(super) with_live: Option<Standing>,
    /// What pairs do to stable's latency, where that is measured.
    #[serde(default)]
    pub(super) meter: Option<SavedMeter>,
}

impl Study {
    /// Begins, or goes on from what was written down. A document that is of other limits or outputs says nothing about
    /// these, and is left aside.
    pub fn open(subject: Subject, saved: Option<&str>) -> Self {
        let fresh = Gathered {
            comparison: subject.comparison(),
            evidence: subject.evidence(),
            curve: Curve::default(),
            agreed: 0,
            rehearsed: Recalled::default(),
            worked_off: None,
        };
        let mut metered = None;
        let saved = saved.and_then(|document| match Saved::read(document) {
            Ok(mut saved) => {
                metered = saved.meter.take();
                Some(saved).filter(|saved| fresh.can_go_on_from(&saved.gathered))
            }
            Err(error) => {
                let rollout = subject.rollout;
                tracing::warn!("what was compared for rollout {rollout} cannot be read: {error}");
                None
            }
        });
        let [by_stable, by_candidate] =
            [Arm::Stable, Arm::Candidate].map(|arm| Orders::new(&subject, arm));
        let (gathered, counted, hours) = match saved {
            Some(saved) => (saved.gathered, saved.counted, saved.hours),
            None => (fresh, Counted::default(), Hours::default()),
        };
        let counts = Counts::going_on_from(&counted);
        Self {
            by_stable,
            by_candidate,
            meter: Meter::new(&subject, counts.switch(), metered),
            counts,
            opened: Instant::now(),
            seen: Mutex::new(Seen { gathered, samples: Samples::default() }),
            hours: Mutex::new(hours),
            rate: Mutex::default(),
            standing: ArcSwapOption::empty(),
            candidate_is_stuck: AtomicBool::new(false),
            subject,
        }
    }

    /// What is compared.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Its rollout.
    pub fn rollout(&self) -> RolloutId {
        self.subject.rollout
    }

    /// What was sampled, and what became of it.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The recorded requests that the candidate was rehearsed on.
    pub fn rehearsed(&self) -> Recalled {
        self.lock().gathered.rehearsed
    }

    /// The number of the last request that had waited on the disk.
    pub fn worked_off(&self) -> Option<u64> {
        self.lock().gathered.worked_off
    }

    /// This version answers live requests now. `before` is how long they took in the hour before the rollout.
    pub fn measure(&self, stable: &Arc<Servable>, before: Option<&Latencies>) {
        self.meter.measure(stable, before);
    }

    /// How often there were to be fewer pairs, because they slowed stable down; none where that is not measured.
    pub fn times_backed_off(&self) -> Option<u32> {
        self.meter.times_backed_off()
    }

    /// How much is known: it only changes when something is added.
    pub fn extent(&self) -> [u64; 3] {
        [self.counts.all_executed(), self.counts.all_sampled(), self.meter.blocks()]
    }

    pub(super) fn measure_pairs(&mut self, config: &ShadowConfig) {
        self.meter.start(config, WallTime::from(SystemTime::now()));
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// A sampled request does not become a pair.
    pub(super) fn drop_one(&self, why: Dropped, bytes: usize) {
        // There would be room if there were not to be fewer pairs.
        let is_for_budget = why == Dropped::QueueFull && self.meter.holds_back();
        let why = if is_for_budget { Dropped::Budget } else { why };
        self.counts.dropped(why, bytes);
    }

    /// How many sampled requests did not become pairs, by the reason's name.
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counted = self.counts.now();
        Dropped::ALL.into_iter().map(move |why| (why.name(), counted.dropped_for(why)))
    }

    /// What the evidence came to when it was last judged.
    pub fn standing(&self) -> Option<Arc<Standing>> {
        self.standing.load_full()
    }

    /// The outputs of a [`Sample`]: those that both versions have.
    pub fn compared_outputs(&self) -> impl Iterator<Item = &OutputSpec> {
        let outputs = &self.subject.stable.outputs;
        outputs
            .iter()
            .zip(self.by_stable.candidate.is_there())
            .filter(|(_, there)| *there)
            .map(|(output, _)| output)
    }

    /// One of the worst examples, by its request's number.
    pub fn sample(&self, number: u64) -> Option<Arc<Sample>> {
        self.lock().samples.get(number)
    }

    /// Judges by all pairs so far and by what else is known, and counts them into the present hour. None when a worker
    /// is in the middle of adding to them: then it is for the next time.
    pub fn judge(&self, now: WallTime, beside: Beside<'_>) -> Option<Arc<Standing>> {
        let mut seen = match self.seen.try_lock() {
            Ok(seen) => seen,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let Gathered { evidence, agreed, .. } = &mut seen.gathered;
        evidence.advance(self.opened.elapsed());
        let counted = self.counts.now();
        let unseen = counted.unseen_size();
        hold(&self.hours).count(now, counted, *agreed);
        let rate = hold(&self.rate).observe(Instant::now(), evidence.pairs());
        let is_stuck = self.candidate_is_stuck.load(Ordering::Relaxed);
        let alarm = beside.alarm.or(is_stuck.then_some(Alarm::Stuck));
        let beside = Beside { alarm, ..beside };
        let pairs = Some((&*evidence, rate));
        let standing = Arc::new(Standing::of(evidence.limits(), pairs, unseen, beside));
        drop(seen);
        self.standing.store(Some(standing.clone()));
        Some(standing)
    }

    /// All of it, to be written down. None when a worker is in the middle of adding to it.
    pub fn document(&self, now: WallTime) -> Option<Written> {
        let seen = match self.seen.try_lock() {
            Ok(seen) => seen,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let gathered = seen.gathered.clone();
        drop(seen);
        let worked_off = gathered.worked_off;
        let text = serde_json::to_string(&self.saved(gathered, now)).ok()?;
        Some(Written { text, worked_off })
    }

    /// A copy of all of it. Waits for a worker that is in the middle of adding to it.
    pub(super) fn copy(&self, now: WallTime) -> Saved {
        let gathered = self.lock().gathered.clone();
        self.saved(gathered, now)
    }

    fn saved(&self, gathered: Gathered, now: WallTime) -> Saved {
        let (counted, mut hours) = (self.counts.now(), hold(&self.hours));
        hours.count(now, counted.clone(), gathered.agreed);
        let standing = self.standing();
        let is_with_live = |standing: &&Arc<Standing>| standing.is_with_live();
        let with_live = standing.as_ref().filter(is_with_live).map(|it| Standing::clone(it));
        let meter = self.meter.saved();
        Saved { gathered, counted, hours: hours.clone(), with_live, meter }
    }

    /// A run of this version does not end.
    pub(super) fn is_stuck(&self, arm: Arm) {
        match arm {
            Arm::Candidate => self.candidate_is_stuck.store(true, Ordering::Relaxed),
            Arm::Stable => {}
        }
    }

    /// How the inputs and outputs of both versions are ordered, for a request that this one answered.
    pub(super) fn orders(&self, answered: Arm) -> &Orders {
        match answered {
            Arm::Stable => &self.by_stable,
            Arm::Candidate => &self.by_candidate,
        }
    }

    /// Adds a pair. None when it says nothing, because one of its runs was cut off for no fault of its own.
    pub(super) fn add(&self, job: Job, runs: Runs, at: WallTime) -> Option<Added> {
        let number = job.sampled.number;
        let live = job.live.as_ref().map(Answer::views);
        let tried = Tried {
            number,
            at,
            answered: job.sampled.answered,
            live: live.as_deref(),
            origin: job.origin,
            bytes: job.bytes(),
            chance: job.sampled.pairing.draw(number, Purpose::Keep),
        };
        let Some(added) = self.observe(&tried, &runs) else {
            self.is_not_run(job.origin, number);
            return None;
        };
        drop(live);
        let observed = &added.observed;
        let keeps = !observed.beyond_tolerance.is_empty() && Samples::has_room_for(job.bytes());
        if keeps
            && let (Ran::Answered(stable, _), Ran::Answered(candidate, _)) =
                (runs.stable, runs.candidate)
        {
            let stable = self.by_stable.candidate.common(stable);
            let answered = job.sampled.answered;
            let sample = Sample { number, at, answered, inputs: job.inputs, stable, candidate };
            let mut seen = self.lock();
            let Seen { gathered, samples } = &mut *seen;
            samples.keep(sample);
            gathered.comparison.inputs_kept(number);
            samples.retain(gathered.comparison.worst_requests());
        }
        Some(added)
    }

    /// A request will not be run any more: nobody is to wait for it.
    pub(super) fn is_not_run(&self, origin: Origin, number: u64) {
        self.lock().gathered.has_run(origin, number);
    }

    /// Adds a pair of which no inputs are kept. None when it says nothing.
    pub(super) fn observe(&self, tried: &Tried<'_>, runs: &Runs) -> Option<Added> {
        Some(self.observe_shown(tried, &runs.stable.shown()?, &runs.candidate.shown()?))
    }

    /// The same, wherever the outputs are.
    pub(super) fn observe_shown(
        &self,
        tried: &Tried<'_>,
        stable: &Shown<'_>,
        candidate: &Shown<'_>,
    ) -> Added {
        let answered = tried.answered;
        let orders = self.orders(answered);
        let (of_stable, of_candidate) =
            (orders.stable.of_run(stable.outputs()), orders.candidate.of_run(candidate.outputs()));
        let live = tried.live.map(|live| orders.of(answered).of_live(live));
        let pair = Pair {
            number: tried.number,
            at: tried.at,
            stable: stable.run(&of_stable),
            candidate: candidate.run(&of_candidate),
            live: live.as_deref().map(|outputs| Live { outputs, by: answered }),
            input_bytes: tried.bytes,
        };
        let mut seen = self.lock();
        let gathered = &mut seen.gathered;
        let observed = gathered.comparison.observe(&pair, tried.chance);
        let outcome = PairOutcome {
            stable: outcome(&pair.stable),
            candidate: outcome(&pair.candidate),
            outputs: observed.outputs.clone(),
            contract_broken: observed.contract.first().map(ToString::to_string),
        };
        for shown in gathered.comparison.only_shown() {
            gathered.evidence.only_show(shown);
        }
        match tried.origin {
            Origin::Live | Origin::Deferred => {
                gathered.evidence.observe(&outcome, self.opened.elapsed());
            }
            Origin::Rehearsal(_) => {
                gathered.evidence.observe_rehearsed(&outcome, self.opened.elapsed());
            }
        }
        let agreed = agreed(&outcome, observed.agreed);
        gathered.agreed += u64::from(agreed);
        gathered.has_run(tried.origin, tried.number);
        let pairs = gathered.evidence.pairs();
        if gathered.curve.is_due(pairs) {
            let point = point(&gathered.evidence);
            gathered.curve.add(point);
        }
        self.counts.executed(tried.bytes);
        Added { observed, agreed }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Saved {
    /// What was written down. Inputs never are, so there are none to offer.
    pub(super) fn read(document: &str) -> Result<Self, serde_json::Error> {
        let mut saved: Self = serde_json::from_str(document)?;
        saved.gathered.comparison.inputs_lost();
        Ok(saved)
    }
}

impl Gathered {
    /// A request was run, or as good as: nothing more comes of it.
    fn has_run(&mut self, origin: Origin, number: u64) {
        match origin {
            Origin::Live => {}
            Origin::Rehearsal(mark) => self.rehearsed.add(mark),
            Origin::Deferred => self.worked_off = Some(number),
        }
    }

    /// Whether evidence of the same kind was gathered: under the same limits, of the same outputs.
    fn can_go_on_from(&self, saved: &Self) -> bool {
        self.evidence.limits() == saved.evidence.limits()
            && self.comparison.is_of_same_outputs(&saved.comparison)
    }
}

/// The evidence so far, as a point of the curve.
pub(super) fn point(evidence: &PairEvidence) -> Point {
    let gates = evidence.gates();
    let outputs = gates.iter().filter(|gate| gate.name.starts_with("outputs."));
    let worst = outputs
        .max_by(|a, b| a.estimate.partial_cmp(&b.estimate).unwrap_or(std::cmp::Ordering::Equal));
    Point {
        pairs: evidence.pairs(),
        log_fail: evidence.log_fail(),
        log_pass: gates.iter().map(|gate| gate.log_pass).fold(f64::INFINITY, f64::min),
        estimate: worst.and_then(|gate| gate.estimate),
        lower: worst.and_then(|gate| gate.interval).map(|[lower, _]| lower),
        upper: worst.and_then(|gate| gate.interval).map(|[_, upper]| upper),
    }
}

/// Whether the versions agree in a pair: both answered, by the rules, and no output that is judged differs. Where none
/// is judged, `is_alike` says whether there was anything to tell.
fn agreed(outcome: &PairOutcome, is_alike: bool) -> bool {
    let answered = |run: &RunOutcome| match run {
        RunOutcome::Answered { .. } => true,
        RunOutcome::Failed => false,
    };
    let mut judged = outcome.outputs.iter().filter(|output| output.judged).peekable();
    let outputs_agree = match judged.peek() {
        Some(_) => judged.all(|output| output.differs == 0.0),
        None => is_alike,
    };
    answered(&outcome.stable)
        && answered(&outcome.candidate)
        && outcome.contract_broken.is_none()
        && outputs_agree
}

fn outcome(run: &Run<'_>) -> RunOutcome {
    match run {
        Run::Answered { time, .. } => RunOutcome::Answered { time: *time },
        Run::Failed | Run::TimedOut => RunOutcome::Failed,
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
