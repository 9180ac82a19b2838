//! What tests that run themselves again under `strace` need to know first.

use std::io::Write as _;
use std::process::Command;

/// Whether `strace` can trace here; else the test says that it was passed over, and why.
pub(crate) fn can_trace(name: &str) -> bool {
    let Err(why) = strace_works() else {
        return true;
    };
    // Not by `eprintln`, which the test harness keeps to itself when a test passes.
    let skipped = format!("skipped {}::{name}: {why}\n", env!("CARGO_CRATE_NAME"));
    std::io::stderr()
        .write_all(skipped.as_bytes())
        .expect("stderr takes a line");
    false
}

fn strace_works() -> Result<(), String> {
    let probe = Command::new("strace")
        .args(["-qq", "-e", "trace=none", "true"])
        .output();
    match probe {
        Err(error) => Err(format!("strace cannot be started: {error}")),
        Ok(output) if !output.status.success() => {
            let message = String::from_utf8_lossy(&output.stderr);
            Err(format!(
                "strace cannot trace: {}",
                message.lines().next().unwrap_or("no reason")
            ))
        }
        Ok(_) => Ok(()),
    }
}
