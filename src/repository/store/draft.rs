//! A copy being made: nobody sees it before it is whole and on the disk.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::super::fingerprint::Stamp;
use super::super::layout::{VersionFile, VersionFiles};
use super::PutError;
use crate::domain::model::Digest;

/// A folder with the files copied so far. It is removed when it is dropped.
pub(super) struct Draft<'a> {
    folder: PathBuf,
    version: &'a VersionFiles,
    sums: Vec<(&'a str, Digest)>,
    buffer: Vec<u8>,
}

const BLOCK: usize = 1 << 20;

impl<'a> Draft<'a> {
    pub(super) fn begin(folder: PathBuf, version: &'a VersionFiles) -> Result<Self, PutError> {
        let draft = Self { folder, version, sums: Vec::new(), buffer: vec![0; BLOCK] };
        // One that a crash has left over; the state folder's lock says that nobody is at it.
        let _ = fs::remove_dir_all(&draft.folder);
        fs::create_dir(&draft.folder).map_err(|error| draft.unwritable(error))?;
        Ok(draft)
    }

    /// Copies a file, which must be the one that was looked at. Whether it was written to while it was read is
    /// asked in the end, about all files together.
    pub(super) fn add(
        &mut self,
        file: &'a VersionFile,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<(), PutError> {
        let source = self.open(file)?;
        let target = self.folder.join(&file.name);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|error| self.unwritable(error))?;
        }
        // A clone of the blocks takes no time and no room. It is of one moment, so what is read is the clone.
        let sum = match reflink_copy::reflink_file_to_path(&source, &target) {
            Ok(()) => self.read_clone(&target, meanwhile)?,
            Err(_) => self.copy(&source, &target, file, meanwhile)?,
        };
        fs::set_permissions(&target, Permissions::from_mode(0o444))
            .map_err(|error| self.unwritable(error))?;
        self.sums.push((&file.name, sum));
        Ok(())
    }

    /// For one file what `sha256sum` prints; for more the sum of the sorted lines `<sum> <name>`.
    pub(super) fn digest(&self) -> Digest {
        if let [(_, only)] = self.sums[..] {
            return only;
        }
        let line = |(name, sum): &(&str, Digest)| format!("{} {name}\n", sum.hex());
        let mut lines: Vec<String> = self.sums.iter().map(line).collect();
        lines.sort_unstable();
        Digest::from_bytes(Sha256::digest(lines.concat()).into())
    }

    /// Writes everything to the disk, and shows it under its name in one step.
    pub(super) fn publish(self, name: &Path) -> Result<(), PutError> {
        self.try_publish(name).map_err(|error| self.unwritable(error))
    }

    fn try_publish(&self, name: &Path) -> io::Result<()> {
        for (file, _) in &self.sums {
            File::open(self.folder.join(file))?.sync_all()?;
        }
        for (file, _) in &self.sums {
            let ancestors = Path::new(file).ancestors().skip(1);
            ancestors.map(|folder| self.folder.join(folder)).try_for_each(sync_folder)?;
        }
        // Somebody has been in there: it has the name, but not the model.
        let _ = fs::remove_dir_all(name);
        fs::rename(&self.folder, name)?;
        name.parent().map_or(Ok(()), |store| sync_folder(store.to_path_buf()))
    }

    fn open(&self, file: &VersionFile) -> Result<File, PutError> {
        // Not blocking, in case that it has become a pipe since it was looked at.
        let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&file.path);
        match opened {
            Ok(opened) => self.check_same(&opened, file).map(|()| opened),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.changed()),
            Err(error) => Err(self.unreadable(error)),
        }
    }

    fn check_same(&self, opened: &File, file: &VersionFile) -> Result<(), PutError> {
        let now = opened.metadata().map_err(|error| self.unreadable(error))?;
        let is_below = self.version.holds(opened).map_err(|error| self.unreadable(error))?;
        if Stamp::from(&now) == file.stamp && is_below { Ok(()) } else { Err(self.changed()) }
    }

    fn read_clone(
        &mut self,
        clone: &Path,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Digest, PutError> {
        let mut clone = File::open(clone).map_err(|error| self.unwritable(error))?;
        let mut sum = Sha256::new();
        loop {
            let read = read_block(&mut clone, &mut self.buffer);
            let block = &self.buffer[..read.map_err(|error| self.unwritable(error))?];
            if block.is_empty() {
                return Ok(Digest::from_bytes(sum.finalize().into()));
            }
            sum.update(block);
            meanwhile();
        }
    }

    fn copy(
        &mut self,
        mut source: &File,
        target: &Path,
        file: &VersionFile,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Digest, PutError> {
        let mut target = File::create_new(target).map_err(|error| self.unwritable(error))?;
        let mut sum = Sha256::new();
        let mut rest = file.stamp.size;
        loop {
            let read = read_block(&mut source, &mut self.buffer);
            let block = &self.buffer[..read.map_err(|error| self.unreadable(error))?];
            if block.is_empty() && rest == 0 {
                return Ok(Digest::from_bytes(sum.finalize().into()));
            }
            // A file that is written as fast as it is read would have no end.
            if block.is_empty() || block.len() as u64 > rest {
                return Err(self.wrong_length(source, file));
            }
            rest -= block.len() as u64;
            sum.update(block);
            target.write_all(block).map_err(|error| self.unwritable(error))?;
            meanwhile();
        }
    }

    /// It grew or shrank; or it comes from a file system that does not know how long its files are.
    fn wrong_length(&self, opened: &File, file: &VersionFile) -> PutError {
        match self.check_same(opened, file) {
            Err(changed) => changed,
            Ok(()) => {
                self.unreadable(io::Error::other("it is not as long as its file system says"))
            }
        }
    }

    fn changed(&self) -> PutError {
        PutError::Changed(self.version.file.clone())
    }

    fn unreadable(&self, source: io::Error) -> PutError {
        PutError::Unreadable { file: self.version.file.clone(), source }
    }

    fn unwritable(&self, source: io::Error) -> PutError {
        let file = self.version.file.clone();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                PutError::Full { file, bytes: self.version.bytes() }
            }
            _ => PutError::Unwritable { file, source },
        }
    }
}

/// Published, there is nothing under the name any more.
impl Drop for Draft<'_> {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.folder) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(
                "the unfinished copy `{}` cannot be removed: {error}",
                self.folder.display()
            ),
        }
    }
}

/// Reads up to a block. Zero is the end.
fn read_block(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn sync_folder(folder: PathBuf) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
