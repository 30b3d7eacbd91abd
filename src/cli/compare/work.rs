//! All cores compare, each one request at a time, while one thread reads the file.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::data::{Request, Requests};
use crate::api::predict_inputs;
use crate::config::LimitsConfig;
use crate::domain::signature::Signature;
use crate::serving::Naming;
use crate::shadow::OfflineStudy;

/// What requests are read by.
pub(super) struct Reading<'r> {
    pub(super) signature: &'r Signature,
    pub(super) naming: &'r Naming,
    pub(super) limits: &'r LimitsConfig,
}

/// How many requests wait at most: what is read and not compared yet stays bounded.
const WAITING: usize = 256;

/// Compares all requests, and says how many there were. The first that cannot be read ends it.
pub(super) fn compare_all<R: std::io::Read + Send>(
    study: &OfflineStudy,
    mut requests: Requests<R>,
    reading: &Reading<'_>,
    threads: usize,
) -> Result<u64, String> {
    let (sender, receiver) = sync_channel(WAITING);
    let progress = Progress::default();
    // Gone with the last who takes from it, so that nobody goes on reading for nobody.
    let receiver = Arc::new(Mutex::new(receiver));
    thread::scope(|scope| {
        let progress = &progress;
        let start = |receiver: Arc<Mutex<_>>| {
            scope.spawn(move || work(study, &receiver, progress, reading))
        };
        let workers: Vec<_> = (0..threads.max(1)).map(|_| start(receiver.clone())).collect();
        drop(receiver);
        let read = read_all(&mut requests, sender);
        let mut worked = Ok(());
        for worker in workers {
            let ended = worker.join().unwrap_or_else(|_| Err("a comparison panicked".to_owned()));
            worked = worked.and(ended);
        }
        worked.and(read).map(|()| progress.compared.load(Ordering::Relaxed))
    })
}

/// What the threads have in common.
#[derive(Debug, Default)]
struct Progress {
    compared: AtomicU64,
    /// Set when one of them has failed: the others do no more.
    is_over: AtomicBool,
}

fn read_all<R: std::io::Read>(
    requests: &mut Requests<R>,
    sender: SyncSender<Request>,
) -> Result<(), String> {
    while let Some(request) = requests.next()? {
        if sender.send(request).is_err() {
            break; // all have ended, and say why
        }
    }
    Ok(())
}

fn work(
    study: &OfflineStudy,
    receiver: &Mutex<Receiver<Request>>,
    progress: &Progress,
    reading: &Reading<'_>,
) -> Result<(), String> {
    while !progress.is_over.load(Ordering::Relaxed) {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // The sender is gone when all is read.
        let Ok(Request { line, body }) = next else { return Ok(()) };
        let Reading { signature, naming, limits } = reading;
        let compared = predict_inputs(&body, signature, naming, limits).and_then(|inputs| {
            progress.compared.fetch_add(1, Ordering::Relaxed);
            study.compare(line, &inputs).map_err(|error| error.to_string())
        });
        if let Err(sentence) = compared {
            progress.is_over.store(true, Ordering::Relaxed);
            return Err(format!("line {line}: {sentence}"));
        }
    }
    Ok(())
}
