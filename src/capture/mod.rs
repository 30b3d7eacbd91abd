//! Keeps requests on disk, with what a version answered: a sample of all of them, for whoever asks a model the same
//! again, and those that are to be run on both versions of a rollout when there is time.
//!
//! ```text
//! api ── choose, offer ──▶ Trays ──▶ Queue ──▶ Writer ──▶ Shelf: <state>/captures/<model>/<number>.segment
//!                        (frames)     │ full: dropped and counted   │
//!                                     ▼                             ▼
//!                               CaptureMeter                Recordings: whoever asks a model the same again
//!
//! pairs ── offer ────────▶ Trays ──▶ Queue ──▶ Writer ──▶ Shelf: <state>/spool/<rollout>/<number>.segment
//!                                      │                    │
//!                                      └──────▶ Stock ◀─────┴── take: in the order of the file, each once
//! ```
//!
//! Both are off by default. No request waits for them: one that was answered leaves its buffers in a queue without locks,
//! or, where it is small, its frame in a tray of the thread that has answered it; and the thread that writes lets
//! others go first. Which requests are recorded is drawn by a number that the server gives them, so that it is a
//! fair sample; when the records take more room than they may, what is left is one as well
//! ([`crate::domain::retention`]).
//!
//! [`Capture`] records a request when the trusted version has answered it whole, and nobody insisted on a version;
//! [`Spool`] takes whatever was sampled for a rollout.

mod ledger;
mod place;
mod queue;
mod reader;
mod record;
mod recorder;
mod recordings;
mod request;
mod segment;
mod shelf;
mod spool;
mod stock;
mod trays;
mod writer;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use self::ledger::Ledger;
use self::place::Place;
use self::queue::Refused;
use self::record::Rule;
use self::recorder::{Plan, Recorder};
use self::request::{About, Request};
use crate::config::{CaptureConfig, CaptureMode};
use crate::domain::sampling::{Purpose, bound, draw};
use crate::domain::tensor::Tensor;
use crate::domain::time::WallTime;
use crate::serving::{Outputs, Servable};
use crate::telemetry::metrics::capture::CaptureMeter;

pub use self::record::{Content, Recorded, Recording};
pub use self::recorder::RecorderThread;
pub use self::recordings::Recordings;
pub use self::spool::{NotSpooled, Spool, Spooled};
pub use self::stock::{Lost, LostBy};
pub use crate::telemetry::metrics::capture::Dropped;

/// Where recorded requests are in the state folder.
pub fn folder(state: &Path) -> PathBuf {
    Place::captures(state).folder().to_owned()
}

/// Where requests are left that are to be recorded.
#[derive(Debug)]
pub struct Capture {
    /// None where nothing is recorded.
    chooser: Option<Chooser>,
    recorder: Recorder,
    meter: Arc<CaptureMeter>,
}

/// Which requests are recorded.
#[derive(Debug)]
struct Chooser {
    seed: u64,
    /// The number of the next request.
    requests: AtomicU64,
}

/// A request that is to be recorded: its number, and what was drawn for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    number: u64,
    priority: u64,
}

impl Capture {
    /// Starts the thread, where there is anything for it to do: where nothing is recorded, it still removes what was
    /// recorded before and has become too old.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start(config: &CaptureConfig, state: &Path) -> io::Result<(Self, RecorderThread)> {
        let place = Place::captures(state);
        let meter = Arc::new(CaptureMeter::new());
        let is_on = match config.mode {
            CaptureMode::On | CaptureMode::Hash => true,
            CaptureMode::Off => false,
        };
        let chooser = is_on.then(|| Chooser {
            // Another one with each start, since the numbers begin anew.
            seed: RandomState::new().hash_one("capture"),
            requests: AtomicU64::new(0),
        });
        let is_needed = is_on || place.folder().is_dir();
        let (recorder, thread) = Recorder::start(Plan {
            name: "capture",
            place,
            takes_any: is_on,
            ceiling: bound(config.sample),
            rule: Rule {
                only_digests: config.mode == CaptureMode::Hash,
                redact: config.redact.clone(),
            },
            max_bytes: config.max_bytes,
            max_age: config.max_age,
            ledger: Ledger::Capture(meter.clone()),
            shelf: None,
            is_needed,
        })?;
        Ok((Self { chooser, recorder, meter }, thread))
    }

    /// Counts a request that the trusted version has answered, and says whether it is to be recorded.
    pub fn choose(&self) -> Option<Chosen> {
        let Chooser { seed, requests } = self.chooser.as_ref()?;
        let number = requests.fetch_add(1, Ordering::Relaxed);
        let priority = draw(number, *seed, Purpose::Capture);
        (priority < self.recorder.bound()).then_some(Chosen { number, priority })
    }

    /// Leaves a request that is to be recorded, with all outputs of the version that answered it. Never waits.
    pub fn offer(
        &self,
        chosen: Chosen,
        servable: &Arc<Servable>,
        inputs: &Arc<Vec<Tensor>>,
        outputs: &Arc<Outputs>,
    ) {
        let Chosen { number, priority } = chosen;
        let time = WallTime::from(SystemTime::now());
        let about = About { rollout: None, number, priority, time };
        let request = Request { servable, inputs, outputs: Some(outputs), about };
        if let Err(Refused { reason, counts }) = self.recorder.offer(&request) {
            self.meter.dropped(reason, counts.iter().map(|(_, count)| count).sum());
        }
    }
}
