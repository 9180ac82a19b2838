//! On which CPUs threads and processes run. A process has the set of the thread that starts it,
//! and so has a thread; so a set is put on around the starting, and taken off again.

use std::io;

use crate::config::Cpus;

/// Which of these CPUs this program may not use, if any.
///
/// # Errors
/// One cannot be used here; the text says which can.
pub fn check(cpus: &Cpus) -> Result<(), String> {
    system::check(cpus)
}

/// Runs `start` on these CPUs: what it starts stays there. `None` is every CPU that this program
/// could use in the beginning.
///
/// # Errors
/// The system does not allow it.
pub fn on<T>(cpus: Option<&Cpus>, start: impl FnOnce() -> T) -> io::Result<T> {
    let _pinned = system::Pinned::to(cpus)?;
    Ok(start())
}

/// Keeps the calling thread, and whatever it starts, on these CPUs until it is dropped.
#[derive(Debug)]
pub struct Pinned {
    _of_system: system::Pinned,
}

impl Pinned {
    /// Puts the set on; `None` changes nothing.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn to(cpus: Option<&Cpus>) -> io::Result<Option<Self>> {
        let pinned = cpus
            .map(|cpus| system::Pinned::to(Some(cpus)))
            .transpose()?;
        Ok(pinned.map(|of_system| Self {
            _of_system: of_system,
        }))
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::sync::OnceLock;

    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    use super::Cpus;

    /// The calling thread.
    const SELF: Pid = Pid::from_raw(0);

    /// What this program could use before it put anything on.
    fn all() -> io::Result<CpuSet> {
        static ALL: OnceLock<CpuSet> = OnceLock::new();
        if let Some(all) = ALL.get() {
            return Ok(*all);
        }
        let now = sched_getaffinity(SELF)?;
        Ok(*ALL.get_or_init(|| now))
    }

    fn allows(set: &CpuSet, cpu: usize) -> bool {
        set.is_set(cpu).unwrap_or(false)
    }

    pub(super) fn check(cpus: &Cpus) -> Result<(), String> {
        let all = all().map_err(|error| format!("CPUs cannot be chosen here: {error}"))?;
        let Some(missing) = cpus.numbers().find(|cpu| !allows(&all, *cpu)) else {
            return Ok(());
        };
        let there = (0..CpuSet::count()).filter(|cpu| allows(&all, *cpu));
        let there: Vec<String> = there.map(|cpu| cpu.to_string()).collect();
        let there: Cpus = there.join(",").parse()?;
        Err(format!("there is no CPU {missing} here: there are {there}"))
    }

    #[derive(Debug)]
    pub(super) struct Pinned {
        before: CpuSet,
    }

    impl Pinned {
        pub(super) fn to(cpus: Option<&Cpus>) -> io::Result<Self> {
            let all = all()?;
            let before = sched_getaffinity(SELF)?;
            let set = match cpus {
                None => all,
                Some(cpus) => {
                    let mut set = CpuSet::new();
                    for cpu in cpus.numbers() {
                        set.set(cpu)?;
                    }
                    set
                }
            };
            if set != before {
                sched_setaffinity(SELF, &set)?;
            }
            Ok(Self { before })
        }
    }

    impl Drop for Pinned {
        fn drop(&mut self) {
            // It was allowed before.
            let _ = sched_setaffinity(SELF, &self.before);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    use super::Cpus;

    pub(super) fn check(_: &Cpus) -> Result<(), String> {
        Err("CPUs can be chosen on Linux only".to_owned())
    }

    #[derive(Debug)]
    pub(super) struct Pinned;

    impl Pinned {
        pub(super) fn to(cpus: Option<&Cpus>) -> io::Result<Self> {
            match cpus {
                None => Ok(Self),
                Some(_) => Err(io::ErrorKind::Unsupported.into()),
            }
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn allowed() -> String {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("Cpus_allowed_list:"));
        line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
    }

    #[test]
    fn what_is_started_stays_on_its_cpus_and_this_thread_does_not() {
        let before = allowed();
        let first: Cpus = before.parse().unwrap();
        let first: Cpus = first.numbers().next().unwrap().to_string().parse().unwrap();
        let pinned = Pinned::to(Some(&first)).unwrap();
        assert_eq!(allowed(), first.to_string());
        let started = on(None, || std::thread::spawn(allowed).join().unwrap()).unwrap();
        assert_eq!(started, before);
        assert_eq!(allowed(), first.to_string());
        drop(pinned);
        assert_eq!(allowed(), before);
        let missing = check(&"1023".parse().unwrap()).unwrap_err();
        assert!(missing.contains("there is no CPU 1023"), "{missing}");
    }
}
