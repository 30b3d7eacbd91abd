//! One round of decisions: made on drafts, written down together, and only then shown.
//!
//! What cannot be written down does not happen: it is kept, and decided on again later. The exception is what
//! goes back to a version that was trusted before, which must not wait for room on a disk. That is shown at once,
//! and written down before anything else as soon as the journal takes it. Until then a restart would not know of
//! it, which the log and whoever asked for it are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::board::{Announcement, News, ReleaseView};
use super::controller::Controller;
use super::deciding::Deciding;
use super::handle::{CommandError, Reply};
use super::journal::{Change, JournalError, Numbered};
use super::settings::Settings;
use crate::domain::model::ModelName;
use crate::domain::rollout::{Command, CommandRefused, Event, Release, Transition, Verb};
use crate::domain::time::Moment;
use crate::domain::wording::without_paths;
use crate::telemetry::metrics;

/// What happened to which model, and who waits for the answer.
pub(super) struct Happening {
    pub(super) model: ModelName,
    pub(super) event: Event,
    pub(super) reply: Option<Reply>,
}

/// A model's state as it is to become, and how it gets there.
struct Draft {
    release: Release,
    news: Vec<Numbered>,
}

type Drafts = BTreeMap<ModelName, Draft>;

impl Controller {
    /// Decides on all that happened, writes it down at once, and shows it.
    pub(super) fn decide(&mut self, happenings: Vec<Happening>) {
        let (now, numbers) = (self.clock.now(), self.numbers);
        let mut drafts = Drafts::new();
        let mut refusals = Vec::new();
        for Happening { model, event, .. } in &happenings {
            self.touched.insert(model.clone());
            let mut draft = drafts.remove(model).unwrap_or_else(|| self.draft(model));
            refusals.push(self.step(model, &mut draft, event.clone(), now).err());
            drafts.insert(model.clone(), draft);
        }
        drafts.retain(|model, draft| self.is_change(model, draft));
        match self.write_down(&drafts, now) {
            Ok(()) => {
                self.die_before_it_shows(&drafts);
                self.thaw(!drafts.is_empty() || !self.unwritten.is_empty());
                for (model, draft) in drafts {
                    self.show(&model, draft, true);
                }
                for (happening, refusal) in happenings.into_iter().zip(refusals) {
                    if refusal.is_none() {
                        log_asked(&happening);
                    }
                    self.answer(&happening.model, happening.reply, refusal.map(Into::into));
                }
            }
            Err(error) => {
                self.numbers = numbers;
                self.freeze(&error, happenings, now);
            }
        }
    }

    fn draft(&self, model: &ModelName) -> Draft {
        let shown = self.releases.get(model).map(|view| Release::clone(&view.release));
        Draft { release: shown.unwrap_or_default(), news: Vec::new() }
    }

    /// One decision, and what follows from it at once.
    fn step(
        &mut self,
        model: &ModelName,
        draft: &mut Draft,
        event: Event,
        now: Moment,
    ) -> Result<(), CommandRefused> {
        let (settings, numbers, rehearsals) =
            (&self.settings, &mut self.numbers, &self.fleet.rehearsals);
        let has_recordings = |model: &ModelName| rehearsals.has_recordings(model);
        let mut deciding = Deciding { settings, numbers, now, has_recordings: &has_recordings };
        draft.news.extend(deciding.step(model, &mut draft.release, event)?);
        // A version that waits, warm, needs no loading.
        if let Some(event) = self.fleet.warm_candidate(model, &draft.release) {
            draft.news.extend(deciding.step(model, &mut draft.release, event)?);
        }
        Ok(())
    }

    fn is_change(&self, model: &ModelName, draft: &Draft) -> bool {
        let shown = self.releases.get(model).map(|view| &*view.release);
        !draft.news.is_empty() || shown != Some(&draft.release)
    }

    /// Writes down the drafts, and what is shown and not written yet.
    fn write_down(&mut self, drafts: &Drafts, now: Moment) -> Result<(), JournalError> {
        let models: BTreeSet<&ModelName> = drafts.keys().chain(self.unwritten.keys()).collect();
        let counted = models.into_iter().map(|model| {
            let draft = drafts.get(model);
            let mut release =
                draft.map_or_else(|| self.draft(model).release, |it| it.release.clone());
            release.count_to(now);
            let owed = self.unwritten.get(model).into_iter().flatten();
            let news: Vec<Numbered> =
                owed.chain(draft.iter().flat_map(|draft| &draft.news)).cloned().collect();
            (model, release, news)
        });
        let counted: Vec<(&ModelName, Release, Vec<Numbered>)> = counted.collect();
        let changes: Vec<Change<'_>> = counted
            .iter()
            .map(|(model, release, transitions)| Change { model, release, transitions })
            .collect();
        if changes.is_empty() { Ok(()) } else { self.journal.commit(&changes) }
    }

    /// Only where a test has named this moment.
    fn die_before_it_shows(&self, drafts: &Drafts) {
        for (_, transition) in drafts.values().flat_map(|draft| &draft.news) {
            self.death.may_come("recorded", transition.rollout.phase.name());
        }
    }

    /// All that waited for the journal has been written, or is not wanted any more.
    fn thaw(&mut self, was_written: bool) {
        if self.frozen.take().is_some() && was_written {
            tracing::info!("the journal can be written again, and has all that happened");
        }
        for model in std::mem::take(&mut self.unwritten).into_keys() {
            if let Some(view) = self.releases.get_mut(&model) {
                view.is_recorded = true;
                self.board.show(&model, view.clone());
            }
        }
    }

    /// Lets happen what goes towards the stable version, and keeps the rest for later. A command is answered at once.
    fn freeze(&mut self, error: &JournalError, happenings: Vec<Happening>, now: Moment) {
        if self.frozen.replace(Instant::now()).is_none() {
            tracing::error!(
                "the journal cannot be written: until it can, nothing changes but back to a version that was stable \
                 before: {error}"
            );
        }
        let mut moved = BTreeSet::new();
        for Happening { model, event, reply } in happenings {
            let numbers = self.numbers;
            let mut draft = self.draft(&model);
            let refusal = match self.step(&model, &mut draft, event.clone(), now) {
                Err(refused) => Some(refused.into()),
                Ok(()) if !self.is_change(&model, &draft) => None,
                Ok(()) if draft.is_towards_stable() => {
                    tracing::warn!(model.name = %model, "a restart would not know of this, which is not in the journal yet");
                    self.unwritten.entry(model.clone()).or_default().extend(draft.news.clone());
                    self.show(&model, draft, false);
                    moved.insert(model.clone());
                    None
                }
                Ok(()) => {
                    self.numbers = numbers;
                    self.keep_for_later(&model, event);
                    Some(CommandError::NotRecorded(without_paths(&error.to_string())))
                }
            };
            self.answer(&model, reply, refusal);
        }
        // What is not decided on is not followed: a load that failed would be ordered again and again.
        let waits = |model: &ModelName| self.undecided.iter().any(|(waiting, _)| waiting == model);
        self.touched.retain(|model| moved.contains(model) || !waits(model));
    }

    fn keep_for_later(&mut self, model: &ModelName, event: Event) {
        match event {
            Event::Seen(_)
            | Event::Gone(_)
            | Event::AllGone
            | Event::Loaded(_)
            | Event::LoadFailed(..)
            | Event::Crashed(_) => self.undecided.push((model.clone(), event)),
            // Whoever asked is told; judges judge again, perhaps another rollout; and time goes on passing.
            Event::Command(_)
            | Event::Withdrawn { .. }
            | Event::WantedAgain { .. }
            | Event::Judged(_)
            | Event::Rehearsed(_)
            | Event::RoomMade
            | Event::SettingsChanged
            | Event::Tick => {}
        }
    }

    fn show(&mut self, model: &ModelName, draft: Draft, is_recorded: bool) {
        let Draft { release, news } = draft;
        let before = self.releases.get(model);
        if let Some(before) = before {
            self.fleet.lifted(model, release.lifted_since(&before.release));
        }
        let before = before.map_or(0, |view| view.seq);
        let seq = news.last().map_or(before, |(seq, _)| *seq);
        let view = ReleaseView { seq, release: Arc::new(release), is_recorded };
        let kept = self.settings.get(model).map(Settings::config).unwrap_or_default().versions;
        self.fleet.show_route(model, &view.release, &kept);
        self.board.show(model, view.clone());
        self.has_garbage |= !news.is_empty();
        self.releases.insert(model.clone(), view);
        for (seq, transition) in news {
            log(model, &transition);
            metrics::rollout_changed(model, &transition.rollout.phase);
            let model = model.clone();
            let change = Announcement { seq, model, transition };
            self.board.announce(News::Change(Box::new(change)));
        }
    }

    fn answer(&self, model: &ModelName, reply: Option<Reply>, refusal: Option<CommandError>) {
        let Some(reply) = reply else { return };
        let answer = match refusal {
            Some(refusal) => Err(refusal),
            None => self.releases.get(model).cloned().ok_or(CommandError::UnknownModel),
        };
        // Whoever asked may be gone.
        let _ = reply.send(answer);
    }
}

impl Draft {
    fn is_towards_stable(&self) -> bool {
        self.news.last().is_some_and(|(_, transition)| transition.is_towards_stable())
    }
}

/// What an operator asked for and no rollout tells: a version that is tried again has one, and one that is only not held
/// back any more has none.
fn log_asked(happening: &Happening) {
    let model = &happening.model;
    match &happening.event {
        Event::Command(Command {
            verb: Verb::Retry,
            version: Some(version),
            actor,
            reason,
            ..
        }) => tracing::info!(
            model.name = %model, model.version = %version, actor = %actor,
            "nothing is held against version {version} of `{model}` any more: {reason}"
        ),
        Event::Withdrawn { actor, reason } => tracing::info!(
            model.name = %model, actor = %actor, "`{model}` is unloaded: {reason}"
        ),
        Event::WantedAgain { actor, reason } => tracing::info!(
            model.name = %model, actor = %actor, "`{model}` is wanted: {reason}"
        ),
        Event::Command(_)
        | Event::Seen(_)
        | Event::Gone(_)
        | Event::AllGone
        | Event::Loaded(_)
        | Event::LoadFailed(..)
        | Event::Judged(_)
        | Event::Rehearsed(_)
        | Event::Crashed(_)
        | Event::RoomMade
        | Event::SettingsChanged
        | Event::Tick => {}
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
