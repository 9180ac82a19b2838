//! What a process and the machine have used so far: CPU time, memory, bytes written.
//!
//! All readings are totals since the process (or the machine) started; take two and subtract to
//! get those of a window. Whatever a platform does not tell is `None`, never an error: a run must
//! not fail because `/proc` is masked. Take the last reading before the process is reaped.

use std::time::Duration;

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};

/// CPU time of a process over all its threads, also those that have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// User and system time together. The most exact of the three.
    pub total: Duration,
    /// Time in the program's own code.
    pub user: Duration,
    /// Time in the kernel on the program's behalf.
    pub system: Duration,
}

impl CpuTimes {
    /// Of this process, to the microsecond (`getrusage`).
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
        let user = duration(usage.user_time())?;
        let system = duration(usage.system_time())?;
        Some(Self {
            total: user + system,
            user,
            system,
        })
    }

    /// Of another process, on Linux. The total is to the nanosecond where the process has a CPU
    /// clock (`clock_getcpuclockid`), the parts are to a tick of usually 10 ms
    /// (`/proc/PID/stat`), so that they may not quite add up to it.
    ///
    /// Not from `/proc/PID/schedstat`: that has nanoseconds too, but only those of the first
    /// thread.
    #[must_use]
    pub fn of_process(pid: u32) -> Option<Self> {
        linux::cpu_times(i32::try_from(pid).ok()?)
    }

    /// Of a process and of everything that it has started and that still runs or was waited for:
    /// a server is often started by a launcher, and may have workers. What has left it for a
    /// session of its own is not seen once its parent has ended.
    #[must_use]
    pub fn of_tree(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let mut sum = linux::cpu_times(pid)?;
        let children = linux::descendants(pid);
        let all = std::iter::once(pid).chain(children.iter().copied());
        let of_ended = all.filter_map(linux::ended_children_times);
        let of_living = children.iter().copied().filter_map(linux::cpu_times);
        for one in of_living.chain(of_ended) {
            sum.total += one.total;
            sum.user += one.user;
            sum.system += one.system;
        }
        Some(sum)
    }

    /// What was used between an earlier reading and this one. Never negative.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// Bytes that a process has written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BytesWritten {
    /// Passed to `write` and its kin, to files, sockets and pipes alike (`wchar`).
    pub by_calls: u64,
    /// Caused to be sent to storage (`write_bytes`): pages made dirty, each counted once until it
    /// is written back. Not what the device itself writes.
    pub to_storage: u64,
}

/// One reading of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// CPU time used.
    pub cpu: Option<CpuTimes>,
    /// Most physical memory ever in use at once, in bytes (`VmHWM`).
    pub peak_memory_bytes: Option<u64>,
    /// Bytes written. Readable for processes of the same user.
    pub written: Option<BytesWritten>,
}

impl ProcessUsage {
    /// Reads what there is to know of process `pid`; all `None` when there is no such process.
    #[must_use]
    pub fn of_process(pid: u32) -> Self {
        let Ok(pid) = i32::try_from(pid) else {
            return Self::default();
        };
        Self {
            cpu: linux::cpu_times(pid),
            peak_memory_bytes: linux::peak_memory_bytes(pid),
            written: linux::bytes_written(pid),
        }
    }
}

impl ProcessUsage {
    /// Reads process `pid` and everything that it has started and that still runs, taken
    /// together: the peak of memory is the sum of the peaks.
    #[must_use]
    pub fn of_tree(pid: u32) -> Self {
        let mut sum = Self {
            cpu: CpuTimes::of_tree(pid),
            ..Self::of_process(pid)
        };
        let children = i32::try_from(pid).map(linux::descendants);
        for child in children.unwrap_or_default() {
            let peak = linux::peak_memory_bytes(child);
            sum.peak_memory_bytes = sum.peak_memory_bytes.map(|sum| sum + peak.unwrap_or(0));
            if let (Some(sum), Some(one)) = (&mut sum.written, linux::bytes_written(child)) {
                sum.by_calls += one.by_calls;
                sum.to_storage += one.to_storage;
            }
        }
        sum
    }
}

/// CPU time that the hypervisor gave to others while this machine wanted to run, summed over all
/// cores since boot, to a tick of usually 10 ms (`/proc/stat`). Zero on bare metal and where the
/// hypervisor does not tell.
#[must_use]
pub fn steal_time() -> Option<Duration> {
    linux::steal_time()
}

fn duration(time: TimeVal) -> Option<Duration> {
    let seconds = u64::try_from(time.tv_sec()).ok()?;
    let micros = u64::try_from(time.tv_usec()).ok()?;
    Some(Duration::from_secs(seconds) + Duration::from_micros(micros))
}

#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use nix::{time::ClockId, unistd::Pid};
    use procfs::{CurrentSI, KernelStats, process::Process};

    use super::{BytesWritten, CpuTimes};

    pub(super) fn cpu_times(pid: i32) -> Option<CpuTimes> {
        let stat = Process::new(pid).ok()?.stat().ok()?;
        let tick_nanos = 1_000_000_000 / procfs::ticks_per_second();
        let user = Duration::from_nanos(stat.utime * tick_nanos);
        let system = Duration::from_nanos(stat.stime * tick_nanos);
        let total = ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).and_then(ClockId::now);
        Some(CpuTimes {
            total: total.map_or(user + system, Duration::from),
            user,
            system,
        })
    }

    /// Of its children that have ended and were waited for, to a tick.
    pub(super) fn ended_children_times(pid: i32) -> Option<CpuTimes> {
        let stat = Process::new(pid).ok()?.stat().ok()?;
        let tick_nanos = 1_000_000_000 / procfs::ticks_per_second();
        let time =
            |ticks: i64| Duration::from_nanos(u64::try_from(ticks).unwrap_or(0) * tick_nanos);
        let (user, system) = (time(stat.cutime), time(stat.cstime));
        Some(CpuTimes {
            total: user + system,
            user,
            system,
        })
    }

    /// Everything that a process has started and that still runs, children before theirs. Empty
    /// where the kernel does not tell (`CONFIG_PROC_CHILDREN`).
    pub(super) fn descendants(pid: i32) -> Vec<i32> {
        let mut found = vec![pid];
        let mut next = 0;
        while let Some(parent) = found.get(next) {
            let threads = Process::new(*parent).and_then(|process| process.tasks());
            let threads = threads.into_iter().flatten().flatten();
            let children = threads
                .filter_map(|thread| thread.children().ok())
                .flatten();
            let children: Vec<i32> = children.filter_map(|pid| i32::try_from(pid).ok()).collect();
            found.extend(children);
            next += 1;
        }
        found.split_off(1)
    }

    pub(super) fn peak_memory_bytes(pid: i32) -> Option<u64> {
        let kibibytes = Process::new(pid).ok()?.status().ok()?.vmhwm?;
        Some(kibibytes * 1_024)
    }

    pub(super) fn bytes_written(pid: i32) -> Option<BytesWritten> {
        let io = Process::new(pid).ok()?.io().ok()?;
        Some(BytesWritten {
            by_calls: io.wchar,
            to_storage: io.write_bytes,
        })
    }

    pub(super) fn steal_time() -> Option<Duration> {
        KernelStats::current().ok()?.total.steal_duration()
    }
}

#[cfg(not(target_os = "linux"))]
mod linux {
    use std::time::Duration;

    use super::{BytesWritten, CpuTimes};

    pub(super) fn cpu_times(_pid: i32) -> Option<CpuTimes> {
        None
    }

    pub(super) fn ended_children_times(_pid: i32) -> Option<CpuTimes> {
        None
    }

    pub(super) fn descendants(_pid: i32) -> Vec<i32> {
        Vec::new()
    }

    pub(super) fn peak_memory_bytes(_pid: i32) -> Option<u64> {
        None
    }

    pub(super) fn bytes_written(_pid: i32) -> Option<BytesWritten> {
        None
    }

    pub(super) fn steal_time() -> Option<Duration> {
        None
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::{
        fs,
        io::Write,
        process::{Command, Stdio},
        thread,
    };

    /// Uses some CPU time on a thread that has ended afterwards.
    fn spin() {
        thread::spawn(|| {
            let start = CpuTimes::of_this_process().unwrap();
            while CpuTimes::of_this_process()
                .unwrap()
                .since(start)
                .total
                .as_millis()
                < 50
            {}
        })
        .join()
        .unwrap();
    }

    #[test]
    fn two_ways_of_reading_a_process_agree_also_on_ended_threads() {
        spin();
        let before = CpuTimes::of_this_process().unwrap();
        let other_way = CpuTimes::of_process(std::process::id()).unwrap();
        let after = CpuTimes::of_this_process().unwrap();
        assert!(before.total.as_millis() >= 50);
        assert!(before.total <= other_way.total + Duration::from_millis(1));
        assert!(other_way.total <= after.total + Duration::from_millis(1));
        // The parts are in ticks, and may lag behind by one each.
        let parts = other_way.user + other_way.system;
        assert!(
            parts.abs_diff(other_way.total) <= Duration::from_millis(20),
            "{other_way:?}"
        );
    }

    #[test]
    fn child_process_is_read_while_it_lives() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let usage = ProcessUsage::of_process(child.id());
        assert!(usage.cpu.is_some());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(
            ProcessUsage::of_process(child.id()),
            ProcessUsage::default()
        );
    }

    #[test]
    fn a_tree_is_read_with_what_the_leader_has_started() {
        let script = "sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo; cat' | cat";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let alone = CpuTimes::of_process(child.id()).unwrap();
        let tree = CpuTimes::of_tree(child.id()).unwrap();
        let tree_usage = ProcessUsage::of_tree(child.id());
        assert!(tree.total > alone.total, "{tree:?} {alone:?}");
        let peak = ProcessUsage::of_process(child.id()).peak_memory_bytes;
        assert!(tree_usage.peak_memory_bytes > peak);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(CpuTimes::of_tree(child.id()), None);
    }

    #[test]
    fn memory_and_writes_are_counted() {
        let memory = vec![1_u8; 64 << 20];
        let before = ProcessUsage::of_process(std::process::id());
        assert!(before.peak_memory_bytes.unwrap() >= memory.len() as u64);
        let Some(written_before) = before.written else {
            return;
        };
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&memory[..1 << 20]).unwrap();
        let written = ProcessUsage::of_process(std::process::id())
            .written
            .unwrap();
        assert!(written.by_calls - written_before.by_calls >= 1 << 20);
    }

    #[test]
    fn steal_time_is_that_of_proc_stat() {
        let line = fs::read_to_string("/proc/stat").unwrap();
        let ticks: Option<u64> = line
            .lines()
            .next()
            .unwrap()
            .split_whitespace()
            .nth(8)
            .map(|n| n.parse().unwrap());
        let steal = steal_time();
        assert_eq!(steal.is_some(), ticks.is_some());
        if let (Some(steal), Some(ticks)) = (steal, ticks) {
            let of_ticks = Duration::from_millis(ticks * 1_000 / procfs::ticks_per_second());
            assert!(steal.saturating_sub(of_ticks) < Duration::from_secs(1));
        }
    }

    #[test]
    fn time_does_not_run_backwards() {
        let early = CpuTimes::default();
        let late = CpuTimes {
            total: Duration::from_secs(1),
            ..early
        };
        assert_eq!(late.since(early).total, Duration::from_secs(1));
        assert_eq!(early.since(late), CpuTimes::default());
    }
}
