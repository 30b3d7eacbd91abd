//! Frees versions that nobody uses any more, off the request path.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::serving::Servable;

/// A thread that holds the last reference of each retired version, so that no request pays for freeing a model.
#[derive(Clone, Debug)]
pub struct Reaper(Sender<Retired>);

struct Retired {
    servable: Arc<Servable>,
    /// Called when the memory has been handed back.
    freed: Option<Freed>,
}

/// See [`Reaper::retire`].
pub(crate) type Freed = Box<dyn FnOnce() + Send>;

/// How often it is looked whether the last request on a retired version has been answered.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Reaper {
    /// Starts the thread. It ends with the last handle.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start() -> std::io::Result<Self> {
        let (retire, retired) = channel();
        std::thread::Builder::new().name("reaper".to_owned()).spawn(move || reap(&retired))?;
        Ok(Self(retire))
    }

    /// Takes over a version that no route names any more. What it has accepted is still answered; then it is freed,
    /// and `freed` is called.
    pub fn retire(&self, servable: Arc<Servable>, freed: Option<Freed>) {
        // When the thread is gone the process is about to end, and frees everything.
        let _ = self.0.send(Retired { servable, freed });
    }
}

fn reap(retired: &Receiver<Retired>) {
    let mut waiting: Vec<Retired> = Vec::new();
    loop {
        let next = if waiting.is_empty() {
            retired.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            retired.recv_timeout(LOOK_EVERY)
        };
        match next {
            Ok(version) => waiting.push(version),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        for version in waiting.extract_if(.., |version| Arc::strong_count(&version.servable) == 1) {
            let Retired { servable, freed } = version;
            drop(servable);
            if let Some(freed) = freed {
                freed();
            }
        }
    }
}
