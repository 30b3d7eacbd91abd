//! The file that tells of differences, one line of JSON for each.
//!
//! For those who would rather search than look at a page. It never holds inputs. When there are many differences it
//! has a sample of them, and says how many it has left out; when it has grown it begins anew and keeps what was
//! before for a while. A disk that is full costs lines and nothing else.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::domain::sampling::Allowance;

/// Lines in a second.
const MOST_PER_SECOND: f64 = 20.0;
/// The size at which the file begins anew.
const MOST_BYTES: u64 = 8 << 20;
/// How many files there are besides the present one.
const OLD_FILES: u32 = 3;

/// See the module.
#[derive(Debug)]
pub(super) struct DifferenceLog {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Option<File>,
    bytes: u64,
    allowance: Allowance,
    begun: Instant,
    left_out: u64,
    has_complained: bool,
}

impl DifferenceLog {
    pub(super) fn new(folder: &Path) -> Self {
        let state = State {
            file: None,
            bytes: 0,
            allowance: Allowance::new(MOST_PER_SECOND, Duration::ZERO),
            begun: Instant::now(),
            left_out: 0,
            has_complained: false,
        };
        Self { path: folder.join("shadow.log"), state: Mutex::new(state) }
    }

    /// Writes a line, or leaves it out where there were many just now. `line` is an object, made only when it is
    /// written.
    pub(super) fn write(&self, line: impl FnOnce() -> Value) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = state.begun.elapsed();
        if !state.allowance.take(now) {
            state.left_out += 1;
            return;
        }
        let mut line = line();
        if state.left_out > 0 {
            line["left_out"] = state.left_out.into();
        }
        match self.append(&mut state, &format!("{line}\n")) {
            Ok(()) => (state.left_out, state.has_complained) = (0, false),
            Err(error) => {
                state.left_out += 1;
                state.file = None;
                if !std::mem::replace(&mut state.has_complained, true) {
                    tracing::warn!("differences cannot be written to `shadow.log`: {error}");
                }
            }
        }
    }

    fn append(&self, state: &mut State, line: &str) -> std::io::Result<()> {
        if state.bytes >= MOST_BYTES {
            state.file = None;
            self.rotate()?;
        }
        let file = match &mut state.file {
            Some(file) => file,
            none => {
                let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
                state.bytes = file.metadata()?.len();
                none.insert(file)
            }
        };
        file.write_all(line.as_bytes())?;
        state.bytes += line.len() as u64;
        Ok(())
    }

    fn rotate(&self) -> std::io::Result<()> {
        let old = |number: u32| self.path.with_extension(format!("log.{number}"));
        for number in (1..OLD_FILES).rev() {
            match std::fs::rename(old(number), old(number + 1)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        std::fs::rename(&self.path, old(1))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn many_differences_are_a_sample_that_says_how_many_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let log = DifferenceLog::new(folder.path());
        for number in 0..1000 {
            log.write(|| json!({ "request": number }));
        }
        log.state.lock().unwrap().allowance = Allowance::new(1.0, Duration::ZERO);
        log.write(|| json!({ "request": "last" }));
        let text = std::fs::read_to_string(folder.path().join("shadow.log")).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!((20..100).contains(&lines.len()), "{}", lines.len());
        let left_out: u64 = lines.iter().filter_map(|line| line["left_out"].as_u64()).sum();
        assert_eq!(left_out + lines.len() as u64, 1001);
    }

    #[test]
    fn the_file_begins_anew_and_the_old_ones_are_few() {
        let folder = tempfile::tempdir().unwrap();
        let log = DifferenceLog::new(folder.path());
        for _ in 0..8 {
            let mut state = log.state.lock().unwrap();
            log.append(&mut state, "{}\n").unwrap();
            state.bytes = MOST_BYTES;
        }
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["shadow.log", "shadow.log.1", "shadow.log.2", "shadow.log.3"]);
    }
}
