//! Tells that something happened in the models' folder, so that it is looked at now and not at the next time.
//!
//! Events are a courtesy: they get lost, they do not come from network file systems, and the system limits how
//! many folders may be watched. What is missed here, the periodic look finds.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{
    Config, Event, EventKind, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher as _,
};

/// Before a root that could not be watched, or only in part, is tried again: it means to walk through all folders.
const RETRY: Duration = Duration::from_secs(30);

/// Watches the models' folder and everything below it until it is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    root: PathBuf,
    events: SyncSender<Happened>,
    /// None: the system would not watch the folder.
    armed: Option<RecommendedWatcher>,
    /// Device and inode of the root that is watched; none while there is none.
    watched: Option<(u64, u64)>,
    /// When that was tried.
    tried: Option<Instant>,
    /// It has been said that this root cannot be watched.
    has_complained: bool,
    lost: Arc<Lost>,
}

/// What the watch that is there does not tell of.
#[derive(Debug, Default)]
struct Lost {
    /// Some events, and with them perhaps folders that should be watched.
    events: AtomicBool,
    /// The root itself: a new one may get its inode.
    root: AtomicBool,
}

#[derive(Debug)]
struct Happened;

impl Watcher {
    /// Starts to watch. `on_event` is called from a thread of its own when something happened, for any number
    /// of events together, and with at least `pause` between two calls: one copy makes thousands of events, and a
    /// look at a thousand models takes some 40 ms of a core when something changed. After the last event there is
    /// always a call.
    ///
    /// # Errors
    /// What the system says when it has no room for a thread.
    pub(super) fn start(
        root: &Path,
        pause: Duration,
        on_event: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let (events, happened) = sync_channel(1);
        thread::Builder::new()
            .name("watcher".to_owned())
            .spawn(move || pass_on(&happened, pause, on_event))?;
        Ok(Self {
            root: root.to_path_buf(),
            events,
            armed: None,
            watched: None,
            tried: None,
            has_complained: false,
            lost: Arc::default(),
        })
    }

    /// Watches the root that is there now, if it is not the one that is watched already. Call it at each
    /// periodic look: the root may have been replaced or mounted anew, and nothing tells about that.
    ///
    /// # Errors
    /// A sentence, once for each root that cannot be watched. It is tried again, but not at each call.
    pub(super) fn rearm(&mut self, now: Instant) -> Result<(), String> {
        let root = fs::metadata(&self.root).ok().map(|root| (root.dev(), root.ino()));
        let is_new = root != self.watched || self.lost.root.swap(false, Ordering::Relaxed);
        if !is_new && !self.is_worth_a_retry(now) {
            return Ok(());
        }
        self.armed = None;
        self.watched = root;
        self.tried = Some(now);
        self.has_complained &= !is_new;
        if root.is_none() {
            return Ok(()); // who looks at it says so
        }
        // The old watch has ended, so what is lost from here on, the new one loses.
        self.lost = Arc::default();
        match self.watch() {
            Ok(watcher) => self.armed = Some(watcher),
            Err(_) if self.has_complained => return Ok(()),
            Err(error) => {
                self.has_complained = true;
                return Err(self.sentence(&error));
            }
        }
        // Between the last look and now, nobody watched.
        notice(&self.events);
        Ok(())
    }

    fn is_worth_a_retry(&self, now: Instant) -> bool {
        let is_time = self.tried.is_none_or(|tried| now.saturating_duration_since(tried) >= RETRY);
        self.watched.is_some() && !self.is_armed() && is_time
    }

    /// True while every change on a local disk leads to a call.
    pub(super) fn is_armed(&self) -> bool {
        self.armed.is_some() && !self.lost.events.load(Ordering::Relaxed)
    }

    fn watch(&self) -> notify::Result<RecommendedWatcher> {
        let root = self.root.canonicalize()?;
        let (events, lost) = (self.events.clone(), Arc::clone(&self.lost));
        let watched = root.clone();
        let on_event = move |event: notify::Result<Event>| {
            lost.events.fetch_or(loses_events(&event), Ordering::Relaxed);
            lost.root.fetch_or(is_end_of(&watched, &event), Ordering::Relaxed);
            if is_change(&event) {
                notice(&events);
            }
        };
        // Links are not followed: what they lead to inside the root is watched anyway. Nor is reading told of: the
        // system keeps a bounded number of events, and one look at many models alone would fill it.
        let changes = EventKindMask::CORE | EventKindMask::ACCESS_CLOSE;
        let config = Config::default().with_follow_symlinks(false).with_event_kinds(changes);
        let mut watcher = RecommendedWatcher::new(on_event, config)?;
        watcher.watch(&root, RecursiveMode::Recursive)?;
        Ok(watcher)
    }

    fn sentence(&self, error: &notify::Error) -> String {
        let root = self.root.display();
        match &error.kind {
            notify::ErrorKind::MaxFilesWatch => format!(
                "the models' folder `{root}` has more folders than the system lets us watch; changes are found by the periodic look (fs.inotify.max_user_watches raises the limit)"
            ),
            _ => format!(
                "the models' folder `{root}` cannot be watched, changes are found by the periodic look: {error}"
            ),
        }
    }
}

fn notice(events: &SyncSender<Happened>) {
    // Full means that a call is about to come anyway.
    let _ = events.try_send(Happened);
}

fn pass_on(happened: &Receiver<Happened>, pause: Duration, mut on_event: impl FnMut()) {
    while let Ok(Happened) = happened.recv() {
        on_event();
        thread::sleep(pause);
    }
}

/// Reading is no change: our own looks would wake us for ever.
fn is_change(event: &notify::Result<Event>) -> bool {
    match event.as_ref().map(|event| event.kind) {
        Ok(EventKind::Access(access)) => access == AccessKind::Close(AccessMode::Write),
        Ok(
            EventKind::Any
            | EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Remove(_)
            | EventKind::Other,
        )
        | Err(_) => true,
    }
}

/// True when there was more than we were told. What happens in a folder that may not be read is nothing to us.
fn loses_events(event: &notify::Result<Event>) -> bool {
    match event {
        Ok(event) => event.need_rescan(),
        Err(error) => match &error.kind {
            notify::ErrorKind::Io(error) => error.kind() != io::ErrorKind::PermissionDenied,
            _ => true,
        },
    }
}

fn is_end_of(root: &Path, event: &notify::Result<Event>) -> bool {
    event.as_ref().is_ok_and(|event| {
        matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)))
            && event.paths.iter().any(|path| path == root)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// Long enough for a busy machine; nobody waits so long when all is well.
    const PATIENCE: Duration = Duration::from_secs(20);
    const PAUSE: Duration = Duration::from_millis(250);

    struct Watched {
        _parent: tempfile::TempDir,
        root: PathBuf,
        watcher: Watcher,
        calls: Receiver<()>,
    }

    fn watched() -> Watched {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("models");
        fs::create_dir_all(root.join("m/..data")).unwrap();
        let (called, calls) = channel();
        let watcher = Watcher::start(&root, PAUSE, move || {
            let _ = called.send(());
        })
        .unwrap();
        Watched { _parent: parent, root, watcher, calls }
    }

    impl Watched {
        fn rearm(&mut self) {
            self.watcher.rearm(Instant::now()).unwrap();
            self.expect_call("being armed");
        }

        fn expect_call(&self, after: &str) {
            assert!(self.calls.recv_timeout(PATIENCE).is_ok(), "no call after {after}");
        }

        /// No more calls are on their way.
        fn settle(&self) {
            while self.calls.recv_timeout(PAUSE * 3).is_ok() {}
        }
    }

    #[test]
    fn what_happens_in_the_folder_is_told() {
        let mut watched = watched();
        assert!(!watched.watcher.is_armed());
        watched.rearm();
        assert!(watched.watcher.is_armed());

        fs::write(watched.root.join("m/..data/1.onnx"), b"model").unwrap();
        watched.expect_call("a new file in a hidden folder");
        watched.settle();
        fs::rename(watched.root.join("m"), watched.root.join("n")).unwrap();
        watched.expect_call("a folder's new name");
    }

    #[test]
    fn looking_at_the_folder_is_nothing_that_happens() {
        let mut watched = watched();
        fs::write(watched.root.join("1.onnx"), b"model").unwrap();
        watched.rearm();
        watched.settle();
        assert_eq!(fs::read_dir(&watched.root).unwrap().count(), 2);
        assert_eq!(fs::read(watched.root.join("1.onnx")).unwrap(), b"model");
        assert!(watched.calls.recv_timeout(PAUSE * 3).is_err());
    }

    #[test]
    fn a_root_that_is_put_there_anew_is_watched_again() {
        let mut watched = watched();
        watched.rearm();
        fs::remove_dir_all(&watched.root).unwrap();
        watched.expect_call("the root is gone");
        watched.watcher.rearm(Instant::now()).unwrap();
        assert!(!watched.watcher.is_armed());

        fs::create_dir(&watched.root).unwrap();
        watched.settle();
        watched.rearm();
        watched.settle();
        fs::write(watched.root.join("1.onnx"), b"model").unwrap();
        watched.expect_call("a file in the new root");
    }

    #[test]
    fn after_lost_events_the_folders_are_watched_anew_but_not_all_the_time() {
        let mut watched = watched();
        watched.rearm();
        watched.settle();
        let armed = watched.watcher.tried.unwrap();
        watched.watcher.lost.events.store(true, Ordering::Relaxed);

        watched.watcher.rearm(armed + RETRY / 2).unwrap();
        assert!(!watched.watcher.is_armed());
        fs::write(watched.root.join("1.onnx"), b"model").unwrap();
        watched.expect_call("a file where events are told of all the same");
        watched.settle();

        watched.watcher.rearm(armed + RETRY).unwrap();
        watched.expect_call("being armed again");
        assert!(watched.watcher.is_armed());
    }

    #[test]
    fn only_what_could_have_been_read_is_lost() {
        let failed = |kind: io::ErrorKind| Err(notify::Error::io(kind.into()));
        assert!(!loses_events(&failed(io::ErrorKind::PermissionDenied)));
        assert!(loses_events(&failed(io::ErrorKind::OutOfMemory)));
        assert!(loses_events(&Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch))));
        let overflow = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert!(loses_events(&Ok(overflow)));
        assert!(!loses_events(&Ok(Event::new(EventKind::Other))));
    }

    #[test]
    fn many_events_are_one_call() {
        let mut watched = watched();
        watched.rearm();
        watched.settle();
        for number in 0..2000 {
            fs::write(watched.root.join(format!("{number}.onnx")), b"model").unwrap();
        }
        watched.expect_call("two thousand files");
        let more = std::iter::from_fn(|| watched.calls.recv_timeout(PAUSE * 3).ok()).count();
        assert!(more < 100, "{more} calls more");
    }
}
