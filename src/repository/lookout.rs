//! The loop that looks at the models' folder: when something happened there, when something has to be still
//! until then, and now and again in any case.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::fingerprint::Fingerprint;
use super::intake::{Care, Intake, Sighting};
use super::store::ContentStore;
use super::watcher::Watcher;
use crate::domain::model::Digest;

/// The models' folder, being watched over by a thread of its own. Ends when it is dropped.
#[derive(Debug)]
pub struct Repository {
    wakes: Sender<Wake>,
}

/// What the repository works with.
#[derive(Debug)]
pub struct RepositoryParts {
    /// The models' folder.
    pub models: PathBuf,
    /// How long a file must have been still.
    pub settle: Duration,
    /// Between two looks when nothing seems to happen.
    pub poll: Duration,
    /// Whether the system is asked for events.
    pub events: bool,
    /// Where contents are kept.
    pub store: Arc<ContentStore>,
    /// The files that an earlier server knew.
    pub known: Vec<KnownFile>,
}

/// A file, by what it is told that it did not change, and its content.
pub type KnownFile = (String, Fingerprint, Digest);

/// What a look found out.
#[derive(Debug)]
pub struct Looked {
    /// What happened.
    pub sightings: Vec<Sighting>,
    /// Every file that is known now, where that changed.
    pub files: Option<Vec<KnownFile>>,
    /// Everything that was there at the start has been told.
    pub is_first_complete: bool,
}

/// What the loop is told.
#[derive(Debug)]
enum Wake {
    /// To look now.
    Look,
    /// To end.
    End,
}

/// How long a start waits for files that are still being written. After that they are found as later ones are.
const FIRST_LOOK_AT_MOST: Duration = Duration::from_secs(10);

/// Between two looks because of events.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

impl Repository {
    /// Starts the loop. `on_look` is told whatever a look finds out, the first time also when that is nothing.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub fn start(
        parts: RepositoryParts,
        on_look: impl Fn(Looked) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (wakes, woken) = channel();
        let nudge = wakes.clone();
        std::thread::Builder::new().name("repository".to_owned()).spawn(move || {
            let mut watcher = parts.events.then(|| watch(&parts, nudge)).flatten();
            let intake = Intake::new(parts.models, parts.settle, parts.store, parts.known);
            Lookout { intake, poll: parts.poll }.run(&woken, watcher.as_mut(), on_look);
        })?;
        Ok(Self { wakes })
    }

    /// Has the loop look at the folder: at once, or after what it is doing.
    pub fn wake(&self) {
        // Nobody listens any more only when the process is about to end.
        let _ = self.wakes.send(Wake::Look);
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        // The watcher holds a sender of its own, so the loop would not see that this one is gone.
        let _ = self.wakes.send(Wake::End);
    }
}

struct Lookout {
    intake: Intake,
    poll: Duration,
}

impl Lookout {
    fn run(
        mut self,
        woken: &Receiver<Wake>,
        mut watcher: Option<&mut Watcher>,
        on_look: impl Fn(Looked),
    ) {
        let started = Instant::now();
        let mut is_first_complete = false;
        let mut care = Care::Everything;
        loop {
            let armed = watcher.as_mut().map(|watcher| watcher.rearm(Instant::now()));
            if let Some(Err(sentence)) = armed {
                tracing::warn!("{sentence}");
            }
            let sightings = self.intake.look(Instant::now(), care);
            let completes_first = !is_first_complete
                && (self.intake.next_look().is_none() || started.elapsed() > FIRST_LOOK_AT_MOST);
            is_first_complete |= completes_first;
            if completes_first || !sightings.is_empty() {
                let files = self
                    .intake
                    .files()
                    .map(|(file, fingerprint, digest)| (file.to_owned(), fingerprint, digest));
                let files = (!sightings.is_empty()).then(|| files.collect());
                on_look(Looked { sightings, files, is_first_complete: completes_first });
            }
            let is_watched = watcher.as_ref().is_some_and(|watcher| watcher.is_armed());
            care = match woken.recv_timeout(self.wait()) {
                Ok(Wake::Look) => Care::Everything,
                Ok(Wake::End) => return,
                Err(RecvTimeoutError::Timeout) if is_watched => Care::Share,
                Err(RecvTimeoutError::Timeout) => Care::Everything,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // However often it was woken meanwhile, one look sees it all.
            if woken.try_iter().any(|wake| matches!(wake, Wake::End)) {
                return;
            }
        }
    }

    fn wait(&self) -> Duration {
        let due = self.intake.next_look().map(|due| due.saturating_duration_since(Instant::now()));
        due.map_or(self.poll, |due| due.min(self.poll))
    }
}

/// Events are a courtesy: without them the looks go on.
fn watch(parts: &RepositoryParts, nudge: Sender<Wake>) -> Option<Watcher> {
    let on_event = move || drop(nudge.send(Wake::Look));
    // A file that comes during the pause is taken that much later, so it is short beside the wait for stillness.
    let pause = (parts.settle / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    Watcher::start(&parts.models, pause, on_event)
        .map_err(|error| tracing::warn!("the models' folder cannot be watched: {error}"))
        .ok()
}
