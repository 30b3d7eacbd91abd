//! The one thread that makes changes.
//!
//! It takes all messages that wait and makes one round of decisions of them. What must be loaded or unloaded
//! follows from the state, and is the fleet's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::board::{Board, News, ReleaseView};
use super::clock::Clock;
use super::crashes::Crashes;
use super::deciding::Numbers;
use super::fleet::Fleet;
use super::handle::{CommandError, Inbox, Message};
use super::journal::{Evidence, Journal, Numbered, Recovered};
use super::judging::judge;
use super::pairings::Document;
use super::round::Happening;
use super::settings::Settings;
use crate::domain::model::ModelName;
use crate::domain::rollout::{Decision, Event, Release};
use crate::repository::{KnownFile, Looked};
use crate::system::rehearsal::Death;

/// What the controller works with.
#[derive(Debug)]
pub struct DeliveryParts {
    /// Where changes are written down.
    pub journal: Journal,
    /// What was written down before.
    pub recovered: Recovered,
    /// What the last process died of.
    pub crashes: Crashes,
    /// What is loaded, and how that changes.
    pub fleet: Fleet,
    /// Where changes are shown.
    pub board: Arc<Board>,
}

/// How often the countdowns of running rollouts are written down, so that a crash loses little of them.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// How often pairs are judged.
const JUDGE_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked how long requests take.
const TAKE_TIME_EVERY: Duration = Duration::from_secs(60);
/// How often the store is tidied up, at the most.
const COLLECT_EVERY: Duration = Duration::from_secs(2);
/// After a change could not be written down.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

impl Inbox {
    /// Runs the controller on a thread of its own. `first_load_done` is called once everything that the first look
    /// saw is loaded or given up.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start(
        self,
        parts: DeliveryParts,
        first_load_done: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        std::thread::Builder::new().name("delivery".to_owned()).spawn(move || {
            Controller::new(parts, Box::new(first_load_done)).run(&self.0);
        })
    }
}

pub(super) struct Controller {
    pub(super) journal: Journal,
    pub(super) board: Arc<Board>,
    pub(super) fleet: Fleet,
    /// What is shown.
    pub(super) releases: BTreeMap<ModelName, ReleaseView>,
    pub(super) settings: BTreeMap<ModelName, Settings>,
    pub(super) numbers: Numbers,
    pub(super) clock: Clock,
    pub(super) death: Death,
    saved: Instant,
    judged: Instant,
    time_taken: Instant,
    evidence_saved: Instant,
    /// The models whose loaded versions may have to change.
    pub(super) touched: BTreeSet<ModelName>,
    /// Whether there may be contents that nothing refers to any more.
    pub(super) has_garbage: bool,
    collected: Instant,
    /// When the journal refused the last time, where that is how it was left.
    pub(super) frozen: Option<Instant>,
    /// What could not be written down, to be decided on again.
    pub(super) undecided: Vec<(ModelName, Event)>,
    /// What is shown and could not be written down, by its numbers.
    pub(super) unwritten: BTreeMap<ModelName, Vec<Numbered>>,
    /// What is to be decided on before anything is loaded.
    crashes: Crashes,
    /// The files that are written down as known.
    files: BTreeSet<String>,
    first_look_is_over: bool,
    first_load_done: Option<Box<dyn FnOnce() + Send>>,
}

impl Controller {
    fn new(parts: DeliveryParts, first_load_done: Box<dyn FnOnce() + Send>) -> Self {
        let DeliveryParts { journal, recovered, crashes, fleet, board } = parts;
        let clock = Clock::start();
        let mut releases = BTreeMap::new();
        for (model, (seq, mut release)) in recovered.releases {
            release.resume(clock.now());
            let release = Arc::new(release);
            releases.insert(model, ReleaseView { seq, release, is_recorded: true });
        }
        Self {
            journal,
            board,
            fleet,
            releases,
            settings: BTreeMap::new(),
            numbers: Numbers { rollout: recovered.next_rollout, seq: recovered.next_seq },
            clock,
            death: Death::appointed(),
            saved: Instant::now(),
            judged: Instant::now(),
            time_taken: Instant::now(),
            evidence_saved: Instant::now(),
            touched: BTreeSet::new(),
            has_garbage: false,
            collected: Instant::now(),
            frozen: None,
            undecided: Vec::new(),
            unwritten: BTreeMap::new(),
            crashes,
            files: recovered.files.into_iter().map(|(file, ..)| file).collect(),
            first_look_is_over: false,
            first_load_done: Some(first_load_done),
        }
    }

    fn run(mut self, inbox: &Receiver<Message>) {
        for (model, view) in &self.releases {
            self.board.show(model, view.clone());
        }
        self.touched = self.releases.keys().cloned().collect();
        self.has_garbage = true;
        let crashes = std::mem::take(&mut self.crashes);
        self.answer_for(crashes);
        self.follow();
        loop {
            let mut messages = match self.wait(inbox) {
                Ok(message) => vec![message],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            messages.extend(inbox.try_iter());
            let stops = messages.iter().any(|message| matches!(message, Message::Stop));
            let happenings = self.read(messages);
            self.decide(happenings);
            self.follow();
            self.save_countdowns();
            self.save_evidence();
            self.take_time();
            self.tell_first_load();
            if stops {
                self.save_countdowns_now();
                self.save_evidence_now();
                self.confess();
                return;
            }
        }
    }

    fn wait(&self, inbox: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        let due = match self.frozen {
            Some(refused) => Some(TRY_AGAIN_AFTER.saturating_sub(refused.elapsed())),
            None => self.next_tick().into_iter().chain(self.next_save()).min(),
        };
        let judge = (!self.fleet.pairings.is_idle() || !self.fleet.trials.is_idle())
            .then(|| JUDGE_EVERY.saturating_sub(self.judged.elapsed()));
        let collect =
            self.has_garbage.then(|| COLLECT_EVERY.saturating_sub(self.collected.elapsed()));
        let take_time = (!self.releases.is_empty())
            .then(|| TAKE_TIME_EVERY.saturating_sub(self.time_taken.elapsed()));
        match due.into_iter().chain(collect).chain(judge).chain(take_time).min() {
            Some(timeout) => inbox.recv_timeout(timeout),
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn next_tick(&self) -> Option<Duration> {
        let ticks = self.releases.values().filter_map(|view| view.release.next_tick());
        let now = self.clock.now().monotonic;
        ticks.min().map(|tick| tick.saturating_sub(now))
    }

    fn next_save(&self) -> Option<Duration> {
        let is_live = self.releases.values().any(|view| view.release.live().is_some());
        is_live.then(|| SAVE_EVERY.saturating_sub(self.saved.elapsed()))
    }

    /// Turns messages into events of models; settings and loads are taken note of on the way.
    fn read(&mut self, messages: Vec<Message>) -> Vec<Happening> {
        let again = std::mem::take(&mut self.undecided);
        let mut happenings: Vec<Happening> = again
            .into_iter()
            .map(|(model, event)| Happening { model, event, reply: None })
            .collect();
        for message in messages {
            match message {
                Message::Looked(Looked { sightings, files, is_first_complete }) => {
                    happenings.extend(self.read_sightings(sightings));
                    self.first_look_is_over |= is_first_complete;
                    if let Some(files) = files {
                        self.save_files(files);
                    }
                }
                Message::Load(done) => {
                    if let Some((model, event)) = self.fleet.load_done(*done) {
                        happenings.push(Happening { model, event, reply: None });
                    }
                }
                Message::Ask { model, event, if_match, reply } => {
                    match self.check(&model, if_match) {
                        Ok(()) => happenings.push(Happening { model, event, reply: Some(reply) }),
                        Err(error) => drop(reply.send(Err(error))),
                    }
                }
                Message::Tripped => self.judge_at_once(),
                Message::Freed(model) => {
                    self.fleet.freed(&model);
                    self.touched.insert(model);
                    let waiting =
                        self.releases.iter().filter(|(_, it)| it.release.waits_for_room());
                    happenings.extend(waiting.map(|(model, _)| Happening {
                        model: model.clone(),
                        event: Event::RoomMade,
                        reply: None,
                    }));
                }
                Message::Stop => {}
            }
        }
        happenings.extend(self.judge());
        let now = self.clock.now().monotonic;
        let is_due = |view: &ReleaseView| view.release.next_tick().is_some_and(|tick| tick <= now);
        let due = self.releases.iter().filter(|(_, view)| is_due(view));
        happenings.extend(due.map(|(model, _)| Happening {
            model: model.clone(),
            event: Event::Tick,
            reply: None,
        }));
        happenings
    }

    /// What the evidence of running rollouts says, where it has an effect.
    fn judge(&mut self) -> Vec<Happening> {
        let Fleet { pairings, trials, rehearsals, .. } = &mut self.fleet;
        if self.judged.elapsed() < JUDGE_EVERY || pairings.is_idle() && trials.is_idle() {
            return Vec::new();
        }
        self.judged = Instant::now();
        let now = self.clock.now().wall;
        let backed_off = pairings.backed_off(now).into_iter();
        backed_off.for_each(|fewer| self.board.announce(News::FewerPairs(fewer)));
        let models: BTreeSet<ModelName> =
            pairings.models().chain(trials.models()).cloned().collect();
        let mut happenings = Vec::new();
        for model in models {
            let view = self.releases.get(&model);
            let Some(rollout) = view.and_then(|view| view.release.live()) else { continue };
            // Asked before: what is run when it is asked is in the evidence.
            let told_before = rehearsals.over(&model, rollout.id);
            let Some(judged) = judge(&model, rollout, pairings, trials, now) else { continue };
            let judgement = judged.judgement.clone();
            self.board.judged(&model, judged);
            match judgement.decision {
                Decision::Inconclusive | Decision::Hold => {}
                Decision::Pass | Decision::Fail => {
                    let (model, event) = (model.clone(), Event::Judged(judgement));
                    happenings.push(Happening { model, event, reply: None });
                }
            }
            // After the verdict, which has all of it.
            if let Some(told) = told_before {
                let event = Event::Rehearsed(told);
                happenings.push(Happening { model, event, reply: None });
            }
        }
        happenings
    }

    /// How long requests took before a rollout is what they are held to during it.
    fn take_time(&mut self) {
        if self.time_taken.elapsed() >= TAKE_TIME_EVERY {
            self.time_taken = Instant::now();
            self.fleet.take_time();
        }
    }

    fn judge_at_once(&mut self) {
        self.judged = self.judged.checked_sub(JUDGE_EVERY).unwrap_or(self.judged);
    }

    fn check(&self, model: &ModelName, if_match: Option<u64>) -> Result<(), CommandError> {
        let view = self.releases.get(model).ok_or(CommandError::UnknownModel)?;
        match if_match {
            Some(seen) if seen != view.seq => Err(CommandError::Stale { seq: view.seq }),
            Some(_) | None => Ok(()),
        }
    }

    /// Lets what is loaded follow what was decided.
    fn follow(&mut self) {
        let now = self.clock.now();
        for model in std::mem::take(&mut self.touched) {
            let Some(view) = self.releases.get(&model) else { continue };
            let settings = self.settings.get(&model).cloned().unwrap_or_default();
            self.fleet.follow(&model, &view.release, &settings, now);
        }
        if self.undecided.is_empty() {
            self.fleet.decided();
        }
        if self.has_garbage && self.collected.elapsed() >= COLLECT_EVERY {
            self.collected = Instant::now();
            // What is not written down could be forgotten, and then what it replaced is wanted again.
            if !self.unwritten.is_empty() {
                return;
            }
            self.has_garbage = false;
            let kept =
                self.releases.values().flat_map(|view| self.fleet.kept_contents(&view.release));
            self.fleet.collect(&kept.collect());
        }
    }

    /// Keeps what is known of the files, so that a restart need not read them again.
    fn save_files(&mut self, files: Vec<KnownFile>) {
        let known: BTreeSet<&str> = files.iter().map(|(file, ..)| file.as_str()).collect();
        let removed: Vec<String> =
            self.files.iter().filter(|file| !known.contains(file.as_str())).cloned().collect();
        if let Err(error) = self.journal.save_files(&files, &removed) {
            tracing::warn!("what is known of the files cannot be saved: {error}");
        }
        self.files = files.into_iter().map(|(file, ..)| file).collect();
    }

    fn save_countdowns(&mut self) {
        if self.saved.elapsed() >= SAVE_EVERY {
            self.save_countdowns_now();
        }
    }

    fn save_countdowns_now(&mut self) {
        if self.frozen.is_some() {
            return;
        }
        self.saved = Instant::now();
        let now = self.clock.now();
        let live = self.releases.iter().filter(|(_, view)| view.release.next_tick().is_some());
        let counted: Vec<(&ModelName, Release)> = live
            .map(|(model, view)| {
                let mut release = Release::clone(&view.release);
                release.count_to(now);
                (model, release)
            })
            .collect();
        if let Err(error) =
            self.journal.save(counted.iter().map(|(model, release)| (*model, release)))
        {
            tracing::warn!("the countdowns of rollouts cannot be saved: {error}");
        }
    }

    /// Keeps the evidence, so that a restart goes on with it and reports of the past can be read.
    fn save_evidence(&mut self) {
        let has_closed = self.fleet.pairings.has_closed() || self.fleet.trials.has_closed();
        if self.evidence_saved.elapsed() >= SAVE_EVERY || has_closed {
            self.save_evidence_now();
        }
    }

    fn save_evidence_now(&mut self) {
        if self.frozen.is_some() {
            return;
        }
        self.evidence_saved = Instant::now();
        let documents = self.fleet.pairings.documents(self.clock.now().wall);
        if self.save_documents(Evidence::Studies, &documents) {
            self.fleet.pairings.are_saved(&documents);
        }
        let documents = self.fleet.trials.documents();
        if self.save_documents(Evidence::Observations, &documents) {
            self.fleet.trials.are_saved(&documents);
        }
    }

    fn save_documents(&mut self, kind: Evidence, documents: &[Document]) -> bool {
        if documents.is_empty() {
            return true;
        }
        let documents = documents
            .iter()
            .map(|document| (document.rollout, &document.model, document.text.as_str()));
        let saved = self.journal.save_evidence(kind, documents);
        if let Err(error) = &saved {
            tracing::warn!("the evidence of rollouts cannot be saved: {error}");
        }
        saved.is_ok()
    }

    /// Says what this server knows and the next one will not.
    fn confess(&self) {
        for model in self.unwritten.keys() {
            tracing::error!(
                model.name = %model,
                "`{model}` went back to a version that was stable before, and the journal does not know of it: \
                 a restart will go on as if it had not"
            );
        }
    }

    fn tell_first_load(&mut self) {
        if self.first_look_is_over
            && self.fleet.is_settled()
            && let Some(done) = self.first_load_done.take()
        {
            done();
        }
    }
}
