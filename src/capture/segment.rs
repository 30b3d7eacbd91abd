//! The bytes of a file of records. Pure.
//!
//! ```text
//! segment: "GRCAPT", format, bound, checksum of these        records were drawn below the bound
//! frame:   length of the record, checksum of length and record, record
//! ```
//!
//! Records are only ever added at the end, so what a crash leaves is whole up to some place. A frame that is not whole
//! or not right is the end of what can be read: what follows has no beginning that could be found.
//!
//! The checksum is XXH3 with 64 bits. It guards against torn writes and decaying disks, not against people, and is
//! several times as fast as a CRC in software; the rest of the server uses it anyway.

use std::ops::Range;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// How each segment begins; the last byte is the format.
const MAGIC: [u8; 8] = *b"GRCAPT\n\x02";
/// The length of a segment's beginning.
pub(super) const HEADER: usize = 24;
/// What stands before each record.
pub(super) const FRAME: usize = 12;

/// The beginning of a segment whose records were drawn below `bound`.
pub(super) fn header(bound: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&bound.to_le_bytes());
    let sum = xxh3_64(&header[..16]);
    header[16..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// The bound in a segment's beginning. None when it is not the beginning of one.
pub(super) fn bound(segment: &[u8]) -> Option<u64> {
    let bound = u64::from_le_bytes(segment.get(8..16)?.try_into().ok()?);
    (segment.get(..HEADER)? == header(bound)).then_some(bound)
}

/// Adds a frame with what `write` adds. False, and nothing is added, when that is too much.
pub(super) fn add_frame(frames: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    let begin = frames.len();
    frames.extend_from_slice(&[0; FRAME]);
    write(frames);
    let record = &frames[begin + FRAME..];
    let Ok(length) = u32::try_from(record.len()) else {
        frames.truncate(begin);
        return false;
    };
    let sum = checksum(length, record);
    frames[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
    frames[begin + 4..begin + FRAME].copy_from_slice(&sum.to_le_bytes());
    true
}

/// With the length in it: a record of none but zeros is no frame of its beginning.
fn checksum(length: u32, record: &[u8]) -> u64 {
    xxh3_64_with_seed(record, u64::from(length))
}

/// Where the whole frames lie in bytes that begin with one, up to the first that is not whole.
pub(super) fn frames(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(next..)?;
        let length = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
        let sum = u64::from_le_bytes(rest.get(4..FRAME)?.try_into().ok()?);
        let end = FRAME.checked_add(usize::try_from(length).ok()?)?;
        if checksum(length, rest.get(FRAME..end)?) != sum {
            return None;
        }
        let frame = next..next + end;
        next = frame.end;
        Some(frame)
    })
}

/// How long a frame is, by its beginning.
pub(super) fn length(frame: &[u8]) -> Option<u64> {
    let length = u32::from_le_bytes(frame.get(..4)?.try_into().ok()?);
    Some(FRAME as u64 + u64::from(length))
}

/// The record in a frame.
pub(super) fn record(frame: &[u8]) -> &[u8] {
    frame.get(FRAME..).unwrap_or_default()
}

/// The first record of a segment of which not all bytes need be there; also when the record is not whole.
pub(super) fn first_record(segment: &[u8]) -> Option<&[u8]> {
    segment.get(HEADER + FRAME..)
}

/// What is behind the first so many frames.
pub(super) fn behind(bytes: &[u8], count: u64) -> &[u8] {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let end = count.checked_sub(1).map(|last| frames(bytes).nth(last).map(|frame| frame.end));
    match end {
        None => bytes,
        Some(Some(end)) => &bytes[end..],
        Some(None) => &[],
    }
}

/// The frames whose records are wanted.
pub(super) fn retain(bytes: &[u8], mut is_wanted: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let wanted = frames(bytes).filter(|frame| is_wanted(record(&bytes[frame.clone()])));
    wanted.fold(Vec::new(), |mut kept, frame| {
        kept.extend_from_slice(&bytes[frame]);
        kept
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(records: &[Vec<u8>]) -> Vec<u8> {
        let mut frames = Vec::new();
        for record in records {
            assert!(add_frame(&mut frames, |out| out.extend_from_slice(record)));
        }
        frames
    }

    fn read(bytes: &[u8]) -> Vec<Vec<u8>> {
        frames(bytes).map(|frame| record(&bytes[frame]).to_vec()).collect()
    }

    #[test]
    fn a_segment_says_below_what_its_records_were_drawn() {
        assert_eq!(bound(&header(7)), Some(7));
        let mut wrong = header(7);
        wrong[9] ^= 1;
        assert_eq!(bound(&wrong), None);
        assert_eq!(bound(&header(7)[..20]), None);
        assert_eq!(bound(&[0; 64]), None);
    }

    #[test]
    fn only_wanted_frames_are_retained() {
        let all = framed(&[vec![1], vec![2, 2], vec![3]]);
        assert_eq!(read(&retain(&all, |record| record != [2, 2])), [[1], [3]]);
    }

    proptest! {
        #[test]
        fn a_torn_tail_costs_the_last_record_alone(
            records: Vec<Vec<u8>>,
            last in proptest::collection::vec(any::<u8>(), 1..40),
            torn in 1usize..50,
        ) {
            let whole = framed(&records);
            let mut torn_one = whole.clone();
            torn_one.extend(framed(&[last]));
            let end = whole.len().max(torn_one.len().saturating_sub(torn));
            prop_assert_eq!(read(&torn_one[..end]), records);
        }

        #[test]
        fn a_bit_that_has_turned_over_is_noticed(record in proptest::collection::vec(any::<u8>(), 1..40), place: usize) {
            let mut frame = framed(std::slice::from_ref(&record));
            let place = place % (frame.len() * 8);
            frame[place / 8] ^= 1 << (place % 8);
            prop_assert_eq!(read(&frame), Vec::<Vec<u8>>::new());
        }

        #[test]
        fn any_bytes_have_some_frames(bytes: Vec<u8>) {
            let end = frames(&bytes).last().map_or(0, |frame| frame.end);
            prop_assert!(end <= bytes.len());
            let _ = bound(&bytes);
            let _ = first_record(&bytes);
        }
    }
}
