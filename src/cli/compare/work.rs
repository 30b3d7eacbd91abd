//! All cores compare, each one request at a time, while one thread reads the file.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
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
    let (receiver, numbers) = (Mutex::new(receiver), AtomicU64::new(0));
    thread::scope(|scope| {
        let work = || work(study, &receiver, &numbers, reading);
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let read = read_all(&mut requests, sender);
        let mut worked = Ok(());
        for worker in workers {
            let ended = worker.join().unwrap_or_else(|_| Err("a comparison panicked".to_owned()));
            worked = worked.and(ended);
        }
        worked.and(read).map(|()| numbers.load(Ordering::Relaxed))
    })
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
    numbers: &AtomicU64,
    reading: &Reading<'_>,
) -> Result<(), String> {
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // The sender is gone when all is read.
        let Ok(Request { line, body }) = next else { return Ok(()) };
        let Reading { signature, naming, limits } = reading;
        let compared = predict_inputs(&body, signature, naming, limits).and_then(|inputs| {
            numbers.fetch_add(1, Ordering::Relaxed);
            study.compare(line, &inputs).map_err(|error| error.to_string())
        });
        if let Err(sentence) = compared {
            // Nobody reads on: the channel closes with the last of those who take from it.
            while receiver.lock().unwrap_or_else(PoisonError::into_inner).try_recv().is_ok() {}
            return Err(format!("line {line}: {sentence}"));
        }
    }
}
