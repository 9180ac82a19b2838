//! Where a record goes: found out before there is one.

use std::path::Path;

use super::usage;

/// Refuses a place in which no record can be written. Nothing is left there.
///
/// # Errors
/// It cannot be written.
pub(crate) fn check(path: &Path) -> anyhow::Result<()> {
    let refuse = |why: &str| {
        usage(&format!(
            "cannot write the record {}: {why}; choose another file with --output",
            path.display()
        ))
    };
    if path.is_dir() {
        return Err(refuse("it is a directory"));
    }
    // Directories that are missing are made when there is something to write.
    let mut above = path.ancestors().skip(1);
    let there = above.find(|one| one.as_os_str().is_empty() || one.symlink_metadata().is_ok());
    let there = there.filter(|one| !one.as_os_str().is_empty());
    tempfile::NamedTempFile::new_in(there.unwrap_or(Path::new(".")))
        .map_err(|error| refuse(&error.to_string()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_refused_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        std::fs::create_dir(at("made")).unwrap();
        for good in ["a.json", "deep/er/a.json", "file", "made/a.json"] {
            check(&at(good)).unwrap();
        }
        check(Path::new("a.json")).unwrap();
        for bad in ["file/a.json", "file/deep/a.json", "made"] {
            let said = check(&at(bad)).unwrap_err().to_string();
            assert!(said.contains("--output"), "{said}");
        }
        let mut left: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["file", "made"]);
    }
}
