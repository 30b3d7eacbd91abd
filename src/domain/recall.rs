//! How far recorded requests have been run again.

use serde::{Deserialize, Serialize};

use super::time::WallTime;

/// The place of a recorded request among those of its model: when it was answered, and what was drawn for it, which
/// tells those of one moment apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct Mark {
    /// When it was answered.
    pub time: WallTime,
    /// What was drawn for it.
    pub priority: u64,
}

/// The recorded requests that were run again. They are run in the order of their marks, so that a restart knows where
/// to go on, and counts none of them twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Recalled {
    /// How many.
    pub count: u64,
    /// The last of them.
    pub last: Option<Mark>,
}

impl Recalled {
    /// One more was run.
    pub fn add(&mut self, mark: Mark) {
        self.count += 1;
        self.last = self.last.max(Some(mark));
    }

    /// Whether a request is still to be run.
    pub fn is_ahead(&self, mark: Mark) -> bool {
        self.last.is_none_or(|last| mark > last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_run_is_not_run_again() {
        let mark = |time, priority| Mark { time: WallTime(time), priority };
        let mut recalled = Recalled::default();
        assert!(recalled.is_ahead(mark(0, 0)));
        recalled.add(mark(5, 7));
        recalled.add(mark(5, 3));
        assert_eq!(recalled, Recalled { count: 2, last: Some(mark(5, 7)) });
        assert!(!recalled.is_ahead(mark(5, 7)) && !recalled.is_ahead(mark(4, 9)));
        assert!(recalled.is_ahead(mark(5, 8)) && recalled.is_ahead(mark(6, 0)));
    }
}
