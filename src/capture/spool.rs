//! Requests that are to be run on both versions of a rollout when there is time, on disk until then.
//!
//! What is offered is written, whatever it is; when there is no room, those that were drawn highest go, so that what is
//! left is a fair sample of the whole time. Each is taken out once, in the order in which they were written, which need not
//! quite be that of their numbers: small ones come in batches, from several threads. What was taken out stays on disk until it is known that what came of
//! it is written down, so that a crash costs nothing but the last half second of what was to be written.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::ledger::Ledger;
use super::place::{Place, Series};
use super::queue::Refused;
use super::reader::Reader;
use super::record::{Recording, Rule};
use super::recorder::{Plan, Recorder, RecorderThread};
use super::request::{About, Request};
use super::shelf::{Shelf, list};
use super::stock::{Lost, LostBy, Next, Position, Stock};
use crate::domain::rollout::RolloutId;
use crate::domain::tensor::Tensor;
use crate::domain::time::WallTime;
use crate::serving::{Outputs, Servable};
use crate::system::filesystem;
use crate::telemetry::metrics::capture::Dropped;

/// What all that waits takes on disk, at most.
const MOST_BYTES: u64 = 5 << 30;
/// Half of the room that it has on the disk.
const MOST_OF_ROOM: u64 = 2;
/// On a disk that is full: it may have room again.
const LEAST_BYTES: u64 = 1 << 20;
/// How long one waits, at most.
const MOST_AGE: Duration = Duration::from_hours(72);

/// See the module.
#[derive(Debug)]
pub struct Spool {
    place: Place,
    recorder: Recorder,
    stock: Arc<Stock>,
    /// What is being read. None but the one thread that takes out ever waits for it.
    readers: Mutex<HashMap<RolloutId, Reader>>,
}

/// A request that is to be run later.
#[derive(Clone, Copy, Debug)]
pub struct Spooled {
    /// The rollout that it is for.
    pub rollout: RolloutId,
    /// Its number within the rollout.
    pub number: u64,
    /// Drawn for it: those that were drawn highest go first.
    pub priority: u64,
}

/// There is no room for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSpooled {
    /// Why.
    pub reason: Dropped,
    /// Requests that were left earlier and are lost with it: for which rollouts, and how many.
    pub with_it: Vec<(RolloutId, u64)>,
}

impl Spool {
    /// Whether anything waits in the state folder of a server.
    pub fn is_there(state: &Path) -> bool {
        list(&Place::spool(state)).is_ok_and(|known| !known.is_empty())
    }

    /// Looks what waits, removes what is for none of the rollouts that go on, and starts the thread that writes. Of outputs
    /// that are called as one of `redact`, the content is not written.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread. A disk that cannot be read is tried again.
    pub fn start(
        state: &Path,
        go_on: &BTreeSet<RolloutId>,
        redact: Vec<String>,
    ) -> io::Result<(Self, RecorderThread)> {
        let (place, stock) = (Place::spool(state), Arc::new(Stock::default()));
        let ledger = Ledger::Spool(stock.clone());
        let opened = Shelf::open(place.clone(), MOST_BYTES, MOST_AGE).and_then(|mut shelf| {
            shelf.remove(|series, _, _| match series {
                Series::Rollout(rollout) => !go_on.contains(rollout),
                Series::Model(_) => false,
            })?;
            let room = filesystem::free_bytes(state)?.saturating_add(shelf.bytes());
            shelf.max_bytes = (room / MOST_OF_ROOM).clamp(LEAST_BYTES, MOST_BYTES);
            ledger.opened(&mut shelf)?;
            Ok(shelf)
        });
        let (shelf, max_bytes) = match opened {
            Ok(shelf) => {
                let max_bytes = shelf.max_bytes;
                (Some(shelf), max_bytes)
            }
            Err(error) => {
                let folder = place.folder().display();
                tracing::warn!("what waits in `{folder}` cannot be read: {error}");
                (None, LEAST_BYTES)
            }
        };
        let (recorder, thread) = Recorder::start(Plan {
            name: "spool",
            place: place.clone(),
            takes_any: true,
            ceiling: u64::MAX,
            rule: Rule { only_digests: false, redact },
            max_bytes,
            max_age: MOST_AGE,
            ledger,
            shelf,
            is_needed: true,
        })?;
        Ok((Self { place, recorder, stock, readers: Mutex::default() }, thread))
    }

    /// From now on there is something for a rollout. Gives the highest number of what waited for it when the server was
    /// started.
    pub fn open(&self, rollout: RolloutId) -> Option<u64> {
        self.stock.open(rollout);
        self.stock.highest(rollout)
    }

    /// A rollout is over: what waits for it goes.
    pub fn close(&self, rollout: RolloutId) {
        self.stock.close(rollout);
    }

    /// Leaves a request that was answered, with all outputs of the version that answered it, or none. Never waits.
    ///
    /// # Errors
    /// Why there is no room for it, and what is lost with it: small ones are handed over together.
    pub fn offer(
        &self,
        spooled: Spooled,
        servable: &Arc<Servable>,
        inputs: &Arc<Vec<Tensor>>,
        outputs: Option<&Arc<Outputs>>,
    ) -> Result<(), NotSpooled> {
        let Spooled { rollout, number, priority } = spooled;
        if priority >= self.recorder.bound() {
            return Err(NotSpooled { reason: Dropped::Disk, with_it: Vec::new() });
        }
        let time = WallTime::from(SystemTime::now());
        let about = About { rollout: Some(rollout), number, priority, time };
        let request = Request { servable, inputs, outputs, about };
        self.recorder.offer(&request).map_err(|Refused { reason, counts }| {
            let of_rollout = |(series, count)| match series {
                Series::Rollout(of) => Some((of, count)),
                Series::Model(_) => None,
            };
            let mut with_it: Vec<_> = counts.into_iter().filter_map(of_rollout).collect();
            if let Some((_, count)) = with_it.iter_mut().find(|(of, _)| *of == rollout) {
                *count -= 1; // itself
            }
            NotSpooled { reason, with_it }
        })
    }

    /// How many wait for a rollout on disk, or were taken out and are not finished.
    pub fn waiting(&self, rollout: RolloutId) -> u64 {
        self.stock.waiting(rollout)
    }

    /// What was lost since the last call.
    pub fn lost(&self) -> Vec<Lost> {
        self.stock.take_lost()
    }

    /// Passes over what was finished before a restart: all up to the one with this number. False where it is not known
    /// yet what there is.
    ///
    /// # Errors
    /// What the system says of the files.
    pub fn resume_after(&self, rollout: RolloutId, number: u64) -> io::Result<bool> {
        if !self.stock.is_known() {
            return Ok(false);
        }
        if let Some(place) = self.place_behind(rollout, number)? {
            self.stock.resume(rollout, place);
        }
        Ok(true)
    }

    /// Where the one with this number ends; none where it is not there any more, and nothing that was before it.
    fn place_behind(&self, rollout: RolloutId, number: u64) -> io::Result<Option<Position>> {
        let Some(mut next) = self.stock.next(rollout) else { return Ok(None) };
        let mut before: Option<Reader> = None;
        loop {
            let mut reader = match before.take().filter(|reader| reader.is_at(next)) {
                Some(reader) => reader,
                None => Reader::open(&self.place, &Series::Rollout(rollout), next)?,
            };
            if reader.head()?.is_some_and(|head| head.number == number) {
                return Ok(Some(next.position.behind()));
            }
            reader.pass()?;
            before = Some(reader);
            match self.stock.following(rollout, next) {
                Some(following) => next = following,
                None => return Ok(None),
            }
        }
    }

    /// Takes out the first one that waits for a rollout. To be called by one thread.
    ///
    /// # Errors
    /// What the system says of the file. What is broken is passed over.
    pub fn take(&self, rollout: RolloutId) -> io::Result<Option<Recording>> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(next) = self.stock.next(rollout) else { return Ok(None) };
        let recording = match self.read(&mut readers, rollout, next) {
            Ok(recording) => recording,
            Err(error) => {
                readers.remove(&rollout);
                if error.kind() == io::ErrorKind::NotFound {
                    return Ok(None); // it has become too old just now
                }
                // One that cannot be read must not keep all others from being taken.
                self.stock.take(rollout, next, None);
                return Err(error);
            }
        };
        let number = recording.as_ref().map(|recording| recording.number);
        let is_taken = self.stock.take(rollout, next, number);
        if recording.is_none() && is_taken {
            self.stock.lost(rollout, 1, LostBy::Dropped(Dropped::Disk));
        }
        Ok(recording.filter(|_| is_taken))
    }

    fn read(
        &self,
        readers: &mut HashMap<RolloutId, Reader>,
        rollout: RolloutId,
        next: Next,
    ) -> io::Result<Option<Recording>> {
        let reader = match readers.remove(&rollout).filter(|reader| reader.is_at(next)) {
            Some(reader) => reader,
            None => Reader::open(&self.place, &Series::Rollout(rollout), next)?,
        };
        readers.entry(rollout).insert_entry(reader).get_mut().read()
    }

    /// One that was taken out is finished.
    pub fn finished(&self, rollout: RolloutId) {
        self.stock.finished(rollout);
    }

    /// What came of all that were taken out, up to the one with this number, is written down: they are not needed any
    /// more.
    pub fn saved(&self, rollout: RolloutId, number: u64) {
        self.stock.saved(rollout, number);
    }
}

#[cfg(test)]
mod tests;
