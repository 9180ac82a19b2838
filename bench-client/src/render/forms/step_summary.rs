//! The summary of a GitHub Actions step: Markdown appended to the file that the variable
//! `GITHUB_STEP_SUMMARY` names.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use crate::render::document::Document;
use crate::render::write::markdown;

/// The largest file that GitHub shows, in bytes: 1,024 KiB per step; a larger one is dropped
/// with an error annotation ("Adding a job summary", GitHub's workflow commands).
pub const BYTES_MAX: usize = 1_024 * 1_024;

/// What stands at the end of a summary that was cut.
const CUT: &str = "\n\n**Cut here: the summary of a step has a limit of 1,024 KiB. The whole is in \
                   the record.**\n";
const CLOSE: &str = "\n\n</details>\n";

/// Appends what a record says to the file named by the variable's value; does nothing when the
/// variable is absent or empty. Returns whether something was appended.
///
/// # Errors
/// The file cannot be written.
pub fn append_if_asked(variable: Option<&OsStr>, document: &Document) -> io::Result<bool> {
    match variable {
        Some(file) if !file.is_empty() => append(Path::new(file), &markdown::write(document)),
        _ => Ok(false),
    }
}

/// Appends text to a summary, as much of it as the limit leaves room for. Returns whether
/// something was appended.
///
/// # Errors
/// The file cannot be written.
pub fn append(file: &Path, text: &str) -> io::Result<bool> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    let there = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let text = fitting(text, BYTES_MAX.saturating_sub(there));
    file.write_all(text.as_bytes())?;
    Ok(!text.is_empty())
}

/// Whole lines of a text, in at most `room` bytes with the note that it was cut.
fn fitting(text: &str, room: usize) -> String {
    // A line feed more, should what is there not end in one.
    let whole = format!("\n{text}\n");
    if whole.len() <= room {
        return whole;
    }
    let Some(room) = room.checked_sub(CUT.len() + CLOSE.len()) else {
        return String::new();
    };
    let end = whole
        .char_indices()
        .rfind(|(at, character)| *character == '\n' && *at <= room)
        .map_or(0, |(at, _)| at);
    let mut out = whole[..end].to_owned();
    if out.matches("<details>").count() > out.matches("</details>").count() {
        out.push_str(CLOSE);
    }
    out.push_str(CUT);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_whole_and_what_does_not_is_cut_at_a_line() {
        assert_eq!(fitting("a\nb", 100), "\na\nb\n");
        let long = format!("<details>\n{}", "é line\n".repeat(1_000));
        let cut = fitting(&long, 1_000);
        assert!(cut.len() <= 1_000 && cut.len() > 900, "{}", cut.len());
        assert!(cut.ends_with(CUT));
        let before = cut.trim_end_matches(CUT);
        assert!(before.ends_with(&format!("é line{CLOSE}")), "{cut}");
        assert_eq!(fitting(&long, 10), "");
    }

    #[test]
    fn a_summary_never_grows_past_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("summary.md");
        std::fs::write(&path, "before\n").unwrap();
        let line = "0123456789abcde\n";
        for _ in 0..3 {
            append(&path, &line.repeat(30_000)).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(written.starts_with("before\n\n0123"));
        assert!(written.len() <= BYTES_MAX && written.len() > BYTES_MAX - 200);
        assert!(written.ends_with(CUT));
        assert!(
            !append(&path, &line.repeat(100)).unwrap(),
            "there is no room"
        );
    }
}
