//! What a server that somebody else wrote has for one run: a fresh folder for its data, and a
//! file for its output.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::TargetError;

/// Name of the file that `{database}` stands for.
const LEDGER: &str = "ledger.sqlite";
/// How much of the end of the output is read for messages.
const TAIL_BYTES: u64 = 16 << 10;

/// Folder and output of one run. The folder goes when this is dropped; the output stays, unless
/// the run [ended well](Self::close).
#[derive(Debug)]
pub(super) struct RunFolder {
    folder: TempDir,
    output: PathBuf,
    keep: bool,
}

impl RunFolder {
    /// Makes a folder below `data_dir` for a run of the server with this name.
    pub(super) fn make(data_dir: &Path, name: &str, keep: bool) -> Result<Self, TargetError> {
        let failed = |source| TargetError::Folder {
            folder: data_dir.display().to_string(),
            source,
        };
        // The server is started elsewhere.
        let data_dir = std::path::absolute(data_dir).map_err(failed)?;
        std::fs::create_dir_all(&data_dir).map_err(failed)?;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(&data_dir)
            .map_err(failed)?;
        let output = folder.path().with_extension("log");
        Ok(Self {
            folder,
            output,
            keep,
        })
    }

    /// The file that `{database}` stands for.
    pub(super) fn database(&self) -> PathBuf {
        self.folder.path().join(LEDGER)
    }

    pub(super) fn output(&self) -> &Path {
        &self.output
    }

    /// Ends the run.
    pub(super) fn close(mut self, well: bool) {
        if self.keep {
            self.folder.disable_cleanup(true);
        } else if well {
            let _ = std::fs::remove_file(&self.output);
        }
    }
}

impl Drop for RunFolder {
    /// A file without a word is of no use.
    fn drop(&mut self) {
        if std::fs::metadata(&self.output).is_ok_and(|output| output.len() == 0) {
            let _ = std::fs::remove_file(&self.output);
        }
    }
}

/// The last lines of a server's output, at most so many.
pub(super) fn last_lines(output: &Path, most: usize) -> Vec<String> {
    let read = || {
        let mut file = std::fs::File::open(output)?;
        let begin = file.metadata()?.len().saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    let text = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(printable).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    lines[lines.len().saturating_sub(most)..].to_vec()
}

/// A line without what a terminal would obey.
fn printable(line: &str) -> String {
    let kept = line.trim_end().chars().filter(|c| !c.is_control());
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_goes_and_the_output_stays_until_the_run_ends_well() {
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join("not/there");
        let make = |keep| {
            let run = RunFolder::make(&data, "a", keep).unwrap();
            std::fs::write(run.database(), "x").unwrap();
            std::fs::write(run.output(), "one\n\ntwo\x1b[2J\nthree\n").unwrap();
            run
        };
        let there = || {
            let mut names: Vec<_> = std::fs::read_dir(&data)
                .unwrap()
                .map(|entry| entry.unwrap().path().extension().is_some())
                .collect();
            names.sort_unstable();
            names
        };
        let run = make(false);
        assert_eq!(last_lines(run.output(), 2), ["two[2J", "three"]);
        run.close(true);
        assert_eq!(there(), [false; 0]);
        drop(make(false));
        assert_eq!(there(), [true], "its output");
        make(true).close(true);
        assert_eq!(there(), [false, true, true], "and what was to be kept");
    }
}
