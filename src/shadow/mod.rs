//! Runs sampled requests again, on two versions, and compares what they answer.
//!
//! ```text
//! api ── offer ──▶ Queue ──▶ Worker: both versions, alone, in random order, on one thread
//!         (no lock)  │ full, old, over budget: dropped and counted      │
//!                    ▼                                                  ▼
//!                 Counts                      Study: comparison + evidence of one rollout ──▶ report, verdict
//! ```
//!
//! Whatever happens here, no request waits for it: a request that was answered leaves its buffers in a queue without
//! locks, and the threads that work it off run only when no other thread wants the core. What does not fit is dropped
//! and counted. What is concluded from pairs is the domain's business.
//!
//! Requests may also come from the disk (`offer_recorded`): to rehearse a candidate, or because they have waited there until
//! there is time. The latter are given back as long as the server is busy (`quiet`).

mod blocks;
mod budget;
mod counts;
mod curve;
mod difference_log;
mod hours;
mod job;
mod meter;
mod offline;
mod queue;
mod quiet;
mod report;
mod run;
mod samples;
mod shown;
mod standing;
mod study;
mod subject;
mod together;
mod turns;
mod watch;
mod worker;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;

use self::blocks::{Blocks, UnderWay};
use self::difference_log::DifferenceLog;
use self::job::Job;
use self::queue::Queue;
use self::quiet::{OwnWork, QuietTimes};
use self::turns::Turns;
use self::watch::Watch;
use self::worker::Worker;
use crate::config::ShadowConfig;
use crate::domain::model::ModelName;
use crate::domain::rollout::RolloutId;
use crate::domain::tensor::{Tensor, ValueView};
use crate::serving::{Outputs, Sampled};

pub use counts::Dropped;
pub use job::{Reason, Recorded, Turn};
pub use offline::{OfflinePair, OfflineRequest, OfflineRunner, OfflineStudy};
pub use quiet::Lookout;
pub use report::StudyReport;
pub(crate) use report::read_sample_name;
pub use samples::Sample;
pub use standing::{Beside, Rate, Standing};
pub use study::{Study, Written};
pub use subject::Subject;

/// The pairs of all rollouts: where requests are left, and what came of them.
#[derive(Debug)]
pub struct Shadow {
    config: ShadowConfig,
    queue: Arc<Queue>,
    studies: Arc<Studies>,
    quiet: Arc<QuietTimes>,
    own: Arc<OwnWork>,
    /// What divides time into blocks, until it is started.
    turns: Mutex<Option<Turns>>,
    /// The last comparison of each model that is over: its examples can still be looked at.
    over: Mutex<HashMap<ModelName, Arc<Study>>>,
}

/// What is known of the rollouts that are compared now. Read without a lock: a worker that holds one while others
/// have the cores would hold up requests.
#[derive(Debug, Default)]
struct Studies(ArcSwap<HashMap<RolloutId, Arc<Study>>>);

impl Studies {
    fn get(&self, rollout: RolloutId) -> Option<Arc<Study>> {
        self.0.load().get(&rollout).cloned()
    }

    fn all(&self) -> Arc<HashMap<RolloutId, Arc<Study>>> {
        self.0.load_full()
    }

    fn change(&self, change: impl Fn(&mut HashMap<RolloutId, Arc<Study>>)) {
        self.0.rcu(|studies| {
            let mut changed = HashMap::clone(studies);
            change(&mut changed);
            changed
        });
    }
}

impl Shadow {
    /// Starts the threads. Differences are also written to a file in the folder `state`.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start(config: &ShadowConfig, state: &Path, lookout: Lookout) -> std::io::Result<Self> {
        let own = Arc::new(OwnWork::default());
        let quiet = Arc::new(QuietTimes::new(lookout, config.window, own.clone()));
        let queue = Arc::new(Queue::new(config));
        let studies = Arc::new(Studies::default());
        let log = Arc::new(DifferenceLog::new(state));
        let watch = Watch::start()?;
        let under_way = Arc::new(UnderWay::new(config.threads));
        let turns = Blocks::new(config).map(|blocks| Turns {
            blocks,
            studies: studies.clone(),
            under_way: under_way.clone(),
        });
        for index in 0..config.threads {
            let worker = Worker {
                index,
                queue: queue.clone(),
                studies: studies.clone(),
                log: log.clone(),
                watch: watch.clone(),
                quiet: quiet.clone(),
                own: own.clone(),
                under_way: under_way.clone(),
                max_rps: config.max_rps / config.threads as f64,
                max_busy: config.max_busy / config.threads as f64,
                max_age: config.max_age,
            };
            let thread = std::thread::Builder::new().name(format!("shadow-{index}"));
            thread.spawn(move || worker.run())?;
        }
        Ok(Self {
            config: config.clone(),
            queue,
            studies,
            quiet,
            own,
            turns: Mutex::new(turns),
            over: Mutex::default(),
        })
    }

    /// From now on it is looked whether the server is quiet. Until then it never is.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn look_for_quiet(&self) -> std::io::Result<()> {
        self.quiet.start()
    }

    /// With the first comparison time is divided into blocks. Where nothing is compared nothing has to be woken up for it.
    fn divide_time(&self) {
        let Some(turns) = self.turns.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let thread = std::thread::Builder::new().name("shadow-turns".to_owned());
        if let Err(error) = thread.spawn(move || turns.run()) {
            tracing::warn!("it is not measured whether pairs slow stable down: {error}");
        }
    }

    /// Whether the server has so little to do that whatever can wait may be done. Never waits.
    pub fn is_quiet(&self) -> bool {
        self.quiet.is_quiet()
    }

    /// Whether requests that have waited on the disk may be run: it is quiet, or within the time window. Never waits.
    pub fn is_time(&self) -> bool {
        self.quiet.is_time()
    }

    /// From now on the calling thread works for pairs alone: what it does is no traffic.
    pub fn works_for_pairs(&self) {
        self.own.of_this_thread();
    }

    /// Counts a sampled request that does not become a pair now. False where nothing is compared any more.
    pub fn sampled(&self, rollout: RolloutId, inputs: &[Tensor]) -> bool {
        let study = self.studies.get(rollout);
        if let Some(study) = &study {
            study.counts().sampled(job::bytes(inputs));
        }
        study.is_some()
    }

    /// Counts a sampled request that will never become a pair.
    pub fn dropped(&self, rollout: RolloutId, why: Dropped, inputs: &[Tensor]) {
        if let Some(study) = self.studies.get(rollout) {
            study.drop_one(why, job::bytes(inputs));
        }
    }

    /// Counts sampled requests that will never become pairs, of which nothing is known any more.
    pub fn lost(&self, rollout: RolloutId, why: Dropped, count: u64) {
        if let Some(study) = self.studies.get(rollout) {
            study.counts().dropped_of_any_size(why, count);
        }
    }

    /// Leaves a request that was answered, to be run again on both versions. `live` is what the client got; none where
    /// the model failed on the request. Never waits.
    pub fn offer(&self, sampled: Sampled, inputs: Arc<Vec<Tensor>>, live: Option<Arc<Outputs>>) {
        let Some(study) = self.studies.get(sampled.pairing.rollout()) else { return };
        let job = Job::live(sampled, inputs, live, Instant::now());
        study.counts().sampled(job.bytes());
        let bytes = job.bytes();
        if let Err(dropped) = self.queue.offer(job) {
            study.drop_one(dropped, bytes);
        }
    }

    /// Leaves a recorded request, to be run on both versions. Its study, or its turn, tells when that is done. Whoever
    /// finds no room gets it back, to leave it again later.
    ///
    /// # Errors
    /// The request, when there is no room now, or nothing is compared any more.
    pub fn offer_recorded(&self, recorded: Recorded) -> Result<(), Recorded> {
        let Some(study) = self.studies.get(recorded.sampled.pairing.rollout()) else {
            return Err(recorded);
        };
        let bytes = job::bytes(&recorded.inputs);
        // What has waited was counted when it was sampled.
        let is_counted = matches!(recorded.reason, Reason::Deferred(_));
        self.queue.offer_recorded(recorded)?;
        if !is_counted {
            study.counts().sampled(bytes);
        }
        Ok(())
    }

    /// Begins to compare the versions of a rollout.
    pub fn open(&self, mut study: Study) -> Arc<Study> {
        self.divide_time();
        study.measure_pairs(&self.config);
        let study = Arc::new(study);
        self.studies.change(|studies| drop(studies.insert(study.rollout(), study.clone())));
        study
    }

    /// What is known of a rollout that is compared now.
    pub fn study(&self, rollout: RolloutId) -> Option<Arc<Study>> {
        self.studies.get(rollout)
    }

    /// Of each model of which anything was compared since the start, the present or last rollout.
    pub fn newest(&self) -> BTreeMap<ModelName, RolloutId> {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let studies = self.studies.0.load();
        let all = over.values().chain(studies.values());
        let mut newest = BTreeMap::new();
        for study in all {
            let known = newest.entry(study.subject().model.clone()).or_insert(study.rollout());
            *known = study.rollout().max(*known);
        }
        newest
    }

    /// The present or last rollout of a model for which anything was compared since the start.
    pub fn of_model(&self, model: &ModelName) -> Option<RolloutId> {
        self.newest().get(model).copied()
    }

    /// Ends the comparison of a rollout: what still waits for it is dropped.
    pub fn close(&self, rollout: RolloutId) {
        let Some(study) = self.studies.get(rollout) else { return };
        self.studies.change(|studies| drop(studies.remove(&rollout)));
        study.meter().close();
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.insert(study.subject().model.clone(), study);
    }

    /// A comparison of which the examples can be looked at: one that goes on, or the last one of its model.
    pub fn with_samples(&self, rollout: RolloutId) -> Option<Arc<Study>> {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |study: &&Arc<Study>| study.rollout() == rollout;
        self.studies.get(rollout).or_else(|| over.values().find(is_it).cloned())
    }
}

/// About how much memory an output takes.
fn size(value: &ValueView<'_>) -> usize {
    match value {
        ValueView::Tensor(tensor) => tensor.elements.bytes(),
        ValueView::ClassScores(scores) => size_of_val(scores.scores),
    }
}
