//! Keeps a sample of live requests on disk, with what the trusted version answered.
//!
//! ```text
//! api ── choose, offer ──▶ Queue ──▶ Writer: encode ─▶ Shelf: <state>/captures/<model>/<number>.segment
//!          (no lock)          │ full: dropped and counted              │
//!                             ▼                                        ▼
//!                       CaptureMeter                            Recordings: whoever asks a model the same again
//! ```
//!
//! Off by default. No request waits for it: one that was answered leaves its buffers in a queue without locks, and the
//! thread that writes lets others go first. Which requests are recorded is drawn by a number that the
//! server gives them, so that it is a fair sample; when the records take more room than they may, what is left is one
//! as well ([`crate::domain::retention`]).
//!
//! A request is recorded when the trusted version has answered it whole, and nobody insisted on a version.

mod queue;
mod record;
mod recordings;
mod segment;
mod shelf;
mod writer;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::SystemTime;

use self::queue::{Job, Queue};
use self::record::Rule;
use self::writer::Writer;
use crate::config::{CaptureConfig, CaptureMode};
use crate::domain::sampling::{Purpose, bound, draw};
use crate::domain::tensor::Tensor;
use crate::domain::time::WallTime;
use crate::serving::{Outputs, Servable};
use crate::telemetry::metrics::capture::CaptureMeter;

pub use self::record::{Content, Recorded, Recording};
pub use self::recordings::Recordings;

/// Requests that wait to be written, at most.
const MOST_JOBS: usize = 4096;
/// Bytes of those, at most. One that is larger is not recorded.
const MOST_BYTES: usize = 64 << 20;

/// Where recorded requests are in the state folder.
pub fn folder(state: &Path) -> PathBuf {
    state.join("captures")
}

/// Where requests are left that are to be recorded.
#[derive(Debug)]
pub struct Capture {
    /// None where nothing is recorded.
    chooser: Option<Chooser>,
    queue: Arc<Queue>,
    meter: Arc<CaptureMeter>,
}

/// Which requests are recorded.
#[derive(Debug)]
struct Chooser {
    bound: Arc<AtomicU64>,
    seed: u64,
    /// The number of the next request.
    requests: AtomicU64,
}

/// A request that is to be recorded, by what was drawn for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen(u64);

/// The thread that writes.
#[derive(Debug)]
pub struct CaptureThread {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Starts the thread, where there is anything for it to do: where nothing is recorded, it still removes what was
    /// recorded before and has become too old.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start(config: &CaptureConfig, state: &Path) -> io::Result<(Self, CaptureThread)> {
        let folder = folder(state);
        let meter = Arc::new(CaptureMeter::new());
        let ceiling = bound(config.sample);
        let lowered = Arc::new(AtomicU64::new(ceiling));
        let is_on = match config.mode {
            CaptureMode::On | CaptureMode::Hash => true,
            CaptureMode::Off => false,
        };
        let queue = Arc::new(Queue::new(if is_on { MOST_JOBS } else { 1 }, MOST_BYTES));
        let chooser = is_on.then(|| Chooser {
            bound: lowered.clone(),
            // Another one with each start, since the numbers begin anew.
            seed: RandomState::new().hash_one("capture"),
            requests: AtomicU64::new(0),
        });
        let writer = Writer {
            queue: queue.clone(),
            bound: lowered,
            ceiling,
            rule: Rule {
                only_digests: config.mode == CaptureMode::Hash,
                redact: config.redact.clone(),
            },
            max_bytes: config.max_bytes,
            max_age: config.max_age,
            meter: meter.clone(),
            folder: folder.clone(),
        };
        let thread = (is_on || folder.is_dir()).then(|| {
            std::thread::Builder::new().name("capture".to_owned()).spawn(move || writer.run())
        });
        let thread = CaptureThread { queue: queue.clone(), thread: thread.transpose()? };
        Ok((Self { chooser, queue, meter }, thread))
    }

    /// Counts a request that the trusted version has answered, and says whether it is to be recorded.
    pub fn choose(&self) -> Option<Chosen> {
        let Chooser { bound, seed, requests } = self.chooser.as_ref()?;
        let drawn = draw(requests.fetch_add(1, Ordering::Relaxed), *seed, Purpose::Capture);
        (drawn < bound.load(Ordering::Relaxed)).then_some(Chosen(drawn))
    }

    /// Leaves a request that is to be recorded, with all outputs of the version that answered it. Never waits.
    pub fn offer(
        &self,
        chosen: Chosen,
        servable: &Arc<Servable>,
        inputs: Arc<Vec<Tensor>>,
        outputs: Arc<Outputs>,
    ) {
        let bytes = Job::bytes_of(&inputs, &outputs);
        let (servable, time) = (servable.clone(), WallTime::from(SystemTime::now()));
        let job = Job { servable, inputs, outputs, priority: chosen.0, time, bytes };
        if let Err(reason) = self.queue.offer(job) {
            self.meter.dropped(reason, 1);
        }
    }
}

impl CaptureThread {
    /// Writes what waits, and ends.
    pub fn end(self) {
        self.queue.end();
        if let Some(thread) = self.thread {
            // That it has panicked is in the log.
            let _ = thread.join();
        }
    }
}
