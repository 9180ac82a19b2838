//! Which version of a server a target leads to.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Found, TargetsError};

/// Longest wait for a program to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two looks at it.
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// What is kept of the line.
const VERSION_CHARS_MAX: usize = 200;
/// What is read of the output: less than fits a pipe, so that it can be read after the end.
const OUTPUT_BYTES_MAX: u64 = 16 << 10;

/// The first line that its `version` command prints; `None` for a target without one.
///
/// # Errors
/// The target is not installed, or the command fails.
pub fn version(found: &Found) -> Result<Option<String>, TargetsError> {
    let Some(version) = &found.file.version else {
        return Ok(None);
    };
    let folder = found.folder()?;
    first_line(&version.command, folder)
        .map(Some)
        .map_err(|why| TargetsError::Command {
            name: found.file.name.clone(),
            command: version.command.clone(),
            why: format!(
                "{why}; its setup may be missing: run {} targets install {}",
                crate::called(),
                found.file.name
            ),
        })
}

fn first_line(command: &[String], folder: &Path) -> Result<String, String> {
    let (program, arguments) = command.split_first().ok_or("it is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let deadline = Instant::now() + VERSION_TIMEOUT;
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not end within {VERSION_TIMEOUT:?}"));
            }
            None => std::thread::sleep(LOOK_PAUSE),
        }
    };
    if !status.success() {
        return Err(format!("it ended with {status}"));
    }
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let read = stdout.take(OUTPUT_BYTES_MAX).read_to_end(&mut said);
        read.map_err(|error| error.to_string())?;
    }
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().next().unwrap_or_default().trim();
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    let line: String = line.chars().take(VERSION_CHARS_MAX).collect();
    if line.is_empty() {
        return Err("it printed nothing".to_owned());
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_version() {
        let line = |script: &str| {
            let command = ["sh", "-c", script].map(str::to_owned);
            first_line(&command, Path::new("."))
        };
        assert_eq!(line("echo 1.2; echo more").unwrap(), "1.2");
        assert!(line("exit 3").unwrap_err().contains('3'));
        assert!(line("true").unwrap_err().contains("nothing"));
        let missing = first_line(&["/no/such/program".to_owned()], Path::new("."));
        assert!(missing.is_err());
    }
}
