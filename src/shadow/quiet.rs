//! Whether the server is quiet now, or it is the time for pairs that can wait.
//!
//! A thread looks at the server as long as somebody wants to know, and not any more a while later: a server that waits for
//! nothing is not woken up. The first answer after that is no.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::domain::quiet::{Load, Quiet, TimeWindow};
use crate::serving::InFlight;
use crate::system::cgroup::Quota;
use crate::system::cores::Cores;
use crate::system::thread::CpuClock;
use crate::system::{local_time, process};

/// Between two looks at a server that is quiet, so that traffic is noticed in time.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// And at one that is not.
const LOOK_LESS_OFTEN: Duration = Duration::from_millis(100);
/// So long after somebody wanted to know nobody is said to do.
const WANTED_FOR: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct QuietTimes {
    shared: Arc<Shared>,
    /// What the thread will work with, until it is started.
    looking: Mutex<Option<Looking>>,
}

/// What the thread and those who ask tell each other.
#[derive(Debug, Default)]
struct Shared {
    is_quiet: AtomicBool,
    is_in_window: AtomicBool,
    is_wanted: AtomicBool,
    looker: OnceLock<Thread>,
}

/// What the thread looks at.
#[derive(Debug)]
pub struct Lookout {
    /// The requests that are under way.
    pub in_flight: Arc<InFlight>,
    /// How many runs there can be at once.
    pub threads: usize,
}

impl QuietTimes {
    /// `own` is what pairs take themselves. Nobody looks yet.
    pub(super) fn new(lookout: Lookout, window: Option<TimeWindow>, own: Arc<OwnWork>) -> Self {
        let shared = Arc::new(Shared::default());
        let looking = Looking { lookout, window, own, shared: shared.clone() };
        Self { shared, looking: Mutex::new(Some(looking)) }
    }

    /// Starts the thread that looks, with the priority of the caller's.
    pub(super) fn start(&self) -> std::io::Result<()> {
        let looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(looking) = looking {
            let thread = std::thread::Builder::new().name("shadow-quiet".to_owned());
            thread.spawn(move || looking.look_for_ever())?;
        }
        Ok(())
    }

    /// Whether the server has little to do. Never waits.
    pub(super) fn is_quiet(&self) -> bool {
        self.shared.wanted();
        self.shared.is_quiet.load(Ordering::Relaxed)
    }

    /// Whether pairs that can wait may run now: it is quiet, or within the time window. Never waits.
    pub(super) fn is_time(&self) -> bool {
        self.is_quiet() || self.shared.is_in_window.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn wanted(&self) {
        if !self.is_wanted.swap(true, Ordering::SeqCst)
            && let Some(looker) = self.looker.get()
        {
            looker.unpark();
        }
    }
}

/// The thread's side of it.
#[derive(Debug)]
struct Looking {
    lookout: Lookout,
    window: Option<TimeWindow>,
    own: Arc<OwnWork>,
    shared: Arc<Shared>,
}

impl Looking {
    fn look_for_ever(self) {
        self.shared.looker.get_or_init(std::thread::current);
        loop {
            if self.shared.is_wanted.load(Ordering::SeqCst) {
                self.look_while_wanted();
            } else {
                std::thread::park();
            }
        }
    }

    fn look_while_wanted(&self) {
        let quota = Quota::of_this_process().map(|quota| quota.cores());
        let cores = Cores::available().count as f64;
        let mut quiet = Quiet::new(quota.map_or(cores, |quota| quota.min(cores)));
        let mut worked = Worked::new(&self.own, process::cpu_time());
        let begun = Instant::now();
        let mut wanted = begun;
        while wanted.elapsed() < WANTED_FOR {
            if self.shared.is_wanted.swap(false, Ordering::SeqCst) {
                wanted = Instant::now();
            }
            let in_flight =
                self.lookout.in_flight.count() as f64 / self.lookout.threads.max(1) as f64;
            let load = Load { in_flight, worked: worked.up_to(process::cpu_time()) };
            let is_quiet = quiet.look(begun.elapsed(), load);
            self.shared.is_quiet.store(is_quiet, Ordering::Relaxed);
            let is_open = |window: &TimeWindow| window.is_open(local_time::minute_of_day());
            let is_in_window = self.window.as_ref().is_some_and(is_open);
            self.shared.is_in_window.store(is_in_window, Ordering::Relaxed);
            std::thread::sleep(if is_quiet { LOOK_EVERY } else { LOOK_LESS_OFTEN });
        }
        self.shared.is_quiet.store(false, Ordering::Relaxed);
        self.shared.is_in_window.store(false, Ordering::Relaxed);
    }
}

/// What pairs take of the cores.
#[derive(Debug, Default)]
pub(super) struct OwnWork {
    /// Of the threads that work for pairs alone.
    clocks: Mutex<Vec<CpuClock>>,
    /// Runs that take other threads as well, which work for requests, too: how many there are now,
    spread: AtomicUsize,
    /// and how many there were.
    spread_so_far: AtomicU64,
}

impl OwnWork {
    /// From now on the calling thread works for pairs alone.
    pub(super) fn of_this_thread(&self) {
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.extend(CpuClock::of_this_thread());
    }

    /// Notes a run that takes other threads as well.
    pub(super) fn spread<T>(&self, run: impl FnOnce() -> T) -> T {
        self.spread.fetch_add(1, Ordering::SeqCst);
        self.spread_so_far.fetch_add(1, Ordering::SeqCst);
        let ran = run();
        self.spread.fetch_sub(1, Ordering::SeqCst);
        ran
    }

    fn spent(&self) -> Duration {
        let clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.iter().filter_map(CpuClock::now).sum()
    }

    /// Something else each time that a run begins, and none while one goes on.
    fn spread_at(&self) -> Option<u64> {
        let so_far = self.spread_so_far.load(Ordering::SeqCst);
        (self.spread.load(Ordering::SeqCst) == 0).then_some(so_far)
    }
}

/// The time that cores have worked for everything but pairs.
struct Worked<'o> {
    own: &'o OwnWork,
    total: Duration,
    last: (Duration, Duration, Option<u64>),
}

impl<'o> Worked<'o> {
    /// `all` is what cores have worked for the process.
    fn new(own: &'o OwnWork, all: Duration) -> Self {
        let last = (all, own.spent(), own.spread_at());
        Self { own, total: Duration::ZERO, last }
    }

    /// Where nobody knows for whom the cores have worked, they have not.
    fn up_to(&mut self, all: Duration) -> Duration {
        let now = (all, self.own.spent(), self.own.spread_at());
        let before = std::mem::replace(&mut self.last, now);
        if before.2.is_some() && before.2 == now.2 {
            let own = now.1.saturating_sub(before.1);
            self.total += now.0.saturating_sub(before.0).saturating_sub(own);
        }
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Works for so long. Gives what cores have worked for the process since an arbitrary moment.
    fn work(clock: CpuClock, time: Duration) -> Duration {
        let begun = clock.now().unwrap();
        loop {
            let now = clock.now().unwrap();
            if now >= begun + time {
                return now;
            }
        }
    }

    #[test]
    fn what_pairs_take_themselves_is_not_traffic() {
        const TIME: Duration = Duration::from_millis(5);
        let clock = CpuClock::of_this_thread().unwrap();
        let own = OwnWork::default();
        let mut worked = Worked::new(&own, clock.now().unwrap());
        assert!(worked.up_to(work(clock, TIME)) >= TIME, "somebody else's");

        own.of_this_thread();
        let mut worked = Worked::new(&own, clock.now().unwrap());
        assert!(worked.up_to(work(clock, TIME)) < TIME, "their own");

        let own = OwnWork::default();
        let mut worked = Worked::new(&own, clock.now().unwrap());
        let all = own.spread(|| work(clock, TIME));
        assert_eq!(worked.up_to(all), Duration::ZERO, "nobody knows whose");
        own.spread(|| assert_eq!(worked.up_to(work(clock, TIME)), Duration::ZERO));
        let all = clock.now().unwrap();
        worked.up_to(all);
        assert!(worked.up_to(work(clock, TIME)) >= TIME, "somebody else's again");
    }

    #[test]
    fn whoever_asks_for_long_enough_learns_that_a_server_is_quiet() {
        let in_flight = Arc::new(InFlight::default());
        let lookout = Lookout { in_flight, threads: 1 };
        let quiet = QuietTimes::new(lookout, None, Arc::default());
        assert!(!quiet.is_quiet(), "nobody looks");
        quiet.start().unwrap();
        assert!(!quiet.is_time(), "not at once");
        let begun = Instant::now();
        while !quiet.is_quiet() {
            assert!(begun.elapsed() < LONG);
            std::thread::park_timeout(Duration::from_millis(5));
        }
        assert!(begun.elapsed() > Duration::from_millis(900));
    }
}
