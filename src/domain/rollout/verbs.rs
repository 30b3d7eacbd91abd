//! What operators ask for.

use super::change::{Beginning, Change};
use super::plan::Strategy;
use super::record::{Actor, Outcome, Phase, Revision, RolloutId, Verb};
use super::release::Release;
use crate::domain::model::VersionLabel;
use crate::domain::weight::Weight;

/// An operator's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What is to be done.
    pub verb: Verb,
    /// The version that `start` begins with or `undo` goes back to, where it is not the usual one. With `retry` the one
    /// of which a quarantine is lifted; without it the last rollout is tried again.
    pub version: Option<VersionLabel>,
    /// How `start` goes about it, where that is not what the settings say.
    pub strategy: Option<Strategy>,
    /// The share of the traffic that `weight` gives the candidate.
    pub weight: Option<Weight>,
    /// Whether `promote` skips everything that is left, and not just the present stage.
    pub full: bool,
    /// Whether `retry` forgets the evidence that was against the candidate.
    pub fresh: bool,
    /// Who asks.
    pub actor: Actor,
    /// Why.
    pub reason: String,
}

impl Command {
    /// The verb alone, with everything else as it usually is.
    pub fn plain(verb: Verb, actor: Actor, reason: String) -> Self {
        let (version, strategy, weight) = (None, None, None);
        Self { verb, version, strategy, weight, full: false, fresh: false, actor, reason }
    }
}

/// Why a request was not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefused {
    /// It does not fit the state that the model is in.
    #[error("`{verb}` does not fit: {state}; what fits: {}", words(.fitting))]
    DoesNotFit {
        /// What was asked for.
        verb: Verb,
        /// How things are.
        state: String,
        /// What could be asked for.
        fitting: Vec<Verb>,
    },
    /// There is nothing of a version that a retry of it could lift.
    #[error(
        "`retry` does not fit: version {version} is neither quarantined nor refused{}; what fits: {}",
        taken_back.as_ref().map_or_else(String::new, |why| format!(", but {why}")),
        words_of_version(.held, .fitting)
    )]
    NothingToLift {
        /// Which one.
        version: VersionLabel,
        /// Why it is not tried again by itself, where it was taken back.
        taken_back: Option<String>,
        /// The versions that are quarantined or refused.
        held: Vec<VersionLabel>,
        /// What could be asked for of the rollout.
        fitting: Vec<Verb>,
    },
    /// The evidence was against it, and trying until it passes would make the evidence worthless.
    #[error(
        "rollout {rollout} was rolled back by its evidence; `retry` begins anew only with `fresh`"
    )]
    NeedsFresh {
        /// Which one.
        rollout: RolloutId,
    },
    /// It says too little.
    #[error("`weight` needs the share in per cent, from 0 to 100")]
    NeedsWeight,
    /// There is no such version.
    #[error("version `{version}` is not known; known: {}", labels(.known))]
    UnknownVersion {
        /// What was asked for.
        version: VersionLabel,
        /// What there is.
        known: Vec<VersionLabel>,
    },
}

impl Release {
    /// What operators can do now.
    pub fn verbs(&self) -> Vec<Verb> {
        let mut verbs = Vec::new();
        match self.rollout().map(|rollout| &rollout.phase) {
            Some(Phase::Loading) => verbs.push(Verb::Abort),
            Some(
                phase @ (Phase::Rehearsing(_)
                | Phase::Shadowing(_)
                | Phase::Canary(_)
                | Phase::Baking(_)),
            ) => {
                verbs.extend([Verb::Promote, Verb::Pause]);
                verbs.extend(verbs_of_stage(phase));
            }
            Some(Phase::Paused(held)) => {
                verbs.extend([Verb::Promote, Verb::Resume]);
                verbs.extend(verbs_of_stage(held));
            }
            Some(Phase::Waiting) => verbs.extend([Verb::Promote, Verb::Abort]),
            Some(Phase::Ended(outcome)) => {
                if self.previous().is_some() {
                    verbs.push(Verb::Undo);
                }
                match outcome {
                    Outcome::Aborted | Outcome::RolledBack | Outcome::Refused => {
                        verbs.push(Verb::Retry)
                    }
                    Outcome::Completed { .. } | Outcome::Superseded => {}
                }
            }
            None => {}
        }
        let stable = self.stable().map(|stable| stable.digest);
        if self.labels().values().any(|digest| Some(*digest) != stable) {
            verbs.push(Verb::Start);
        }
        verbs
    }

    /// What a label stands for: also one whose file was replaced, while it is stable or previous.
    pub(super) fn revision(&self, label: &VersionLabel) -> Result<Revision, CommandRefused> {
        let known = self
            .labels()
            .get(label)
            .map(|digest| Revision { label: label.clone(), digest: *digest });
        let kept = [self.previous(), self.stable()].into_iter().flatten();
        known
            .or_else(|| kept.into_iter().find(|revision| revision.label == *label).cloned())
            .ok_or_else(|| {
                let known = self.labels().keys().cloned().collect();
                CommandRefused::UnknownVersion { version: label.clone(), known }
            })
    }
}

/// What operators can do in a stage, held or not.
fn verbs_of_stage(stage: &Phase) -> &'static [Verb] {
    match stage {
        Phase::Canary(_) => &[Verb::Weight, Verb::Abort],
        Phase::Baking(_) => &[Verb::Abort, Verb::Undo],
        Phase::Loading
        | Phase::Rehearsing(_)
        | Phase::Shadowing(_)
        | Phase::Paused(_)
        | Phase::Waiting
        | Phase::Ended(_) => &[Verb::Abort],
    }
}

impl Change<'_, '_> {
    pub(super) fn command(&mut self, command: Command) -> Result<(), CommandRefused> {
        if let Command { verb: Verb::Retry, version: Some(label), actor, reason, .. } = command {
            return self.retry_version(label, actor, reason);
        }
        if !self.release.verbs().contains(&command.verb) {
            return Err(self.does_not_fit(command.verb, self.state()));
        }
        let Command { verb, version, strategy, weight, full, fresh, actor, reason } = command;
        match verb {
            Verb::Promote => self.promote(full, &actor, &reason),
            Verb::Pause => self.pause(&actor, &reason),
            Verb::Resume => self.resume(&actor, &reason),
            Verb::Weight => {
                let weight = weight.ok_or(CommandRefused::NeedsWeight)?;
                self.set_weight(weight, &actor, &reason);
            }
            Verb::Abort => self.take_back(&actor, &reason),
            Verb::Undo if self.release.is_baking() && version.is_none() => {
                self.take_back(&actor, &reason)
            }
            Verb::Undo => self.go_back(version, actor, reason)?,
            Verb::Retry => self.retry(fresh, actor, reason)?,
            Verb::Start => self.start(version, strategy, actor, reason)?,
        }
        Ok(())
    }

    fn go_back(
        &mut self,
        version: Option<VersionLabel>,
        actor: Actor,
        reason: String,
    ) -> Result<(), CommandRefused> {
        let candidate = match (version, self.release.previous()) {
            (Some(label), Some(previous)) if previous.label == label => previous.clone(),
            (Some(label), _) => self.release.revision(&label)?,
            (None, Some(previous)) => previous.clone(),
            (None, None) => return Err(self.does_not_fit(Verb::Undo, self.state())),
        };
        self.must_not_be_stable(Verb::Undo, &candidate)?;
        let parent = self.release.rollout().map(|rollout| rollout.id);
        let beginning = Beginning::of(candidate, actor, reason);
        self.begin(Beginning { parent, is_undo: true, ..beginning });
        Ok(())
    }

    fn retry(&mut self, fresh: bool, actor: Actor, reason: String) -> Result<(), CommandRefused> {
        let Some(rollout) = self.release.rollout() else { return Ok(()) };
        if rollout.phase == Phase::Ended(Outcome::RolledBack) && !fresh {
            return Err(CommandRefused::NeedsFresh { rollout: rollout.id });
        }
        let (candidate, parent) = (rollout.candidate.clone(), Some(rollout.id));
        self.pardon(&candidate);
        self.begin(Beginning {
            parent,
            is_fresh: fresh,
            ..Beginning::of(candidate, actor, reason)
        });
        Ok(())
    }

    fn start(
        &mut self,
        version: Option<VersionLabel>,
        strategy: Option<Strategy>,
        actor: Actor,
        reason: String,
    ) -> Result<(), CommandRefused> {
        let newest = self.release.labels().keys().next_back().cloned();
        let Some(label) = version.or(newest) else {
            return Err(self.does_not_fit(Verb::Start, self.state()));
        };
        let candidate = self.release.revision(&label)?;
        self.must_not_be_stable(Verb::Start, &candidate)?;
        self.pardon(&candidate);
        self.begin(Beginning { strategy, ..Beginning::of(candidate, actor, reason) });
        Ok(())
    }

    fn must_not_be_stable(&self, verb: Verb, revision: &Revision) -> Result<(), CommandRefused> {
        match self.release.stable() {
            Some(stable) if stable.digest == revision.digest => {
                Err(self.does_not_fit(verb, format!("version {} is stable", revision.label)))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn state(&self) -> String {
        match self.release.rollout() {
            Some(rollout) => {
                let (id, phase) = (rollout.id, rollout.phase.name());
                format!("rollout {id} of version {} is {phase}", rollout.candidate.label)
            }
            None => "there was no rollout yet".to_owned(),
        }
    }

    fn does_not_fit(&self, verb: Verb, state: String) -> CommandRefused {
        CommandRefused::DoesNotFit { verb, state, fitting: self.release.verbs() }
    }
}

fn words(verbs: &[Verb]) -> String {
    if verbs.is_empty() {
        return "nothing".to_owned();
    }
    verbs.iter().map(|verb| format!("`{verb}`")).collect::<Vec<_>>().join(", ")
}

fn words_of_version(held: &[VersionLabel], verbs: &[Verb]) -> String {
    let of_versions = held.iter().map(|label| format!("`retry` of version {label}"));
    let of_rollout = verbs.iter().map(|verb| format!("`rollout {verb}`"));
    let words: Vec<String> = of_versions.chain(of_rollout).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn labels(labels: &[VersionLabel]) -> String {
    labels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
