//! The thread that writes records.
//!
//! It encodes what waits, and writes what came together at least twice a second: a crash costs no more than that. A
//! disk that cannot be written costs records, which are counted, and nothing else; it is tried again with the next ones.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::ledger::Ledger;
use super::place::{Place, Series};
use super::queue::{Job, Queue};
use super::record::{self, Rule};
use super::request::Request;
use super::segment;
use super::shelf::{Addition, Shelf};
use super::stock::LostBy;
use super::trays::{Run, Trays};
use crate::domain::retention::raised;
use crate::domain::time::WallTime;
use crate::system::thread;
use crate::telemetry::metrics::capture::Dropped;

/// Between two writes, at most.
const FLUSH: Duration = Duration::from_millis(400);
/// How long it rests where nothing waits.
const REST: Duration = Duration::from_millis(200);
/// Taken from the queue before the clock is looked at again.
const AT_ONCE: usize = 64;
/// After a failure, until the files are looked at again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Bytes that wait to be written, at most.
const TOGETHER: u64 = 1 << 20;

/// What the thread works with.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    /// Where small requests gather before they are in the queue.
    pub(super) trays: Option<Arc<Trays>>,
    /// What is drawn below it is recorded. Lowered when there is too little room for all.
    pub(super) bound: Arc<AtomicU64>,
    /// What it is where there is room.
    pub(super) ceiling: u64,
    pub(super) rule: Arc<Rule>,
    /// What one record may take, and what is written at once.
    pub(super) largest: u64,
    pub(super) place: Place,
    pub(super) max_bytes: u64,
    pub(super) max_age: Duration,
    pub(super) ledger: Ledger,
}

/// Records of one series that are not written yet.
#[derive(Debug)]
struct Pending {
    frames: Vec<u8>,
    count: u64,
    oldest: WallTime,
}

impl Pending {
    /// Adds frames, and says how many of them, and how many bytes.
    fn add(&mut self, add: impl FnOnce(&mut Vec<u8>) -> u64) -> (u64, usize) {
        let before = self.frames.len();
        let added = add(&mut self.frames);
        self.count += added;
        (added, self.frames.len() - before)
    }
}

fn is_below(record: &[u8], bound: u64) -> bool {
    record::head(record).is_some_and(|head| head.priority < bound)
}

/// How it stands.
#[derive(Debug)]
struct Desk<'w> {
    writer: &'w Writer,
    shelf: Option<Shelf>,
    pending: HashMap<Series, Pending>,
    bytes: usize,
    /// What the next frames are written to: the room of ones that are written. To ask the system for it anew each time
    /// would interrupt all threads.
    spare: Vec<u8>,
    swept: Instant,
    looked: Instant,
    raised: Instant,
    /// The disk could not be written, and the log says so.
    is_out: bool,
    /// When it could not be the last time.
    failed: Option<Instant>,
}

impl Writer {
    /// Works until the queue is ended and empty. `shelf` is what is there, where somebody has looked already.
    pub(super) fn run(self, shelf: Option<Shelf>) {
        // One that only ran when a core is free would write nothing on a busy server, and the sample would be of quiet
        // times.
        thread::let_others_go_first();
        let now = Instant::now();
        let mut desk = Desk {
            writer: &self,
            shelf,
            pending: HashMap::new(),
            bytes: 0,
            spare: Vec::new(),
            swept: now,
            looked: now,
            raised: now,
            is_out: false,
            failed: None,
        };
        desk.look();
        loop {
            let job = self.queue.take(REST);
            let is_over = job.is_none() && self.queue.is_ended();
            if let Some(job) = job {
                desk.add(job);
                desk.take_more();
            }
            if is_over || desk.swept.elapsed() >= FLUSH {
                desk.sweep();
                desk.flush();
            } else if desk.is_full() {
                desk.flush();
            }
            if is_over {
                return;
            }
            desk.clear();
            if desk.looked.elapsed() >= self.between_looks() {
                desk.look();
            }
        }
    }

    /// Often enough that nothing is kept for noticeably longer than it may be.
    fn between_looks(&self) -> Duration {
        (self.max_age / 64).clamp(Duration::from_millis(100), Duration::from_secs(10))
    }
}

impl Desk<'_> {
    /// What waits is enough to be written.
    fn is_full(&self) -> bool {
        self.bytes as u64 >= TOGETHER.min(self.writer.largest)
    }

    fn add(&mut self, job: Job) {
        match job {
            Job::Batch(batch) => batch.parts().for_each(|(run, frames)| self.add_run(run, frames)),
            Job::One(held) => self.add_one(&held.request()),
        }
    }

    /// Takes more from the queue, until it is enough.
    fn take_more(&mut self) {
        for _ in 0..AT_ONCE {
            let next = if self.is_full() { None } else { self.writer.queue.next() };
            let Some(job) = next else { return };
            self.add(job);
        }
    }

    /// Takes along what has gathered with others.
    fn sweep(&mut self) {
        self.swept = Instant::now();
        if let Some(trays) = &self.writer.trays {
            let swept: Vec<_> = trays.sweep().collect();
            // What was handed over before is older.
            self.take_more();
            swept.into_iter().for_each(|batch| self.add(Job::Batch(batch)));
        }
    }

    fn add_run(&mut self, run: &Run, frames: &[u8]) {
        let Writer { bound, ceiling, ledger, .. } = self.writer;
        let Run { series, count, oldest, .. } = run;
        if !ledger.is_wanted(series) {
            return;
        }
        let below = bound.load(Ordering::Relaxed);
        let (added, bytes) = self.pending_of(series, *oldest).add(|pending| {
            if below == *ceiling {
                pending.extend_from_slice(frames);
                return *count;
            }
            // It may have been lowered meanwhile.
            let kept = segment::retain(frames, |record| is_below(record, below));
            pending.extend_from_slice(&kept);
            segment::frames(&kept).count() as u64
        });
        self.bytes += bytes;
        ledger.gone(series, count - added, LostBy::Room);
    }

    fn add_one(&mut self, request: &Request<'_>) {
        let (series, Writer { rule, ledger, largest, .. }) = (request.series(), self.writer);
        if !ledger.is_wanted(&series) {
            return;
        }
        if request.about.priority >= self.writer.bound.load(Ordering::Relaxed) {
            // The bound was lowered meanwhile.
            return ledger.gone(&series, 1, LostBy::Room);
        }
        let (added, bytes) = self.pending_of(&series, request.about.time).add(|frames| {
            let begin = frames.len();
            let fits = request.add_to(frames, rule) && (frames.len() - begin) as u64 <= *largest;
            if !fits {
                frames.truncate(begin);
            }
            u64::from(fits)
        });
        self.bytes += bytes;
        if added == 0 {
            ledger.dropped(&series, Dropped::Size, 1);
        }
    }

    fn pending_of(&mut self, series: &Series, oldest: WallTime) -> &mut Pending {
        let (pending, spare) = (self.pending.entry(series.clone()), &mut self.spare);
        let none = || Pending { frames: std::mem::take(spare), count: 0, oldest };
        let pending = pending.or_insert_with(none);
        pending.oldest = pending.oldest.min(oldest);
        pending
    }

    /// Writes what waits.
    fn flush(&mut self) {
        self.bytes = 0;
        if self.pending.is_empty() {
            return;
        }
        let mut pending = std::mem::take(&mut self.pending);
        let made = self.make_room(&mut pending);
        let mut written = made;
        let Writer { bound, ledger, .. } = self.writer;
        for (series, of_series) in pending.into_iter().filter(|(_, pending)| pending.count > 0) {
            let bound = bound.load(Ordering::Relaxed);
            let Pending { mut frames, count, oldest } = of_series;
            let addition = Addition { frames: &frames, records: count, oldest, bound };
            let added = match (&written, &mut self.shelf) {
                (Ok(()), Some(shelf)) => shelf.add(&series, &addition),
                (Ok(()), None) | (Err(_), _) => Err(io::ErrorKind::Other.into()),
            };
            match added {
                Ok(()) => ledger.recorded(&series, count),
                Err(error) => {
                    ledger.dropped(&series, Dropped::Disk, count);
                    written = written.and(Err(error));
                }
            }
            let is_usual = frames.capacity() as u64 <= 2 * TOGETHER;
            if is_usual && frames.capacity() > self.spare.capacity() {
                frames.clear();
                self.spare = frames;
            }
        }
        self.tell(written);
    }

    /// Makes room for what waits, where there is too little.
    fn make_room(&mut self, pending: &mut HashMap<Series, Pending>) -> io::Result<()> {
        let Writer { max_bytes, bound, ledger, .. } = self.writer;
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
        let lowered = ledger.while_changing(shelf, |shelf| {
            shelf.shrink(bound.load(Ordering::Relaxed), most, coming)
        })?;
        bound.store(lowered, Ordering::Relaxed);
        for (series, pending) in pending {
            pending.frames = segment::retain(&pending.frames, |record| is_below(record, lowered));
            let count = segment::frames(&pending.frames).count() as u64;
            ledger.gone(series, pending.count - count, LostBy::Room);
            pending.count = count;
        }
        Ok(())
    }

    /// Removes what is not needed any more.
    fn clear(&mut self) {
        let ledger = &self.writer.ledger;
        if !ledger.has_orders() {
            return;
        }
        self.pending.retain(|series, _| ledger.is_wanted(series));
        let cleared = self.shelf().and_then(|shelf| {
            ledger.taken(shelf);
            shelf.remove(|series, number, records| ledger.is_done_with(series, number, records))
        });
        self.tell(cleared);
    }

    /// What is on disk; looked at with the first need, and again after a failure.
    fn shelf(&mut self) -> io::Result<&mut Shelf> {
        let Writer { place, max_bytes, max_age, bound, ceiling, ledger, .. } = self.writer;
        let shelf = match self.shelf.take() {
            Some(shelf) => shelf,
            // To look at all files each time would keep it busy.
            None if self.failed.is_some_and(|failed| failed.elapsed() < TRY_AGAIN_AFTER) => {
                return Err(io::Error::other("it could not be written a moment ago"));
            }
            None => {
                let mut shelf = Shelf::open(place.clone(), *max_bytes, *max_age)?;
                ledger.opened(&mut shelf)?;
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
        let ledger = &self.writer.ledger;
        let expired = self.shelf().and_then(|shelf| {
            ledger.taken(shelf);
            let gone = shelf.expire(WallTime::from(SystemTime::now()))?;
            gone.iter().for_each(|(series, count)| ledger.gone(series, *count, LostBy::Age));
            Ok(shelf.bytes())
        });
        match expired {
            Ok(bytes) => {
                let Writer { max_bytes, max_age, bound, ceiling, .. } = self.writer;
                let now = bound.load(Ordering::Relaxed);
                // Slowly: what the next bound leads to shows only after a while.
                let is_time = self.raised.elapsed() >= *max_age / 8;
                if bytes < max_bytes / 2 && now < *ceiling && (is_time || bytes == 0) {
                    self.sweep();
                    self.flush(); // it was drawn below the old one
                    // Where nothing is left there is nothing to be fair to.
                    let raised = if bytes == 0 { *ceiling } else { raised(now, *ceiling) };
                    bound.store(raised, Ordering::Relaxed);
                    self.raised = self.looked;
                }
                self.tell(Ok(()));
            }
            Err(error) => self.tell(Err(error)),
        }
    }

    /// Says once that the disk cannot be written, and once that it can be again.
    fn tell(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) if self.is_out => {
                self.is_out = false;
                tracing::info!("{}", self.writer.ledger.works_again());
            }
            Ok(()) => {}
            Err(error) => {
                // It may be as it was left, or not: look again.
                if self.shelf.take().is_some() || !self.is_out {
                    self.failed = Some(Instant::now());
                }
                if !std::mem::replace(&mut self.is_out, true) {
                    let folder = self.writer.place.folder().display();
                    tracing::warn!("{}", self.writer.ledger.cannot_write(&folder, &error));
                }
            }
        }
        if let Some(shelf) = &self.shelf {
            self.writer.ledger.shows(shelf);
        }
    }
}
