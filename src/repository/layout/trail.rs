//! What a look at the folder went by, so that the next look can tell with little work that nothing changed.

use std::io;
use std::path::{Path, PathBuf};

use super::super::fingerprint::Stamp;

/// How thoroughly to check that nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::repository) enum Care {
    /// Everything: there is a reason to think that something changed, or nobody else would notice.
    Everything,
    /// The root and a bounded share of the rest, another one each time: events tell the rest.
    Share,
}

/// Every folder, file and link that a look went by, as it was then.
#[derive(Debug, Default)]
pub(super) struct Trail {
    footprints: Vec<Footprint>,
    /// Something could not be read although it is there. It may be readable next time without any trace of it.
    is_broken: bool,
    /// Where the next share begins.
    next: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Footprint {
    path: PathBuf,
    /// None: it was not there, or could not be asked about.
    stamp: Option<Stamp>,
}

impl Trail {
    /// A share costs about a third of a millisecond: 2.5 µs for each of these. A thousand models are looked at in a minute.
    const SHARE: usize = 128;

    /// Asks about a file or folder, following links, and remembers the answer.
    pub(super) fn stamp(&mut self, path: &Path) -> io::Result<Stamp> {
        let stamp = Stamp::of(path);
        self.footprints
            .push(Footprint { path: path.to_path_buf(), stamp: stamp.as_ref().ok().copied() });
        stamp.inspect_err(|error| self.note(error))
    }

    /// Remembers that something could not be read. What is not there, is a clear answer.
    pub(super) fn note(&mut self, error: &io::Error) {
        self.is_broken |= error.kind() != io::ErrorKind::NotFound;
    }

    /// True when what is checked of it is as it was.
    pub(super) fn is_unchanged(&mut self, care: Care) -> bool {
        let is_same = |footprint: &Footprint| Stamp::of(&footprint.path).ok() == footprint.stamp;
        if self.is_broken {
            return false;
        }
        match (care, &self.footprints[..]) {
            (Care::Share, [root, rest @ ..]) if rest.len() > Self::SHARE => {
                let share = rest.iter().cycle().skip(self.next).take(Self::SHARE);
                self.next = (self.next + Self::SHARE) % rest.len();
                is_same(root) && share.into_iter().all(is_same)
            }
            (Care::Share | Care::Everything, all) => all.iter().all(is_same),
        }
    }
}

/// Whether two looks saw the same.
impl PartialEq for Trail {
    fn eq(&self, other: &Self) -> bool {
        !self.is_broken && !other.is_broken && self.footprints == other.footprints
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn shares_get_to_everything_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        let mut trail = Trail::default();
        trail.stamp(folder.path()).unwrap();
        let paths: Vec<PathBuf> = (0..1500).map(|n| folder.path().join(n.to_string())).collect();
        for path in &paths {
            assert!(trail.stamp(path).is_err());
        }
        assert!((0..24).all(|_| trail.is_unchanged(Care::Share)));

        // Behind the root's back, so that only its own footprint tells.
        fs::create_dir(folder.path().join("aside")).unwrap();
        trail.footprints[0].stamp = Stamp::of(folder.path()).ok();
        fs::write(&paths[1100], b"new").unwrap();
        trail.footprints[0].stamp = Stamp::of(folder.path()).ok();

        let noticed = (0..12).filter(|_| !trail.is_unchanged(Care::Share)).count();
        assert_eq!(noticed, 1);
        assert!(!trail.is_unchanged(Care::Everything));
    }

    #[test]
    fn what_is_not_there_is_a_clear_answer_and_what_cannot_be_read_is_none() {
        let mut trail = Trail::default();
        assert!(trail.stamp(Path::new("/missing/file")).is_err());
        assert!(trail.is_unchanged(Care::Everything));
        trail.note(&io::ErrorKind::PermissionDenied.into());
        assert!(!trail.is_unchanged(Care::Everything));
    }
}
