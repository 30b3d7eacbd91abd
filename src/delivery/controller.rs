//! The one thread that makes changes.
//!
//! It takes all messages that wait, lets the domain decide on each, writes all that changed in one transaction,
//! and only then shows it. What must be loaded or unloaded follows from the state, and is the fleet's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::board::{Announcement, Board, ReleaseView};
use super::clock::Clock;
use super::deciding::Deciding;
use super::fleet::{Fleet, Settings};
use super::handle::{CommandError, Inbox, Message, Reply};
use super::journal::{Change, Journal, JournalError, Recovered};
use crate::domain::model::ModelName;
use crate::domain::rollout::{Event, Release, RolloutId, Transition};
use crate::repository::{KnownFile, Looked};
use crate::telemetry::metrics;

/// What the controller works with.
#[derive(Debug)]
pub struct DeliveryParts {
    /// Where changes are written down.
    pub journal: Journal,
    /// What was written down before.
    pub recovered: Recovered,
    /// What is loaded, and how that changes.
    pub fleet: Fleet,
    /// Where changes are shown.
    pub board: Arc<Board>,
}

/// How often the countdowns of running rollouts are written down, so that a crash loses little of them.
const SAVE_EVERY: Duration = Duration::from_secs(5);
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
    journal: Journal,
    board: Arc<Board>,
    pub(super) fleet: Fleet,
    releases: BTreeMap<ModelName, ReleaseView>,
    pub(super) settings: BTreeMap<ModelName, Settings>,
    next_rollout: RolloutId,
    clock: Clock,
    saved: Instant,
    /// The models whose loaded versions may have to change.
    pub(super) touched: BTreeSet<ModelName>,
    /// Whether there may be contents that nothing refers to any more.
    has_garbage: bool,
    collected: Instant,
    /// What could not be written down, to be decided on again.
    undone: Vec<(ModelName, Event)>,
    /// The files that are written down as known.
    files: BTreeSet<String>,
    first_look_is_over: bool,
    first_load_done: Option<Box<dyn FnOnce() + Send>>,
}

/// What happened to which model, and who waits for the answer.
pub(super) struct Happening {
    pub(super) model: ModelName,
    pub(super) event: Event,
    pub(super) reply: Option<Reply>,
}

impl Controller {
    fn new(parts: DeliveryParts, first_load_done: Box<dyn FnOnce() + Send>) -> Self {
        let DeliveryParts { journal, recovered, fleet, board } = parts;
        let clock = Clock::start();
        let mut releases = BTreeMap::new();
        for (model, (seq, mut release)) in recovered.releases {
            release.resume(clock.now());
            releases.insert(model, ReleaseView { seq, release: Arc::new(release) });
        }
        Self {
            journal,
            board,
            fleet,
            releases,
            settings: BTreeMap::new(),
            next_rollout: recovered.next_rollout,
            clock,
            saved: Instant::now(),
            touched: BTreeSet::new(),
            has_garbage: false,
            collected: Instant::now(),
            undone: Vec::new(),
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
            self.tell_first_load();
            if stops {
                self.save_countdowns_now();
                return;
            }
        }
    }

    fn wait(&self, inbox: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        let now = self.clock.now();
        let ticks = self.releases.values().filter_map(|view| view.release.next_tick());
        let next_tick = ticks.min().map(|tick| tick.saturating_sub(now.monotonic));
        let is_baking = self.releases.values().any(|view| view.release.live().is_some());
        let save = is_baking.then(|| SAVE_EVERY.saturating_sub(self.saved.elapsed()));
        let again = (!self.undone.is_empty()).then_some(TRY_AGAIN_AFTER);
        let collect =
            self.has_garbage.then(|| COLLECT_EVERY.saturating_sub(self.collected.elapsed()));
        match [next_tick, save, again, collect].into_iter().flatten().min() {
            Some(timeout) => inbox.recv_timeout(timeout),
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Turns messages into events of models; settings and loads are taken note of on the way.
    fn read(&mut self, messages: Vec<Message>) -> Vec<Happening> {
        let again = std::mem::take(&mut self.undone);
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
                Message::Command { model, command, if_match, reply } => {
                    match self.check(&model, if_match) {
                        Ok(()) => {
                            let (event, reply) = (Event::Command(command), Some(reply));
                            happenings.push(Happening { model, event, reply });
                        }
                        Err(error) => drop(reply.send(Err(error))),
                    }
                }
                Message::Stop => {}
            }
        }
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

    fn check(&self, model: &ModelName, if_match: Option<u64>) -> Result<(), CommandError> {
        let view = self.releases.get(model).ok_or(CommandError::UnknownModel)?;
        match if_match {
            Some(seen) if seen != view.seq => Err(CommandError::Stale { seq: view.seq }),
            Some(_) | None => Ok(()),
        }
    }

    /// Decides on all that happened, writes it down at once, and shows it.
    fn decide(&mut self, happenings: Vec<Happening>) {
        if happenings.is_empty() {
            return;
        }
        let mut drafts: BTreeMap<ModelName, (Release, Vec<Transition>)> = BTreeMap::new();
        let mut deciding = Deciding {
            settings: &self.settings,
            next_rollout: &mut self.next_rollout,
            now: self.clock.now(),
        };
        let mut replies = Vec::new();
        let mut events = Vec::new();
        for Happening { model, event, reply } in happenings {
            self.touched.insert(model.clone());
            let draft = drafts.entry(model.clone()).or_insert_with(|| {
                let release = self.releases.get(&model).map(|view| Release::clone(&view.release));
                (release.unwrap_or_default(), Vec::new())
            });
            match deciding.step(&model, &mut draft.0, event.clone()) {
                Ok(transitions) => {
                    draft.1.extend(transitions);
                    // A version that waits, warm, needs no loading.
                    if let Some(digest) = self.fleet.warm_candidate(&model, &draft.0)
                        && let Ok(transitions) =
                            deciding.step(&model, &mut draft.0, Event::Loaded(digest))
                    {
                        draft.1.extend(transitions);
                    }
                    events.push((model.clone(), event));
                    replies.extend(reply.map(|reply| (model, reply)));
                }
                Err(refused) => {
                    if let Some(reply) = reply {
                        let _ = reply.send(Err(refused.into()));
                    }
                }
            }
        }
        drafts.retain(|model, (release, transitions)| {
            let known = self.releases.get(model).map(|view| &*view.release);
            !transitions.is_empty() || known != Some(release)
        });
        match self.write_down(&drafts) {
            Ok(seqs) => {
                self.show(drafts, seqs);
                for (model, reply) in replies {
                    let view = self.releases.get(&model).cloned().ok_or(CommandError::UnknownModel);
                    let _ = reply.send(view);
                }
            }
            Err(error) => self.give_up(&error, events, replies),
        }
    }

    fn write_down(
        &mut self,
        drafts: &BTreeMap<ModelName, (Release, Vec<Transition>)>,
    ) -> Result<Vec<Vec<u64>>, JournalError> {
        let now = self.clock.now();
        let counted: Vec<(&ModelName, Release, &[Transition])> = drafts
            .iter()
            .map(|(model, (release, transitions))| {
                let mut release = release.clone();
                release.count_to(now);
                (model, release, transitions.as_slice())
            })
            .collect();
        let changes: Vec<Change<'_>> = counted
            .iter()
            .map(|(model, release, transitions)| Change { model, release, transitions })
            .collect();
        if changes.is_empty() { Ok(Vec::new()) } else { self.journal.commit(&changes) }
    }

    fn show(
        &mut self,
        drafts: BTreeMap<ModelName, (Release, Vec<Transition>)>,
        seqs: Vec<Vec<u64>>,
    ) {
        for ((model, (release, transitions)), seqs) in drafts.into_iter().zip(seqs) {
            let before = self.releases.get(&model).map_or(0, |view| view.seq);
            let seq = seqs.last().copied().unwrap_or(before);
            let view = ReleaseView { seq, release: Arc::new(release) };
            let kept = self.settings.get(&model).map(Settings::config).unwrap_or_default().versions;
            self.fleet.show_route(&model, &view.release, &kept);
            self.board.show(&model, view.clone());
            self.has_garbage |= !transitions.is_empty();
            self.releases.insert(model.clone(), view);
            for (seq, transition) in seqs.into_iter().zip(transitions) {
                log(&model, &transition);
                metrics::rollout_changed(&model, &transition.rollout.phase);
                self.board.announce(Announcement { seq, model: model.clone(), transition });
            }
        }
    }

    /// What cannot be written down does not happen: it is decided on again later. A command is answered at once.
    fn give_up(
        &mut self,
        error: &JournalError,
        events: Vec<(ModelName, Event)>,
        replies: Vec<(ModelName, Reply)>,
    ) {
        tracing::error!("the journal cannot be written, nothing changes: {error}");
        self.undone = events
            .into_iter()
            .filter(|(_, event)| !matches!(event, Event::Command(_) | Event::Tick))
            .collect();
        for (_, reply) in replies {
            let _ = reply.send(Err(CommandError::NotRecorded(error.to_string())));
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
        if self.undone.is_empty() {
            self.fleet.decided();
        }
        if self.has_garbage && self.collected.elapsed() >= COLLECT_EVERY {
            self.has_garbage = false;
            self.collected = Instant::now();
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

    fn tell_first_load(&mut self) {
        if self.first_look_is_over
            && self.fleet.is_settled()
            && let Some(done) = self.first_load_done.take()
        {
            done();
        }
    }
}

fn log(model: &ModelName, transition: &Transition) {
    let rollout = &transition.rollout;
    tracing::info!(
        model.name = %model, model.version = %rollout.candidate.label, rollout.id = %rollout.id,
        rollout.phase = rollout.phase.name(), actor = %transition.actor,
        "rollout {} of `{model}` {} is {}: {}",
        rollout.id, rollout.candidate.label, rollout.phase.name(), transition.reason
    );
}
