//! What the end of a child says about the model.

use std::time::Duration;

use super::child::{Ended, Found, How};
use super::told::{Facts, Order, Stage};
use crate::onnx::Rejection;
use crate::repository::contract::ContractError;
use crate::system::breadcrumbs::signal_of;

/// Why a content is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Whether the same content will fail again.
    pub(crate) is_for_good: bool,
    /// A sentence.
    pub(crate) reason: String,
    /// In the library's own words, which are for the log alone.
    pub(crate) words: Option<String>,
}

impl Fault {
    /// The same content will fail again.
    pub(crate) fn for_good(reason: String) -> Self {
        Self { is_for_good: true, reason, words: None }
    }

    /// It may do better another time.
    pub(crate) fn passing(reason: String) -> Self {
        Self { is_for_good: false, reason, words: None }
    }
}

impl From<ContractError> for Fault {
    fn from(error: ContractError) -> Self {
        match error {
            // The store's own file cannot be read: that says nothing of the model.
            ContractError::Unreadable(_) => Self::passing(error.to_string()),
            ContractError::NotAModel(_)
            | ContractError::TooLarge { .. }
            | ContractError::Broken { .. } => Self::for_good(error.to_string()),
        }
    }
}

/// What is known of the content now.
///
/// # Errors
/// [`Fault`]: for good where the model itself is to blame, passing where it may have been the machine.
pub(crate) fn verdict(mut ended: Ended, order: &Order, timeout: Duration) -> Result<Facts, Fault> {
    let words = ended.words.take();
    judge(ended, order, timeout).map_err(|fault| Fault { words, ..fault })
}

fn judge(ended: Ended, order: &Order, timeout: Duration) -> Result<Facts, Fault> {
    let when = at(ended.stage);
    match (ended.how, ended.found) {
        (How::Exited(0), Some(Found::Good(facts))) => Ok(facts),
        // It is served on one thread unless somebody says otherwise, and was found to be good at that.
        (_, Some(Found::Good(facts))) if ended.stage == Stage::Spreading => Ok(facts),
        (_, Some(Found::Bad(Rejection::OutOfMemory))) => Err(Fault::for_good(format!(
            "it asks for more memory than a model of its size may have {when} ({} of addresses)",
            bytesize::ByteSize(order.limits.address_space)
        ))),
        (_, Some(Found::Bad(reason))) => Err(Fault::for_good(reason.to_string())),
        (How::TookTooLong, _) => Err(Fault::passing(format!(
            "its trial took longer than {} (`repository.load_timeout`) {when}",
            humantime::format_duration(timeout)
        ))),
        (How::Killed(libc::SIGXCPU), _) => Err(Fault::for_good(format!(
            "it took more than {} of a core's time {when}: it may never end",
            humantime::format_duration(order.limits.cpu)
        ))),
        (How::Killed(libc::SIGKILL), _) => Err(Fault::passing(format!(
            "its trial was killed {when}, most likely because memory ran out"
        ))),
        (How::Killed(number), _) => Err(match signal_of(number) {
            Some(signal) => Fault::for_good(format!(
                "it crashes the process that runs it: {signal} ({}) {when}",
                signal.meaning()
            )),
            None => Fault::passing(format!("its trial was ended by signal {number} {when}")),
        }),
        // A child that dies after its last word has a model that cannot be unloaded.
        (How::Exited(code), _) => Err(Fault::passing(format!(
            "its trial ended without a result {when} (exit code {code})"
        ))),
    }
}

fn at(stage: Stage) -> &'static str {
    match stage {
        Stage::Starting => "before it was loaded",
        Stage::Loading => "while it was loaded",
        Stage::Running => "in its first run",
        Stage::Probing => "in its first runs with several rows",
        Stage::Spreading => "in its first runs on several threads",
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::system::limits::Limits;

    const PATIENCE: Duration = Duration::from_secs(300);

    fn reason(stage: Stage, found: Option<Found>, how: How) -> (bool, String) {
        let fault = verdict(ended(stage, found, how), &order(), PATIENCE).unwrap_err();
        (fault.is_for_good, fault.reason)
    }

    fn order() -> Order {
        Order {
            model: PathBuf::new(),
            library: PathBuf::new(),
            limits: Limits { cpu: Duration::from_secs(30), address_space: 4 << 30 },
            name: String::new(),
        }
    }

    fn ended(stage: Stage, found: Option<Found>, how: How) -> Ended {
        let (signature, words, fails_on_zeros, log) = (None, None, None, Vec::new());
        Ended { stage, found, signature, words, fails_on_zeros, log, how }
    }

    fn facts() -> Facts {
        let (memory, peak, load_time) = (1, 2, Duration::ZERO);
        Facts { rows: Ok(()), arena: false, memory, peak, load_time, run_time: None, spread: None }
    }

    #[test]
    fn what_happens_on_several_threads_is_held_against_nobody() {
        for how in [How::Killed(libc::SIGXCPU), How::Exited(1), How::TookTooLong] {
            let ended = ended(Stage::Spreading, Some(Found::Good(facts())), how);
            assert_eq!(verdict(ended, &order(), PATIENCE), Ok(facts()));
        }
    }

    #[test]
    fn a_crash_is_the_models_fault_and_the_signal_is_named() {
        for (number, stage, sentence) in [
            (
                libc::SIGFPE,
                Stage::Running,
                "it crashes the process that runs it: SIGFPE (an integer division that cannot be done) in its first run",
            ),
            (
                libc::SIGSEGV,
                Stage::Loading,
                "it crashes the process that runs it: SIGSEGV (memory that is not there, or a stack that is full) while it was loaded",
            ),
            (
                libc::SIGABRT,
                Stage::Probing,
                "it crashes the process that runs it: SIGABRT (the library gave up) in its first runs with several rows",
            ),
        ] {
            let told = reason(stage, None, How::Killed(number));
            assert_eq!(told, (true, sentence.to_owned()));
        }
        let after_its_last_word =
            reason(Stage::Probing, Some(Found::Good(facts())), How::Killed(libc::SIGBUS));
        assert!(after_its_last_word.0, "it would crash the server when it is unloaded");
    }

    #[test]
    fn a_loop_is_the_models_fault_and_a_busy_machine_is_not() {
        assert_eq!(
            reason(Stage::Running, None, How::Killed(libc::SIGXCPU)),
            (
                true,
                "it took more than 30s of a core's time in its first run: it may never end".into()
            )
        );
        assert_eq!(
            reason(Stage::Loading, None, How::TookTooLong),
            (
                false,
                "its trial took longer than 5m (`repository.load_timeout`) while it was loaded"
                    .into()
            )
        );
    }

    #[test]
    fn memory_that_ran_out_is_the_models_fault_where_it_met_its_own_limit() {
        let (is_for_good, sentence) =
            reason(Stage::Running, Some(Found::Bad(Rejection::OutOfMemory)), How::Exited(0));
        assert!(is_for_good);
        assert_eq!(
            sentence,
            "it asks for more memory than a model of its size may have in its first run (4.0 GiB of addresses)"
        );
        let (is_for_good, sentence) = reason(Stage::Loading, None, How::Killed(libc::SIGKILL));
        assert!(!is_for_good, "{sentence}");
    }

    #[test]
    fn a_child_without_a_word_is_tried_again() {
        for how in [How::Exited(0), How::Exited(101), How::Killed(libc::SIGTERM)] {
            assert!(!reason(Stage::Starting, None, how).0, "{how:?}");
        }
    }
}
