//! Pressure stall information: for how long work waited for a processor, for the disk, for memory
//! (`/proc/pressure`, Linux 4.20).

use std::time::Duration;

/// Stalls of the whole machine since boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// At least one task was runnable and waited for a processor.
    pub cpu_some: Duration,
    /// At least one task waited for I/O.
    pub io_some: Duration,
    /// All tasks that were not idle waited for I/O.
    pub io_full: Duration,
    /// At least one task waited for memory to be made free.
    pub memory_some: Duration,
}

impl Pressure {
    /// As it is now; `None` where the kernel does not count it.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn now() -> Option<Self> {
        use procfs::{CpuPressure, Current as _, IoPressure, MemoryPressure};
        let io = IoPressure::current().ok()?;
        Some(Self {
            cpu_some: Duration::from_micros(CpuPressure::current().ok()?.some.total),
            io_some: Duration::from_micros(io.some.total),
            io_full: Duration::from_micros(io.full.total),
            memory_some: Duration::from_micros(MemoryPressure::current().ok()?.some.total),
        })
    }

    /// Not told by this operating system.
    #[cfg(not(target_os = "linux"))]
    #[must_use]
    pub fn now() -> Option<Self> {
        None
    }

    /// What was added since an earlier reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu_some: self.cpu_some.saturating_sub(earlier.cpu_some),
            io_some: self.io_some.saturating_sub(earlier.io_some),
            io_full: self.io_full.saturating_sub(earlier.io_full),
            memory_some: self.memory_some.saturating_sub(earlier.memory_some),
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn the_totals_are_those_of_proc_and_only_grow() {
        let Ok(text) = std::fs::read_to_string("/proc/pressure/io") else {
            assert_eq!(Pressure::now(), None);
            return;
        };
        let total: u64 = text
            .lines()
            .next()
            .and_then(|some| some.rsplit_once("total="))
            .map(|(_, total)| total.parse().unwrap())
            .unwrap();
        let now = Pressure::now().unwrap();
        assert!(now.io_some >= Duration::from_micros(total));
        assert!(now.io_full <= now.io_some);
        let later = Pressure::now().unwrap();
        assert_eq!(now.since(later).io_some, Duration::ZERO);
    }
}
