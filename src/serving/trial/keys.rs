//! Which keys have been counted already, where requests stick to a version by a key.
//!
//! What is drawn is the key's version, once, and all its requests follow. So a key is one observation for each share of
//! the traffic, however many requests it sends: counted one by one, a key that fails often would count as many
//! independent failures, and an identical candidate would be found guilty of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::domain::comparison::Arm;
use crate::domain::weight::Weight;

/// So many keys are remembered.
const MOST: usize = 1 << 20;
const SHARDS: usize = 64;

/// The keys that were counted, by their hashes.
#[derive(Debug)]
pub(super) struct Keys {
    shards: [Mutex<HashMap<u64, Counted>>; SHARDS],
    known: AtomicUsize,
    is_full: AtomicBool,
}

/// As what a key was counted last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    /// On the candidate: there it stays, and counts no more.
    Candidate,
    /// On stable, when the candidate had this share.
    Stable(Weight),
}

/// How a request of a key counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// The key is new: its chance of going to the candidate is the candidate's share.
    AsNew,
    /// The key was on stable at this share, so that its chance is a smaller one.
    After(Weight),
    /// It was counted already.
    NoMore,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            known: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
        }
    }

    /// Whether there were more keys than can be remembered: then nothing can be concluded from them.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// A request of a key goes to a version, while the candidate has this share.
    pub(super) fn count(&self, key: u64, arm: Arm, weight: Weight) -> Counts {
        let counted = match arm {
            Arm::Candidate => Counted::Candidate,
            Arm::Stable => Counted::Stable(weight),
        };
        // The hash's low bits choose the shard; the map uses others.
        let shard = &self.shards[key as usize % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        match shard.get_mut(&key) {
            Some(Counted::Candidate) => Counts::NoMore,
            Some(known @ Counted::Stable(_)) => {
                let Counted::Stable(before) = *known else { return Counts::NoMore };
                if weight <= before {
                    return Counts::NoMore;
                }
                *known = counted;
                Counts::After(before)
            }
            None if self.known.load(Ordering::Relaxed) >= MOST => {
                self.is_full.store(true, Ordering::Relaxed);
                Counts::NoMore
            }
            None => {
                self.known.fetch_add(1, Ordering::Relaxed);
                shard.insert(key, counted);
                Counts::AsNew
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_once_for_each_share_until_it_is_on_the_candidate() {
        let (keys, weight) = (Keys::new(), Weight::whole);
        assert_eq!(keys.count(7, Arm::Stable, weight(5)), Counts::AsNew);
        assert_eq!(keys.count(7, Arm::Stable, weight(5)), Counts::NoMore);
        assert_eq!(keys.count(7, Arm::Stable, weight(10)), Counts::After(weight(5)));
        assert_eq!(keys.count(7, Arm::Stable, weight(5)), Counts::NoMore, "the share has shrunk");
        assert_eq!(keys.count(7, Arm::Candidate, weight(25)), Counts::After(weight(10)));
        assert_eq!(keys.count(7, Arm::Candidate, weight(50)), Counts::NoMore);
        assert_eq!(keys.count(8, Arm::Candidate, weight(50)), Counts::AsNew);
    }

    #[test]
    fn more_keys_than_can_be_remembered_are_told() {
        let keys = Keys::new();
        keys.known.store(MOST, Ordering::Relaxed);
        assert!(!keys.is_full());
        assert_eq!(keys.count(1, Arm::Stable, Weight::whole(5)), Counts::NoMore);
        assert!(keys.is_full());
    }
}
