//! How much the bodies of all requests may take together.
//!
//! Small ones are not counted: their number has a limit already, since each needs a connection. So many large ones can
//! keep each other out, but no small one. A large one that stands still gives way to others, so that it does not help to
//! send almost all of a few bodies and to take one's time over the rest.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// See above.
#[derive(Debug)]
pub struct Bodies {
    most: usize,
    held: AtomicUsize,
    epoch: Instant,
    arriving: Mutex<Arriving>,
    /// Told when bytes are given back.
    freed: Notify,
}

/// The large bodies that are not whole yet.
#[derive(Debug, Default)]
struct Arriving {
    next: u64,
    present: BTreeMap<u64, Arc<Arrival>>,
}

#[derive(Debug)]
struct Arrival {
    /// When it last came on, in milliseconds from the epoch on.
    moved: AtomicU64,
    has_to_go: Notify,
}

/// Up to here a body is small.
const SMALL: usize = 16 << 10;
/// What a large body brings within a moment, or it stands still.
const STEP: usize = 64 << 10;
const A_MOMENT: Duration = Duration::from_secs(1);
/// For how long what was told to go may take to be gone.
const GONE_WITHIN: Duration = Duration::from_millis(100);

/// There is no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Bodies {
    /// For so many bodies of the largest size.
    const OF_THE_LARGEST: usize = 4;

    /// Where the largest has so many bytes.
    pub fn new(max_body: usize) -> Arc<Self> {
        Arc::new(Self {
            most: max_body.saturating_mul(Self::OF_THE_LARGEST),
            held: AtomicUsize::new(0),
            epoch: Instant::now(),
            arriving: Mutex::default(),
            freed: Notify::new(),
        })
    }

    fn take(&self, bytes: usize) -> bool {
        let sum = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.most);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
    }

    /// Tells the body to go that has stood still for longest; false where none does.
    fn send_one_away(&self) -> bool {
        let mut arriving = self.lock();
        let moved = |arrival: &Arrival| arrival.moved.load(Ordering::Relaxed);
        let slowest = arriving.present.iter().min_by_key(|(_, arrival)| moved(arrival));
        let Some((&number, slowest)) = slowest else { return false };
        if self.now().saturating_sub(moved(slowest)) < A_MOMENT.as_millis() as u64 {
            return false;
        }
        slowest.has_to_go.notify_one();
        arriving.present.remove(&number);
        true
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    fn lock(&self) -> MutexGuard<'_, Arriving> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// Bytes of [`Bodies`] that belong to one request.
#[derive(Debug)]
pub(super) struct Held {
    bodies: Arc<Bodies>,
    /// Up to here they do not count.
    small: usize,
    bytes: usize,
    /// While it is large, and not whole.
    arrival: Option<(u64, Arc<Arrival>)>,
    /// How much of it had come when it last came on.
    had: usize,
}

impl Held {
    pub(super) fn new(bodies: &Arc<Bodies>) -> Self {
        Self { bodies: bodies.clone(), small: SMALL, bytes: 0, arrival: None, had: 0 }
    }

    /// Of a connection that may have many requests under way: there the small ones count as well.
    pub(super) fn of_one_among_many(bodies: &Arc<Bodies>) -> Self {
        let mut held = Self::new(bodies);
        held.small = 0;
        held
    }

    /// Makes room for a body of which so many bytes have come by now. Where there is none, one that stands still goes.
    pub(super) async fn cover(&mut self, length: usize) -> Result<(), Full> {
        while !self.try_cover(length) {
            if !self.bodies.send_one_away() {
                return Err(Full);
            }
            let _ = timeout(GONE_WITHIN, self.bodies.freed.notified()).await;
        }
        Ok(())
    }

    /// The same where there is room already; false where there is none.
    pub(super) fn try_cover(&mut self, length: usize) -> bool {
        if length <= self.small {
            return true;
        }
        self.come_on(length);
        let more = length.saturating_sub(self.bytes);
        let is_there = self.bodies.take(more);
        if is_there {
            self.bytes += more;
        }
        is_there
    }

    /// Makes room for what a body becomes when it is unpacked: so many bytes by now. Nobody has to go for it, since all of
    /// it is here.
    pub(super) fn unpack_to(&mut self, length: usize) -> Result<(), Full> {
        if length > self.small && length > self.bytes {
            if !self.bodies.take(length - self.bytes) {
                return Err(Full);
            }
            self.bytes = length;
        }
        Ok(())
    }

    fn come_on(&mut self, length: usize) {
        let now = self.bodies.now();
        match &self.arrival {
            Some((_, arrival)) if length - self.had >= STEP => {
                arrival.moved.store(now, Ordering::Relaxed);
                self.had = length;
            }
            Some(_) => {}
            None => {
                let (moved, has_to_go) = (AtomicU64::new(now), Notify::new());
                let arrival = Arc::new(Arrival { moved, has_to_go });
                let mut arriving = self.bodies.lock();
                let number = arriving.next;
                arriving.next += 1;
                arriving.present.insert(number, arrival.clone());
                drop(arriving);
                (self.arrival, self.had) = (Some((number, arrival)), length);
            }
        }
    }

    /// Ends when this body stands still and others need its room.
    pub(super) fn has_to_go(&self) -> impl Future<Output = ()> + Send + use<> {
        let arrival = self.arrival.as_ref().map(|(_, arrival)| arrival.clone());
        async move {
            match arrival {
                Some(arrival) => arrival.has_to_go.notified().await,
                None => std::future::pending().await,
            }
        }
    }

    /// The body is whole: now it is the server who is waited for.
    pub(super) fn is_whole(&mut self) {
        if let Some((number, _)) = self.arrival.take() {
            self.bodies.lock().present.remove(&number);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.is_whole();
        self.bodies.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bodies.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    async fn held(bodies: &Arc<Bodies>, length: usize) -> Result<Held, Full> {
        let mut held = Held::new(bodies);
        held.cover(length).await.map(|()| held)
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_count_until_they_are_done_with_and_small_ones_do_not() {
        let bodies = Bodies::new(MAX);
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(held(&bodies, MAX).await.unwrap());
        }
        assert_eq!(held(&bodies, SMALL + 1).await.unwrap_err(), Full);
        assert!(held(&bodies, SMALL).await.is_ok());
        all.pop();
        assert!(held(&bodies, MAX).await.is_ok());
        all.clear();
        assert_eq!(bodies.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_stands_still_gives_way_and_one_that_comes_on_or_is_whole_does_not() {
        let bodies = Bodies::new(MAX);
        let mut whole = held(&bodies, MAX).await.unwrap();
        whole.is_whole();
        let still = held(&bodies, MAX).await.unwrap();
        let _later = held(&bodies, MAX).await.unwrap();
        let mut coming = held(&bodies, MAX / 2).await.unwrap();
        let _rest = held(&bodies, MAX / 4).await.unwrap();
        tokio::time::advance(Duration::from_millis(600)).await;
        coming.cover(MAX / 2 + STEP).await.unwrap();
        assert_eq!(held(&bodies, MAX / 2).await.unwrap_err(), Full, "everybody has a moment");
        tokio::time::advance(Duration::from_millis(600)).await;
        let (has_come, gone) = tokio::join!(held(&bodies, MAX / 2), async {
            still.has_to_go().await;
            drop(still);
        });
        assert!(has_come.is_ok(), "{gone:?}");
        let waits = timeout(Duration::from_secs(60), coming.has_to_go()).await;
        assert!(waits.is_err(), "it came on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_is_no_progress() {
        let bodies = Bodies::new(MAX);
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(held(&bodies, MAX - 100).await.unwrap());
        }
        for second in 1..=2 {
            tokio::time::advance(Duration::from_secs(1)).await;
            all[0].cover(MAX - 100 + second).await.unwrap();
        }
        assert!(bodies.send_one_away());
    }
}
