//! When there are pairs and when there are none: time in blocks, of which some are drawn to be without.
//!
//! Blocks are counted from a fixed day, so that whoever draws for one, after a restart or elsewhere, draws the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::config::ShadowConfig;
use crate::domain::sampling::{Purpose, bound, draw};
use crate::domain::time::WallTime;

/// How time is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    length: Duration,
    /// The chance of a block to be without pairs, above 0.
    off: f64,
}

/// One block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) number: u64,
    pub(super) has_pairs: bool,
}

impl Blocks {
    /// None where there are always pairs.
    pub(super) fn new(config: &ShadowConfig) -> Option<Self> {
        (config.off > 0.0).then_some(Self { length: config.block, off: config.off })
    }

    /// The block at this time, for the rollout with this seed.
    pub(super) fn at(&self, now: WallTime, seed: u64) -> Block {
        let number = self.number(now);
        let has_pairs = draw(number, seed, Purpose::Block) >= bound(self.off);
        Block { number, has_pairs }
    }

    /// The number of the block at this time.
    pub(super) fn number(&self, now: WallTime) -> u64 {
        now.0 / self.length_ms()
    }

    /// How long the block at this time goes on.
    pub(super) fn left(&self, now: WallTime) -> Duration {
        Duration::from_millis(self.length_ms() - now.0 % self.length_ms())
    }

    /// The chance of a block to have pairs.
    pub(super) fn chance(&self) -> f64 {
        1.0 - self.off
    }

    /// At the beginning of each block requests are not counted for so long: some were on their way before, and caches
    /// still hold what the block before has left there.
    pub(super) fn guard(&self) -> Duration {
        self.length / 10
    }

    /// A block of which less than this can be counted says nothing.
    pub(super) fn least(&self) -> Duration {
        self.length / 2
    }

    fn length_ms(&self) -> u64 {
        u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

pub(super) fn now() -> WallTime {
    WallTime::from(SystemTime::now())
}

/// In which block each worker began the pair that it runs now.
#[derive(Debug)]
pub(super) struct UnderWay(Vec<AtomicU64>);

/// Says that no pair is under way any more once it is dropped.
#[derive(Debug)]
pub(super) struct Pass<'u>(Option<&'u AtomicU64>);

impl UnderWay {
    const NONE: u64 = u64::MAX;

    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicU64::new(Self::NONE)).collect())
    }

    /// Lets a worker run a pair, where the block has them. A worker may have to wait for a core between two of its steps;
    /// so it says first in which block it begins and looks at the clock after that, and whoever counts waits for what began
    /// in another block.
    pub(super) fn pass(&self, worker: usize, mut block: impl FnMut() -> Block) -> Option<Pass<'_>> {
        let begun = &self.0[worker];
        let pass = Pass(Some(begun));
        let mut present = block();
        while present.has_pairs {
            begun.store(present.number, Ordering::SeqCst);
            let again = block();
            if again == present {
                return Some(pass);
            }
            present = again;
        }
        None
    }

    /// Whether a pair is still running that began before this block.
    pub(super) fn is_any_before(&self, block: u64) -> bool {
        let begun = self.0.iter().map(|begun| begun.load(Ordering::SeqCst));
        begun.into_iter().any(|begun| begun != Self::NONE && begun < block)
    }
}

impl Pass<'_> {
    /// Where nothing is counted, nobody needs to know.
    pub(super) const FREE: Self = Self(None);
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(begun) = self.0 {
            begun.store(UnderWay::NONE, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(off: f64) -> Blocks {
        let block = Duration::from_secs(10);
        Blocks::new(&ShadowConfig { off, block, ..ShadowConfig::default() }).unwrap()
    }

    #[test]
    fn a_share_of_the_blocks_is_without_pairs_and_each_rollout_has_its_own() {
        let blocks = blocks(0.1);
        let off = |seed| {
            (0..10_000).filter(move |number| !blocks.at(WallTime(number * 10_000), seed).has_pairs)
        };
        let count = off(1).count();
        assert!((900..1100).contains(&count), "{count}");
        assert!(off(1).eq(off(1)), "whoever draws again draws the same");
        assert!(!off(1).eq(off(2)));
        let always = ShadowConfig { off: 0.0, ..ShadowConfig::default() };
        assert!(Blocks::new(&always).is_none());
    }

    #[test]
    fn a_block_has_one_number_from_its_beginning_to_its_end() {
        let blocks = blocks(0.5);
        let number = |at| blocks.at(WallTime(at), 7).number;
        assert_eq!([number(29_999), number(30_000), number(39_999)], [2, 3, 3]);
        assert_eq!(blocks.left(WallTime(30_000)), Duration::from_secs(10));
        assert_eq!(blocks.left(WallTime(39_999)), Duration::from_millis(1));
    }

    #[test]
    fn a_worker_that_lost_its_core_between_two_looks_begins_in_the_block_that_it_sees_last() {
        let under_way = UnderWay::new(2);
        let seen = |blocks: [(u64, bool); 3]| {
            let mut blocks = blocks.into_iter();
            move || blocks.next().map(|(number, has_pairs)| Block { number, has_pairs }).unwrap()
        };
        let refused = under_way.pass(0, seen([(4, true), (5, false), (6, true)]));
        assert!(refused.is_none());
        assert!(!under_way.is_any_before(9));

        let pass = under_way.pass(0, seen([(4, true), (5, true), (5, true)]));
        assert!(under_way.is_any_before(6) && !under_way.is_any_before(5));
        drop(pass);
        assert!(!under_way.is_any_before(6));
    }
}
