//! A disk that a test can fill.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system in memory, until it is dropped.
#[derive(Debug)]
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None, and a line that says so, where the system does not let us mount.
    pub(crate) fn at(folder: &Path, size: &str) -> Option<Self> {
        let size = format!("size={size}");
        let is_mounted = run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"], folder);
        if !is_mounted {
            eprintln!("skipped: nothing can be mounted here");
        }
        is_mounted.then(|| Self(folder.to_path_buf()))
    }

    /// Leaves no room for a single byte more.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        for length in [64 << 10, 1] {
            let error = loop {
                if let Err(error) = filler.write_all(&vec![0; length]) {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        }
    }

    /// Makes room again.
    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> bool {
    let output = Command::new(program).args(arguments).arg(folder).output();
    output.is_ok_and(|output| output.status.success())
}
