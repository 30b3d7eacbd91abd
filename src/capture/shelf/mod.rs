//! The files of records: `<state>/captures/<model>/<number>.segment`.
//!
//! Records are added at the end of a model's last segment. A segment is closed when it is large enough, has become old
//! enough or another bound holds, and goes as a whole when its first record is too old. When all together take too much
//! room, each is written again without the records that go, beside the old one, and takes its place in one step: a
//! crash at any moment leaves the one or the other.

mod files;

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) use self::files::{list, path as segment_path};

use super::record;
use super::segment::{self, HEADER};
use crate::domain::model::ModelName;
use crate::domain::retention::Drawn;
use crate::domain::time::WallTime;

/// See the module.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    max_bytes: u64,
    max_age: Duration,
    segments: BTreeMap<(ModelName, u64), Segment>,
}

/// What is known of a file of records.
#[derive(Clone, Copy, Debug)]
struct Segment {
    bytes: u64,
    bound: u64,
    oldest: WallTime,
    /// Whether more records may be added.
    is_open: bool,
}

/// Frames that are to be added, and what is known of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addition<'f> {
    pub(super) frames: &'f [u8],
    pub(super) oldest: WallTime,
    pub(super) bound: u64,
}

/// All segments of a model.
fn all(model: &ModelName) -> RangeInclusive<(ModelName, u64)> {
    (model.clone(), 0)..=(model.clone(), u64::MAX)
}

impl Shelf {
    /// Looks what is there, and cuts off what a crash has left half written.
    ///
    /// # Errors
    /// What the system says of the folder. A segment that cannot be read is passed over, with a warning.
    pub(super) fn open(folder: &Path, max_bytes: u64, max_age: Duration) -> io::Result<Self> {
        let mut segments = BTreeMap::new();
        for (model, numbers) in list(folder)? {
            files::remove_unfinished(folder, &model)?;
            let last = numbers.last().copied();
            for number in numbers {
                let path = files::path(folder, &model, number);
                match Segment::at(&path, Some(number) == last) {
                    Ok(Some(segment)) => drop(segments.insert((model.clone(), number), segment)),
                    // Nothing in it was ever whole.
                    Ok(None) => std::fs::remove_file(&path)?,
                    Err(error) => tracing::warn!(
                        model.name = %model,
                        "a file of recorded requests is passed over: `{}`: {error}", path.display()
                    ),
                }
            }
        }
        Ok(Self { folder: folder.to_path_buf(), max_bytes, max_age, segments })
    }

    /// What all records take.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    /// The lowest bound below which some of the records were drawn.
    pub(super) fn bound(&self) -> Option<u64> {
        self.segments.values().map(|segment| segment.bound).min()
    }

    /// Adds frames to a model's records, all of them or none.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn add(&mut self, model: &ModelName, addition: &Addition<'_>) -> io::Result<()> {
        let Addition { frames, oldest, bound } = *addition;
        let (most, longest) = (self.segment_bytes(), self.max_age / 16);
        let last = self.segments.range_mut(all(model)).next_back();
        let next = last.as_ref().map_or(1, |((_, number), _)| number + 1);
        if let Some(((_, number), segment)) = last {
            let age = Duration::from_millis(oldest.0.saturating_sub(segment.oldest.0));
            segment.is_open &= segment.bound == bound && segment.bytes < most && age <= longest;
            if segment.is_open {
                let path = files::path(&self.folder, model, *number);
                files::append(&path, segment.bytes, frames)?;
                segment.bytes += frames.len() as u64;
                return Ok(());
            }
        }
        // A file that was passed over is not ours to write over: another release may read it again.
        let is_free = |number: &u64| !files::path(&self.folder, model, *number).exists();
        let next = (next..).find(is_free).unwrap_or(next);
        let content = [&segment::header(bound), frames].concat();
        files::create(&files::path(&self.folder, model, next), &content)?;
        let segment = Segment { bytes: content.len() as u64, bound, oldest, is_open: true };
        self.segments.insert((model.clone(), next), segment);
        Ok(())
    }

    /// Small enough that one is soon written again, and that they are not too many.
    fn segment_bytes(&self) -> u64 {
        (self.max_bytes / 64).clamp(4 << 10, 16 << 20)
    }

    /// Removes what is too old.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn expire(&mut self, now: WallTime) -> io::Result<()> {
        let max_age = self.max_age;
        let is_old = |segment: &Segment| {
            Duration::from_millis(now.0.saturating_sub(segment.oldest.0)) >= max_age
        };
        self.remove_where(is_old)
    }

    fn remove_where(&mut self, is_to_go: impl Fn(&Segment) -> bool) -> io::Result<()> {
        let going: Vec<_> = self
            .segments
            .iter()
            .filter(|(_, segment)| is_to_go(segment))
            .map(|(key, _)| key.clone())
            .collect();
        for key in going {
            let path = files::path(&self.folder, &key.0, key.1);
            files::remove(&path)?;
            self.segments.remove(&key);
            if self.segments.range(all(&key.0)).next().is_none() {
                // Fails when somebody has put something else there.
                let _ = std::fs::remove_dir(files::model_folder(&self.folder, &key.0));
            }
        }
        Ok(())
    }

    /// Lowers the bound until the records, with those that are to come, take no more than so many bytes, and removes what is
    /// not below it. Gives the new bound.
    ///
    /// # Errors
    /// What the system says. What was not written again by then is as it was.
    pub(super) fn shrink<'f>(
        &mut self,
        bound: u64,
        most: u64,
        coming: impl Iterator<Item = &'f [u8]>,
    ) -> io::Result<u64> {
        let mut drawn = Drawn::below(bound);
        coming.for_each(|frames| count(&mut drawn, frames));
        for (model, number) in self.segments.keys() {
            let bytes = std::fs::read(files::path(&self.folder, model, *number))?;
            count(&mut drawn, bytes.get(HEADER..).unwrap_or_default());
        }
        let headers = (self.segments.len() * HEADER) as u64;
        let bound = drawn.bound_for(most.saturating_sub(headers));
        let is_below =
            |record: &[u8]| record::head(record).is_some_and(|(_, priority)| priority < bound);
        for ((model, number), segment) in &mut self.segments {
            if segment.bound <= bound {
                continue;
            }
            let path = files::path(&self.folder, model, *number);
            let bytes = std::fs::read(&path)?;
            let frames = bytes.get(HEADER..).unwrap_or_default();
            let kept = segment::retain(frames, is_below);
            let first = segment::frames(&kept).next();
            let oldest = first.and_then(|frame| record::head(segment::record(&kept[frame])));
            let content = [&segment::header(bound)[..], &kept].concat();
            files::replace(&path, &content)?;
            segment.bytes = content.len() as u64;
            (segment.bound, segment.is_open) = (bound, false);
            segment.oldest = oldest.map_or(segment.oldest, |(time, _)| time);
        }
        self.remove_where(|segment| segment.bytes <= HEADER as u64)?;
        Ok(bound)
    }
}

/// Counts how many bytes were drawn how low.
fn count(drawn: &mut Drawn, frames: &[u8]) {
    for frame in segment::frames(frames) {
        let length = frame.len() as u64;
        if let Some((_, priority)) = record::head(segment::record(&frames[frame])) {
            drawn.add(priority, length);
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
        let Some((oldest, _)) = head else { return Ok(None) };
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
        let segment = Self { bytes, bound, oldest, is_open: false };
        Ok((bytes > HEADER as u64).then_some(segment))
    }
}

#[cfg(test)]
mod tests;
