//! Where ONNX Runtime's shared library may lie, and whether a file looks like one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where to look, in order: an explicit choice is the only place; without one, everywhere that a
/// library is usually put.
pub(super) fn places(chosen: Option<&Path>) -> Vec<PathBuf> {
    let chosen = chosen.map(Path::to_path_buf).or_else(|| path_from_environment("ORT_DYLIB_PATH"));
    if let Some(path) = chosen {
        return vec![absolute(path)];
    }
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(Path::parent);
    let mut places: Vec<PathBuf> = beside.into_iter().map(Path::to_path_buf).collect();
    places.extend(std::env::current_dir().ok().map(|folder| folder.join(FETCHED)));
    places.extend(beside.into_iter().flat_map(Path::ancestors).map(|folder| folder.join(FETCHED)));
    places.extend(python_packages());
    places.push(PathBuf::from(system_name()));
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// The folder into which `scripts/onnxruntime` puts the library.
const FETCHED: &str = ".onnxruntime";

fn path_from_environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A path that the system's loader does not search for, and that `ort` does not take as relative to the
/// executable.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The `onnxruntime` package of an active Python environment has the library inside.
fn python_packages() -> Vec<PathBuf> {
    ["VIRTUAL_ENV", "CONDA_PREFIX"]
        .into_iter()
        .filter_map(path_from_environment)
        .flat_map(|environment| subfolders(&environment.join("lib")))
        .map(|python| python.join("site-packages/onnxruntime/capi"))
        .filter(|folder| folder.is_dir())
        .collect()
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

fn system_name() -> String {
    format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// The library that a place stands for: the file itself, or the one in the folder.
///
/// # Errors
/// A sentence that says what is wrong with the place. A file that was cut off is found out here, since
/// the system's loader dies of it.
pub(super) fn library_at(place: &Path) -> Result<PathBuf, String> {
    if place.components().count() == 1 && !place.is_absolute() {
        return Ok(place.to_path_buf()); // a bare name: the system's loader searches for it
    }
    let file = if place.is_dir() { library_in(place)? } else { place.to_path_buf() };
    check_complete(&file)?;
    Ok(file)
}

/// Names such as `libonnxruntime.so.1.32.0`; the newest where there are several.
fn library_in(folder: &Path) -> Result<PathBuf, String> {
    let prefix = format!("{}onnxruntime.", std::env::consts::DLL_PREFIX);
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)))
        .map(|entry| entry.path())
        .max()
        .ok_or_else(|| "no ONNX Runtime library in this folder".to_owned())
}

/// A library that was only half written makes `dlopen` end the process, so its own tables are compared
/// with its length first. Only ELF is checked; other systems' loaders report it themselves.
fn check_complete(path: &Path) -> Result<(), String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let mut header = [0u8; 64];
    if file.read_exact(&mut header).is_err() {
        return Err("not a shared library".to_owned());
    }
    match elf_length(&header) {
        Some(needed) if needed > length => {
            Err(format!("the library is incomplete: {length} of {needed} bytes"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Where the section table of a 64-bit little-endian ELF file ends, which is the end of the file as
/// linkers write it. `None` for anything else.
fn elf_length(header: &[u8; 64]) -> Option<u64> {
    let is_elf64_little_endian = header.starts_with(b"\x7fELF\x02\x01");
    if !is_elf64_little_endian {
        return None;
    }
    let section_table = u64::from_le_bytes(header[40..48].try_into().ok()?);
    let entry_size = u16::from_le_bytes(header[58..60].try_into().ok()?);
    let entries = u16::from_le_bytes(header[60..62].try_into().ok()?);
    section_table.checked_add(u64::from(entry_size) * u64::from(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explicit_choice_is_the_only_place() {
        assert_eq!(places(Some(Path::new("/x/lib.so"))), [PathBuf::from("/x/lib.so")]);
        assert!(places(Some(Path::new("lib.so")))[0].is_absolute());
    }

    #[test]
    fn the_system_loader_is_asked_last() {
        if path_from_environment("ORT_DYLIB_PATH").is_none() {
            assert_eq!(places(None).last(), Some(&PathBuf::from(system_name())));
        }
    }

    #[test]
    fn a_library_that_was_cut_off_is_found_out_before_it_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        if cfg!(target_os = "linux") {
            let reason = library_at(&path).unwrap_err();
            assert!(reason.starts_with("the library is incomplete"), "{reason}");
        }
        std::fs::write(&path, b"short").unwrap();
        assert_eq!(library_at(&path).unwrap_err(), "not a shared library");
    }

    #[test]
    fn a_folder_stands_for_the_library_in_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            library_at(folder.path()).unwrap_err(),
            "no ONNX Runtime library in this folder"
        );
    }
}
