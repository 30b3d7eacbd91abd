//! Files of records: their names, and how they are changed so that a crash at any moment costs no more than it must.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::capture::place::{Place, Series};

const ENDING: &str = "segment";
/// The ending of one that is being written again.
const NEW: &str = "new";
/// What users ask is for nobody else on the machine.
const MODE: u32 = 0o600;

/// Where the records of a series are.
pub(in crate::capture) fn series_folder(place: &Place, series: &Series) -> PathBuf {
    place.folder().join(series.to_string())
}

/// One of the segments of a series.
pub(in crate::capture) fn path(place: &Place, series: &Series, number: u64) -> PathBuf {
    series_folder(place, series).join(format!("{number:010}.{ENDING}"))
}

/// The numbers of the segments of each series, in the order in which they were begun. What is called otherwise is
/// passed over.
pub(in crate::capture) fn list(place: &Place) -> io::Result<BTreeMap<Series, Vec<u64>>> {
    let mut all = BTreeMap::new();
    for entry in entries(place.folder())? {
        let name = entry?.file_name();
        let Some(series) = name.to_str().and_then(|name| place.series(name)) else {
            continue;
        };
        let mut numbers = Vec::new();
        for file in entries(&series_folder(place, &series))? {
            numbers.extend(number(&file?.path()));
        }
        numbers.sort_unstable();
        if !numbers.is_empty() {
            all.insert(series, numbers);
        }
    }
    Ok(all)
}

/// Removes what was being written again when the server ended.
pub(super) fn remove_unfinished(place: &Place, series: &Series) -> io::Result<()> {
    for entry in entries(&series_folder(place, series))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == NEW) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// None where there is no such folder.
fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>> + use<>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None.into_iter().flatten())
        }
        Err(error) => Err(error),
    }
}

fn number(path: &Path) -> Option<u64> {
    let is_segment = path.extension().is_some_and(|ending| ending == ENDING);
    path.file_stem().filter(|_| is_segment)?.to_str()?.parse().ok()
}

/// As many bytes of a file as it takes to know its first record's time.
pub(super) fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(256).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a new file, with the folders above it.
pub(super) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    write_new(path, content)
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path);
    let written = file.and_then(|mut file| file.write_all(content).map(|()| file));
    if written.is_err() {
        // It holds room that others need. That it cannot be removed changes nothing.
        let _ = fs::remove_file(path);
    }
    written.map(drop)
}

/// Adds bytes at the end of a file of this length, or leaves it as long as it was.
pub(super) fn append(path: &Path, length: u64, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    let written = file.write_all(bytes);
    if written.is_err() {
        file.set_len(length)?;
    }
    written
}

/// Puts another content in a file's place, which is on the disk before the old one is gone.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension(NEW);
    write_new(&new, content)?;
    let replaced = File::open(&new).and_then(|file| file.sync_all());
    let replaced = replaced.and_then(|()| fs::rename(&new, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&new);
    }
    replaced?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes a file; that it is gone already is as well.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Cuts off what is behind so many bytes.
pub(super) fn cut(path: &Path, bytes: u64) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_len(bytes)
}
