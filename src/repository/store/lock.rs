//! One server has a state folder.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

use super::StoreError;

/// Takes the folder's lock, which is held until the file is closed, by whatever end the process comes to.
pub(super) fn hold(state: &Path) -> Result<File, StoreError> {
    let unusable = |source| StoreError::Unusable { path: state.to_path_buf(), source };
    let options = File::options().read(true).write(true).create(true).truncate(false).clone();
    let mut file = options.open(state.join("lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::Held { path: state.to_path_buf(), pid: pid_in(&mut file) });
        }
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    write_pid(&mut file).map_err(unusable)?;
    Ok(file)
}

fn pid_in(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}
