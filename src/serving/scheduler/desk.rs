//! Runs of quick models where their requests are: on a thread that speaks HTTP, as soon as it has nothing else to do.
//!
//! To hand a request to another thread and its answer back takes two system calls and cold caches, which is more than
//! such a run. A version whose runs are quick has its turn at the *desk* instead, if that is free: a task that lets
//! everybody go first who is ready, and then runs what has come together. So requests are batched here as well.
//!
//! There is one desk, and only beside other threads that speak HTTP, so these always remain. A run that turns out to be
//! long is noticed by a task on one of them, and a thread of the pool takes over what waits behind it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

use super::batch::{self, Kept};
use super::job::Job;
use super::line::Lines;
use super::queue::Watched;
use crate::serving::servable::Servable;

/// What a run may take on average to have its turn here. In tests no busy machine is to decide that.
const QUICK: Duration =
    if cfg!(test) { Duration::from_secs(10) } else { Duration::from_micros(100) };

/// How long somebody may wait behind a run here before a thread of the pool comes to help.
const PATIENCE: Duration = Duration::from_millis(2);

/// The place for one turn beside the pool's.
#[derive(Debug)]
pub(super) struct Desk {
    lines: Arc<Lines>,
    threads: usize,
    /// What whoever has the turn works with; none while somebody has it.
    tools: Mutex<Option<Tools>>,
}

#[derive(Debug)]
struct Tools {
    kept: Kept,
    jobs: Vec<Job>,
}

impl Desk {
    /// Beside a pool of so many threads, who take over from there.
    pub(super) fn new(lines: &Arc<Lines>, threads: usize) -> Arc<Self> {
        let tools = Tools { kept: Kept::new(None), jobs: Vec::new() };
        Arc::new(Self { lines: lines.clone(), threads, tools: Mutex::new(Some(tools)) })
    }

    /// Gives a version the turn that is counted for it already, where that can be here. Otherwise the version is given
    /// back.
    pub(super) fn take(self: &Arc<Self>, servable: Arc<Servable>) -> Result<(), Arc<Servable>> {
        if !is_for_here(&servable) || !others_speak_http() {
            return Err(servable);
        }
        let Some(tools) = self.lock().take() else { return Err(servable) };
        servable.queue().come_to_desk(servable.max_batch_rows());
        let turn = Turn { desk: self.clone(), servable: Some(servable), tools: Some(tools) };
        tokio::spawn(turn.run());
        Ok(())
    }

    /// Looks after a version while there are runs of it here, since somebody waits behind one.
    pub(super) fn watch(self: &Arc<Self>, servable: &Arc<Servable>) {
        let (desk, servable) = (self.clone(), servable.clone());
        tokio::spawn(async move {
            let mut seen = None;
            loop {
                tokio::time::sleep(PATIENCE).await;
                match servable.queue().look_at_desk(&mut seen, desk.threads) {
                    Watched::Fine => {}
                    Watched::NeedsTurn => desk.lines.add(servable.clone()),
                    Watched::Over => return,
                }
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Tools>> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_for_here(servable: &Servable) -> bool {
    servable.trial().is_none() && servable.queue().mean_run().is_some_and(|mean| mean <= QUICK)
}

/// Whether the calling thread is one of several that do the same.
fn others_speak_http() -> bool {
    Handle::try_current().is_ok_and(|runtime| {
        runtime.runtime_flavor() == RuntimeFlavor::MultiThread
            && runtime.metrics().num_workers() > 1
    })
}

/// A version's turn at the desk. What is left of it when it is dropped goes to the pool.
struct Turn {
    desk: Arc<Desk>,
    servable: Option<Arc<Servable>>,
    tools: Option<Tools>,
}

impl Turn {
    async fn run(mut self) {
        loop {
            // Whoever is ready comes first: what comes together runs together. And a thread that was woken for a single
            // request wakes another one only now, to listen and to keep the time while this one runs the model.
            tokio::task::yield_now().await;
            let (Some(servable), Some(tools)) = (&self.servable, &mut self.tools) else { return };
            if !is_for_here(servable) {
                return;
            }
            if servable.queue().take_at_desk(servable.max_batch_rows(), &mut tools.jobs) {
                self.desk.watch(servable);
            }
            if !tools.jobs.is_empty() {
                batch::run(servable, &mut tools.jobs, &mut tools.kept);
            }
            if !servable.queue().end_turn_at_desk() {
                self.servable = None;
                return;
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let unfinished = self.servable.take();
        if let Some(servable) = &unfinished {
            servable.queue().leave_desk();
        }
        // Only now somebody else may come to the desk, of the same version as well.
        *self.desk.lock() = self.tools.take();
        if let Some(servable) = unfinished {
            self.desk.lines.add(servable);
        }
    }
}
