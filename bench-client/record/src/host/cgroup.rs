//! The CPU quota of a process's control group, and how long it was kept from running by it: of
//! version 1 (`cpu.cfs_quota_us`) and version 2 (`cpu.max`).
//!
//! A group is throttled by its own quota and by that of every group above it, so all are looked
//! at, as far up as they are mounted. Hypervisors have no part in it: steal time does not show it.

use std::time::Duration;

/// What a quota has done to a group and those above it, since they were made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Periods in which a group with a quota had something to run.
    pub periods: u64,
    /// Of these, those in which the quota was used up.
    pub throttled_periods: u64,
    /// Time for which it was not allowed to run, summed over cores and groups.
    pub throttled: Duration,
}

impl Throttling {
    /// Of the groups of a process; `None` where no CPU controller is in sight.
    #[must_use]
    pub fn of_process(pid: u32) -> Option<Self> {
        platform::levels(pid)?.throttling()
    }

    /// What was added since an earlier reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            periods: self.periods.saturating_sub(earlier.periods),
            throttled_periods: self
                .throttled_periods
                .saturating_sub(earlier.throttled_periods),
            throttled: self.throttled.saturating_sub(earlier.throttled),
        }
    }
}

/// Cores' worth of time that the tightest quota over a process allows; `None` without a quota and
/// where no CPU controller is in sight.
#[must_use]
pub fn quota_cores(pid: u32) -> Option<f64> {
    platform::levels(pid)?.quota_cores()
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use super::Throttling;

    /// There are none.
    pub(super) enum Levels {}

    impl Levels {
        pub(super) fn throttling(&self) -> Option<Throttling> {
            match *self {}
        }

        pub(super) fn quota_cores(&self) -> Option<f64> {
            match *self {}
        }
    }

    pub(super) fn levels(_pid: u32) -> Option<Levels> {
        None
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use procfs::process::{MountInfo, Process};

    use super::Throttling;

    /// Most groups above each other that are looked at.
    const LEVELS_MAX: usize = 64;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Version {
        One,
        Two,
    }

    /// The directories of a group and those above it.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Levels {
        pub(super) version: Version,
        pub(super) directories: Vec<PathBuf>,
    }

    /// Of the CPU controller over a process: in a hierarchy of version 1 if it has one, else that
    /// of version 2.
    pub(super) fn levels(pid: u32) -> Option<Levels> {
        let groups = Process::new(i32::try_from(pid).ok()?)
            .ok()?
            .cgroups()
            .ok()?;
        let mounts = Process::myself().ok()?.mountinfo().ok()?;
        let has_cpu = |controllers: &[String]| controllers.iter().any(|name| name == "cpu");
        let one = groups.0.iter().find(|group| has_cpu(&group.controllers));
        if let Some(group) = one {
            let mount = mounts.into_iter().find(|mount| {
                mount.fs_type == "cgroup" && mount.super_options.contains_key("cpu")
            })?;
            return at(Version::One, &mount, &group.pathname);
        }
        let two = groups.0.iter().find(|group| group.hierarchy == 0)?;
        let mount = mounts
            .into_iter()
            .find(|mount| mount.fs_type == "cgroup2")?;
        at(Version::Two, &mount, &two.pathname)
    }

    fn at(version: Version, mount: &MountInfo, group: &str) -> Option<Levels> {
        // A container may have only its own part of the hierarchy mounted.
        let below = Path::new(group).strip_prefix(&mount.root).ok()?;
        Some(Levels::between(version, &mount.mount_point, below))
    }

    impl Levels {
        /// From `mount_point/below` up to the mount point.
        pub(super) fn between(version: Version, mount_point: &Path, below: &Path) -> Self {
            let all = below.ancestors().take(LEVELS_MAX);
            Self {
                version,
                directories: all.map(|below| mount_point.join(below)).collect(),
            }
        }

        pub(super) fn throttling(&self) -> Option<Throttling> {
            let levels = self.directories.iter();
            let levels = levels.filter_map(|level| fs::read_to_string(level.join("cpu.stat")).ok());
            levels
                .map(|stat| throttling(self.version, &stat))
                .reduce(|a, b| Throttling {
                    periods: a.periods + b.periods,
                    throttled_periods: a.throttled_periods + b.throttled_periods,
                    throttled: a.throttled + b.throttled,
                })
        }

        pub(super) fn quota_cores(&self) -> Option<f64> {
            let quotas = self.directories.iter().filter_map(|level| {
                let read = |file: &str| fs::read_to_string(level.join(file)).ok();
                match self.version {
                    Version::One => {
                        let text = read("cpu.cfs_quota_us")? + " " + &read("cpu.cfs_period_us")?;
                        quota(&text)
                    }
                    Version::Two => quota(&read("cpu.max")?),
                }
            });
            quotas.reduce(f64::min)
        }
    }

    /// "50000 100000" is half a core; "max 100000" and "-1 100000" are none.
    fn quota(text: &str) -> Option<f64> {
        let mut numbers = text.split_whitespace().map(str::parse::<f64>);
        let (quota, period) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        (quota > 0.0 && period > 0.0).then(|| quota / period)
    }

    /// Lines of a name and a number. Without a quota version 2 leaves out what is asked for.
    fn throttling(version: Version, stat: &str) -> Throttling {
        let number = |name: &str| {
            let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
            let value = lines.find(|(found, _)| *found == name)?.1;
            value.trim().parse().ok()
        };
        let throttled = match version {
            Version::One => number("throttled_time").map(Duration::from_nanos),
            Version::Two => number("throttled_usec").map(Duration::from_micros),
        };
        Throttling {
            periods: number("nr_periods").unwrap_or(0),
            throttled_periods: number("nr_throttled").unwrap_or(0),
            throttled: throttled.unwrap_or_default(),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// Groups with the files that a kernel showed for them.
        fn hierarchy(groups: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
            let directory = tempfile::tempdir().unwrap();
            for (group, files) in groups {
                let group = directory.path().join(group);
                fs::create_dir_all(&group).unwrap();
                for (file, text) in *files {
                    fs::write(group.join(file), text).unwrap();
                }
            }
            directory
        }

        #[test]
        fn version_one_is_read_as_linux_shows_it() {
            let root = hierarchy(&[
                (
                    "",
                    &[
                        (
                            "cpu.stat",
                            "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
                        ),
                        ("cpu.cfs_quota_us", "-1\n"),
                        ("cpu.cfs_period_us", "100000\n"),
                    ],
                ),
                (
                    "docker/1f",
                    &[
                        (
                            "cpu.stat",
                            "nr_periods 21\nnr_throttled 20\nthrottled_time 2014512375\n\
                             nr_bursts 0\nburst_time 0\nwait_sum 153712\n",
                        ),
                        ("cpu.cfs_quota_us", "190000\n"),
                        ("cpu.cfs_period_us", "100000\n"),
                    ],
                ),
            ]);
            let levels = Levels::between(Version::One, root.path(), Path::new("docker/1f"));
            assert_eq!(levels.directories.len(), 3);
            assert_eq!(levels.quota_cores(), Some(1.9));
            let throttling = levels.throttling().unwrap();
            assert_eq!((throttling.periods, throttling.throttled_periods), (21, 20));
            assert_eq!(throttling.throttled, Duration::from_nanos(2_014_512_375));
            let top = Levels::between(Version::One, root.path(), Path::new(""));
            assert_eq!(top.quota_cores(), None);
            assert_eq!(top.throttling(), Some(Throttling::default()));
        }

        #[test]
        fn version_two_is_read_as_linux_shows_it_and_the_tightest_quota_counts() {
            let stat = "usage_usec 18416452\nuser_usec 9000000\nsystem_usec 9416452\n\
                        nice_usec 0\ncore_sched.force_idle_usec 0\nnr_periods 40\n\
                        nr_throttled 30\nthrottled_usec 1500000\nnr_bursts 0\nburst_usec 0\n";
            let root = hierarchy(&[
                (
                    "",
                    &[("cpu.stat", "usage_usec 5\nuser_usec 3\nsystem_usec 2\n")],
                ),
                (
                    "pods",
                    &[("cpu.max", "100000 100000\n"), ("cpu.stat", stat)],
                ),
                (
                    "pods/one",
                    &[("cpu.max", "150000 50000\n"), ("cpu.stat", stat)],
                ),
                (
                    "pods/two",
                    &[("cpu.max", "max 100000\n"), ("cpu.stat", stat)],
                ),
            ]);
            let one = Levels::between(Version::Two, root.path(), Path::new("pods/one"));
            assert_eq!(one.quota_cores(), Some(1.0), "that of the group above");
            let throttling = one.throttling().unwrap();
            assert_eq!(throttling.throttled, Duration::from_secs(3));
            assert_eq!(throttling.throttled_periods, 60);
            assert_eq!(throttling.since(throttling), Throttling::default());
            let two = Levels::between(Version::Two, root.path(), Path::new("pods/two"));
            assert_eq!(two.quota_cores(), Some(1.0));
            let top = Levels::between(Version::Two, root.path(), Path::new(""));
            assert_eq!(top.quota_cores(), None);
            assert_eq!(top.throttling(), Some(Throttling::default()));
        }

        #[test]
        fn what_is_not_mounted_is_not_known() {
            let nothing = hierarchy(&[]);
            let levels = Levels::between(Version::Two, nothing.path(), Path::new("x"));
            assert_eq!((levels.throttling(), levels.quota_cores()), (None, None));
        }
    }
}
