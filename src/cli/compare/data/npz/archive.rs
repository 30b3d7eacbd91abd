//! The files of a zip archive, each read from its beginning to its end beside the others: what `numpy.savez` and
//! `numpy.savez_compressed` write, and `greenroom capture export`.

use std::fs::File;
use std::io::{self, BufReader, Error, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flate2::Crc;
use flate2::read::DeflateDecoder;

/// The end of the archive, which says where the table of its files is.
const END: u32 = 0x0605_4b50;
/// The same in numbers of 64 bits, and where that is.
const LONG_END: u32 = 0x0606_4b50;
const LONG_END_PLACE: u32 = 0x0706_4b50;
const IN_TABLE: u32 = 0x0201_4b50;
const BEGINNING: u32 = 0x0403_4b50;
/// "Look in the field of 64 bits."
const ELSEWHERE: u64 = u32::MAX as u64;

/// How large the end can be, with a comment behind it.
const LONGEST_END: u64 = 22 + u16::MAX as u64;
/// Larger than the table of any archive of arrays.
const LONGEST_TABLE: u64 = 16 << 20;

/// A file of the archive.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    method: u16,
    /// Its size in the archive.
    packed: u64,
    /// Its size outside.
    length: u64,
    crc: u32,
    /// Where its beginning is.
    place: u64,
}

/// The table of an archive.
pub(super) fn entries(file: &File) -> io::Result<Vec<Entry>> {
    let broken =
        || Error::other("it is no archive of arrays, as `numpy.savez` writes them, or broken");
    let length = file.metadata()?.len();
    let tail = read(file, length.saturating_sub(LONGEST_END), length.min(LONGEST_END))?;
    let end = (0..tail.len().saturating_sub(21)).rev();
    let end = end.map(|place| Bytes(&tail[place..])).find(|end| end.u32(0) == Some(END));
    let end = end.ok_or_else(broken)?;
    let place_of_end = length - end.0.len() as u64;
    let mut table = (|| Some((end.u16(10)?.into(), end.u32(12)?.into(), end.u32(16)?.into())))()
        .ok_or_else(broken)?;
    if let Some(place) = place_of_end.checked_sub(20) {
        let place = read(file, place, 20)?;
        let place = Bytes(&place);
        if place.u32(0) == Some(LONG_END_PLACE) {
            let end = read(file, place.u64(8).ok_or_else(broken)?, 56)?;
            let end = Bytes(&end);
            if end.u32(0) != Some(LONG_END) {
                return Err(broken());
            }
            table = (|| Some((end.u64(32)?, end.u64(40)?, end.u64(48)?)))().ok_or_else(broken)?;
        }
    }
    let (count, size, place): (u64, u64, u64) = table;
    if size > LONGEST_TABLE {
        return Err(broken());
    }
    let table = read(file, place, size)?;
    let mut rest = Bytes(&table);
    (0..count).map(|_| rest.entry().ok_or_else(broken)).collect()
}

impl Entry {
    /// Its content. What is not what was packed is an error at the end.
    pub(super) fn open(&self, file: &Arc<File>) -> io::Result<impl Read + Send + use<>> {
        let beginning = read(file, self.place, 30)?;
        let beginning = Bytes(&beginning);
        let lengths = beginning.u16(26).zip(beginning.u16(28));
        let (Some(BEGINNING), Some((name, extra))) = (beginning.u32(0), lengths) else {
            return Err(Error::other("the archive is broken"));
        };
        let at = self.place + 30 + u64::from(name) + u64::from(extra);
        let packed = Part { file: file.clone(), at, left: self.packed };
        let packed = BufReader::with_capacity(1 << 16, packed);
        let content: Box<dyn Read + Send> = match self.method {
            0 => Box::new(packed),
            8 => Box::new(DeflateDecoder::new(packed)),
            _ => return Err(Error::other("it is packed in a way that numpy does not use")),
        };
        Ok(Checked { content, left: self.length, crc: Crc::new(), expected: self.crc })
    }
}

/// A part of a file.
struct Part {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Content that is to be as long as it is said to be, and to have the sum that is said.
struct Checked {
    content: Box<dyn Read + Send>,
    left: u64,
    crc: Crc,
    expected: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.content.read(&mut buffer[..most])?;
        self.crc.update(&buffer[..read]);
        self.left -= read as u64;
        if read > 0 && self.left == 0 && self.crc.sum() != self.expected {
            return Err(Error::other("the archive is broken: its content is not what was packed"));
        }
        Ok(read)
    }
}

fn read(file: &File, place: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(Error::other)?];
    file.read_exact_at(&mut bytes, place)?;
    Ok(bytes)
}

/// Bytes with little-endian numbers in them.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// The next entry of the table.
    fn entry(&mut self) -> Option<Entry> {
        const FIXED: usize = 46;
        let [name, extra, comment] = [self.u16(28)?, self.u16(30)?, self.u16(32)?].map(usize::from);
        let fields = Bytes(self.0.get(FIXED + name..FIXED + name + extra)?);
        let mut long = fields.long()?;
        let mut number = |at: usize| match u64::from(self.u32(at)?) {
            ELSEWHERE => {
                let (number, rest) = long.split_at_checked(8)?;
                long = rest;
                Some(u64::from_le_bytes(number.try_into().ok()?))
            }
            number => Some(number),
        };
        // In this order they are in the field of 64 bits, those that are.
        let (length, packed, place) = (number(24)?, number(20)?, number(42)?);
        let entry = Entry {
            name: String::from_utf8_lossy(self.0.get(FIXED..FIXED + name)?).into_owned(),
            method: self.u16(10)?,
            crc: self.u32(16)?,
            packed,
            length,
            place,
        };
        let is_entry = self.u32(0)? == IN_TABLE;
        self.0 = self.0.get(FIXED + name + extra + comment..)?;
        is_entry.then_some(entry)
    }

    /// The field of 64 bits among the fields of an entry; empty where there is none.
    fn long(mut self) -> Option<&'b [u8]> {
        while !self.0.is_empty() {
            let (id, length) = (self.u16(0)?, usize::from(self.u16(2)?));
            let field = self.0.get(4..4 + length)?;
            if id == 1 {
                return Some(field);
            }
            self.0 = self.0.get(4 + length..)?;
        }
        Some(&[])
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    fn contents(bytes: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let file = file(bytes);
        let read = |entry: &Entry| {
            let mut content = Vec::new();
            entry.open(&file)?.read_to_end(&mut content)?;
            Ok((entry.name.clone(), content))
        };
        entries(&file)?.iter().map(read).collect()
    }

    /// An archive of one file, packed as `numpy.savez_compressed` does, without any field of 64 bits.
    fn packed(content: &[u8]) -> Vec<u8> {
        let mut deflated =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        deflated.write_all(content).unwrap();
        let deflated = deflated.finish().unwrap();
        let mut crc = Crc::new();
        crc.update(content);
        let described = [
            &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0][..],
            &crc.sum().to_le_bytes(),
            &(deflated.len() as u32).to_le_bytes(),
            &(content.len() as u32).to_le_bytes(),
            &[5, 0, 0, 0],
        ]
        .concat();
        let mut bytes = [&BEGINNING.to_le_bytes()[..], &described, b"x.npy", &deflated].concat();
        let table = bytes.len() as u32;
        bytes.extend(
            [&IN_TABLE.to_le_bytes()[..], &[20, 0], &described, &[0; 14], b"x.npy"].concat(),
        );
        let size = bytes.len() as u32 - table;
        bytes.extend([&END.to_le_bytes()[..], &[0; 4], &[1, 0, 1, 0]].concat());
        bytes.extend([&size.to_le_bytes()[..], &table.to_le_bytes(), &[0; 2]].concat());
        bytes
    }

    #[test]
    fn packed_files_are_read_and_broken_ones_told() {
        let content = b"what is in it ".repeat(500);
        let bytes = packed(&content);
        assert_eq!(contents(&bytes).unwrap(), [("x.npy".to_owned(), content.clone())]);
        let mut other = bytes;
        other[14] ^= 1;
        let at = other.len() - 22 - 5 - 46 + 16;
        other[at] ^= 1;
        assert!(contents(&other).unwrap_err().to_string().contains("broken"));
        assert!(contents(b"PK").is_err());
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_nothing_breaks(
            place in 0..200usize, byte: u8, noise in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let _ = contents(&noise);
            let mut bytes = packed(b"content of a file");
            let place = place % bytes.len();
            bytes[place] = byte;
            let _ = contents(&bytes);
        }
    }
}
