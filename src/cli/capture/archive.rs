//! A zip archive of files that are not compressed, as long as they like.
//!
//! That part of the format is three structures, written here with sizes of 64 bits throughout, as numpy does. A crate for
//! archives knows encryption and a dozen ways to compress, which nobody needs here.

use std::io::{self, Seek, SeekFrom, Write};

use flate2::Crc;

/// The version of the format that has sizes of 64 bits.
const VERSION: u16 = 45;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// The first day that the format knows: archives of the same content are the same.
const DATE: u16 = 1 << 5 | 1;
/// "Look in the field of 64 bits."
const ELSEWHERE: u32 = u32::MAX;

/// An archive in the making.
pub(super) struct Archive<W> {
    to: W,
    entries: Vec<Entry>,
}

/// A file in it.
struct Entry {
    name: String,
    offset: u64,
    length: u64,
    crc: Crc,
}

impl<W: Write + Seek> Archive<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, entries: Vec::new() }
    }

    /// Ends the file before, and begins one that is filled by writing to the archive.
    pub(super) fn begin(&mut self, name: String) -> io::Result<()> {
        self.end_entry()?;
        let offset = self.to.stream_position()?;
        let entry = Entry { name, offset, length: 0, crc: Crc::new() };
        self.to.write_all(&entry.beginning()?)?;
        self.entries.push(entry);
        Ok(())
    }

    /// What its beginning says of it is known only now.
    fn end_entry(&mut self) -> io::Result<()> {
        let Some(entry) = self.entries.last() else { return Ok(()) };
        self.to.seek(SeekFrom::Start(entry.offset))?;
        self.to.write_all(&entry.beginning()?)?;
        self.to.seek(SeekFrom::End(0)).map(drop)
    }

    /// Writes the table of all files.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.end_entry()?;
        let offset = self.to.stream_position()?;
        let mut table = Vec::new();
        for entry in &self.entries {
            table.extend(entry.in_table()?);
        }
        self.to.write_all(&table)?;
        let (count, length) = (self.entries.len() as u64, table.len() as u64);
        let mut end = Bytes::signed(0x0606_4b50);
        end.u64(44).u16(VERSION).u16(VERSION).u32(0).u32(0);
        end.u64(count).u64(count).u64(length).u64(offset);
        let mut place = Bytes::signed(0x0706_4b50);
        place.u32(0).u64(offset + length).u32(1);
        let mut last = Bytes::signed(0x0605_4b50);
        last.u16(0).u16(0).u16(u16::MAX).u16(u16::MAX).u32(ELSEWHERE).u32(ELSEWHERE).u16(0);
        for bytes in [end, place, last] {
            self.to.write_all(&bytes.0)?;
        }
        self.to.flush()
    }
}

impl<W: Write> Write for Archive<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        if let Some(entry) = self.entries.last_mut() {
            entry.crc.update(&bytes[..written]);
            entry.length += written as u64;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Entry {
    /// What stands before the file itself.
    fn beginning(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Bytes::signed(0x0403_4b50);
        bytes.u16(VERSION);
        self.described(&mut bytes, 20)?;
        bytes.0.extend_from_slice(self.name.as_bytes());
        bytes.u16(1).u16(16).u64(self.length).u64(self.length);
        Ok(bytes.0)
    }

    /// What stands in the table.
    fn in_table(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Bytes::signed(0x0201_4b50);
        bytes.u16(VERSION).u16(VERSION);
        self.described(&mut bytes, 28)?;
        bytes.u16(0).u16(0).u16(0).u32(0).u32(ELSEWHERE);
        bytes.0.extend_from_slice(self.name.as_bytes());
        bytes.u16(1).u16(24).u64(self.length).u64(self.length).u64(self.offset);
        Ok(bytes.0)
    }

    /// What both have.
    fn described(&self, bytes: &mut Bytes, extra: u16) -> io::Result<()> {
        let length = u16::try_from(self.name.len())
            .map_err(|_| io::Error::other("a name is too long for an archive"))?;
        bytes.u16(FLAGS).u16(0).u16(0).u16(DATE).u32(self.crc.sum());
        bytes.u32(ELSEWHERE).u32(ELSEWHERE).u16(length).u16(extra);
        Ok(())
    }
}

/// Little-endian numbers, one after another.
struct Bytes(Vec<u8>);

impl Bytes {
    fn signed(signature: u32) -> Self {
        Self(signature.to_le_bytes().to_vec())
    }

    fn u16(&mut self, number: u16) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }
}
