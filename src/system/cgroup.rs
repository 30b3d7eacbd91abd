//! What the process's cgroup lets it have, in both versions of the interface.

use std::path::{Path, PathBuf};

/// A limit on the time that all threads together may spend on cores.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    cores: f64,
    /// The file that tells how often the limit was reached.
    statistics: PathBuf,
}

impl Quota {
    /// The nearest limit that holds for this process; none where there is none.
    pub fn of_this_process() -> Option<Self> {
        let memberships = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::read(&memberships, Path::new("/sys/fs/cgroup"))
    }

    /// How many cores' worth of time there is.
    pub fn cores(&self) -> f64 {
        self.cores
    }

    /// In how many periods the threads were stopped because the time was used up.
    pub fn throttled(&self) -> Option<u64> {
        let statistics = std::fs::read_to_string(&self.statistics).ok()?;
        let line = statistics.lines().find_map(|line| line.strip_prefix("nr_throttled "))?;
        line.trim().parse().ok()
    }

    fn read(memberships: &str, root: &Path) -> Option<Self> {
        folders(memberships, root, "cpu").find_map(|folder| {
            let cores = cores_v2(&folder).or_else(|| cores_v1(&folder))?;
            Some(Self { cores, statistics: folder.join("cpu.stat") })
        })
    }
}

/// The least of the limits on the memory of all processes of the group, in bytes; none where there is none.
pub(super) fn memory_limit(memberships: &str, root: &Path) -> Option<u64> {
    // Version 1 has no word for "no limit", only a number beyond all memory.
    const NO_LIMIT: u64 = 1 << 60;
    let read = |folder: PathBuf| {
        let limit = ["memory.max", "memory.limit_in_bytes"]
            .into_iter()
            .find_map(|name| std::fs::read_to_string(folder.join(name)).ok())?;
        limit.trim().parse().ok().filter(|&limit: &u64| limit < NO_LIMIT)
    };
    folders(memberships, root, "memory").filter_map(read).min()
}

/// The folders with the settings that hold for the process, the nearest first.
fn folders(memberships: &str, root: &Path, controller: &str) -> impl Iterator<Item = PathBuf> {
    let groups = memberships.lines().filter_map(move |line| folder(line, root, controller));
    groups.flat_map(|(group, root)| {
        let within = move |folder: &&Path| folder.starts_with(&root);
        group.ancestors().take_while(within).map(Path::to_path_buf).collect::<Vec<_>>()
    })
}

/// Where a membership's settings lie, and where its hierarchy begins. A line is `number:controllers:path`.
fn folder(line: &str, root: &Path, wanted: &str) -> Option<(PathBuf, PathBuf)> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let root = match controllers {
        "" => root.to_path_buf(),
        _ if controllers.split(',').any(|controller| controller == wanted) => {
            root.join(controllers)
        }
        _ => return None,
    };
    Some((root.join(path.trim_start_matches('/')), root))
}

/// `cpu.max` is `max 100000` or `50000 100000`.
fn cores_v2(folder: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(folder.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    ratio(quota, period)
}

/// A quota of -1 is none.
fn cores_v1(folder: &Path) -> Option<f64> {
    let read = |name| std::fs::read_to_string(folder.join(name)).ok();
    ratio(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?)
}

fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn the_nearest_quota_counts_in_both_versions() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &[
                ("cpu.max", "max 100000\n"),
                ("a/cpu.max", "150000 100000\n"),
                ("a/b/cpu.max", "max 100000\n"),
                ("a/cpu.stat", "usage_usec 5\nnr_periods 9\nnr_throttled 7\n"),
            ],
        );
        let quota = Quota::read("0::/a/b\n", root.path()).unwrap();
        assert_eq!((quota.cores(), quota.throttled()), (1.5, Some(7)));

        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &[
                ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
                ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
                ("cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n"),
                ("cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
                ("cpu,cpuacct/a/cpu.stat", "nr_periods 1\nnr_throttled 0\nthrottled_time 0\n"),
            ],
        );
        let memberships = "4:memory:/x\n1:cpu,cpuacct:/a\n0::/\n";
        let quota = Quota::read(memberships, root.path()).unwrap();
        assert_eq!((quota.cores(), quota.throttled()), (0.5, Some(0)));
    }

    #[test]
    fn the_least_limit_on_memory_counts_in_both_versions() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &[
                ("a/memory.max", "4096\n"),
                ("a/b/memory.max", "max\n"),
                ("memory/x/memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory/x/y/memory.limit_in_bytes", "8192\n"),
            ],
        );
        for (memberships, limit) in
            [("0::/a/b\n", Some(4096)), ("7:memory:/x/y\n0::/\n", Some(8192)), ("0::/c\n", None)]
        {
            assert_eq!(memory_limit(memberships, root.path()), limit, "{memberships}");
        }
    }

    #[test]
    fn without_a_quota_there_is_none() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &[("cpu.max", "max 100000\n")]);
        for memberships in ["0::/\n", "1:cpu:/nowhere\n", "", "nonsense"] {
            assert_eq!(Quota::read(memberships, root.path()), None, "{memberships}");
        }
    }
}
