//! The thread that divides time into blocks: at the end of each it has the rollouts that are compared look at the clock.

use std::sync::Arc;
use std::time::Duration;

use super::Studies;
use super::blocks::{Blocks, UnderWay, now};

/// See the module. It runs for ever: the process ends without waiting for it.
#[derive(Debug)]
pub(super) struct Turns {
    pub(super) blocks: Blocks,
    pub(super) studies: Arc<Studies>,
    pub(super) under_way: Arc<UnderWay>,
}

impl Turns {
    pub(super) fn run(self) {
        loop {
            let number = self.blocks.number(now());
            let studies = self.studies.all();
            studies.values().for_each(|study| study.meter().turn(now()));
            if !studies.is_empty() && self.is_clear(number) {
                studies.values().for_each(|study| study.meter().begin(now()));
            }
            if self.blocks.number(now()) == number {
                std::thread::sleep(self.blocks.left(now()));
            }
        }
    }

    /// Waits until what was on its way at the beginning of the block is over. Whether that takes too long does not depend
    /// on whether the block has pairs, since those wait as well; or else a block would count for what it is.
    fn is_clear(&self, number: u64) -> bool {
        const LOOKS: u32 = 20;
        std::thread::sleep(self.blocks.guard());
        let pause: Duration = self.blocks.guard() / LOOKS;
        while self.under_way.is_any_before(number) {
            if self.blocks.number(now()) != number || self.blocks.left(now()) < self.blocks.least()
            {
                return false;
            }
            std::thread::sleep(pause);
        }
        self.blocks.number(now()) == number
    }
}
