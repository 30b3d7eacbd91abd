//! What kind of file system a folder is on, and where an opened file lies.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Whether one machine alone writes what lies in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// A disk or memory of this machine, as far as the system tells.
    Local,
    /// It goes through a program or a host that may well keep it elsewhere.
    Unsure(&'static str),
    /// Others may write it too, and locks and shared memory do not reach them.
    Network(&'static str),
}

/// Asks the system about the folder.
///
/// # Errors
/// What the system says when the folder is not there.
#[cfg(target_os = "linux")]
pub fn sharing(folder: &Path) -> io::Result<Sharing> {
    use std::os::unix::ffi::OsStrExt;

    let folder = std::ffi::CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: all zeros is a valid `statfs`; the call reads a string that ends with a zero byte, and writes
    // nothing but the one struct.
    let (outcome, answer) = unsafe {
        let mut answer: libc::statfs = std::mem::zeroed();
        (libc::statfs(folder.as_ptr(), &raw mut answer), answer)
    };
    match outcome {
        // The numbers have 32 bits, in a field that is wider or signed on some machines.
        0 => Ok(sharing_of(answer.f_type as u32)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How many bytes can still be written to the disk that a folder is on.
///
/// # Errors
/// What the system says when the folder is not there.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    use std::os::unix::ffi::OsStrExt;

    let folder = std::ffi::CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: all zeros is a valid `statvfs`; the call reads a string that ends with a zero byte, and writes
    // nothing but the one struct.
    let (outcome, answer) = unsafe {
        let mut answer: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(folder.as_ptr(), &raw mut answer), answer)
    };
    match outcome {
        0 => {
            // The numbers have 32 bits on some systems.
            let bytes = u128::from(answer.f_bavail) * u128::from(answer.f_frsize);
            Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Elsewhere nobody is asked: a laptop's disk is its own.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn sharing(_folder: &Path) -> io::Result<Sharing> {
    Ok(Sharing::Local)
}

/// Where an opened file lies, free of links: what a path leads to may be another file a moment later, this is not.
///
/// # Errors
/// What the system says when it does not tell.
#[cfg(target_os = "linux")]
pub fn path_of(file: &File) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd;

    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Where an opened file lies, free of links: what a path leads to may be another file a moment later, this is not.
///
/// # Errors
/// What the system says when it does not tell.
#[cfg(target_os = "macos")]
pub fn path_of(file: &File) -> io::Result<PathBuf> {
    use std::ffi::{CStr, OsStr};
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;

    let mut path = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the descriptor is open as long as the file is borrowed, and the call writes at most `PATH_MAX` bytes,
    // which is what there is room for.
    let outcome = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETPATH, path.as_mut_ptr()) };
    if outcome == -1 {
        return Err(io::Error::last_os_error());
    }
    let path = CStr::from_bytes_until_nul(&path).map_err(io::Error::other)?;
    Ok(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
}

/// By the numbers in Linux's `magic.h`; those of Lustre and GPFS are their own.
#[cfg(target_os = "linux")]
fn sharing_of(magic: u32) -> Sharing {
    match magic {
        0x0000_6969 => Sharing::Network("NFS"),
        0x0000_517b | 0xfe53_4d42 | 0xff53_4d42 => Sharing::Network("SMB"),
        0x00c3_6400 => Sharing::Network("Ceph"),
        0x5346_414f | 0x6b41_4653 => Sharing::Network("AFS"),
        0x7375_7245 => Sharing::Network("Coda"),
        0x0000_564c => Sharing::Network("NCP"),
        0x0bd0_0bd0 => Sharing::Network("Lustre"),
        0x4750_4653 => Sharing::Network("GPFS"),
        0x6573_5546 => Sharing::Unsure("FUSE"),
        0x0102_1997 => Sharing::Unsure("9P"),
        _ => Sharing::Local,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_is_local_and_a_missing_one_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(sharing(folder.path()).unwrap(), Sharing::Local);
        let error = sharing(&folder.path().join("missing")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_disk_tells_how_much_room_it_has() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_bytes(folder.path()).unwrap() > 0);
        assert!(free_bytes(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn an_opened_file_tells_where_it_lies_whatever_led_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::write(root.join("file"), b"content").unwrap();
        std::os::unix::fs::symlink("file", root.join("link")).unwrap();
        let opened = File::open(root.join("link")).unwrap();
        assert_eq!(path_of(&opened).unwrap(), root.join("file"));
    }

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        assert_eq!(sharing_of(libc::NFS_SUPER_MAGIC as u32), Sharing::Network("NFS"));
        assert_eq!(sharing_of(libc::SMB_SUPER_MAGIC as u32), Sharing::Network("SMB"));
        assert_eq!(sharing_of(libc::FUSE_SUPER_MAGIC as u32), Sharing::Unsure("FUSE"));
        assert_eq!(sharing_of(libc::EXT4_SUPER_MAGIC as u32), Sharing::Local);
        assert_eq!(sharing_of(libc::OVERLAYFS_SUPER_MAGIC as u32), Sharing::Local);
    }
}
