//! All cores compare, each some requests at a time, while one thread reads them.
//!
//! What they find is added in the order of the requests, however many threads there are and whichever is first: so
//! the same requests come to the same evidence, but for the times. Each thread adds its own when it is their turn, and
//! goes on meanwhile: memory is best given back where it was taken.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::data::{Asked, Request, Requests, Taken};
use crate::api::predict_inputs;
use crate::config::LimitsConfig;
use crate::shadow::{OfflinePair, OfflineRequest, OfflineStudy};

/// So many requests go to a thread together, or so many bytes of them.
const TOGETHER: usize = 256;
const BYTES_TOGETHER: usize = 1 << 20;
/// Of these, so many are run before it is looked how much memory their answers take.
const AT_A_TIME: usize = 64;
/// Of answers that wait for their turn a thread holds about so many bytes.
const MOST_HELD: usize = 32 << 20;

/// Requests that follow each other, and which of such parts they are.
struct Part {
    place: u64,
    requests: Vec<Request>,
}

/// Compares all requests, and says how many there were. The first that cannot be read ends it.
pub(super) fn compare_all(
    study: &OfflineStudy,
    requests: &mut dyn Requests,
    taken: Taken<'_>,
    threads: usize,
) -> Result<u64, String> {
    let threads = threads.max(1);
    // What is read and not compared yet stays bounded.
    let (sender, receiver) = sync_channel(2 * threads);
    let course = Course {
        study,
        taken,
        limits: LimitsConfig::default(),
        unit: requests.unit(),
        compared: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        turn: Mutex::default(),
        moved_on: Condvar::new(),
        most_ahead: 4 * threads as u64,
    };
    // Gone with the last who takes from it, so that nobody goes on reading for nobody.
    let receiver = Arc::new(Mutex::new(receiver));
    thread::scope(|scope| {
        let course = &course;
        let start = |receiver: Arc<Mutex<_>>| {
            scope.spawn(move || {
                // Others may wait for what it has.
                let worked = catch_unwind(AssertUnwindSafe(|| course.work(&receiver)));
                let worked = worked.unwrap_or_else(|_| Err((u64::MAX, PANICKED.to_owned())));
                if worked.is_err() {
                    course.end();
                }
                worked
            })
        };
        let workers: Vec<_> = (0..threads).map(|_| start(receiver.clone())).collect();
        drop(receiver);
        let read = read_all(requests, &sender);
        drop(sender);
        let mut worked = Ok(());
        for worker in workers {
            let ended = worker.join().unwrap_or_else(|_| Err((u64::MAX, PANICKED.to_owned())));
            // Of several, the first in the file.
            worked = match (worked, ended) {
                (Err((a, sentence)), Err((b, _))) if a <= b => Err((a, sentence)),
                (_, Err(ended)) => Err(ended),
                (worked, Ok(())) => worked,
            };
        }
        let worked = worked.map_err(|(_, sentence)| sentence);
        worked.and(read).map(|()| course.compared.load(Ordering::Relaxed))
    })
}

const PANICKED: &str = "a comparison panicked";

fn read_all(requests: &mut dyn Requests, sender: &SyncSender<Part>) -> Result<(), String> {
    for place in 0.. {
        let (mut part, mut bytes) = (Vec::with_capacity(TOGETHER), 0);
        let mut ended = Ok(true);
        while part.len() < TOGETHER && bytes < BYTES_TOGETHER {
            match requests.next() {
                Ok(Some(request)) => {
                    bytes += request.asked.bytes();
                    part.push(request);
                }
                Ok(None) => break,
                Err(sentence) => {
                    ended = Err(sentence);
                    break;
                }
            }
        }
        let is_last = part.len() < TOGETHER && bytes < BYTES_TOGETHER;
        // Where nobody takes it, all have ended, and say why.
        let is_taken = part.is_empty() || sender.send(Part { place, requests: part }).is_ok();
        if !ended? || is_last || !is_taken {
            break;
        }
    }
    Ok(())
}

/// A sentence about a request, with its place.
type Failed = (u64, String);

/// What the threads have in common.
struct Course<'c> {
    study: &'c OfflineStudy,
    taken: Taken<'c>,
    limits: LimitsConfig,
    unit: &'static str,
    compared: AtomicU64,
    /// Set when one of them has failed: the others do no more.
    is_over: AtomicBool,
    /// The part that is to be added next. Whose it is adds it, so nobody else does.
    turn: Mutex<u64>,
    /// Told when there is another turn.
    moved_on: Condvar,
    /// So many parts may be finished before their turn has come.
    most_ahead: u64,
}

/// What one thread has finished and not added, the first in the file first.
#[derive(Default)]
struct Finished {
    parts: VecDeque<(u64, Vec<OfflinePair>)>,
    /// How much memory the answers take.
    bytes: usize,
    /// The most that any took so far; nothing before the first.
    largest: usize,
}

impl Course<'_> {
    fn work(&self, receiver: &Mutex<Receiver<Part>>) -> Result<(), Failed> {
        let runner = self.study.runner().map_err(|error| (0, error.to_string()))?;
        let mut finished = Finished::default();
        while !self.is_over.load(Ordering::Relaxed) {
            let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            // The sender is gone when all is read.
            let Ok(Part { place, requests }) = next else { break };
            let mut pairs = Vec::with_capacity(requests.len());
            let mut requests = requests.into_iter();
            loop {
                // As many as may run together, and fewer where their answers take much memory.
                let fits = MOST_HELD / 4 / finished.largest.max(1);
                let count = if finished.largest == 0 { 1 } else { fits.clamp(1, AT_A_TIME) };
                let some = requests.by_ref().take(count).map(|request| self.decode(request));
                let some = some.collect::<Result<Vec<OfflineRequest>, Failed>>()?;
                if some.is_empty() {
                    break;
                }
                for pair in runner.run(some) {
                    let bytes = pair.bytes();
                    finished.bytes += bytes;
                    finished.largest = finished.largest.max(bytes);
                    pairs.push(pair);
                }
                if finished.bytes > MOST_HELD {
                    self.add(&mut finished, 0);
                    if !self.wait_for(place, |_| true) {
                        return Ok(()); // all is over
                    }
                    self.add_pairs(std::mem::take(&mut pairs));
                    finished.bytes = 0;
                }
            }
            finished.parts.push_back((place, pairs));
            self.add(&mut finished, self.most_ahead);
        }
        self.add(&mut finished, 0);
        Ok(())
    }

    fn decode(&self, request: Request) -> Result<OfflineRequest, Failed> {
        let Request { number, asked } = request;
        let (inputs, answer) = match asked {
            Asked::Inputs { inputs, answer } => (inputs, answer),
            Asked::Body(body) => {
                let Taken { signature, naming, .. } = self.taken;
                let inputs = predict_inputs(&body, signature, naming, &self.limits);
                let failed = |error| (number, format!("{} {number}: {error}", self.unit));
                (inputs.map_err(failed)?, None)
            }
        };
        Ok(OfflineRequest { number, inputs, answer })
    }

    /// Adds what has its turn. Waits for that of parts that are further ahead than may be.
    fn add(&self, finished: &mut Finished, most_ahead: u64) {
        while let Some((first, _)) = finished.parts.front() {
            let last = finished.parts.back().map_or(*first, |(last, _)| *last);
            let is_ahead = |turn: u64| last >= turn + most_ahead;
            if !self.wait_for(*first, is_ahead) {
                return;
            }
            if let Some((_, pairs)) = finished.parts.pop_front() {
                finished.bytes -= pairs.iter().map(OfflinePair::bytes).sum::<usize>();
                self.add_pairs(pairs);
            }
            *self.hold() += 1;
            self.moved_on.notify_all();
        }
    }

    /// Whether it is the turn of a part. Waits for that as long as it must.
    fn wait_for(&self, place: u64, must: impl Fn(u64) -> bool) -> bool {
        let waits =
            |turn: &mut u64| *turn != place && must(*turn) && !self.is_over.load(Ordering::Relaxed);
        let turn = self.moved_on.wait_while(self.hold(), waits);
        *turn.unwrap_or_else(PoisonError::into_inner) == place
    }

    fn add_pairs(&self, pairs: Vec<OfflinePair>) {
        pairs.iter().for_each(|pair| self.study.add(pair));
        self.compared.fetch_add(pairs.len() as u64, Ordering::Relaxed);
    }

    /// Nobody need wait for anything.
    fn end(&self) {
        let turn = self.hold();
        self.is_over.store(true, Ordering::Relaxed);
        drop(turn);
        self.moved_on.notify_all();
    }

    fn hold(&self) -> MutexGuard<'_, u64> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
