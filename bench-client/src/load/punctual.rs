//! A client thread that must be on time.
//!
//! On a machine whose cores the server uses too, a woken thread waits until the one that runs has
//! used up its time slice, some milliseconds, and an open loop's transfers are as late. A thread
//! with a real-time priority runs at once. That is how it would be if the generator had a machine
//! of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the client threads of an open loop were scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheduling {
    /// Like every other thread.
    Normal,
    /// With the lowest real-time priority (`SCHED_RR`, 1): before every thread that has none.
    RealTime,
}

/// As `struct sched_attr` of `sched_setattr(2)` is in its first version.
#[cfg(target_os = "linux")]
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime_ns: u64,
    deadline_ns: u64,
    period_ns: u64,
}

/// Asks for a real-time priority for the calling thread, and tells what it has then: without
/// `CAP_SYS_NICE` it stays as it was.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no library has this system call")]
pub(super) fn be_punctual() -> Scheduling {
    use nix::libc::{SCHED_RR, SYS_sched_setattr, syscall};
    /// Threads that this one starts are normal ones (`SCHED_FLAG_RESET_ON_FORK`).
    const RESET_ON_FORK: u64 = 1;
    let attributes = Attributes {
        size: u32::try_from(size_of::<Attributes>()).unwrap_or(0),
        policy: SCHED_RR.unsigned_abs(),
        flags: RESET_ON_FORK,
        priority: 1,
        ..Attributes::default()
    };
    // SAFETY: 0 is the calling thread; the kernel only reads the value, whose first field tells
    // how long it is.
    let set = unsafe { syscall(SYS_sched_setattr, 0, &raw const attributes, 0) };
    if set == 0 {
        Scheduling::RealTime
    } else {
        Scheduling::Normal
    }
}

/// There is nothing like it here.
#[cfg(not(target_os = "linux"))]
pub(super) fn be_punctual() -> Scheduling {
    Scheduling::Normal
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The scheduling policy of the calling thread, as the kernel tells it: 41st field of `stat`.
    fn policy() -> u32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("there is one");
        let after_name = stat.rsplit_once(')').expect("a name").1;
        let mut fields = after_name.split_whitespace().skip(38);
        let field = fields.next().expect("as many fields");
        field.parse().expect("a number")
    }

    #[test]
    fn what_it_says_is_what_the_kernel_says() {
        let check = std::thread::spawn(|| {
            let normal = policy();
            match be_punctual() {
                Scheduling::RealTime => assert_eq!(policy(), 2, "SCHED_RR"),
                Scheduling::Normal => assert_eq!(policy(), normal),
            }
            std::thread::spawn(policy).join().unwrap()
        });
        assert_eq!(check.join().unwrap(), 0, "its children are normal");
    }
}
