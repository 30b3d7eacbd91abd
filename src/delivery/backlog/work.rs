//! Works off what was put aside.
//!
//! One request at a time is taken from the disk and left where live ones are left. The thread that runs it asks once
//! more whether there is time for it, and gives it back when there is not: so nothing begins once traffic has come.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::Aside;
use crate::capture::Recording;
use crate::domain::comparison::Arm;
use crate::domain::rollout::RolloutId;
use crate::domain::tensor::{Tensor, Value};
use crate::serving::{Pairing, Sampled};
use crate::shadow::{Dropped, Reason, Recorded, Turn};
use crate::system::thread;

/// How long it rests where nothing waits.
const REST: Duration = Duration::from_millis(200);
/// And where something does, and it is not the time.
const WAIT: Duration = Duration::from_millis(20);

/// A request that was taken from the disk.
struct Taken {
    rollout: RolloutId,
    number: u64,
    answered: Arm,
    inputs: Arc<Vec<Tensor>>,
    answer: Option<Vec<Value>>,
}

impl Aside {
    /// Works for ever: the process ends without waiting for it.
    pub(super) fn work(&self) {
        thread::let_others_go_first();
        self.shadow.works_for_pairs();
        let (mut last, mut complained) = (None, BTreeSet::new());
        loop {
            self.count_lost();
            self.resume(&mut complained);
            let waiting = self.next_rollout(last);
            match waiting {
                None => std::thread::sleep(REST),
                Some(_) if !self.shadow.is_time() => std::thread::sleep(WAIT),
                Some(rollout) => {
                    last = Some(rollout);
                    match self.take(rollout) {
                        Ok(Some(taken)) => self.run(taken),
                        Ok(None) => std::thread::sleep(WAIT),
                        Err(error) => {
                            if complained.insert(rollout) {
                                tracing::warn!(
                                    "requests that were put aside for rollout {rollout} cannot be read, and are not run again: {error}"
                                );
                            }
                            self.shadow.lost(rollout, Dropped::Disk, 1);
                            std::thread::sleep(WAIT);
                        }
                    }
                }
            }
        }
    }

    /// Passes over what a process before this one has finished. Until that is done nothing is taken.
    fn resume(&self, complained: &mut BTreeSet<RolloutId>) {
        let pending: Vec<(RolloutId, u64)> = self
            .open()
            .iter()
            .filter_map(|(rollout, open)| Some((*rollout, open.resume_after?)))
            .collect();
        for (rollout, number) in pending {
            match self.spool.resume_after(rollout, number) {
                Ok(true) => {
                    if let Some(open) = self.open().get_mut(&rollout) {
                        open.resume_after = None;
                    }
                }
                Ok(false) => {}
                Err(error) => {
                    // It is tried again.
                    if complained.insert(rollout) {
                        tracing::warn!(
                            "what was put aside for rollout {rollout} cannot be read, and is not run again as long as that is so: {error}"
                        );
                    }
                }
            }
        }
    }

    /// A rollout for which something waits; each in turn.
    fn next_rollout(&self, last: Option<RolloutId>) -> Option<RolloutId> {
        let open = self.open();
        let mut waiting: Vec<RolloutId> = open
            .iter()
            .filter(|(_, open)| open.pairing.is_some() && open.resume_after.is_none())
            .filter(|(rollout, _)| self.spool.waiting(**rollout) > 0)
            .map(|(rollout, _)| *rollout)
            .collect();
        waiting.sort_unstable();
        let next = waiting.iter().find(|rollout| Some(**rollout) > last);
        next.or(waiting.first()).copied()
    }

    /// Takes the next one from the disk. None where there is none yet, or it cannot be run.
    fn take(&self, rollout: RolloutId) -> io::Result<Option<Taken>> {
        let Some(recording) = self.spool.take(rollout)? else { return Ok(None) };
        let (pairing, is_counted) = {
            let open = self.open();
            let Some(open) = open.get(&rollout) else { return Ok(None) };
            (open.pairing.clone(), !open.uncounted.contains(&recording.number))
        };
        let taken = pairing.as_deref().and_then(|pairing| recall(pairing, &recording));
        let inputs = taken.as_ref().map_or(&[][..], |taken| &taken.inputs);
        if !is_counted {
            self.shadow.sampled(rollout, inputs);
        }
        if taken.is_none() {
            // It fits neither version.
            self.shadow.dropped(rollout, Dropped::Disk, inputs);
            self.spool.finished(rollout);
        }
        Ok(taken)
    }

    /// Leaves a request to be run, as often as it is given back, and waits until it was. Whoever waits for long holds no
    /// version: it may be unloaded meanwhile.
    fn run(&self, taken: Taken) {
        let Taken { rollout, number, answered, mut inputs, mut answer } = taken;
        loop {
            let pairing = self.open().get(&rollout).map(|open| open.pairing.clone());
            let pairing = match pairing {
                None => break, // it is over
                Some(pairing) => pairing.filter(|_| self.shadow.is_time()),
            };
            if let Some(pairing) = pairing {
                let (turn, given_back) = channel();
                let sampled = Sampled { pairing, number, answered };
                let reason = Reason::Deferred(Turn(turn));
                let recorded = Recorded { sampled, inputs, answer, reason };
                let recorded = match self.shadow.offer_recorded(recorded) {
                    Err(refused) => refused,
                    Ok(()) => match given_back.recv() {
                        Ok(recorded) => recorded,
                        // It was run, or its rollout is over.
                        Err(_) => break,
                    },
                };
                (inputs, answer) = (recorded.inputs, recorded.answer);
            }
            self.count_lost();
            std::thread::sleep(WAIT);
        }
        self.spool.finished(rollout);
    }
}

/// What is to be run on the versions of a pairing; none where it was not one of them that answered it.
fn recall(pairing: &Pairing, recording: &Recording) -> Option<Taken> {
    let is_of = |arm: &Arm| pairing.servable(*arm).digest() == recording.digest;
    let answered = [Arm::Stable, Arm::Candidate].into_iter().find(is_of)?;
    let signature = pairing.servable(answered).signature();
    Some(Taken {
        rollout: pairing.rollout(),
        number: recording.number,
        answered,
        inputs: Arc::new(recording.inputs_for(signature)?),
        answer: recording.outputs_for(signature).filter(|_| !recording.outputs.is_empty()),
    })
}
