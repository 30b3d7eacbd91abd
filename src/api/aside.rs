//! Work on large texts, done where other requests need not wait for it.
//!
//! A body of many megabytes takes a good part of a second to be understood, and the thread that does it has hundreds of
//! other requests. So it hands them to another thread first. Each piece of such work has a thread for itself, and of these
//! the runtime has a limit, beyond which nobody would take the requests over; so only so many are aside at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Handle, RuntimeFlavor};

/// More text than this is much. It takes about a millisecond, or two.
const MUCH: usize = 256 << 10;
/// How many pieces of work may be aside at a time.
const MOST: usize = 32;

/// How many are.
static ASIDE: AtomicUsize = AtomicUsize::new(0);

/// Does work on so many bytes of text.
pub(super) fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let may_leave = || Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if bytes <= MUCH || !may_leave() {
        return work();
    }
    match Leave::of(&ASIDE) {
        Some(_leave) => tokio::task::block_in_place(work),
        None => work(),
    }
}

/// One piece of work that is aside.
struct Leave<'c>(&'c AtomicUsize);

impl<'c> Leave<'c> {
    fn of(count: &'c AtomicUsize) -> Option<Self> {
        let more = |count| (count < MOST).then_some(count + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok().then(|| Self(count))
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    /// Whether another task of the only thread gets its turn while this work is done.
    async fn others_go_on(bytes: usize, patience: Duration) -> bool {
        let task = tokio::spawn(async move {
            let (tell, told) = channel();
            tokio::spawn(async move { tell.send(()) });
            aside(bytes, move || told.recv_timeout(patience).is_ok())
        });
        task.await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_there_is_much_to_read() {
        assert!(others_go_on(MUCH + 1, Duration::from_secs(60)).await);
        assert!(!others_go_on(MUCH, Duration::from_millis(10)).await, "it is not worth it");
    }

    #[tokio::test]
    async fn where_there_is_no_other_thread_it_is_done_at_once() {
        assert_eq!(aside(MUCH + 1, || 7), 7);
    }

    #[test]
    fn only_so_many_are_aside_at_a_time() {
        let count = AtomicUsize::new(0);
        let mut all: Vec<Leave<'_>> = (0..MOST).map_while(|_| Leave::of(&count)).collect();
        assert_eq!((all.len(), Leave::of(&count).is_none()), (MOST, true));
        all.pop();
        assert!(Leave::of(&count).is_some());
        drop(all);
        assert_eq!(count.into_inner(), 0);
    }
}
