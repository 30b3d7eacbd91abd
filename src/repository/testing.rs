//! Folders that tests write into, mount and put on a clock of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fingerprint::Stamp;

/// A folder for models and one for the state, side by side.
#[derive(Debug)]
pub(super) struct Folders {
    folder: tempfile::TempDir,
}

impl Folders {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("models")).unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        Self { folder }
    }

    pub(super) fn models(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Something in the models' folder.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.models().join(file)
    }

    /// Writes as `cp` does: over what is there, into folders that are made if need be.
    pub(super) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        self.let_clock_tick();
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn append(&self, file: &str, content: &str) {
        use std::io::Write;
        self.let_clock_tick();
        let mut file = fs::File::options().append(true).open(self.path(file)).unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        self.let_clock_tick();
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(super) fn remove(&self, name: &str) {
        self.let_clock_tick();
        let path = self.path(name);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }

    pub(super) fn link(&self, target: &str, link: &str) {
        std::os::unix::fs::symlink(target, self.path(link)).unwrap();
    }

    /// Tests turn their own clock much faster than the file system's, whose ticks tell writes apart.
    fn let_clock_tick(&self) {
        let probe = self.folder.path().join("probe");
        let stamp = || {
            fs::write(&probe, b"tick").unwrap();
            Stamp::of(&probe).unwrap()
        };
        let before = stamp();
        while stamp() == before {}
    }
}

/// A small file system of its own, until it is dropped.
#[derive(Debug)]
pub(super) struct Mounted(PathBuf);

impl Mounted {
    /// None, and a line that says so, where the system does not let us mount.
    pub(super) fn at(folder: &Path, size: &str) -> Option<Self> {
        Self::with(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], folder)
    }

    /// A file that is also shown at another place.
    pub(super) fn file(file: &str, at: &Path) -> Option<Self> {
        Self::with(&["--bind", file], at)
    }

    fn with(arguments: &[&str], at: &Path) -> Option<Self> {
        let is_mounted = run("mount", arguments, at);
        if !is_mounted {
            eprintln!("skipped: nothing can be mounted here");
        }
        is_mounted.then(|| Self(at.to_path_buf()))
    }

    pub(super) fn make_read_only(&self) {
        assert!(run("mount", &["-o", "remount,ro"], &self.0));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> bool {
    let output = Command::new(program).args(arguments).arg(folder).output();
    output.is_ok_and(|output| output.status.success())
}
