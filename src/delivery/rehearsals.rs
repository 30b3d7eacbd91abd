//! Runs recorded requests on a candidate before it sees a live one.
//!
//! A rehearsal is a thread that reads the newest recorded requests and leaves them where sampled live requests are
//! left: the same threads run them on both versions, and the evidence is the rollout's own. When all are run the
//! controller judges, and goes on.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::handle::Delivery;
use crate::capture::{Recording, Recordings};
use crate::domain::comparison::Arm;
use crate::domain::model::ModelName;
use crate::domain::recall::Mark;
use crate::domain::rollout::{Rollout, RolloutId};
use crate::serving::Pairing;
use crate::shadow::{Reason, Recorded, Shadow, Study};
use crate::system::thread;

/// Requests that are left to be run at the same time: the rest can wait on the disk.
const AT_ONCE: u64 = 4;
/// So many recorded requests are looked at for one that can be run.
const LOOKED_AT: u64 = 10_000;
/// How long it waits before it looks again.
const WAIT: Duration = Duration::from_millis(5);

/// One for each model of which a candidate is rehearsed.
#[derive(Debug)]
pub(super) struct Rehearsals {
    state: PathBuf,
    shadow: Arc<Shadow>,
    /// Who is told when one is over.
    delivery: Delivery,
    open: HashMap<ModelName, Open>,
}

#[derive(Debug)]
struct Open {
    rollout: RolloutId,
    progress: Arc<Progress>,
}

/// What a rehearsal and the controller tell each other.
#[derive(Debug, Default)]
struct Progress {
    is_called_off: AtomicBool,
    /// What there was to rehearse on, once all of it is run.
    over: OnceLock<Told>,
}

/// What there was to rehearse on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    /// So many requests were run, of those that were looked at.
    Run { requests: u64, unfit: u64 },
    /// The recorded requests cannot be read.
    Unreadable(String),
}

impl Rehearsals {
    pub(super) fn new(state: PathBuf, shadow: Arc<Shadow>, delivery: Delivery) -> Self {
        Self { state, shadow, delivery, open: HashMap::new() }
    }

    /// Whether there is anything to rehearse a candidate of this model on.
    pub(super) fn has_recordings(&self, model: &ModelName) -> bool {
        Recordings::are_there(&self.state, model)
    }

    /// Begins, or goes on where a restart has cut it off.
    pub(super) fn go_on(&mut self, model: &ModelName, rollout: &Rollout, pairing: Arc<Pairing>) {
        if self.open.get(model).is_some_and(|open| open.rollout == rollout.id) {
            return;
        }
        self.end(model);
        let Some(study) = self.shadow.study(rollout.id) else { return };
        let progress = Arc::new(Progress::default());
        let rehearsal = Rehearsal {
            state: self.state.clone(),
            model: model.clone(),
            most: usize::try_from(rollout.plan.pairs.rehearse).unwrap_or(usize::MAX),
            shadow: self.shadow.clone(),
            study,
            pairing,
            progress: progress.clone(),
        };
        let delivery = self.delivery.clone();
        let thread = std::thread::Builder::new().name("rehearsal".to_owned());
        let started = thread.spawn(move || {
            thread::let_others_go_first();
            let told = rehearsal.run().unwrap_or_else(|error| Told::Unreadable(error.to_string()));
            // Nobody else sets it.
            let _ = rehearsal.progress.over.set(told);
            delivery.tripped();
        });
        if let Err(error) = started {
            let _ = progress.over.set(Told::Unreadable(error.to_string()));
        }
        self.open.insert(model.clone(), Open { rollout: rollout.id, progress });
    }

    /// Nothing is rehearsed for this model any more.
    pub(super) fn end(&mut self, model: &ModelName) {
        if let Some(open) = self.open.remove(model) {
            open.progress.is_called_off.store(true, Ordering::Relaxed);
        }
    }

    /// What a rehearsal that is over was, in words; none while it goes on.
    pub(super) fn over(&self, model: &ModelName, rollout: RolloutId) -> Option<String> {
        let open = self.open.get(model).filter(|open| open.rollout == rollout)?;
        open.progress.over.get().map(Told::sentence)
    }
}

impl Told {
    fn sentence(&self) -> String {
        let unfit = |unfit: &u64| match unfit {
            0 => String::new(),
            unfit => format!("; {unfit} more were not kept whole or do not fit its inputs"),
        };
        match self {
            Self::Run { requests: 0, unfit: 0 } => {
                "there are no recorded requests to rehearse it on".to_owned()
            }
            Self::Run { requests: 0, unfit } => {
                format!(
                    "it could not be rehearsed: none of {unfit} recorded requests was kept whole and fits its inputs"
                )
            }
            Self::Run { requests: 1, unfit: more } => {
                format!("nothing against it in one recorded request{}", unfit(more))
            }
            Self::Run { requests, unfit: more } => {
                format!("nothing against it in {requests} recorded requests{}", unfit(more))
            }
            Self::Unreadable(error) => format!("it could not be rehearsed: {error}"),
        }
    }
}

/// One rehearsal.
struct Rehearsal {
    state: PathBuf,
    model: ModelName,
    most: usize,
    shadow: Arc<Shadow>,
    study: Arc<Study>,
    pairing: Arc<Pairing>,
    progress: Arc<Progress>,
}

impl Rehearsal {
    fn run(&self) -> io::Result<Told> {
        let recordings = Recordings::open(&self.state, &self.model)?;
        let (chosen, unfit) = self.choose(&recordings)?;
        let before = self.study.rehearsed().count;
        let mut left = 0;
        for recording in recordings.oldest_first() {
            // One that is broken was not chosen.
            let Ok(recording) = recording else { continue };
            if !chosen.contains(&recording.mark()) {
                continue;
            }
            let Some(recorded) = self.recall(&recording) else { continue };
            if self.wait_until(|run| before + left < run + AT_ONCE) && self.leave(recorded) {
                left += 1;
            } else {
                break;
            }
        }
        self.wait_until(|run| run >= before + left);
        Ok(Told::Run { requests: before + left, unfit })
    }

    /// The newest requests that can be run and have not been yet, by their marks, and how many cannot be run.
    fn choose(&self, recordings: &Recordings) -> io::Result<(HashSet<Mark>, u64)> {
        let (run, mut chosen, mut unfit) = (self.study.rehearsed(), HashSet::new(), 0);
        let signature = self.pairing.servable(Arm::Stable).signature();
        for recording in recordings.newest_first() {
            let is_hopeless = unfit > LOOKED_AT && chosen.is_empty();
            if is_hopeless || chosen.len() >= self.most.saturating_sub(run.count as usize) {
                break;
            }
            let recording = recording?;
            if !run.is_ahead(recording.mark()) {
                continue;
            }
            match recording.inputs_for(signature) {
                Some(_) => drop(chosen.insert(recording.mark())),
                None => unfit += 1,
            }
        }
        Ok((chosen, unfit))
    }

    fn recall(&self, recording: &Recording) -> Option<Recorded> {
        let stable = self.pairing.servable(Arm::Stable);
        let inputs = Arc::new(recording.inputs_for(stable.signature())?);
        // What another version answered says nothing about how far this one differs from itself.
        let is_its_own = recording.digest == stable.digest();
        let answer = recording.outputs_for(stable.signature()).filter(|_| is_its_own);
        let (sampled, reason) = (self.pairing.recall(), Reason::Rehearsal(recording.mark()));
        Some(Recorded { sampled, inputs, answer, reason })
    }

    /// Leaves a request to be run; does not when the rehearsal is called off meanwhile.
    fn leave(&self, mut recorded: Recorded) -> bool {
        while !self.is_called_off() {
            match self.shadow.offer_recorded(recorded) {
                Ok(()) => return true,
                Err(refused) => recorded = refused,
            }
            std::thread::sleep(WAIT);
        }
        false
    }

    /// Waits until so many requests are run that it is so; says no when the rehearsal is called off.
    fn wait_until(&self, is_so: impl Fn(u64) -> bool) -> bool {
        while !self.is_called_off() {
            if is_so(self.study.rehearsed().count) {
                return true;
            }
            std::thread::sleep(WAIT);
        }
        false
    }

    fn is_called_off(&self) -> bool {
        self.progress.is_called_off.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_was_to_rehearse_on_is_told_in_words() {
        let told = |requests, unfit| Told::Run { requests, unfit }.sentence();
        assert_eq!(told(200, 0), "nothing against it in 200 recorded requests");
        assert_eq!(
            told(1, 3),
            "nothing against it in one recorded request; 3 more were not kept whole or do not fit its inputs"
        );
        assert_eq!(
            told(0, 7),
            "it could not be rehearsed: none of 7 recorded requests was kept whole and fits its inputs"
        );
        assert_eq!(told(0, 0), "there are no recorded requests to rehearse it on");
    }
}
