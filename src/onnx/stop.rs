//! Telling a run to stop.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use ort::AsPointer;
use ort::session::RunOptions;

use super::error::RunError;

/// A flag that runs look at between two nodes of the model; one raised before the run begins stops it
/// at once. A single large node cannot be interrupted.
///
/// The flag stays raised until [`lower`](Self::lower)ed, so that it can be used for many runs, one at a time.
pub struct StopFlag {
    options: RunOptions,
    raised: AtomicBool,
}

impl StopFlag {
    /// A lowered flag.
    ///
    /// # Errors
    /// [`RunError::Failed`] when the library has no memory for it.
    pub fn new() -> Result<Self, RunError> {
        let options = RunOptions::new()
            .map_err(|error| RunError::Failed { message: error.message().to_owned() })?;
        Ok(Self { options, raised: AtomicBool::new(false) })
    }

    /// Tells the run that uses this flag to stop.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        if let Err(error) = self.options.terminate() {
            tracing::warn!("a run cannot be told to stop: {}", error.message());
        }
    }

    /// Makes the flag ready for the next run.
    pub fn lower(&self) {
        if self.raised.swap(false, Ordering::AcqRel)
            && let Err(error) = self.options.unterminate()
        {
            tracing::warn!("a stopped run cannot be followed by another: {}", error.message());
        }
    }

    /// Whether the run was told to stop.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    pub(super) fn options(&self) -> *const ort::sys::OrtRunOptions {
        self.options.ptr()
    }
}

impl fmt::Debug for StopFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopFlag").field("raised", &self.is_raised()).finish()
    }
}
