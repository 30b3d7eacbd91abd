//! Where frames of small requests gather until there are enough to hand over.
//!
//! To hand each request to the thread that writes costs more than all else that is done to record it: its tensors are
//! freed by another thread than the one that made them, and both touch the same memory. So a thread that answers requests
//! makes their frames itself, in a tray of its own, and hands over one that is full. The thread that writes takes
//! along what lies in the others now and then.
//!
//! A tray has a lock, but no request waits for it: whoever finds it taken begins a batch of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

use super::place::Series;
use super::record::Rule;
use super::request::Request;
use crate::domain::time::WallTime;

/// Bytes that are handed over together, where records may take so much.
const FULL: usize = 16 << 10;
/// More than threads answer requests on any but the largest machines; two may share one.
const TRAYS: usize = 32;

/// See the module.
#[derive(Debug)]
pub(super) struct Trays {
    trays: Vec<Tray>,
    /// Bytes that are handed over together.
    full: usize,
    /// What a frame may take.
    largest: usize,
}

/// In cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Tray(Mutex<Batch>);

/// Frames, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) frames: Vec<u8>,
    pub(super) runs: Vec<Run>,
}

/// Frames of one series, one behind another.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) series: Series,
    /// Where the last one ends.
    pub(super) end: usize,
    pub(super) count: u64,
    /// When the first one was answered.
    pub(super) oldest: WallTime,
}

impl Trays {
    /// For frames that take no more than so many bytes.
    pub(super) fn new(largest: usize) -> Self {
        let trays = (0..TRAYS).map(|_| Tray::default()).collect();
        Self { trays, full: FULL.min(largest), largest }
    }

    /// Adds a request's frame, and gives what is to be handed over now. None of it was added where it is too large.
    pub(super) fn add(
        &self,
        request: &Request<'_>,
        rule: &Rule,
    ) -> Result<Option<Batch>, TooLarge> {
        let tray = &self.trays[place() % self.trays.len()];
        let mut batch = match tray.0.try_lock() {
            Ok(batch) => batch,
            Err(TryLockError::Poisoned(batch)) => {
                tray.0.clear_poison();
                let mut batch = batch.into_inner();
                batch.mend();
                batch
            }
            Err(TryLockError::WouldBlock) => {
                let mut alone = Batch::default();
                alone.add(request, rule, self.largest)?;
                return Ok(Some(alone));
            }
        };
        batch.add(request, rule, self.largest)?;
        let is_full = batch.frames.len() >= self.full;
        Ok(is_full.then(|| std::mem::replace(&mut *batch, Batch::with_room(self.full))))
    }

    /// Takes what lies in all of them.
    pub(super) fn sweep(&self) -> impl Iterator<Item = Batch> {
        self.trays.iter().filter_map(|Tray(batch)| {
            let mut batch = batch.lock().unwrap_or_else(PoisonError::into_inner);
            batch.mend();
            (!batch.runs.is_empty()).then(|| std::mem::take(&mut *batch))
        })
    }
}

/// Which tray is the calling thread's.
fn place() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    PLACE.with(|place| *place)
}

/// A record is larger than any may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Batch {
    fn with_room(bytes: usize) -> Self {
        Self { frames: Vec::with_capacity(bytes + bytes / 8), runs: Vec::new() }
    }

    fn add(&mut self, request: &Request<'_>, rule: &Rule, largest: usize) -> Result<(), TooLarge> {
        let begin = self.frames.len();
        let fits = request.add_to(&mut self.frames, rule);
        let end = self.frames.len();
        if !fits || end - begin > largest {
            self.frames.truncate(begin);
            return Err(TooLarge);
        }
        match self.runs.last_mut().filter(|run| request.is_of(&run.series)) {
            Some(run) => (run.end, run.count) = (end, run.count + 1),
            None => {
                let (series, oldest) = (request.series(), request.about.time);
                self.runs.push(Run { series, end, count: 1, oldest });
            }
        }
        Ok(())
    }

    /// Cuts off what a thread that panicked has left half written.
    fn mend(&mut self) {
        self.frames.truncate(self.runs.last().map_or(0, |run| run.end));
    }

    /// The frames of each run.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&Run, &[u8])> {
        let mut begin = 0;
        self.runs.iter().map(move |run| {
            let frames = &self.frames[begin..run.end];
            begin = run.end;
            (run, frames)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::capture::request::About;
    use crate::capture::{record, segment};
    use crate::domain::tensor::{Elements, Tensor};
    use crate::serving::testing::{limits, servable_of};
    use crate::serving::{Outputs, Servable};

    const RULE: Rule = Rule { only_digests: false, redact: Vec::new() };

    fn model(name: &str) -> Arc<Servable> {
        servable_of(name, "1", limits())
    }

    /// Adds a request with this number.
    fn add(
        trays: &Trays,
        servable: &Arc<Servable>,
        number: u64,
    ) -> Result<Option<Batch>, TooLarge> {
        let input = Tensor::new(vec![1], Elements::F32(vec![1.0])).unwrap();
        let time = WallTime(1000 - number);
        let about = About { rollout: None, number, priority: 0, time };
        let (inputs, outputs) = (&Arc::new(vec![input]), &Arc::new(Outputs::none()));
        trays.add(&Request { servable, inputs, outputs: Some(outputs), about }, &RULE)
    }

    /// Whose requests a batch has, by their numbers.
    fn numbers(batch: &Batch) -> Vec<(String, Vec<u64>)> {
        let number = |record: &[u8]| record::head(record).unwrap().number;
        let of_run = |(run, frames): (&Run, &[u8])| {
            let frames =
                segment::frames(frames).map(|frame| number(segment::record(&frames[frame])));
            let numbers: Vec<u64> = frames.collect();
            assert_eq!(run.count, numbers.len() as u64);
            (run.series.to_string(), numbers)
        };
        batch.parts().map(of_run).collect()
    }

    #[test]
    fn requests_of_several_models_gather_in_their_order() {
        let (trays, a, b) = (Trays::new(FULL), model("adder"), model("scalar"));
        for (number, servable) in [&a, &a, &b, &a].into_iter().enumerate() {
            assert!(add(&trays, servable, number as u64).unwrap().is_none());
        }
        let swept: Vec<Batch> = trays.sweep().collect();
        let [batch] = &swept[..] else { panic!("{swept:?}") };
        let of = |model: &str, numbers: &[u64]| (model.to_owned(), numbers.to_vec());
        assert_eq!(numbers(batch), [of("adder", &[0, 1]), of("scalar", &[2]), of("adder", &[3])]);
        assert_eq!(batch.runs[0].oldest, WallTime(1000));
        assert_eq!(trays.sweep().count(), 0);
    }

    #[test]
    fn a_full_batch_is_handed_over_by_who_fills_it() {
        let (trays, servable) = (Trays::new(FULL), model("adder"));
        let mut full = None;
        let mut next = 0;
        while full.is_none() {
            full = add(&trays, &servable, next).unwrap();
            next += 1;
        }
        let full = full.unwrap();
        assert!((FULL..FULL + 1000).contains(&full.frames.len()), "{}", full.frames.len());
        assert_eq!(numbers(&full), [("adder".to_owned(), (0..next).collect::<Vec<_>>())]);
        assert_eq!(trays.sweep().count(), 0);
    }

    #[test]
    fn nobody_waits_for_a_tray_that_is_taken() {
        let (trays, servable) = (Trays::new(FULL), model("adder"));
        let held: Vec<_> = trays.trays.iter().map(|tray| tray.0.lock().unwrap()).collect();
        let alone = add(&trays, &servable, 7).unwrap().unwrap();
        drop(held);
        assert_eq!(numbers(&alone), [("adder".to_owned(), vec![7])]);
        assert_eq!(trays.sweep().count(), 0);
    }

    #[test]
    fn nothing_stays_of_one_that_is_too_large() {
        let (trays, servable) = (Trays::new(100_000), model("adder"));
        add(&trays, &servable, 0).unwrap();
        let small = Trays { largest: 40, ..trays };
        assert_eq!(add(&small, &servable, 1).unwrap_err(), TooLarge);
        let swept: Vec<Batch> = small.sweep().collect();
        assert_eq!(numbers(&swept[0]), [("adder".to_owned(), vec![0])]);
    }

    #[test]
    fn what_a_panic_has_left_is_cut_off() {
        let (trays, servable) = (Trays::new(FULL), model("adder"));
        add(&trays, &servable, 0).unwrap();
        std::thread::scope(|scope| {
            let breaking = scope.spawn(|| {
                for tray in &trays.trays {
                    tray.0.lock().unwrap().frames.extend_from_slice(b"half a frame");
                }
                let _held: Vec<_> = trays.trays.iter().map(|tray| tray.0.lock().unwrap()).collect();
                panic!("as intended");
            });
            assert!(breaking.join().is_err());
        });
        add(&trays, &servable, 1).unwrap();
        let swept: Vec<Batch> = trays.sweep().collect();
        assert_eq!(numbers(&swept[0]), [("adder".to_owned(), vec![0, 1])]);
    }
}
