//! A short time slice for a client thread that must be on time.
//!
//! On a machine whose cores the server uses too, a thread that wakes waits until the one that
//! runs has used up its slice of some milliseconds, unless its own is shorter: Linux's EEVDF
//! scheduler runs the earliest virtual deadline first, and the deadline of a short slice is near
//! (`Documentation/scheduler/sched-eevdf.rst`; a slice can be asked for since Linux 6.12). It
//! gets no larger share of the processor by that, only smaller pieces sooner, and needs no
//! privilege.

/// The shortest slice that can be asked for.
#[cfg(target_os = "linux")]
const SHORTEST_NS: u64 = 100_000;

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

/// Asks for the shortest slice for the calling thread. Whatever does not work leaves it as it
/// was: the schedule lag in the record shows what came of it.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no library has this system call")]
pub(super) fn shorten() {
    use nix::libc::{SYS_sched_getattr, SYS_sched_setattr, syscall};
    let mut attributes = Attributes::default();
    let size = size_of::<Attributes>();
    // SAFETY: thread 0 is the calling one; the kernel writes at most `size` bytes into a value
    // of that size, whose fields may hold anything.
    let got = unsafe { syscall(SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if got != 0 {
        return;
    }
    attributes.runtime_ns = SHORTEST_NS;
    // SAFETY: the kernel only reads the value, whose first field tells how long it is.
    unsafe { syscall(SYS_sched_setattr, 0, &raw const attributes, 0) };
}

/// There is nothing like it here.
#[cfg(not(target_os = "linux"))]
pub(super) fn shorten() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use nix::libc::{SYS_sched_getattr, syscall};

    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "no library has this system call")]
    fn asking_changes_the_slice_or_nothing() {
        let read = || {
            let mut attributes = Attributes::default();
            // SAFETY: as above.
            let got = unsafe {
                syscall(
                    SYS_sched_getattr,
                    0,
                    &raw mut attributes,
                    size_of::<Attributes>(),
                    0,
                )
            };
            assert_eq!(got, 0);
            attributes
        };
        let before = read();
        shorten();
        let after = read();
        assert_eq!((before.policy, before.nice), (after.policy, after.nice));
        assert!(after.runtime_ns == SHORTEST_NS || after.runtime_ns == before.runtime_ns);
    }
}
