//! What a server has started and left behind: a process that went into a session of its own
//! survives a signal to the server's process group.
//!
//! A program that [adopts](adopt) is a *child subreaper*: whoever loses its parent among its
//! descendants becomes its child. So everything that a server ever started, however deep and
//! however often detached, is a child of this process once what is above it has ended; killing
//! and waiting for children until there are none leaves nothing of it.
//!
//! **Invariant**: only what this process has not started itself is adopted. Children of its own
//! that live on while others are killed are [spared](spare).
//!
//! **Invariant**: the id of a child is not used again before the child is waited for, and only
//! `end_some` waits for adopted ones. So a signal to such an id hits that child, as one
//! through a pidfd would.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Longest wait for the end of processes that were killed.
pub const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two looks at them.
const END_PAUSE: Duration = Duration::from_millis(2);

/// Children of this process's own, and whether it adopts others.
static CHILDREN: Mutex<Children> = Mutex::new(Children {
    adopts: false,
    spared: BTreeMap::new(),
});

struct Children {
    adopts: bool,
    /// By process id.
    spared: BTreeMap<u32, Role>,
}

/// What a child of this process's own is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A server, the leader of a process group.
    Server,
    /// Something that ends by itself when this process does, and must not be killed: it clears
    /// up.
    Helper,
}

fn children() -> MutexGuard<'static, Children> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Processes that a server started did not end when they were killed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} that the server started did not end within {END_TIMEOUT:?} of SIGKILL: {}", count(.0), list(.0))]
pub struct Survivors(pub Vec<String>);

fn count(names: &[String]) -> String {
    match names.len() {
        1 => "a process".to_owned(),
        many => format!("{many} processes"),
    }
}

fn list(names: &[String]) -> String {
    names.join(", ")
}

/// From now on whoever loses its parent among the descendants of this process becomes its child.
/// To be called by programs, not by libraries: of a process that does not call it nothing is
/// ended here.
pub fn adopt() {
    #[cfg(target_os = "linux")]
    if nix::sys::prctl::set_child_subreaper(true).is_ok() {
        children().adopts = true;
    }
}

/// A child of this process's own, which is none of a server's leavings for as long as this
/// lives.
#[derive(Debug)]
pub struct Spared(u32);

/// Starts a child of this process's own that is not ended with what servers have left behind.
/// `start` gives it with its process id.
///
/// # Errors
/// Those of `start`.
pub fn spare<C>(
    role: Role,
    start: impl FnOnce() -> io::Result<(C, u32)>,
) -> io::Result<(C, Spared)> {
    // Held: nobody may take it for an adopted one before it is known.
    let mut children = children();
    let (child, pid) = start()?;
    children.spared.insert(pid, role);
    Ok((child, Spared(pid)))
}

impl Drop for Spared {
    fn drop(&mut self) {
        children().spared.remove(&self.0);
    }
}

/// Kills all servers of this process and what they have started, and waits for their end, within
/// `limit`: for a program that ends now.
pub fn end_all(limit: Duration) {
    children().spared.retain(|&pid, &mut role| {
        if role == Role::Server
            && let Ok(group) = i32::try_from(pid)
        {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        role != Role::Server
    });
    end_within(limit);
}

/// Kills what servers have left behind and waits until nothing of it is left, within `limit`.
/// Their own processes have ended, or are spared.
pub fn end_within(limit: Duration) {
    let deadline = Instant::now() + limit;
    while !end_some().is_empty() && Instant::now() < deadline {
        std::thread::sleep(END_PAUSE);
    }
}

/// Looks once: kills all adopted children that are there, and waits for those that have ended.
/// What there was, by id and name; also those that have ended, since what they had started may
/// have been adopted behind the back of this look.
#[cfg(target_os = "linux")]
pub(super) fn end_some() -> Vec<String> {
    use nix::sys::signal::kill;
    use nix::sys::wait::{WaitPidFlag, waitpid};

    let children = children();
    if !children.adopts {
        return Vec::new();
    }
    let own = std::process::id().cast_signed();
    let Ok(all) = procfs::process::all_processes() else {
        return Vec::new();
    };
    let stats = all.flatten().filter_map(|process| process.stat().ok());
    let adopted = stats.filter(|stat| {
        stat.ppid == own && !children.spared.contains_key(&stat.pid.cast_unsigned())
    });
    let mut left = Vec::new();
    for stat in adopted {
        let pid = Pid::from_raw(stat.pid);
        let _ = kill(pid, Signal::SIGKILL);
        let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        left.push(format!("{} ({})", stat.pid, stat.comm));
    }
    left
}

/// What lives of a server besides its leader: the processes of its group, everything that one of
/// them has started, and adopted children; by id and name.
#[cfg(target_os = "linux")]
pub(super) fn living_beside(leader: u32) -> Vec<String> {
    let children = children();
    let own = std::process::id().cast_signed();
    let leader = leader.cast_signed();
    let Ok(all) = procfs::process::all_processes() else {
        return Vec::new();
    };
    let stats: Vec<_> = all
        .flatten()
        .filter_map(|process| process.stat().ok())
        .collect();
    let mut found = std::collections::BTreeSet::new();
    // Until nobody is found whose parent is: numbers say nothing of who was first.
    loop {
        let before = found.len();
        for stat in &stats {
            let is_adopted = children.adopts
                && stat.ppid == own
                && !children.spared.contains_key(&stat.pid.cast_unsigned());
            if stat.pid == leader || stat.pgrp == leader || is_adopted || found.contains(&stat.ppid)
            {
                found.insert(stat.pid);
            }
        }
        if found.len() == before {
            break;
        }
    }
    let living = stats
        .iter()
        .filter(|stat| stat.pid != leader && stat.state != 'Z' && found.contains(&stat.pid));
    living
        .map(|stat| format!("{} ({})", stat.pid, stat.comm))
        .collect()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn living_beside(_: u32) -> Vec<String> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn end_some() -> Vec<String> {
    Vec::new()
}
