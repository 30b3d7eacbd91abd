//! The thread that writes records.
//!
//! It encodes what waits, and writes what came together at least twice a second: a crash costs no more than that. A
//! disk that cannot be written costs records, which are counted, and nothing else; it is tried again with the next ones.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::queue::{Job, Queue};
use super::record::{self, Answered, Part, Rule, encode};
use super::segment::{self, add_frame};
use super::shelf::{Addition, Shelf};
use crate::domain::model::ModelName;
use crate::domain::retention::raised;
use crate::domain::tensor::ValueView;
use crate::domain::time::WallTime;
use crate::system::thread;
use crate::telemetry::metrics::capture::{CaptureMeter, Dropped};

/// Between two writes, at most.
const FLUSH: Duration = Duration::from_millis(400);
/// How long it rests where nothing waits.
const REST: Duration = Duration::from_millis(200);
/// Bytes that wait to be written, at most.
const TOGETHER: u64 = 1 << 20;

/// What the thread works with.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    /// What is drawn below it is recorded. Lowered when there is too little room for all.
    pub(super) bound: Arc<AtomicU64>,
    /// What it is where there is room.
    pub(super) ceiling: u64,
    pub(super) rule: Rule,
    pub(super) folder: PathBuf,
    pub(super) max_bytes: u64,
    pub(super) max_age: Duration,
    pub(super) meter: Arc<CaptureMeter>,
}

/// Records of one model that are not written yet.
#[derive(Debug)]
struct Pending {
    frames: Vec<u8>,
    count: u64,
    oldest: WallTime,
}

/// How it stands.
#[derive(Debug)]
struct Desk<'w> {
    writer: &'w Writer,
    shelf: Option<Shelf>,
    pending: HashMap<ModelName, Pending>,
    bytes: usize,
    /// Since when the first of them waits.
    since: Option<Instant>,
    looked: Instant,
    raised: Instant,
    /// The disk could not be written, and the log says so.
    is_out: bool,
}

impl Writer {
    /// Works until the queue is ended and empty.
    pub(super) fn run(self) {
        // One that only ran when a core is free would write nothing on a busy server, and the sample would be of quiet
        // times.
        thread::let_others_go_first();
        let now = Instant::now();
        let mut desk = Desk {
            writer: &self,
            shelf: None,
            pending: HashMap::new(),
            bytes: 0,
            since: None,
            looked: now,
            raised: now,
            is_out: false,
        };
        desk.look();
        loop {
            let job = self.queue.take(REST);
            let is_over = job.is_none() && self.queue.is_ended();
            if let Some(job) = job {
                desk.add(&job);
            }
            let is_due = desk.since.is_some_and(|since| since.elapsed() >= FLUSH);
            if is_due || is_over || desk.bytes as u64 >= TOGETHER.min(self.a_part()) {
                desk.flush();
            }
            if is_over {
                return;
            }
            if desk.looked.elapsed() >= self.between_looks() {
                desk.look();
            }
        }
    }

    /// What one record may take, and what is written at once: of records that take the room of many others a sample would
    /// have few.
    fn a_part(&self) -> u64 {
        self.max_bytes / 16
    }

    /// Often enough that nothing is kept for noticeably longer than it may be.
    fn between_looks(&self) -> Duration {
        (self.max_age / 64).clamp(Duration::from_millis(100), Duration::from_secs(10))
    }
}

impl Desk<'_> {
    fn add(&mut self, job: &Job) {
        if job.priority >= self.writer.bound.load(Ordering::Relaxed) {
            return; // the bound was lowered meanwhile
        }
        let servable = &job.servable;
        let signature = servable.signature();
        let named = |name, value| Part { name, value };
        let inputs = signature.inputs.iter().zip(job.inputs.iter());
        let outputs = signature.outputs.iter().zip(job.outputs.views());
        let answered = Answered {
            time: job.time,
            priority: job.priority,
            version: servable.version(),
            digest: servable.digest(),
            inputs: inputs
                .map(|(spec, tensor)| named(&spec.name, ValueView::Tensor(tensor.view())))
                .collect(),
            outputs: outputs.map(|(spec, value)| named(spec.name(), value)).collect(),
        };
        let pending = self.pending.entry(servable.model().clone()).or_insert_with(|| Pending {
            frames: Vec::new(),
            count: 0,
            oldest: job.time,
        });
        let before = pending.frames.len();
        let rule = &self.writer.rule;
        let fits = add_frame(&mut pending.frames, |out| encode(out, &answered, rule));
        let bytes = pending.frames.len() - before;
        if !fits || bytes as u64 > self.writer.a_part() {
            pending.frames.truncate(before);
            self.writer.meter.dropped(Dropped::Size, 1);
            return;
        }
        pending.count += 1;
        self.bytes += bytes;
        self.since.get_or_insert_with(Instant::now);
    }

    /// Writes what waits.
    fn flush(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        (self.bytes, self.since) = (0, None);
        let made = self.make_room(&mut pending);
        let mut written = made;
        for (model, of_model) in pending.into_iter().filter(|(_, pending)| pending.count > 0) {
            let bound = self.writer.bound.load(Ordering::Relaxed);
            let Pending { frames, count, oldest } = of_model;
            let addition = Addition { frames: &frames, oldest, bound };
            let added = match (&written, &mut self.shelf) {
                (Ok(()), Some(shelf)) => shelf.add(&model, &addition),
                (Ok(()), None) | (Err(_), _) => Err(io::ErrorKind::Other.into()),
            };
            match added {
                Ok(()) => self.writer.meter.recorded(&model, count),
                Err(error) => {
                    self.writer.meter.dropped(Dropped::Disk, count);
                    written = written.and(Err(error));
                }
            }
        }
        self.tell(written);
    }

    /// Makes room for what waits, where there is too little.
    fn make_room(&mut self, pending: &mut HashMap<ModelName, Pending>) -> io::Result<()> {
        let Writer { max_bytes, bound, .. } = self.writer;
        let shelf = self.shelf()?;
        let coming: usize = pending.values().map(|pending| pending.frames.len()).sum();
        // Each may need the beginning of a file as well.
        let coming = (coming + pending.len() * segment::HEADER) as u64;
        // An eighth is for the file that is being written again.
        if shelf.bytes() + coming <= max_bytes / 8 * 7 {
            return Ok(());
        }
        let most = max_bytes / 4 * 3;
        let coming = pending.values().map(|pending| &pending.frames[..]);
        let lowered = shelf.shrink(bound.load(Ordering::Relaxed), most, coming)?;
        bound.store(lowered, Ordering::Relaxed);
        for pending in pending.values_mut() {
            let is_below = |record: &[u8]| {
                record::head(record).is_some_and(|(_, priority)| priority < lowered)
            };
            pending.frames = segment::retain(&pending.frames, is_below);
            pending.count = segment::frames(&pending.frames).count() as u64;
        }
        Ok(())
    }

    /// What is on disk; looked at with the first need, and again after a failure.
    fn shelf(&mut self) -> io::Result<&mut Shelf> {
        let Writer { folder, max_bytes, max_age, bound, ceiling, .. } = self.writer;
        let shelf = match self.shelf.take() {
            Some(shelf) => shelf,
            None => {
                let shelf = Shelf::open(folder, *max_bytes, *max_age)?;
                // What is there was drawn below a bound that had been lowered: it goes on from there.
                if let Some(lowered) = shelf.bound().filter(|_| shelf.bytes() > max_bytes / 2) {
                    bound.store(lowered.min(*ceiling), Ordering::Relaxed);
                }
                shelf
            }
        };
        Ok(self.shelf.insert(shelf))
    }

    /// Removes what is too old, and takes more again where there is plenty of room.
    fn look(&mut self) {
        self.looked = Instant::now();
        let expired = self.shelf().and_then(|shelf| {
            shelf.expire(WallTime::from(SystemTime::now()))?;
            Ok(shelf.bytes())
        });
        match expired {
            Ok(bytes) => {
                let Writer { max_bytes, max_age, bound, ceiling, .. } = self.writer;
                let now = bound.load(Ordering::Relaxed);
                // Slowly: what the next bound leads to shows only after a while.
                let is_time = self.raised.elapsed() >= *max_age / 8;
                if bytes < max_bytes / 2 && now < *ceiling && is_time {
                    self.flush(); // it was drawn below the old one
                    bound.store(raised(now, *ceiling), Ordering::Relaxed);
                    self.raised = self.looked;
                }
                self.writer.meter.bytes(bytes);
            }
            Err(error) => self.tell(Err(error)),
        }
    }

    /// Says once that the disk cannot be written, and once that it can be again.
    fn tell(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) if self.is_out => {
                self.is_out = false;
                tracing::info!("requests are recorded again");
            }
            Ok(()) => {}
            Err(error) => {
                // It may be as it was left, or not: look again.
                self.shelf = None;
                if !std::mem::replace(&mut self.is_out, true) {
                    tracing::warn!(
                        "requests cannot be recorded in `{}`: {error}; they are answered all the same. Make room there, or lower `capture.max_bytes`: recording goes on by itself",
                        self.writer.folder.display()
                    );
                }
            }
        }
        if let Some(shelf) = &self.shelf {
            self.writer.meter.bytes(shelf.bytes());
        }
    }
}
