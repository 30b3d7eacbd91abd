//! What happened in each hour.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counts::Counted;
use crate::domain::time::WallTime;

/// As many hours as are kept: two weeks.
const MOST: usize = 14 * 24;
const HOUR_MS: u64 = 3_600_000;

/// The hours of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Hours {
    hours: BTreeMap<WallTime, Hour>,
    /// What has been put into an hour already.
    counted: Counted,
    agreed: u64,
}

/// One hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Hour {
    pub(super) eligible: u64,
    pub(super) sampled: u64,
    pub(super) executed: u64,
    pub(super) dropped: u64,
    pub(super) agreed: u64,
}

impl Hours {
    /// Puts what was counted since the last call into the present hour. `agreed` is the number of pairs so far in
    /// which nothing differed.
    pub(super) fn count(&mut self, now: WallTime, counted: Counted, agreed: u64) {
        let before = std::mem::replace(&mut self.counted, counted);
        let after = &self.counted;
        let more = Hour {
            eligible: after.requests.saturating_sub(before.requests),
            sampled: after.all_sampled().saturating_sub(before.all_sampled()),
            executed: after.all_executed().saturating_sub(before.all_executed()),
            dropped: after.all_dropped().saturating_sub(before.all_dropped()),
            agreed: agreed.saturating_sub(std::mem::replace(&mut self.agreed, agreed)),
        };
        if more == Hour::default() {
            return;
        }
        let hour = self.hours.entry(WallTime(now.0 / HOUR_MS * HOUR_MS)).or_default();
        hour.eligible += more.eligible;
        hour.sampled += more.sampled;
        hour.executed += more.executed;
        hour.dropped += more.dropped;
        hour.agreed += more.agreed;
        while self.hours.len() > MOST {
            self.hours.pop_first();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&WallTime, &Hour)> {
        self.hours.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::counts::Counts;

    #[test]
    fn each_request_is_in_the_hour_in_which_it_was_counted() {
        let (counts, mut hours) = (Counts::default(), Hours::default());
        for minute in 0..150 {
            counts.sampled(100);
            counts.executed(100);
            hours.count(WallTime(minute * 60_000), counts.now(), minute / 2);
        }
        let sampled: Vec<u64> = hours.iter().map(|(_, hour)| hour.sampled).collect();
        assert_eq!(sampled, [60, 60, 30]);
        assert_eq!(hours.iter().map(|(_, hour)| hour.agreed).sum::<u64>(), 74);
        assert_eq!(hours.iter().nth(1).unwrap().0.to_string(), "1970-01-01T01:00:00.000Z");
    }
}
