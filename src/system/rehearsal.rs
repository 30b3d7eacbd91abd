//! A sudden death at a chosen moment, so that tests can see what it leaves behind.
//!
//! Some moments last for microseconds, and no `kill -9` from outside meets them. A test names one in
//! [`MOMENT`], and the process kills itself there as the kernel would: nothing is flushed, no destructor
//! runs. Where nobody names one, nothing ever happens.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_dies_at_another_moment() {
        for named in [None, Some("recorded"), Some("recorded:aborted"), Some("shown:baking")] {
            Death(named.map(str::to_owned)).may_come("recorded", "baking");
        }
    }
}
