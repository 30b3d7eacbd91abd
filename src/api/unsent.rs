//! How much the answers may take together that clients have not taken yet.
//!
//! Small ones are not counted, since each needs a connection, and of these there are only so many. A client who asks for
//! large answers and reads none of them would otherwise be given memory for as long as a client may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// See above.
#[derive(Debug)]
pub(super) struct Unsent {
    most: usize,
    /// Up to here an answer does not count.
    small: usize,
    held: AtomicUsize,
}

/// Up to here an answer is small, where a connection has one at a time.
const SMALL: usize = 64 << 10;
/// The same where it has many.
const SMALL_AMONG_MANY: usize = 1 << 10;

impl Unsent {
    /// For so many bytes.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, small: SMALL, held: AtomicUsize::new(0) })
    }

    /// The same on connections that each may have many answers under way.
    pub(super) fn of_many(most: usize) -> Arc<Self> {
        Arc::new(Self { most, small: SMALL_AMONG_MANY, held: AtomicUsize::new(0) })
    }

    /// Makes room for an answer of so many bytes; none where there is not enough. One that nobody else keeps from its
    /// room gets it, however large it is.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Option<Part> {
        let counted = if bytes <= self.small { 0 } else { bytes };
        let sum = |held: usize| {
            let sum = held.saturating_add(counted);
            (counted == 0 || held == 0 || sum <= self.most).then_some(sum)
        };
        let taken = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
        taken.ok().map(|_| Part { unsent: self.clone(), bytes: counted })
    }
}

/// What one answer takes, until nothing of it waits to be sent any more.
#[derive(Debug)]
pub(super) struct Part {
    unsent: Arc<Unsent>,
    bytes: usize,
}

impl Part {
    /// Whether it takes anything.
    pub(super) fn counts(&self) -> bool {
        self.bytes > 0
    }

    /// The same bytes, which keep their part until they are gone.
    pub(super) fn with(self: Arc<Self>, bytes: Bytes) -> Bytes {
        if self.bytes == 0 { bytes } else { Bytes::from_owner(Counted { bytes, _part: self }) }
    }
}

struct Counted {
    bytes: Bytes,
    _part: Arc<Part>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.unsent.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn large_answers_count_until_they_are_gone_and_small_ones_do_not() {
        let unsent = Unsent::new(2 * MIB);
        let first = unsent.take(MIB).unwrap();
        let _second = unsent.take(MIB).unwrap();
        assert!(unsent.take(SMALL + 1).is_none());
        assert!(unsent.take(SMALL).is_some() && unsent.take(0).is_some());
        drop(first);
        assert!(unsent.take(MIB).is_some());
    }

    #[test]
    fn an_answer_counts_while_somebody_has_its_bytes() {
        let unsent = Unsent::new(MIB);
        let part = Arc::new(unsent.take(MIB).unwrap());
        let mut bytes = part.with(Bytes::from(vec![7; MIB]));
        let rest = bytes.split_off(1);
        drop(bytes);
        assert!(unsent.take(MIB).is_none(), "all but one byte of it wait");
        assert_eq!(rest.len(), MIB - 1);
        drop(rest);
        assert!(unsent.take(MIB).is_some());
    }

    #[test]
    fn one_that_is_larger_than_all_room_is_sent_when_it_is_alone() {
        let unsent = Unsent::new(MIB);
        let small = unsent.take(SMALL).unwrap();
        let large = unsent.take(3 * MIB).unwrap();
        drop(small);
        assert!(unsent.take(SMALL + 1).is_none());
        drop(large);
        assert!(unsent.take(SMALL + 1).is_some());
    }
}
