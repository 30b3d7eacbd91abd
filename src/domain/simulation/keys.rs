//! Keys by which requests stick to a version, such as users.
//!
//! Users are not alike: most failures are those of few keys that fail half of the time. So the requests of a key are no
//! independent witnesses, which is what makes counting them hard.

use super::chance::Chance;
use super::traffic::Sticky;
use crate::domain::comparison::Arm;
use crate::domain::weight::Weight;

/// So many keys are remembered, as by the server.
const MOST: usize = 1 << 20;

/// The share of the failures that are those of few keys.
const OF_FEW: f64 = 0.8;

/// Which share of its requests such a key fails.
const OFTEN: f64 = 0.5;

/// The keys that have sent a request.
#[derive(Debug)]
pub(super) struct Keys {
    sticky: Sticky,
    known: Vec<Key>,
    counted: usize,
    is_full: bool,
}

#[derive(Debug)]
struct Key {
    /// Decides which version it is on.
    draw: u64,
    /// From 0, for those that fail first, to 1.
    luck: f64,
    counted: Option<Counted>,
}

/// As what a key was counted last.
#[derive(Clone, Copy, Debug)]
enum Counted {
    /// On the candidate: there it stays, and counts no more.
    Candidate,
    /// On stable, when the candidate had this share.
    Stable(Weight),
}

/// The key of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picked(usize);

impl Keys {
    pub(super) fn new(sticky: Sticky) -> Self {
        Self { sticky, known: Vec::new(), counted: 0, is_full: false }
    }

    /// Whether there were more keys than can be told apart: then nothing is concluded from them.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// The key of the next request: a new one, or any that is known.
    pub(super) fn pick(&mut self, chance: &mut Chance) -> Picked {
        if self.known.is_empty() || chance.happens(1.0 / self.sticky.requests_per_key) {
            let (draw, luck) = (chance.next(), chance.uniform());
            self.known.push(Key { draw, luck, counted: None });
            return Picked(self.known.len() - 1);
        }
        Picked(chance.index(self.known.len()))
    }

    /// The version that its requests go to while the candidate has this share.
    pub(super) fn arm(&self, Picked(key): Picked, weight: Weight) -> Arm {
        if weight.takes(self.known[key].draw) { Arm::Candidate } else { Arm::Stable }
    }

    /// Which share of its requests fail on a version that fails this share of all.
    pub(super) fn errors(&self, Picked(key): Picked, of_all: f64) -> f64 {
        let few = OF_FEW * of_all / OFTEN;
        if few >= 1.0 {
            return of_all;
        }
        let is_one = self.known[key].luck < few;
        (1.0 - OF_FEW) * of_all + if is_one { OFTEN } else { 0.0 }
    }

    /// A request of the key goes to a version. Gives the share at which the key was on stable before (none of the
    /// traffic for a new one), or nothing where it counts no more.
    pub(super) fn count(
        &mut self,
        Picked(key): Picked,
        arm: Arm,
        weight: Weight,
    ) -> Option<Weight> {
        let before = match self.known[key].counted {
            None if self.counted >= MOST => {
                self.is_full = true;
                return None;
            }
            None => {
                self.counted += 1;
                Weight::NONE
            }
            Some(Counted::Candidate) => return None,
            Some(Counted::Stable(before)) if weight <= before => return None,
            Some(Counted::Stable(before)) => before,
        };
        self.known[key].counted = Some(match arm {
            Arm::Candidate => Counted::Candidate,
            Arm::Stable => Counted::Stable(weight),
        });
        Some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(requests_per_key: f64) -> Keys {
        Keys::new(Sticky { requests_per_key })
    }

    #[test]
    fn a_key_counts_once_for_each_share_until_it_is_on_the_candidate() {
        let (mut keys, weight) = (keys(1.0), Weight::whole);
        let key = keys.pick(&mut Chance::new(1, 1));
        assert_eq!(keys.count(key, Arm::Stable, weight(5)), Some(Weight::NONE));
        assert_eq!(keys.count(key, Arm::Stable, weight(5)), None);
        assert_eq!(keys.count(key, Arm::Stable, weight(10)), Some(weight(5)));
        assert_eq!(keys.count(key, Arm::Candidate, weight(25)), Some(weight(10)));
        assert_eq!(keys.count(key, Arm::Candidate, weight(50)), None);
    }

    #[test]
    fn keys_send_so_many_requests_and_few_of_them_make_most_failures() {
        let (mut keys, mut chance) = (keys(20.0), Chance::new(1, 2));
        for _ in 0..100_000 {
            keys.pick(&mut chance);
        }
        let known = keys.known.len();
        assert!((4500..5500).contains(&known), "{known}");
        let errors: Vec<f64> = (0..known).map(|key| keys.errors(Picked(key), 0.02)).collect();
        let mean = errors.iter().sum::<f64>() / known as f64;
        let few = errors.iter().filter(|errors| **errors > 0.5).count();
        assert!((mean - 0.02).abs() < 0.003, "{mean}");
        assert!((100..220).contains(&few), "{few} of {known}");
        assert_eq!(keys.errors(Picked(0), 0.9), 0.9);
    }
}
