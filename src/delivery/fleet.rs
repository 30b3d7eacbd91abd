//! What is loaded, and what has to be: follows the releases.
//!
//! Nothing is decided here. For each model that changed, the fleet compares what its release wants with what is
//! there, orders the loads that are missing, shows the route, and retires what nobody wants any more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::backlog::Backlog;
use super::handle::Delivery;
use super::journal::JournalReader;
use super::pairings::{Pairings, Versions};
use super::rehearsals::Rehearsals;
use super::settings::{MadeBy, Settings, kept_revisions};
use super::trials::Trials;
use crate::config::{ModelConfig, VersionsKept};
use crate::domain::lifecycle::VersionState;
use crate::domain::model::{Digest, ModelName};
use crate::domain::rollout::{Contract, Event, LoadFailure, Pair, Phase, Release, Revision};
use crate::domain::time::Moment;
use crate::repository::{
    Checker, Content, ContentStore, FileNote, LoadDone, LoadOrder, Loader, Reaper, Registry,
};
use crate::serving::{ModelRoute, Router, Servable, Trial};
use crate::shadow::Shadow;
use crate::telemetry::metrics;

/// The loaded versions of all models.
#[derive(Debug)]
pub struct Fleet {
    pub(super) pairings: Pairings,
    pub(super) trials: Trials,
    pub(super) rehearsals: Rehearsals,
    parts: FleetParts,
    loaded: HashMap<ModelName, BTreeMap<Digest, Loaded>>,
    /// What is being loaded, and what it is held to.
    loading: HashMap<(ModelName, Digest), Option<Contract>>,
    /// Models whose files contradict each other, and how.
    problems: BTreeMap<ModelName, String>,
    /// Files with settings that are refused, while earlier ones hold.
    refused_settings: BTreeMap<ModelName, String>,
    files: HashMap<(ModelName, Digest), FileNote>,
    /// What the store may forget about once it has been decided on.
    stored: Vec<Digest>,
    /// How many versions of a model are still being unloaded.
    draining: HashMap<ModelName, usize>,
}

/// What a [`Fleet`] works with.
#[derive(Debug)]
pub struct FleetParts {
    /// Where contents lie.
    pub store: Arc<ContentStore>,
    /// What tries them, and remembers what it found out.
    pub checker: Option<Checker>,
    /// What loads them.
    pub loader: Loader,
    /// What frees them.
    pub reaper: Reaper,
    /// What requests are sent by.
    pub router: Arc<Router>,
    /// Where it is written down what is known.
    pub registry: Arc<Registry>,
    /// Where requests are run on two versions.
    pub shadow: Arc<Shadow>,
    /// Where they wait for that.
    pub backlog: Arc<Backlog>,
    /// What was compared before.
    pub journal: JournalReader,
    /// The state folder, where recorded requests are.
    pub state: PathBuf,
    /// How many contents are kept of each model, newest first.
    pub keep_revisions: usize,
    /// Who is told what happens to loaded versions.
    pub delivery: Delivery,
}

#[derive(Debug)]
struct Loaded {
    servable: Arc<Servable>,
    made_by: MadeBy,
}

impl Fleet {
    /// Nothing is loaded yet.
    pub fn new(parts: FleetParts) -> Self {
        Self {
            pairings: Pairings::new(
                parts.shadow.clone(),
                parts.backlog.clone(),
                parts.journal.clone(),
            ),
            trials: Trials::new(parts.journal.clone(), parts.delivery.clone()),
            rehearsals: Rehearsals::new(
                parts.state.clone(),
                parts.shadow.clone(),
                parts.delivery.clone(),
            ),
            parts,
            loaded: HashMap::new(),
            loading: HashMap::new(),
            problems: BTreeMap::new(),
            refused_settings: BTreeMap::new(),
            files: HashMap::new(),
            stored: Vec::new(),
            draining: HashMap::new(),
        }
    }

    /// Notes where a content came from.
    pub(super) fn stored(&mut self, model: &ModelName, content: Content, file: String) {
        let note = FileNote { file, bytes: content.bytes, is_present: true };
        self.parts.registry.is_settled(model, |not_taken| not_taken == note.file);
        self.files.insert((model.clone(), content.digest), note);
        self.stored.push(content.digest);
    }

    /// Notes that everything that was stored so far has been decided on.
    pub(super) fn decided(&mut self) {
        for digest in self.stored.drain(..) {
            self.parts.store.acknowledge(&digest);
        }
    }

    /// Notes which files of a model are gone.
    pub(super) fn files_gone(&mut self, model: &ModelName, is_gone: impl Fn(&str) -> bool) {
        let of_model = self.files.iter_mut().filter(|((of, _), _)| of == model);
        for (_, note) in of_model {
            note.is_present &= !is_gone(&note.file);
        }
        self.parts.registry.is_settled(model, is_gone);
    }

    /// Notes that a file cannot be taken.
    pub(super) fn not_taken(&self, model: &ModelName, file: &str, reason: String) {
        self.parts.registry.not_taken(model, file, reason);
    }

    /// Notes that new settings are refused and the ones before stay, or that they are taken.
    pub(super) fn settings_refused(
        &mut self,
        model: &ModelName,
        refused: Option<(String, String)>,
    ) {
        if let Some(before) = self.refused_settings.remove(model) {
            self.parts.registry.is_settled(model, |file| file == before);
        }
        if let Some((file, reason)) = refused {
            self.not_taken(model, &file, reason);
            self.refused_settings.insert(model.clone(), file);
        }
    }

    /// Notes that a model's files contradict each other, or no longer do.
    pub(super) fn problem(&mut self, model: &ModelName, problem: Option<String>) {
        self.parts.registry.problem(model, problem.clone());
        match problem {
            Some(problem) => drop(self.problems.insert(model.clone(), problem)),
            None => drop(self.problems.remove(model)),
        }
    }

    /// Takes over what the loader has done, and says what that means for the model.
    pub(super) fn load_done(&mut self, done: LoadDone) -> Option<(ModelName, Event)> {
        let LoadDone { order, outcome } = done;
        let (model, digest) = (order.model, order.revision.digest);
        let key = (model.clone(), digest);
        // What is not wanted any more is not awaited, and neither is what is held to something else by now.
        let is_awaited = self.loading.get(&key) == Some(&order.held_to);
        if is_awaited {
            self.loading.remove(&key);
        }
        let made_by = MadeBy::of(&order.config);
        let versions = self.loaded.entry(model.clone()).or_default();
        let before = versions.get_mut(&digest);
        match (outcome, before) {
            (Ok(servable), _) if !is_awaited => {
                self.parts.reaper.retire(servable, None); // called off meanwhile
                None
            }
            (Err(_), _) if !is_awaited => None,
            (Ok(servable), before) => {
                if let Some(before) = before {
                    self.parts.reaper.retire(before.servable.clone(), None);
                }
                versions.insert(digest, Loaded { servable, made_by });
                Some((model, Event::Loaded(digest)))
            }
            (Err(_), Some(before)) => {
                // Only its session was to be made anew: the one that is there goes on.
                before.made_by = made_by;
                self.parts.registry.enter(&model, &digest, VersionState::Ready, SystemTime::now());
                None
            }
            (Err(failure), None) => Some((model, Event::LoadFailed(digest, failure))),
        }
    }

    /// What comes of an awaited candidate that waits, warm, already.
    pub(super) fn warm_candidate(&self, model: &ModelName, release: &Release) -> Option<Event> {
        let rollout = release.live().filter(|rollout| rollout.phase == Phase::Loading)?;
        let digest = rollout.candidate.digest;
        let warm = self.loaded.get(model)?.get(&digest)?.servable.signature();
        let promised = release.contract(&digest).and_then(|contract| {
            let stable = self.parts.registry.signature(model, &contract.stable.digest)?;
            contract.check(&stable, warm).err()
        });
        Some(match promised {
            Some(unfit) => Event::LoadFailed(digest, LoadFailure::Unfit(unfit.to_string())),
            None => Event::Loaded(digest),
        })
    }

    /// Notes that nothing is held against these contents of a model any more.
    pub(super) fn lifted(&self, model: &ModelName, contents: impl Iterator<Item = Digest>) {
        for digest in contents {
            self.parts.registry.lift(model, &digest, SystemTime::now());
        }
    }

    /// Whether no load is under way.
    pub(super) fn is_settled(&self) -> bool {
        self.loading.is_empty()
    }

    /// Shows the model's route, once what it names is loaded.
    pub(super) fn show_route(&mut self, model: &ModelName, release: &Release, kept: &VersionsKept) {
        self.pairings.goes_on(model, release.live().map(|rollout| rollout.id));
        let Some(route) = release.route() else {
            self.stop_comparing(model);
            let over = self.trials.end(model);
            if let Some(route) = self.parts.router.remove(model) {
                drop(route); // the versions in it are held by the fleet, and retired by it
            }
            return end(over, None);
        };
        let Some(loaded) = self.loaded.get(model) else { return };
        let servable = |revision: &Revision| {
            loaded.get(&revision.digest).map(|loaded| loaded.servable.clone())
        };
        let Some(stable) = servable(&route.stable) else { return };
        let mut shown = ModelRoute::to(stable.clone());
        for revision in kept_revisions(release, kept) {
            if let Some(servable) = servable(&revision) {
                shown = shown.with_pinnable(servable);
            }
        }
        if let Some(candidate) = route.candidate.as_ref().and_then(servable) {
            shown = shown.with_candidate(candidate);
        }
        if let Some(previous) = route.previous.as_ref().and_then(servable) {
            shown = shown.with_previous(previous);
        }
        let versions = route.pair.as_ref().and_then(|pair| {
            let (stable, candidate) = (servable(&pair.stable)?, servable(&pair.candidate)?);
            Some(Versions { stable, candidate })
        });
        put_on_trial(loaded, release, route.pair.as_ref());
        if let Some(rollout) = release.live() {
            shown = shown.during(rollout.id);
        }
        let over = match (versions, release.live()) {
            (Some(versions), Some(rollout)) => {
                let (trial, over) = self.trials.of(model, rollout, &versions, route.share);
                if let Some(trial) = trial {
                    shown = shown.with_trial(trial);
                }
                let compared = self.pairings.of(model, rollout, versions);
                if compared.is_some() {
                    let before = self.trials.hour_before(model, &stable);
                    self.pairings.measure(model, &stable, before.as_ref());
                }
                match (compared, rollout.phase.stage()) {
                    // Before it has seen a single live request.
                    (Some(pairing), Phase::Rehearsing(_)) => {
                        self.rehearsals.go_on(model, rollout, pairing);
                    }
                    (Some(pairing), _) => {
                        self.rehearsals.end(model);
                        shown = shown.with_pairing(pairing);
                    }
                    (None, _) => self.rehearsals.end(model),
                }
                over
            }
            (Some(_) | None, Some(_) | None) => {
                self.stop_comparing(model);
                self.trials.end(model)
            }
        };
        self.parts.router.show(model, shown);
        end(over, Some(&stable));
    }

    fn stop_comparing(&mut self, model: &ModelName) {
        self.rehearsals.end(model);
        self.pairings.end(model);
    }

    /// Brings what is loaded in line with what the model's release wants.
    pub(super) fn follow(
        &mut self,
        model: &ModelName,
        release: &Release,
        settings: &Settings,
        now: Moment,
    ) {
        let config = settings.config();
        self.note_versions(model, release);
        self.apply_settings(model, &config);
        let mut wanted = release.wanted(now);
        let kept = kept_revisions(release, &config.versions).into_iter();
        wanted.extend(kept.filter(|revision| !release.is_put_off(&revision.digest, now)));
        self.show_route(model, release, &config.versions);
        self.retire_others(model, &wanted);
        // A version that makes room for another is gone before that one is loaded.
        let has_room = !release.is_between() || !self.draining.contains_key(model);
        for revision in wanted.iter().filter(|_| has_room) {
            self.order(model, revision, release, settings);
        }
    }

    /// Takes note of how long the stable versions take. To be told once in a minute.
    pub(super) fn take_time(&mut self) {
        for (model, route) in self.parts.router.snapshot().models() {
            self.trials.take_time(model, route.stable());
        }
    }

    /// A version was unloaded, and its memory is free.
    pub(super) fn freed(&mut self, model: &ModelName) {
        if let Some(draining) = self.draining.get_mut(model) {
            *draining -= 1;
            if *draining == 0 {
                self.draining.remove(model);
            }
        }
    }

    fn order(
        &mut self,
        model: &ModelName,
        revision: &Revision,
        release: &Release,
        settings: &Settings,
    ) {
        let (key, config) = ((model.clone(), revision.digest), settings.config());
        let known = self.loaded.get(model).and_then(|loaded| loaded.get(&revision.digest));
        let is_up_to_date = known.is_some_and(|loaded| loaded.made_by == MadeBy::of(&config));
        let held_to = release.contract(&revision.digest);
        if is_up_to_date || self.loading.get(&key) == Some(&held_to) {
            return;
        }
        let hindrance = match settings {
            Settings::Bad(reason) => Some(reason),
            Settings::Default | Settings::Good(_) => self.problems.get(model),
        };
        if let Some(reason) = hindrance {
            let state = VersionState::Refused(reason.clone());
            self.parts.registry.enter(model, &revision.digest, state, SystemTime::now());
            return;
        }
        let file = self.files.get(&key).map(|note| note.file.clone()).unwrap_or_default();
        self.loading.insert(key, held_to.clone());
        let path = |digest: &Digest| self.parts.store.model_path(digest);
        self.parts.loader.load(LoadOrder {
            model: model.clone(),
            revision: revision.clone(),
            path: path(&revision.digest),
            file,
            config,
            stable_path: held_to.as_ref().and_then(|contract| path(&contract.stable.digest)),
            held_to,
        });
    }

    /// New names and limits apply at once; the session stays the same.
    fn apply_settings(&mut self, model: &ModelName, config: &ModelConfig) {
        let Some(loaded) = self.loaded.get_mut(model) else { return };
        for loaded in loaded.values_mut() {
            if let Some(changed) = loaded.servable.with_settings(config.into()) {
                let before = std::mem::replace(&mut loaded.servable, Arc::new(changed));
                self.parts.reaper.retire(before, None);
            }
        }
    }

    fn note_versions(&self, model: &ModelName, release: &Release) {
        let labels = release.labels().iter();
        let labels =
            labels.map(|(label, digest)| Revision { label: label.clone(), digest: *digest });
        let rollout = release.live().map(|rollout| rollout.candidate.clone());
        let held = [release.previous().cloned(), release.stable().cloned(), rollout];
        let mut revisions: Vec<Revision> = Vec::new();
        for revision in held.into_iter().flatten().chain(labels) {
            if !revisions.contains(&revision) {
                revisions.push(revision);
            }
        }
        let now = SystemTime::now();
        for revision in &revisions {
            let note = self.files.get(&(model.clone(), revision.digest));
            let (broken, unfit) =
                (release.broken(&revision.digest), release.unfit(&revision.digest));
            let broken = broken.map(|reason| VersionState::Quarantined(reason.to_owned()));
            let unfit = unfit.map(|reason| VersionState::Refused(reason.to_owned()));
            self.parts.registry.saw(model, revision, note, broken.or(unfit).as_ref(), now);
        }
        self.parts.registry.retain(model, &revisions);
    }

    fn retire_others(&mut self, model: &ModelName, wanted: &[Revision]) {
        let is_wanted = |digest: &Digest| wanted.iter().any(|revision| revision.digest == *digest);
        self.loading.retain(|(loading, digest), _| loading != model || is_wanted(digest));
        let Some(loaded) = self.loaded.get_mut(model) else { return };
        let digests: Vec<Digest> =
            loaded.keys().filter(|digest| !is_wanted(digest)).copied().collect();
        for digest in digests {
            if let Some(retired) = loaded.remove(&digest) {
                self.parts.registry.enter(
                    model,
                    &digest,
                    VersionState::Draining,
                    SystemTime::now(),
                );
                *self.draining.entry(model.clone()).or_default() += 1;
                let (registry, model) = (self.parts.registry.clone(), model.clone());
                let delivery = self.parts.delivery.clone();
                let label = retired.servable.version().clone();
                let is_measured = registry.memory(&model, &label).is_some();
                let note = move || {
                    registry.enter_if_draining(&model, &digest, SystemTime::now());
                    let bytes = registry.memory(&model, &label).unwrap_or(0);
                    metrics::version_memory(&model, &label, is_measured.then_some(bytes));
                    delivery.freed(&model);
                };
                self.parts.reaper.retire(retired.servable, Some(Box::new(note)));
            }
        }
    }

    /// The contents of a model that must be kept: what it may go back to, and the newest.
    pub(super) fn kept_contents(&self, release: &Release) -> Vec<Digest> {
        let held = [release.stable(), release.previous()].into_iter().flatten();
        let candidate = release.live().map(|rollout| rollout.candidate.digest);
        let newest = release.labels().values().rev().take(self.parts.keep_revisions);
        held.map(|revision| revision.digest).chain(candidate).chain(newest.copied()).collect()
    }

    /// Removes every content that is not among `kept`.
    pub(super) fn collect(&self, kept: &HashSet<Digest>) {
        if let Err(error) = self.parts.store.collect(|digest| kept.contains(digest)) {
            tracing::warn!("contents that nothing uses any more cannot be removed: {error}");
        }
        if let Some(checker) = &self.parts.checker {
            checker.forget_all_but(|digest| kept.contains(digest));
        }
    }
}

/// Who still waits for a candidate that nobody is sent to any more gets an answer of the trusted version: unless it is
/// the candidate that is trusted now.
fn end(over: Option<Arc<Trial>>, stable: Option<&Arc<Servable>>) {
    if let Some(trial) = over.filter(|trial| stable.is_none_or(|stable| !trial.is_about(stable))) {
        trial.end();
    }
}

/// The version on trial runs on threads of its own until its bake ends.
fn put_on_trial(loaded: &BTreeMap<Digest, Loaded>, release: &Release, pair: Option<&Pair>) {
    let on_trial = pair.zip(release.live()).map(|(pair, rollout)| (&pair.candidate, rollout.id));
    for (digest, Loaded { servable, .. }) in loaded {
        let of = on_trial.filter(|(candidate, _)| candidate.digest == *digest);
        servable.set_trial(of.map(|(_, rollout)| rollout));
    }
}
