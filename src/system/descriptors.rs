//! How many files and connections the process may have open at once.

/// Raises the limit as far as the process may by itself, and tells it.
///
/// Systems start processes with a low limit, for the sake of old programs that cannot count further.
pub fn raise_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return LEAST;
    }
    // macOS takes no more than this, whatever it says itself.
    let highest = if cfg!(target_os = "macos") { 10_240 } else { libc::RLIM_INFINITY };
    let raised = libc::rlimit { rlim_cur: highest.min(limit.rlim_max), ..limit };
    if raised.rlim_cur > limit.rlim_cur {
        // SAFETY: `raised` is a valid limit, and nobody in the process relies on there being few descriptors.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } == 0 {
            limit = raised;
        }
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// What POSIX lets a process rely on.
const LEAST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_once_and_for_all() {
        let limit = raise_limit();
        assert!(limit > LEAST, "{limit}");
        assert_eq!(raise_limit(), limit);
    }
}
