//! Reads a segment record by record, while more may be added behind.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::place::{Place, Series};
use super::record::{Head, Recording, decode, head};
use super::segment::{self, FRAME, HEADER};
use super::shelf::segment_path;
use super::stock::Next;

/// See the module.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    /// The record that is read next, of this segment as it was written then.
    next: Next,
    offset: u64,
}

impl Reader {
    /// Of the segment with this record.
    pub(super) fn open(place: &Place, series: &Series, next: Next) -> io::Result<Self> {
        let file = File::open(segment_path(place, series, next.position.segment))?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)?;
        if segment::bound(&header).is_none() {
            return Err(io::Error::other("it is of another format, or broken"));
        }
        let begin = Next { position: super::stock::Position { index: 0, ..next.position }, ..next };
        let mut reader = Self { file, next: begin, offset: HEADER as u64 };
        while reader.next.position.index < next.position.index {
            reader.pass()?;
        }
        Ok(reader)
    }

    /// Whether it stands before this record.
    pub(super) fn is_at(&self, next: Next) -> bool {
        self.next == next
    }

    /// How the next record begins.
    pub(super) fn head(&self) -> io::Result<Option<Head>> {
        let mut bytes = [0; FRAME + Head::BYTES];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        Ok(head(segment::record(&bytes)))
    }

    /// Passes over a record.
    pub(super) fn pass(&mut self) -> io::Result<()> {
        self.offset += self.length()?;
        self.next.position.index += 1;
        Ok(())
    }

    /// Reads a record; none where it is broken.
    pub(super) fn read(&mut self) -> io::Result<Option<Recording>> {
        let length = usize::try_from(self.length()?).map_err(io::Error::other)?;
        let mut frame = vec![0; length];
        self.file.read_exact_at(&mut frame, self.offset)?;
        self.pass()?;
        let is_whole = segment::frames(&frame).next().is_some();
        Ok(is_whole.then(|| decode(segment::record(&frame))).flatten())
    }

    fn length(&self) -> io::Result<u64> {
        let mut bytes = [0; FRAME];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        let length = segment::length(&bytes).unwrap_or_default();
        // A length that is not right must not become the size of a buffer.
        let is_there = self.offset + length <= self.file.metadata()?.len();
        is_there.then_some(length).ok_or_else(|| io::Error::other("it is broken"))
    }
}
