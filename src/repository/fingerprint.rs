//! What the file system says of a file without reading it: a hint whether it is still the same.
//!
//! It saves reading again what did not change, and shows that a file is still being written. It is never an
//! identity: that is the content's digest. The time of the last change of the inode (ctime) is what makes the
//! hint good, because nobody can set it: `cp -p`, `touch -d` and `rsync -t` bring size and mtime along with other
//! content.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::str::FromStr;
use std::{fmt, fs, io};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3Default;

/// One file or folder, or what a link to it leads to. A link that is bent elsewhere leads to another inode, so
/// it shows here, wherever on the way it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    inode: u64,
    pub(super) size: u64,
    /// Nanoseconds.
    modified: i64,
    /// Nanoseconds.
    changed: i64,
    /// How many names the file has. A further one shows in the time of the last change, too.
    pub(super) links: u64,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&fs::metadata(path)?))
    }
}

impl From<&Metadata> for Stamp {
    fn from(file: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(rest);
        Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: nanoseconds(file.mtime(), file.mtime_nsec()),
            changed: nanoseconds(file.ctime(), file.ctime_nsec()),
            links: file.nlink(),
        }
    }
}

/// All files of a version, by name and stamp. Shown and kept as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint(u128);

/// Why a text is not a [`Fingerprint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a fingerprint: expected 32 hexadecimal digits")]
pub struct InvalidFingerprint(String);

impl Fingerprint {
    /// The names must come in the same order each time.
    pub(super) fn of<'a>(files: impl IntoIterator<Item = (&'a str, Stamp)>) -> Self {
        let mut sum = Xxh3Default::new();
        for (name, stamp) in files {
            let Stamp { device, inode, size, modified, changed, links: _ } = stamp;
            sum.update(&(name.len() as u64).to_le_bytes());
            sum.update(name.as_bytes());
            for number in [device, inode, size, modified as u64, changed as u64] {
                sum.update(&number.to_le_bytes());
            }
        }
        Self(sum.digest128())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32);
        number.map(Self).ok_or_else(|| InvalidFingerprint(text.to_owned()))
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = InvalidFingerprint;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_content_of_the_same_size_and_mtime_is_told_by_the_inode() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, b"old").unwrap();
        fs::write(&new, b"new").unwrap();
        let before = Stamp::of(&old).unwrap();
        let mtime = fs::metadata(&old).unwrap().modified().unwrap();
        fs::File::options().write(true).open(&new).unwrap().set_modified(mtime).unwrap();
        fs::rename(&new, &old).unwrap();

        let after = Stamp::of(&old).unwrap();
        assert_eq!((after.size, after.modified), (before.size, before.modified));
        assert_ne!(after, before);
    }

    #[test]
    fn names_and_stamps_both_count() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = Stamp::of(folder.path()).unwrap();
        let grown = Stamp { size: stamp.size + 1, ..stamp };
        let all = [vec![("a", stamp)], vec![("b", stamp)], vec![("a", grown)], vec![]];
        for (at, one) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                let is_same = Fingerprint::of(one.clone()) == Fingerprint::of(other.clone());
                assert_eq!(is_same, at == other_at);
            }
        }
    }

    #[test]
    fn a_fingerprint_survives_being_written_down() {
        let fingerprint = Fingerprint(0x00ab);
        let text = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(text, format!("\"{}ab\"", "0".repeat(30)));
        assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap(), fingerprint);
        for bad in ["", "ab", &"g".repeat(32)] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
