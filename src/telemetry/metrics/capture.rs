//! How recording requests is going.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::domain::model::ModelName;

const RECORDS: &str = "greenroom_capture_records_total";
const DROPPED: &str = "greenroom_capture_dropped_total";
const BYTES: &str = "greenroom_capture_bytes";

pub(super) fn describe() {
    describe_counter!(RECORDS, Unit::Count, "Requests that were recorded.");
    describe_counter!(DROPPED, Unit::Count, "Requests that were to be recorded and were not.");
    describe_gauge!(BYTES, Unit::Bytes, "What the recorded requests take on disk.");
}

/// Why a request that was to be recorded was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is too large.
    Size,
    /// Too many waited.
    QueueFull,
    /// The disk is full, or cannot be written.
    Disk,
}

impl Dropped {
    const ALL: [Self; 3] = [Self::Size, Self::QueueFull, Self::Disk];

    fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::QueueFull => "queue_full",
            Self::Disk => "disk",
        }
    }
}

/// The numbers that do not depend on a model, with their places looked up once.
pub struct CaptureMeter {
    dropped: [Counter; Dropped::ALL.len()],
    bytes: Gauge,
}

impl CaptureMeter {
    /// Looks the places up.
    pub fn new() -> Self {
        let dropped = Dropped::ALL.map(|reason| counter!(DROPPED, "reason" => reason.name()));
        Self { dropped, bytes: gauge!(BYTES) }
    }

    /// So many requests were to be recorded and were not.
    pub fn dropped(&self, reason: Dropped, count: u64) {
        self.dropped[reason as usize].increment(count);
    }

    /// The records of all models take so many bytes.
    pub fn bytes(&self, bytes: u64) {
        self.bytes.set(bytes as f64);
    }

    /// So many requests to a model were recorded.
    pub fn recorded(&self, model: &ModelName, count: u64) {
        counter!(RECORDS, "model" => model.to_string()).increment(count);
    }
}

impl Default for CaptureMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for CaptureMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureMeter").finish_non_exhaustive()
    }
}
