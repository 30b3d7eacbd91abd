//! Cuts off runs that take too long.
//!
//! A run of a pair may only have the cores that nobody else wants, so the time on the wall says little about it: on a
//! busy machine any run is slow. What counts is the time that it has spent on a core. A run that has spent as much as
//! a request may take is told to stop, and counts as failed; one that gets no core for very long is told to stop as
//! well, and says nothing.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::onnx::StopFlag;
use crate::system::thread::CpuClock;

/// How often running runs are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How much longer on the wall than on a core a run may take.
const PATIENCE: u32 = 10;
/// A run that does not stop, this many times over its limit, is stuck.
const STUCK_AFTER: u32 = 3;

/// A thread that looks at the clocks. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Watch(Sender<Arc<Watched>>);

/// A run that is looked at.
pub(super) struct Watched {
    run: Mutex<Option<Running>>,
    on_stuck: Box<OnStuck>,
}

/// Called at most once, when a run does not stop although it was told to.
type OnStuck = dyn Fn() + Send + Sync;

#[derive(Debug)]
struct Running {
    stop: Arc<StopFlag>,
    limit: Duration,
    clock: CpuClock,
    /// What the clock showed when it began.
    begun: Duration,
    started: Instant,
    cut: Option<Cut>,
    is_stuck: bool,
}

/// Why a run was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// It has spent too much time on a core.
    TooSlow,
    /// It got no core for too long.
    Starved,
}

impl Watch {
    pub(super) fn start() -> std::io::Result<Self> {
        let (watched, runs) = channel::<Arc<Watched>>();
        std::thread::Builder::new().name("shadow-watch".to_owned()).spawn(move || {
            let mut watched: Vec<Arc<Watched>> = Vec::new();
            loop {
                let next = if watched.is_empty() {
                    runs.recv().map_err(|_| RecvTimeoutError::Disconnected)
                } else {
                    runs.recv_timeout(LOOK_EVERY)
                };
                match next {
                    Ok(run) => watched.push(run),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                watched.retain(|run| run.look());
            }
        })?;
        Ok(Self(watched))
    }

    /// Looks at the calling thread from now on, until the guard is told that the run is over.
    pub(super) fn over(
        &self,
        stop: &Arc<StopFlag>,
        limit: Duration,
        on_stuck: Box<OnStuck>,
    ) -> Arc<Watched> {
        let run = CpuClock::of_this_thread().and_then(|clock| {
            let (begun, started) = (clock.now()?, Instant::now());
            let stop = stop.clone();
            Some(Running { stop, limit, clock, begun, started, cut: None, is_stuck: false })
        });
        let watched = Arc::new(Watched { run: Mutex::new(run), on_stuck });
        // Without the thread nothing is cut off, and the process is about to end.
        let _ = self.0.send(watched.clone());
        watched
    }
}

impl Watched {
    /// The run is over. Says whether it was cut off; the flag is not touched after this.
    pub(super) fn end(&self) -> Option<Cut> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).take().and_then(|run| run.cut)
    }

    /// Whether there is still something to look at.
    fn look(&self) -> bool {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(run) = &mut *run else { return false };
        let Some(now) = run.clock.now() else { return false };
        let spent = now.saturating_sub(run.begun);
        let cut = if spent >= run.limit {
            Some(Cut::TooSlow)
        } else if run.started.elapsed() >= run.limit * PATIENCE {
            Some(Cut::Starved)
        } else {
            None
        };
        if run.cut.is_none() && cut.is_some() {
            run.cut = cut;
            run.stop.raise();
        }
        if spent >= run.limit * STUCK_AFTER && !run.is_stuck {
            run.is_stuck = true;
            (self.on_stuck)();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(30);

    fn flag() -> Arc<StopFlag> {
        crate::onnx::testing::runtime();
        Arc::new(StopFlag::new().unwrap())
    }

    /// Works until something is so; fails when that takes for ever.
    fn work_until(is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < deadline, "it does not come to be so");
        }
    }

    #[test]
    fn a_run_that_takes_too_much_of_a_core_is_told_to_stop_and_one_that_does_not_is_stuck() {
        let watch = Watch::start().unwrap();
        let stop = flag();
        let stuck = Arc::new(AtomicBool::new(false));
        let tell = stuck.clone();
        let on_stuck = Box::new(move || tell.store(true, Ordering::Relaxed));
        let watched = watch.over(&stop, LIMIT, on_stuck);
        work_until(|| stop.is_raised());
        assert!(!stuck.load(Ordering::Relaxed), "it may still stop");
        work_until(|| stuck.load(Ordering::Relaxed));
        assert_eq!(watched.end(), Some(Cut::TooSlow));
    }

    #[test]
    fn a_run_that_gets_no_core_is_told_to_stop_and_says_nothing() {
        let watch = Watch::start().unwrap();
        let stop = flag();
        let watched = watch.over(&stop, LIMIT, Box::new(|| panic!("it is not stuck")));
        let deadline = Instant::now() + Duration::from_secs(60);
        while !stop.is_raised() {
            assert!(Instant::now() < deadline);
            std::thread::park_timeout(Duration::from_millis(5)); // waits, and uses no core
        }
        assert_eq!(watched.end(), Some(Cut::Starved));
    }

    #[test]
    fn a_run_that_is_over_is_left_alone() {
        let watch = Watch::start().unwrap();
        let stop = flag();
        let watched = watch.over(&stop, LIMIT, Box::new(|| ()));
        assert_eq!(watched.end(), None);
        assert!(!watched.look(), "there is nothing to look at");
        assert!(!stop.is_raised());
    }
}
