//! The files of records: `<state>/captures/<model>/<number>.segment`, and the same of rollouts in the spool.
//!
//! Records are added at the end of a series' last segment. A segment is closed when it is large enough, has become old
//! enough or another bound holds, and goes as a whole when its first record is too old. When all together take too much
//! room, each is written again without the records that go, beside the old one, and takes its place in one step: a
//! crash at any moment leaves the one or the other.

mod files;
mod heads;

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

pub(super) use self::files::{list, path as segment_path};
use self::heads::Heads;

use super::place::{Place, Series};
use super::record;
use super::segment::{self, HEADER};
use super::stock::Position;
use crate::domain::retention::Drawn;
use crate::domain::time::WallTime;

/// See the module.
#[derive(Debug)]
pub(super) struct Shelf {
    place: Place,
    pub(super) max_bytes: u64,
    max_age: Duration,
    segments: BTreeMap<(Series, u64), Segment>,
    /// Up to where records were taken out. They are still there, and are the first to go.
    pub(super) taken: BTreeMap<Series, Position>,
}

/// What is known of a file of records.
#[derive(Clone, Copy, Debug)]
struct Segment {
    bytes: u64,
    /// How many records it has; known where they are taken out again.
    records: u64,
    bound: u64,
    oldest: WallTime,
    /// Whether more records may be added.
    is_open: bool,
}

/// Frames that are to be added, and what is known of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addition<'f> {
    pub(super) frames: &'f [u8],
    pub(super) records: u64,
    pub(super) oldest: WallTime,
    pub(super) bound: u64,
}

/// What had to go for others, or for its age, before it was taken out.
pub(super) type Gone = BTreeMap<Series, u64>;

/// All segments of a series.
fn all(series: &Series) -> RangeInclusive<(Series, u64)> {
    (series.clone(), 0)..=(series.clone(), u64::MAX)
}

impl Shelf {
    /// Looks what is there, and cuts off what a crash has left half written.
    ///
    /// # Errors
    /// What the system says of the folder. A segment that cannot be read is passed over, with a warning.
    pub(super) fn open(place: Place, max_bytes: u64, max_age: Duration) -> io::Result<Self> {
        let mut segments = BTreeMap::new();
        for (series, numbers) in list(&place)? {
            files::remove_unfinished(&place, &series)?;
            let last = numbers.last().copied();
            for number in numbers {
                let path = files::path(&place, &series, number);
                match Segment::at(&path, Some(number) == last) {
                    Ok(Some(segment)) => drop(segments.insert((series.clone(), number), segment)),
                    // Nothing in it was ever whole.
                    Ok(None) => std::fs::remove_file(&path)?,
                    Err(error) => tracing::warn!(
                        "a file of recorded requests is passed over: `{}`: {error}",
                        path.display()
                    ),
                }
            }
        }
        Ok(Self { place, max_bytes, max_age, segments, taken: BTreeMap::new() })
    }

    /// Counts the records of all segments, and tells how each begins.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn count(&mut self, mut tell: impl FnMut(&Series, record::Head)) -> io::Result<()> {
        for ((series, number), segment) in &mut self.segments {
            let path = files::path(&self.place, series, *number);
            let mut heads = Heads::of(&path, segment.bytes)?;
            segment.records = 0;
            while let Some(head) = heads.next()? {
                segment.records += 1;
                tell(series, head);
            }
        }
        Ok(())
    }

    /// The segments, by how many records they have.
    pub(super) fn records(&self) -> impl Iterator<Item = (&Series, u64, u64)> {
        self.segments.iter().map(|((series, number), segment)| (series, *number, segment.records))
    }

    /// What all records take.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    /// The lowest bound below which some of the records were drawn.
    pub(super) fn bound(&self) -> Option<u64> {
        self.segments.values().map(|segment| segment.bound).min()
    }

    /// Adds frames to a series, all of them or none.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn add(&mut self, series: &Series, addition: &Addition<'_>) -> io::Result<()> {
        let Addition { frames, records, oldest, bound } = *addition;
        let (most, longest) = (self.segment_bytes(), self.max_age / 16);
        let last = self.segments.range_mut(all(series)).next_back();
        let next = last.as_ref().map_or(1, |((_, number), _)| number + 1);
        if let Some(((_, number), segment)) = last {
            let age = Duration::from_millis(oldest.0.saturating_sub(segment.oldest.0));
            segment.is_open &= segment.bound == bound && segment.bytes < most && age <= longest;
            if segment.is_open {
                let path = files::path(&self.place, series, *number);
                files::append(&path, segment.bytes, frames)?;
                segment.bytes += frames.len() as u64;
                segment.records += records;
                return Ok(());
            }
        }
        // Behind all that was taken out, also where that is gone already.
        let next = next.max(self.taken.get(series).map_or(0, |taken| taken.segment + 1));
        // A file that was passed over is not ours to write over: another release may read it again.
        let is_free = |number: &u64| !files::path(&self.place, series, *number).exists();
        let next = (next..).find(is_free).unwrap_or(next);
        let content = [&segment::header(bound), frames].concat();
        files::create(&files::path(&self.place, series, next), &content)?;
        let bytes = content.len() as u64;
        let segment = Segment { bytes, records, bound, oldest, is_open: true };
        self.segments.insert((series.clone(), next), segment);
        Ok(())
    }

    /// Small enough that one is soon written again, and that they are not too many.
    fn segment_bytes(&self) -> u64 {
        (self.max_bytes / 64).clamp(4 << 10, 16 << 20)
    }

    /// Removes what is too old, and says how much of it was never taken out.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn expire(&mut self, now: WallTime) -> io::Result<Gone> {
        let max_age = self.max_age;
        let is_old = |segment: &Segment| {
            Duration::from_millis(now.0.saturating_sub(segment.oldest.0)) >= max_age
        };
        let before = self.left();
        self.remove_where(|_, _, segment| is_old(segment))?;
        Ok(self.gone_since(before))
    }

    /// Removes segments that are not needed any more, by their series, their number and how many records they have.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn remove(
        &mut self,
        is_to_go: impl Fn(&Series, u64, u64) -> bool,
    ) -> io::Result<()> {
        self.remove_where(|series, number, segment| is_to_go(series, number, segment.records))
    }

    fn remove_where(
        &mut self,
        is_to_go: impl Fn(&Series, u64, &Segment) -> bool,
    ) -> io::Result<()> {
        let going: Vec<_> = self
            .segments
            .iter()
            .filter(|((series, number), segment)| is_to_go(series, *number, segment))
            .map(|(key, _)| key.clone())
            .collect();
        for key in going {
            let path = files::path(&self.place, &key.0, key.1);
            files::remove(&path)?;
            self.segments.remove(&key);
            if self.segments.range(all(&key.0)).next().is_none() {
                // Fails when somebody has put something else there.
                let _ = std::fs::remove_dir(files::series_folder(&self.place, &key.0));
            }
        }
        Ok(())
    }

    /// How many records were not taken out yet.
    fn left(&self) -> Gone {
        let mut left = Gone::new();
        for ((series, number), segment) in &self.segments {
            let taken = self.taken_of(series, *number);
            *left.entry(series.clone()).or_default() += segment.records.saturating_sub(taken);
        }
        left
    }

    fn gone_since(&self, before: Gone) -> Gone {
        let now = self.left();
        let gone = |series: &Series, before: u64| {
            before.saturating_sub(now.get(series).copied().unwrap_or_default())
        };
        before
            .into_iter()
            .map(|(series, it)| {
                let gone = gone(&series, it);
                (series, gone)
            })
            .collect()
    }

    /// How many of a segment's records were taken out, the first ones.
    fn taken_of(&self, series: &Series, number: u64) -> u64 {
        match self.taken.get(series) {
            Some(taken) if number < taken.segment => u64::MAX,
            Some(taken) if number == taken.segment => taken.index,
            Some(_) | None => 0,
        }
    }

    /// Lowers the bound until the records, with those that are to come, take no more than so many bytes, and removes what is
    /// not below it, and what was taken out. Gives the new bound, and how many went that had not been taken out.
    ///
    /// # Errors
    /// What the system says. What was not written again by then is as it was.
    pub(super) fn shrink<'f>(
        &mut self,
        bound: u64,
        most: u64,
        coming: impl Iterator<Item = &'f [u8]>,
    ) -> io::Result<(u64, Gone)> {
        let before = self.left();
        let mut drawn = Drawn::below(bound);
        coming.for_each(|frames| count(&mut drawn, frames));
        for (series, number) in self.segments.keys() {
            let bytes = std::fs::read(files::path(&self.place, series, *number))?;
            let frames = bytes.get(HEADER..).unwrap_or_default();
            count(&mut drawn, segment::behind(frames, self.taken_of(series, *number)));
        }
        let headers = (self.segments.len() * HEADER) as u64;
        let bound = drawn.bound_for(most.saturating_sub(headers));
        let is_below =
            |record: &[u8]| record::head(record).is_some_and(|head| head.priority < bound);
        let written_again: Vec<(Series, u64)> = self
            .segments
            .iter()
            .filter(|((series, number), segment)| {
                segment.bound > bound || self.taken_of(series, *number) > 0
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in written_again {
            let path = files::path(&self.place, &key.0, key.1);
            let bytes = std::fs::read(&path)?;
            let frames = bytes.get(HEADER..).unwrap_or_default();
            let frames = segment::behind(frames, self.taken_of(&key.0, key.1));
            let kept = segment::retain(frames, is_below);
            let first = segment::frames(&kept).next();
            let oldest = first.and_then(|frame| record::head(segment::record(&kept[frame])));
            let Some(segment) = self.segments.get_mut(&key) else { continue };
            let bound = bound.min(segment.bound);
            let content = [&segment::header(bound)[..], &kept].concat();
            files::replace(&path, &content)?;
            segment.bytes = content.len() as u64;
            segment.records = segment::frames(&kept).count() as u64;
            (segment.bound, segment.is_open) = (bound, false);
            segment.oldest = oldest.map_or(segment.oldest, |head| head.time);
            if let Some(taken) = self.taken.get_mut(&key.0).filter(|it| it.segment == key.1) {
                taken.index = 0;
            }
        }
        let gone = self.gone_since(before);
        self.remove_where(|_, _, segment| segment.bytes <= HEADER as u64)?;
        Ok((bound, gone))
    }
}

/// Counts how many bytes were drawn how low.
fn count(drawn: &mut Drawn, frames: &[u8]) {
    for frame in segment::frames(frames) {
        let length = frame.len() as u64;
        if let Some(head) = record::head(segment::record(&frames[frame])) {
            drawn.add(head.priority, length);
        }
    }
}

impl Segment {
    /// Reads what is to be known of a file. Only the last of a model may have been written to when the server ended, and
    /// is read whole. None when there is no whole record in it.
    fn at(path: &Path, is_last: bool) -> io::Result<Option<Self>> {
        let bytes = if is_last { std::fs::read(path)? } else { files::beginning(path)? };
        let Some(bound) = segment::bound(&bytes) else {
            // What is shorter than its beginning was never more.
            return match bytes.len() < HEADER {
                true => Ok(None),
                false => Err(io::Error::other("it is of another format, or broken")),
            };
        };
        let head = segment::first_record(&bytes).and_then(record::head);
        let Some(record::Head { time: oldest, .. }) = head else { return Ok(None) };
        let there = std::fs::metadata(path)?.len();
        let bytes = match is_last {
            true => {
                let whole = segment::frames(&bytes[HEADER..]).last().map_or(0, |frame| frame.end);
                (HEADER + whole) as u64
            }
            false => there,
        };
        if bytes < there {
            files::cut(path, bytes)?;
        }
        let segment = Self { bytes, records: 0, bound, oldest, is_open: false };
        Ok((bytes > HEADER as u64).then_some(segment))
    }
}

#[cfg(test)]
mod tests;
