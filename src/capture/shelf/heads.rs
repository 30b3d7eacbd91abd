//! How the records of a segment begin, without reading the rest of them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::capture::record::{self, Head};
use crate::capture::segment::{self, FRAME, HEADER};

/// See the module.
#[derive(Debug)]
pub(super) struct Heads {
    file: File,
    next: u64,
    end: u64,
}

impl Heads {
    /// Of a file that is whole up to there.
    pub(super) fn of(path: &Path, end: u64) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, next: HEADER as u64, end })
    }

    /// The next one; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Head>> {
        let mut bytes = [0; FRAME + Head::BYTES];
        if self.next + bytes.len() as u64 > self.end {
            return Ok(None);
        }
        self.file.read_exact_at(&mut bytes, self.next)?;
        let Some(length) = segment::length(&bytes) else { return Ok(None) };
        self.next += length;
        Ok(record::head(segment::record(&bytes)).filter(|_| self.next <= self.end))
    }
}
