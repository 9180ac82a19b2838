//! What ends a server that somebody else wrote when this process is killed: this project's own
//! notice that their standard input ends, others do not.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use super::descendants::{Role, Spared, spare};

/// Waits for a line; the end of its input instead means that nobody is left to write one.
const SCRIPT: &str = "read -r _ || kill -s KILL -- \"-$1\"";

/// A process that kills a process group when this process is gone.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    _spared: Spared,
}

impl Guard {
    /// Of the group of this leader.
    pub(super) fn of(leader: u32) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "sh", &leader.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal is not for it.
            .process_group(0);
        let (child, spared) = spare(Role::Helper, || {
            let child = command.spawn()?;
            let pid = child.id();
            Ok((child, pid))
        })?;
        Ok(Self {
            child,
            _spared: spared,
        })
    }
}

impl Drop for Guard {
    /// The group has ended, and its number may be another's.
    fn drop(&mut self) {
        if let Some(mut stdin) = self.child.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Child {
        let mut command = Command::new("sleep");
        command.arg("60").process_group(0);
        command.spawn().unwrap()
    }

    #[test]
    fn the_group_is_killed_when_nobody_is_left_to_write_and_else_is_not() {
        let mut living = group();
        drop(Guard::of(living.id()).unwrap());
        assert!(living.try_wait().unwrap().is_none());
        let mut guard = Guard::of(living.id()).unwrap();
        drop(guard.child.stdin.take());
        assert!(!living.wait().unwrap().success());
    }
}
