//! Weights that lie in a file beside the model, and the names by which the model asks for them.
//!
//! A name is the model's word, so it could ask for any file of the machine, or, by a name that ONNX Runtime keeps
//! for itself, for any place in its memory. Only a regular file below the version's own folder is given.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::error::{Stop, shown};

/// The files beside a model, as far as it has asked for them.
#[derive(Debug)]
pub(super) struct Beside {
    folder: PathBuf,
    lengths: HashMap<String, u64>,
}

/// Where a tensor's data is, as the model says.
#[derive(Debug, Default)]
pub(super) struct External {
    location: Option<String>,
    offset: Option<u64>,
    length: Option<u64>,
    has_checksum: bool,
}

/// What is wrong with a tensor's data in another file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExternalFault {
    /// A key that ONNX does not have. Some are ONNX Runtime's own, and lead to bytes that nobody checks.
    #[error("`{}` is no key of external data: there are `location`, `offset`, `length` and `checksum`", shown(.0))]
    Key(String),
    /// It would depend on the reader which one counts.
    #[error("its external data has two `{0}`s")]
    Twice(&'static str),
    /// It is nowhere.
    #[error("its data should be in another file, and no `location` says in which")]
    NoLocation,
    /// It leads elsewhere.
    #[error("its data should be in the file `{}`, {why}", shown(.location))]
    Location { location: String, why: &'static str },
    /// A number that is none.
    #[error("the `{key}` of its external data is `{}`, and a number of bytes is expected", shown(.value))]
    Number { key: &'static str, value: String },
    /// The file ends before the data does.
    #[error(
        "its data should end at byte {ends} of the file `{}`, which has {has} bytes", shown(.location)
    )]
    BeyondEnd { location: String, ends: u128, has: u64 },
    /// The shape says something else.
    #[error("its external data has {length} bytes, and its shape and type make {expected}")]
    Length { length: u64, expected: u64 },
    /// Texts have no form outside the model.
    #[error("its data are texts, which cannot be in another file")]
    Texts,
    /// It is unclear which ones count.
    #[error("its data is both in the model and in another file")]
    AlsoInside,
    /// Some readers would look there and some would not.
    #[error("it names a file for its data and says that the data is in the model")]
    Undecided,
}

impl External {
    /// Takes one key and its value.
    pub(super) fn add(&mut self, key: &str, value: String) -> Result<(), ExternalFault> {
        match key {
            "location" => set(&mut self.location, "location", value),
            "offset" => set(&mut self.offset, "offset", bytes("offset", value)?),
            "length" => set(&mut self.length, "length", bytes("length", value)?),
            // Nobody looks at it.
            "checksum" if !self.has_checksum => {
                self.has_checksum = true;
                Ok(())
            }
            "checksum" => Err(ExternalFault::Twice("checksum")),
            _ => Err(ExternalFault::Key(key.to_owned())),
        }
    }

    /// Says whether the data is there, all of it.
    pub(super) fn check(self, expected: u64, beside: &mut Beside) -> Result<(), Stop> {
        let location = self.location.ok_or(ExternalFault::NoLocation)?;
        if let Some(length) = self.length.filter(|&length| length != expected) {
            return Err(ExternalFault::Length { length, expected }.into());
        }
        let has = beside.length_of(&location)?;
        let ends = u128::from(self.offset.unwrap_or(0)) + u128::from(expected);
        if ends > u128::from(has) {
            return Err(ExternalFault::BeyondEnd { location, ends, has }.into());
        }
        Ok(())
    }
}

fn set<T>(place: &mut Option<T>, key: &'static str, value: T) -> Result<(), ExternalFault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ExternalFault::Twice(key)),
    }
}

/// Digits and nothing else: other readers take signs and spaces, and a number too large for them wraps around.
fn bytes(key: &'static str, value: String) -> Result<u64, ExternalFault> {
    let is_digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse::<u64>() {
        Ok(number) if is_digits && i64::try_from(number).is_ok() => Ok(number),
        Ok(_) | Err(_) => Err(ExternalFault::Number { key, value }),
    }
}

impl Beside {
    pub(super) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), lengths: HashMap::new() }
    }

    /// The length of a file that the model names.
    fn length_of(&mut self, location: &str) -> Result<u64, Stop> {
        if let Some(length) = self.lengths.get(location) {
            return Ok(*length);
        }
        let length = self.look(location)?;
        self.lengths.insert(location.to_owned(), length);
        Ok(length)
    }

    fn look(&self, location: &str) -> Result<u64, Stop> {
        let no = |why| Stop::from(ExternalFault::Location { location: location.to_owned(), why });
        let mut path = self.folder.clone();
        let mut length = None;
        for name in names_in(location).map_err(no)? {
            path.push(name);
            let file = match fs::symlink_metadata(&path) {
                Ok(file) => file,
                Err(error) if is_missing(&error) => return Err(no(MISSING)),
                Err(error) => return Err(error.into()),
            };
            // What was put into the store are copies: a link has come there by other ways.
            if file.is_symlink() {
                return Err(no("which is a link"));
            }
            length = file.is_file().then_some(file.len());
        }
        length.ok_or_else(|| no("which is not a file"))
    }
}

const MISSING: &str = "which is not among the files of the version";

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
    )
}

/// The names of the folders and of the file that a location goes through, or what is wrong with it.
fn names_in(location: &str) -> Result<Vec<&str>, &'static str> {
    const OUTSIDE: &str = "which would be outside of the version's folder";
    if location.is_empty() {
        return Err("a name without letters");
    }
    if location.chars().any(char::is_control) {
        return Err("which is no name of a file: it has control characters");
    }
    // ONNX Runtime's names for places in its own memory begin so, and `offset` is the address then.
    if location.starts_with("*/") {
        return Err("which is no name of a file but of a place in memory");
    }
    if location.contains('\\') || location.as_bytes().get(1) == Some(&b':') {
        return Err("which is a path of Windows; folders are set apart by `/`");
    }
    let names = Path::new(location).components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_str().ok_or(OUTSIDE)),
        Component::CurDir => None,
        Component::ParentDir | Component::RootDir | Component::Prefix(_) => Some(Err(OUTSIDE)),
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn why_not(location: &str) -> &'static str {
        names_in(location).unwrap_err()
    }

    #[test]
    fn a_location_goes_down_and_nowhere_else() {
        assert_eq!(names_in("weights.bin"), Ok(vec!["weights.bin"]));
        assert_eq!(names_in("./layers//0/w"), Ok(vec!["layers", "0", "w"]));
        for outside in ["../w", "a/../../w", "/etc/passwd", "a/..", "/"] {
            assert_eq!(why_not(outside), "which would be outside of the version's folder");
        }
        for windows in ["a\\w", "..\\w", "C:w", "c:/w"] {
            assert!(why_not(windows).contains("Windows"), "{windows}");
        }
        for control in ["w\0.bin", "w\n", "\u{1b}[31mw"] {
            assert!(why_not(control).contains("control characters"), "{control:?}");
        }
        assert_eq!(why_not(""), "a name without letters");
    }

    #[test]
    fn a_place_in_memory_is_no_file_even_where_there_is_one_of_that_name() {
        for tag in ["*/_ORT_MEM_ADDR_/*", "*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*"] {
            assert!(why_not(tag).contains("memory"), "{tag}");
        }
    }

    #[test]
    fn numbers_are_digits() {
        for (value, number) in
            [("0", 0), ("4096", 4096), ("007", 7), ("9223372036854775807", i64::MAX)]
        {
            assert_eq!(bytes("offset", value.to_owned()), Ok(number as u64));
        }
        for bad in [
            "",
            "-1",
            "+1",
            " 1",
            "1 ",
            "0x10",
            "1e3",
            "9223372036854775808",
            "99999999999999999999999",
        ] {
            let fault = bytes("offset", bad.to_owned()).unwrap_err();
            assert_eq!(
                fault.to_string(),
                format!(
                    "the `offset` of its external data is `{bad}`, and a number of bytes is expected"
                )
            );
        }
    }

    #[test]
    fn only_regular_files_below_the_folder_are_found() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), b"secret").unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("layers")).unwrap();
        fs::write(folder.path().join("layers/w"), b"weights").unwrap();
        symlink(outside.path().join("secret"), folder.path().join("link")).unwrap();
        symlink(outside.path(), folder.path().join("folder")).unwrap();
        symlink("layers/w", folder.path().join("inside")).unwrap();
        let mut beside = Beside::of(folder.path());
        assert_eq!(beside.length_of("layers/w").unwrap(), 7);
        assert_eq!(beside.length_of("./layers/w").unwrap(), 7);
        let mut why_not = |location: &str| match beside.length_of(location) {
            Err(Stop::Here(breach)) => breach.to_string(),
            other => panic!("{location}: {other:?}"),
        };
        for link in ["link", "folder/secret", "inside"] {
            assert_eq!(
                why_not(link),
                format!("its data should be in the file `{link}`, which is a link")
            );
        }
        let long = "w".repeat(300);
        for missing in ["w", "layers/v", "layers/w/x", "nowhere/w", &long] {
            assert!(why_not(missing).ends_with(MISSING), "{missing}");
        }
        assert!(why_not("layers").ends_with("which is not a file"));
        assert!(why_not(".").ends_with("which is not a file"));
    }
}
