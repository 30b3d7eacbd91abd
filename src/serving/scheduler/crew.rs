//! Threads that run versions on trial, and one that looks after them.
//!
//! A large node of a model cannot be interrupted. A run that goes on although nobody waits for it any more *strands*
//! its thread: the thread gives way to all others from then on, another one takes its place, and it ends with its
//! run. So a version that hangs takes neither the threads nor the cores of others. Three rules keep it from more:
//!
//! - A stranded run still counts as one of those that its version may run at once. When all of them are stranded, the
//!   version's requests are refused at once, so one version never strands more threads than it may run on.
//! - There are at most [`MOST_EXTRA`] threads more than the pool has, so that much is replaced and no more.
//! - When no thread is left that is not stranded, everybody's requests are refused at once, until one is back.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::alarm::{Alarm, Moment};
use super::line::{Lines, refuse};
use super::pool::{Ended, work};
use super::seat::{Seat, Seen};
use crate::serving::error::InferError;
use crate::serving::servable::Servable;
#[cfg(test)]
use crate::system::thread::ThreadId;

/// Threads that may be started in the place of stranded ones.
pub(super) const MOST_EXTRA: usize = 4;

/// When a thread that could not be started is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// A number of threads that is kept up as long as not too many are stranded.
#[derive(Debug)]
pub(super) struct Crew {
    shared: Arc<Shared>,
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    lines: Arc<Lines>,
    threads: usize,
    alarm: Arc<Alarm>,
    roster: Mutex<Roster>,
    /// Told when threads end or are stranded.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Roster {
    /// Of the threads that are not stranded, as soon as they run.
    seats: Vec<Arc<Seat>>,
    /// The threads that are not stranded.
    at_work: usize,
    /// The others, and the version that each still runs.
    stranded: Vec<(Arc<Seat>, Arc<Servable>)>,
    /// All that there ever were.
    hired: usize,
}

impl Crew {
    pub(super) fn start(threads: usize, lines: &Arc<Lines>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            lines: lines.clone(),
            threads,
            alarm: Arc::new(Alarm::new()),
            roster: Mutex::default(),
            changed: Condvar::new(),
        });
        let watching = shared.clone();
        let supervisor =
            std::thread::Builder::new().name("trial-watch".to_owned()).spawn(move || {
                while watching.alarm.wait() {
                    let next = watching.look();
                    watching.alarm.set(next);
                }
            })?;
        shared.alarm.belongs_to(supervisor.thread());
        let crew = Self { shared, supervisor: Mutex::new(Some(supervisor)) };
        for _ in 0..threads {
            crew.shared.hire(&mut crew.shared.lock())?;
        }
        Ok(crew)
    }

    /// Lets the threads finish the line, and waits for those that are not stranded.
    pub(super) fn shut_down(&self) {
        self.shared.lines.trial.close();
        let mut roster = self.shared.lock();
        while roster.at_work > 0 {
            roster = self.shared.changed.wait(roster).unwrap_or_else(PoisonError::into_inner);
        }
        drop(roster);
        self.shared.alarm.end();
        let supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(supervisor) = supervisor {
            // It does not panic: it looks, and starts threads.
            let _ = supervisor.join();
        }
    }
}

/// For tests: the threads that are not stranded, and those that are.
#[cfg(test)]
impl Crew {
    pub(super) fn census(&self) -> [Vec<ThreadId>; 2] {
        let roster = self.shared.lock();
        let at_work = roster.seats.iter().map(|seat| seat.thread());
        let stranded = roster.stranded.iter().map(|(seat, _)| seat.thread());
        [at_work.collect(), stranded.collect()]
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl Shared {
    /// Strands the runs that should have ended, replaces their threads, and ends the turns of those that have ended
    /// since. Gives the moment of the next look.
    fn look(self: &Arc<Self>) -> Moment {
        let now = self.alarm.now();
        let mut next = Moment::NEVER;
        let mut found = Vec::new();
        let mut roster = self.lock();
        let Roster { seats, stranded, at_work, .. } = &mut *roster;
        let returned: Vec<_> = stranded.extract_if(.., |(seat, _)| seat.has_ended()).collect();
        seats.retain(|seat| match seat.look(now) {
            Seen::Fine(until) => {
                next = next.min(until);
                true
            }
            Seen::Stranded(servable, jobs) => {
                stranded.push((seat.clone(), servable.clone()));
                *at_work -= 1;
                found.push((servable, jobs));
                false
            }
        });
        if let Err(error) = self.replace(&mut roster) {
            tracing::error!("a thread for versions on trial cannot be started: {error}");
            next = next.min(now.after(TRY_AGAIN));
        }
        // Under the roster's lock, so that the line is what the last look has seen.
        if roster.at_work == 0 {
            self.lines.trial.desert();
        } else {
            self.lines.trial.attend();
        }
        drop(roster);
        self.changed.notify_all();
        for (servable, refused) in found {
            tell(&servable);
            refuse(refused, &InferError::Stuck);
        }
        for (seat, servable) in returned {
            if servable.queue().end_stranded(seat.number()) {
                self.lines.add(servable);
            }
        }
        next
    }

    fn replace(self: &Arc<Self>, roster: &mut Roster) -> std::io::Result<()> {
        while roster.at_work < self.threads
            && roster.at_work + roster.stranded.len() < self.threads + MOST_EXTRA
            && self.lines.trial.needs_threads()
        {
            self.hire(roster)?;
        }
        Ok(())
    }

    fn hire(self: &Arc<Self>, roster: &mut Roster) -> std::io::Result<()> {
        let (shared, number) = (self.clone(), roster.hired);
        std::thread::Builder::new()
            .name(format!("trial-{number}"))
            .spawn(move || shared.serve(number))?;
        roster.hired += 1;
        roster.at_work += 1;
        Ok(())
    }

    /// A thread's life.
    fn serve(&self, number: usize) {
        let seat = Arc::new(Seat::of_this_thread(number, self.alarm.clone()));
        self.lock().seats.push(seat.clone());
        match work(&self.lines, &self.lines.trial, Some(&seat)) {
            Ended::Stranded => seat.end(),
            Ended::WithLine => {
                let mut roster = self.lock();
                roster.seats.retain(|other| other.number() != number);
                roster.at_work -= 1;
                drop(roster);
                self.changed.notify_all();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(servable: &Servable) {
    let (model, version) = (servable.model(), servable.version());
    tracing::warn!(
        model.name = %model, model.version = %version,
        "a run of version {version} of `{model}` does not end although nobody waits for it any more; its thread gives way to all others"
    );
}
