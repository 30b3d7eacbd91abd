//! A sudden death at a chosen moment, so that tests can see what it leaves behind.
//!
//! Some moments last for microseconds, and no `kill -9` from outside meets them. A test names one in
//! [`MOMENT`], and the process kills itself there as the kernel would: nothing is flushed, no destructor
//! runs. Where nobody names one, nothing ever happens.

use super::breadcrumbs::signal_number;
use crate::domain::attribution::Signal;

/// The environment variable that names the moment, as in `GREENROOM_TEST_DIE_AT=recorded:baking`. For tests only.
pub const MOMENT: &str = "GREENROOM_TEST_DIE_AT";

/// The moment at which this process is to die, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Death(Option<String>);

impl Death {
    /// As the environment says. Ask once, at the start.
    pub fn appointed() -> Self {
        Self(std::env::var(MOMENT).ok())
    }

    /// Does not return from the moment that was named. `what` tells moments of the same name apart.
    pub fn may_come(&self, moment: &str, what: &str) {
        if self.0.as_deref().and_then(|named| named.split_once(':')) == Some((moment, what)) {
            // SAFETY: `raise` has no preconditions. This signal ends the process before it returns.
            unsafe { libc::raise(libc::SIGKILL) };
        }
    }
}

/// The environment variable by which the trials of versions die, as in
/// `GREENROOM_TEST_CHECK_DIES=running:SIGSEGV:version 2 of fraud`. For tests only.
pub const CHECK_DIES: &str = "GREENROOM_TEST_CHECK_DIES";

/// The signal by which a version's trial is to die in one of its stages, if there is one: as a library does that has
/// a fault for which no model is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckDies(Option<String>);

impl CheckDies {
    /// As the environment says. Ask once, at the start.
    pub fn appointed() -> Self {
        Self(std::env::var(CHECK_DIES).ok())
    }

    /// Does not return in the stage, and from the version, that was named.
    pub fn may_come(&self, version: &str, stage: &str) {
        let Some(signal) = self.signal(version, stage) else { return };
        // Rust's own handler for SIGSEGV does nothing about a signal that was sent.
        // SAFETY: both take numbers, and a signal's default is always there.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }

    fn signal(&self, version: &str, stage: &str) -> Option<libc::c_int> {
        let mut parts = self.0.as_deref()?.splitn(3, ':');
        let (when, signal, whose) = (parts.next()?, parts.next()?, parts.next()?);
        let known = Signal::ALL.into_iter().find(|known| known.to_string() == signal);
        known.filter(|_| when == stage && whose == version).map(signal_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_dies_at_another_moment() {
        for named in [None, Some("recorded"), Some("recorded:aborted"), Some("shown:baking")] {
            Death(named.map(str::to_owned)).may_come("recorded", "baking");
        }
    }

    #[test]
    fn a_trial_dies_in_the_stage_and_for_the_version_that_is_named() {
        let dies = CheckDies(Some("running:SIGBUS:version 2 of fraud".to_owned()));
        assert_eq!(dies.signal("version 2 of fraud", "running"), Some(libc::SIGBUS));
        for (version, stage) in
            [("version 1 of fraud", "running"), ("version 2 of fraud", "loading")]
        {
            assert_eq!(dies.signal(version, stage), None);
        }
        assert_eq!(CheckDies(None).signal("version 2 of fraud", "running"), None);
    }
}
