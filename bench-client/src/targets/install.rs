//! Installing: the files of a target into a folder, and its setup.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{TargetsError, find, shipped};
use crate::config::target_file::TargetFile;

/// Writes a target that ships into a folder of its name below `directory`, and runs its setup
/// there; one that has a folder already is set up where it is. `tell` is told of each step. The
/// folder.
///
/// # Errors
/// There is no such target, a file cannot be written, or a command fails.
pub fn install(
    name: &str,
    directory: &Path,
    tell: &mut dyn FnMut(&str),
) -> Result<PathBuf, TargetsError> {
    let (folder, file) = if let Some(files) = shipped::files(name) {
        let folder = directory.join(name);
        for (path, bytes) in files {
            write(&folder.join(path), bytes)?;
        }
        tell(&format!(
            "{name}: {} files in {}",
            files.len(),
            folder.display()
        ));
        let text = shipped::text(name).unwrap_or_default();
        let file = TargetFile::parse(text, &folder)?;
        (folder, file)
    } else {
        let found = find(name, directory)?;
        (found.folder()?.to_owned(), found.file)
    };
    for command in &file.setup.commands {
        tell(&format!("{}: {}", file.name, super::shown(command)));
        set_up(command, &folder).map_err(|why| TargetsError::Command {
            name: file.name.clone(),
            command: command.clone(),
            why,
        })?;
    }
    Ok(folder)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), TargetsError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, bytes));
    written.map_err(|source| TargetsError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Runs a command of a setup, whose output is shown: on standard error, since standard output
/// belongs to reports.
fn set_up(command: &[String], folder: &Path) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("it is empty")?;
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .map_err(|error| error.to_string())?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("it ended with {status}"))
    }
}
