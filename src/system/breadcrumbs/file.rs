//! The file: its form, how it is made, and what can be read in one that a process left.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem::offset_of;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence};

use crate::domain::attribution::{Crumb, LeftRun, Remains, Signal};
use crate::domain::model::Digest;
use crate::domain::rollout::RolloutId;
use crate::domain::time::WallTime;

/// In the state folder.
const NAME: &str = "breadcrumbs";
/// How many threads have a slot.
pub(super) const SLOTS: usize = 256;
/// The first eight bytes. The last of them changes with the form: what has another one is not understood.
const MAGIC: [u8; 8] = *b"greencr\x01";

/// The whole file. Numbers are in the machine's own order, since it never leaves the machine.
#[repr(C)]
pub(super) struct Page {
    pub(super) header: Header,
    pub(super) slots: [Slot; SLOTS],
}

/// What is said of the process.
#[repr(C, align(128))]
pub(super) struct Header {
    magic: AtomicU64,
    /// When it began, in milliseconds since 1970.
    began: AtomicU64,
    /// 1 once it was told to end, and did.
    pub(super) is_clean: AtomicU32,
    /// The first signal that ended it.
    pub(super) signal: AtomicU32,
}

/// What is said of one thread. By itself in its cache lines, so that no thread waits for another.
#[repr(C, align(128))]
pub(super) struct Slot {
    /// 0 while nothing runs: what stands in the other fields is old then, or half of it is.
    running: AtomicU32,
    /// What its run raised.
    pub(super) signal: AtomicU32,
    /// The number of the rollout; 0 for a trusted version.
    trial: AtomicU64,
    digest: [AtomicU64; 4],
}

const SIZE: usize = size_of::<Page>();

impl Slot {
    pub(super) const fn empty() -> Self {
        Self {
            running: AtomicU32::new(0),
            signal: AtomicU32::new(0),
            trial: AtomicU64::new(0),
            digest: [const { AtomicU64::new(0) }; 4],
        }
    }

    /// A process is stopped between two of its instructions, and a handler runs there too. So the order that the
    /// compiler keeps is enough, and no processor has to be told to wait.
    pub(super) fn fill(&self, crumb: &Crumb) {
        compiler_fence(Ordering::SeqCst);
        self.trial.store(crumb.trial.map_or(0, |RolloutId(id)| id), Ordering::Relaxed);
        for (place, word) in self.digest.iter().zip(words(crumb.digest.bytes())) {
            place.store(word, Ordering::Relaxed);
        }
        compiler_fence(Ordering::SeqCst);
        self.running.store(1, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    pub(super) fn clear(&self) {
        compiler_fence(Ordering::SeqCst);
        self.running.store(0, Ordering::Relaxed);
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 1
    }

    /// Takes over what another slot says.
    pub(super) fn copy(&self, other: &Self) {
        self.trial.store(other.trial.load(Ordering::Relaxed), Ordering::Relaxed);
        for (place, word) in self.digest.iter().zip(&other.digest) {
            place.store(word.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        compiler_fence(Ordering::SeqCst);
        self.running.store(1, Ordering::Relaxed);
    }
}

fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let word = |at: usize| bytes[8 * at..8 * at + 8].try_into().map_or(0, u64::from_ne_bytes);
    std::array::from_fn(word)
}

/// How a signal is written; never 0.
pub(super) fn code(signal: Signal) -> u32 {
    match signal {
        Signal::Segmentation => 1,
        Signal::Bus => 2,
        Signal::Arithmetic => 3,
        Signal::Abort => 4,
        Signal::IllegalInstruction => 5,
    }
}

fn signal(written: u32) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| code(*signal) == written)
}

/// What the last process left; none where no process left anything that can be understood.
///
/// # Errors
/// What the system says when the file is there and cannot be read.
pub fn read(state: &Path) -> io::Result<Option<Remains>> {
    let mut bytes = Vec::new();
    match File::open(state.join(NAME)) {
        Ok(file) => file.take(SIZE as u64 + 1).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(remains(&bytes))
}

fn remains(bytes: &[u8]) -> Option<Remains> {
    if bytes.len() != SIZE || u64_at(bytes, offset_of!(Header, magic)) != u64::from_ne_bytes(MAGIC)
    {
        return None;
    }
    let slots = bytes[offset_of!(Page, slots)..].chunks_exact(size_of::<Slot>());
    Some(Remains {
        began: WallTime(u64_at(bytes, offset_of!(Header, began))),
        is_clean: u32_at(bytes, offset_of!(Header, is_clean)) == 1,
        signal: signal(u32_at(bytes, offset_of!(Header, signal))),
        runs: slots.filter_map(left_run).collect(),
    })
}

fn left_run(slot: &[u8]) -> Option<LeftRun> {
    let is_running = u32_at(slot, offset_of!(Slot, running)) == 1;
    let mut digest = [0; 32];
    let place = offset_of!(Slot, digest);
    digest.copy_from_slice(&slot[place..place + 32]);
    let trial = u64_at(slot, offset_of!(Slot, trial));
    let trial = (trial != 0).then_some(RolloutId(trial));
    let crumb = Crumb { digest: Digest::from_bytes(digest), trial };
    let signal = signal(u32_at(slot, offset_of!(Slot, signal)));
    is_running.then_some(LeftRun { crumb, signal })
}

fn u32_at(bytes: &[u8], place: usize) -> u32 {
    bytes[place..place + 4].try_into().map_or(0, u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], place: usize) -> u64 {
    bytes[place..place + 8].try_into().map_or(0, u64::from_ne_bytes)
}

/// Makes the file anew and maps it, for as long as the process lives.
pub(super) fn create(state: &Path, now: WallTime) -> io::Result<&'static Page> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false) // on a full disk what it has must be enough
        .mode(0o600)
        .open(state.join(NAME))?;
    // Written and not only made as long: a store into a page without a place on the disk may find the disk full.
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&vec![0; SIZE])?;
    file.set_len(SIZE as u64)?;
    let page = map(&file)?;
    page.header.began.store(now.0, Ordering::Relaxed);
    compiler_fence(Ordering::SeqCst);
    page.header.magic.store(u64::from_ne_bytes(MAGIC), Ordering::Relaxed);
    Ok(page)
}

fn map(file: &File) -> io::Result<&'static Page> {
    // SAFETY: a new mapping, of a descriptor that is open, at an address of the system's choice.
    let address = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(ptr::null_mut(), SIZE, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is as long as a `Page`, begins at a page of memory and is never unmapped. A `Page`
    // consists of atomic numbers, for which all bytes are valid and which others may change; the state folder is
    // this process's own, so that nobody makes the file shorter.
    Ok(unsafe { &*address.cast::<Page>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn crumb(content: u8, trial: Option<u64>) -> Crumb {
        Crumb { digest: Digest::from_bytes([content; 32]), trial: trial.map(RolloutId) }
    }

    fn made(state: &Path) -> &'static Page {
        create(state, WallTime(1234)).unwrap()
    }

    #[test]
    fn what_was_stored_is_read_again() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(read(state.path()).unwrap(), None);
        let page = made(state.path());
        let nothing =
            Remains { began: WallTime(1234), is_clean: false, signal: None, runs: Vec::new() };
        assert_eq!(read(state.path()).unwrap(), Some(nothing.clone()));

        let (first, last) = (crumb(7, None), crumb(8, Some(42)));
        page.slots[0].fill(&first);
        page.slots[SLOTS - 1].fill(&last);
        page.slots[1].fill(&last);
        page.slots[1].clear();
        page.slots[SLOTS - 1].signal.store(code(Signal::Bus), Ordering::Relaxed);
        page.header.signal.store(code(Signal::Bus), Ordering::Relaxed);
        page.header.is_clean.store(1, Ordering::Relaxed);
        let runs = vec![
            LeftRun { crumb: first, signal: None },
            LeftRun { crumb: last, signal: Some(Signal::Bus) },
        ];
        let signal = Some(Signal::Bus);
        let expected = Remains { is_clean: true, signal, runs, ..nothing.clone() };
        assert_eq!(read(state.path()).unwrap(), Some(expected));

        made(state.path());
        assert_eq!(read(state.path()).unwrap(), Some(nothing), "the next one begins with nothing");
    }

    #[test]
    fn a_file_that_is_not_ours_or_not_whole_says_nothing_and_is_replaced() {
        let state = tempfile::tempdir().unwrap();
        made(state.path());
        let whole = std::fs::read(state.path().join(NAME)).unwrap();
        let (mut longer, mut other_form) = (whole.clone(), whole.clone());
        longer.push(0);
        other_form[7] ^= 1;
        for foreign in [&b""[..], b"hello", &[0; SIZE], &whole[..SIZE - 1], &longer, &other_form] {
            std::fs::write(state.path().join(NAME), foreign).unwrap();
            assert_eq!(read(state.path()).unwrap(), None);
            made(state.path());
            assert!(read(state.path()).unwrap().is_some());
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(state.path().join(NAME)).unwrap();
        assert!(read(state.path()).is_err());
        assert!(create(state.path(), WallTime(0)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(
            numbers in prop::collection::vec((0..SIZE, any::<u8>()), 0..2000),
            is_ours: bool,
        ) {
            let mut bytes = vec![0; SIZE];
            for (place, byte) in numbers {
                bytes[place] = byte;
            }
            if is_ours {
                bytes[..8].copy_from_slice(&MAGIC);
            }
            let left = remains(&bytes);
            prop_assert_eq!(left.is_some(), bytes[..8] == MAGIC);
            prop_assert!(left.is_none_or(|left| left.runs.len() <= SLOTS));
        }
    }
}
