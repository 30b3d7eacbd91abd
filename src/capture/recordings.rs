//! Recorded requests, read: beside a server that goes on recording, or without one.
//!
//! What was there when they were opened stays readable, whatever a server does meanwhile: files are held open, and one
//! that is written again is another file. One file at a time is in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::place::{Place, Series};
use super::record::{Recording, decode, head};
use super::segment::{self, HEADER};
use super::shelf::{list, segment_path};
use crate::domain::model::ModelName;
use crate::domain::signature::Signature;
use crate::domain::tensor::Tensor;

/// The recorded requests of one model.
#[derive(Debug)]
pub struct Recordings {
    /// In the order in which they were begun.
    segments: Vec<Opened>,
}

/// A segment, and how long it was when it was opened.
#[derive(Debug)]
struct Opened {
    file: File,
    length: u64,
}

impl Recordings {
    /// The models of which there are any, in the state folder of a server.
    ///
    /// # Errors
    /// What the system says of the folder.
    pub fn models(state: &Path) -> io::Result<Vec<ModelName>> {
        let series = list(&Place::captures(state))?.into_keys();
        let model = |series| match series {
            Series::Model(model) => Some(model),
            Series::Rollout(_) => None,
        };
        Ok(series.filter_map(model).collect())
    }

    /// Whether there are any of a model, in the state folder of a server, as far as the folder tells.
    pub fn are_there(state: &Path, model: &ModelName) -> bool {
        let series = Series::Model(model.clone());
        list(&Place::captures(state)).is_ok_and(|known| known.contains_key(&series))
    }

    /// Those of a model that are there now, in the state folder of a server. There may be none.
    ///
    /// # Errors
    /// What the system says of the folder and its files.
    pub fn open(state: &Path, model: &ModelName) -> io::Result<Self> {
        let (place, series) = (Place::captures(state), Series::Model(model.clone()));
        let numbers = list(&place)?.remove(&series).unwrap_or_default();
        let mut segments = Vec::new();
        for number in numbers {
            match File::open(segment_path(&place, &series, number)) {
                Ok(file) => {
                    let length = file.metadata()?.len();
                    segments.push(Opened { file, length });
                }
                // It has become too old just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { segments })
    }

    /// The inputs of the newest that were kept whole and fit a signature: at most so many, and no more than a few where
    /// they are large.
    pub fn newest_inputs(&self, most: usize, signature: &Signature) -> Vec<Vec<Tensor>> {
        const MOST_BYTES: usize = 16 << 20;
        let looked_at = self.newest_first().map_while(Result::ok).take(most * 4);
        let (mut newest, mut bytes) = (Vec::new(), 0);
        for inputs in looked_at.filter_map(|recording| recording.inputs_for(signature)).take(most) {
            bytes += inputs.iter().map(Tensor::bytes).sum::<usize>();
            newest.push(inputs);
            if bytes >= MOST_BYTES {
                break;
            }
        }
        newest
    }

    /// All of them, the oldest first.
    ///
    /// # Errors
    /// Each item may be what the system says of a file. What a crash has left half written is passed over.
    pub fn oldest_first(&self) -> impl Iterator<Item = io::Result<Recording>> {
        self.segments.iter().flat_map(|segment| segment.read(Vec::into_iter))
    }

    /// The same, for who keeps nothing else of them.
    ///
    /// # Errors
    /// As of [`Recordings::oldest_first`].
    pub fn into_oldest_first(self) -> impl Iterator<Item = io::Result<Recording>> + Send {
        self.segments.into_iter().flat_map(|segment| segment.read(Vec::into_iter))
    }

    /// All of them, the newest first.
    ///
    /// # Errors
    /// As of [`Recordings::oldest_first`].
    pub fn newest_first(&self) -> impl Iterator<Item = io::Result<Recording>> {
        let backward = |frames: Vec<_>| frames.into_iter().rev();
        self.segments.iter().rev().flat_map(move |segment| segment.read(backward))
    }
}

/// Where a frame lies.
type Frame = std::ops::Range<usize>;

impl Opened {
    /// Its records, each read when it is asked for.
    fn read<F: Fn(Vec<Frame>) -> I, I: Iterator<Item = Frame>>(
        &self,
        in_order: F,
    ) -> impl Iterator<Item = io::Result<Recording>> + use<F, I> {
        let (bytes, failure) = match self.bytes() {
            Ok(bytes) => (bytes, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        let mut frames: Vec<Frame> = segment::frames(&bytes).collect();
        // Threads hand over what each of them has answered.
        frames.sort_by_key(|frame| {
            head(segment::record(&bytes[frame.clone()])).map(|head| (head.time, head.number))
        });
        let records = in_order(frames).map(move |frame| {
            let broken = || io::Error::other("a recorded request cannot be read: it is broken");
            decode(segment::record(&bytes[frame])).ok_or_else(broken)
        });
        failure.into_iter().chain(records)
    }

    /// Its frames.
    fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.length).map_err(io::Error::other)?];
        let mut read = 0;
        while read < bytes.len() {
            match self.file.read_at(&mut bytes[read..], read as u64)? {
                0 => break, // it was cut off meanwhile
                more => read += more,
            }
        }
        bytes.truncate(read);
        match segment::bound(&bytes) {
            Some(_) => Ok(bytes.split_off(HEADER)),
            None if bytes.len() < HEADER => Ok(Vec::new()),
            None => Err(io::Error::other(
                "a file of recorded requests is of another format than this version reads, or broken",
            )),
        }
    }
}
