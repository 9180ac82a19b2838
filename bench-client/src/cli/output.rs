//! Where a record goes: found out before there is one.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

mod kept;

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bench_client::called;
use bench_client::config::heading::OUTPUT;
use bench_client::host::environment::Environment;
use bench_client::output::{self, Existing, directory_of};
use bench_client::render::document::Document;
use bench_client::render::forms::FORMS;
use bench_client::render::forms::step_summary::append_if_asked;
use clap::Args;
use serde::Serialize;

use super::title::TitleArgs;
use super::verbosity::notice;
use super::{usage, verbosity};
use kept::Kept;

/// Where records go that nobody named.
pub(crate) const RUNS: &str = "results/runs";

/// How a verb that measures hands over its record.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputArgs {
    /// Print the record as JSON, and nothing else
    ///
    /// On standard output.
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) json: bool,
    /// File of the record [default: new in results/runs]
    #[arg(id = "output", short, long = "output", help_heading = OUTPUT, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) naming: TitleArgs,
}

impl OutputArgs {
    /// The file of the record; a new one for what this verb measures, unless it was named. Refused
    /// when no record can be written there, or when something else than a record of this verb would
    /// be lost.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn checked(
        &self,
        verb: &str,
        environment: &Environment,
    ) -> anyhow::Result<RecordFile> {
        let file = RecordFile::choose(self.file.as_deref(), verb, environment);
        file.check_replacing(verb)?;
        Ok(file)
    }

    /// The same, where a record that is there is gone on with.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn to_go_on_with(
        &self,
        verb: &str,
        environment: &Environment,
    ) -> anyhow::Result<RecordFile> {
        let file = RecordFile::choose(self.file.as_deref(), verb, environment);
        file.check()?;
        Ok(file)
    }
}

/// Appends what was found to the summary of the step of GitHub Actions in which this runs, if it
/// does.
pub(crate) fn summarise_step(document: &Document) {
    let summary = std::env::var_os("GITHUB_STEP_SUMMARY");
    if let Err(error) = append_if_asked(summary.as_deref(), document) {
        verbosity::warning(&format!("cannot write the step's summary: {error}"));
    }
}

/// The file of a record.
pub(crate) struct RecordFile {
    path: PathBuf,
    /// Nobody named it, and it is not written yet: what stands there is somebody else's.
    new: Cell<bool>,
}

impl RecordFile {
    /// The named one; without a name, a new one for what this verb measures.
    pub(crate) fn choose(named: Option<&Path>, verb: &str, environment: &Environment) -> Self {
        let new = || Path::new(RUNS).join(format!("{}.json", new_name(verb, environment)));
        Self {
            path: named.map_or_else(new, Path::to_owned),
            new: Cell::new(named.is_none()),
        }
    }

    /// Refuses a place where no record can be written or one of another verb, or anything else,
    /// would be replaced. A record of this verb may be: that is said.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn check_replacing(&self, verb: &str) -> anyhow::Result<()> {
        self.check()?;
        if self.new.get() || output::is_stream(&self.path) || !self.path.exists() {
            return Ok(());
        }
        let verb = verb.split('-').next().unwrap_or(verb);
        let shown = self.path.display();
        match Kept::read(&self.path) {
            Some(kept) if kept.verb == verb => notice(&format!("{shown} is replaced: {kept}")),
            other => {
                let what = other.map_or_else(|| "no record".to_owned(), |kept| kept.to_string());
                return Err(usage(&format!(
                    "{shown} is there, and is {what}: name another file with --output, or remove it"
                )));
            }
        }
        Ok(())
    }

    fn check(&self) -> anyhow::Result<()> {
        check_ending(&self.path)?;
        check(&self.path)?;
        let directory = directory_of(&self.path);
        if !self.new.get() && !directory.exists() {
            notice(&format!(
                "the directory {} is not there: it is made for the record",
                directory.display()
            ));
        }
        Ok(())
    }

    /// Writes the record.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, record: &impl Serialize) -> anyhow::Result<()> {
        let existing = if self.new.get() {
            Existing::Refused
        } else {
            Existing::Replaced
        };
        output::write_json(&self.path, record, existing)
            .with_context(|| format!("cannot write the record {}", self.path.display()))?;
        self.new.set(false);
        Ok(())
    }

    /// Writes the record so far, of which more is to come: where it can be replaced.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write_so_far(&self, record: &impl Serialize) -> anyhow::Result<()> {
        if output::is_stream(&self.path) {
            return Ok(());
        }
        self.write(record)
    }

    /// Writes the record, all of which has been written so far where it can be replaced.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn finish(&self, record: &impl Serialize) -> anyhow::Result<()> {
        if output::is_stream(&self.path) {
            return self.write(record);
        }
        Ok(())
    }
}

impl Deref for RecordFile {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

/// A name that sorts by time and that no other run has, in this container or another: a process
/// id would be the same in two.
pub(crate) fn new_name(verb: &str, environment: &Environment) -> String {
    let stamp: String = environment
        .started_at
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(15)
        .collect();
    // Its keys are from the system's randomness.
    let random = RandomState::new().hash_one(std::process::id());
    format!("{stamp}-{verb}-{random:016x}")
}

/// A record is JSON: a page or a table is made of it.
fn check_ending(path: &Path) -> anyhow::Result<()> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let form = FORMS
        .iter()
        .find(|form| Some(form.ending()) == ending && form.ending() != "json");
    let Some(form) = form.filter(|_| !output::is_stream(path)) else {
        return Ok(());
    };
    let (shown, record) = (path.display(), path.with_extension("json"));
    let record = record.display();
    Err(usage(&format!(
        "{shown}: a record is JSON; write it to {record}, then `{} report {record} --format {} \
         --output {shown}`",
        called(),
        form.name
    )))
}

/// Refuses a place in which no record can be written. Nothing is left there.
///
/// # Errors
/// It cannot be written.
fn check(path: &Path) -> anyhow::Result<()> {
    let refuse = |why: &str| {
        usage(&format!(
            "cannot write the record {}: {why}; choose another file with --output",
            path.display()
        ))
    };
    if path.is_dir() {
        return Err(refuse("it is a directory"));
    }
    if output::is_stream(path) {
        return Ok(());
    }
    let place = output::followed(path).map_err(|error| refuse(&error.to_string()))?;
    // Directories that are missing are made when there is something to write.
    let mut above = directory_of(&place).ancestors();
    let there = above.find(|one| one.as_os_str().is_empty() || one.symlink_metadata().is_ok());
    let there = there.filter(|one| !one.as_os_str().is_empty());
    output::new_in(there.unwrap_or(Path::new("."))).map_err(|error| refuse(&error.to_string()))?;
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

    #[test]
    fn no_two_runs_have_one_name() {
        let environment = Environment::capture(Path::new("."));
        let names = [(); 2].map(|()| new_name("run", &environment));
        assert_ne!(names[0], names[1]);
        assert_eq!(names[0].split_once("-run-").unwrap().1.len(), 16);
    }

    #[test]
    fn only_the_own_record_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.json");
        std::fs::write(&path, "another's").unwrap();
        let file = |new| RecordFile {
            path: path.clone(),
            new: Cell::new(new),
        };
        let said = file(true).write(&1).unwrap_err().to_string();
        assert!(said.contains("record.json"), "{said}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "another's");
        std::fs::remove_file(&path).unwrap();
        let own = file(true);
        own.write_so_far(&1).unwrap();
        own.write(&2).unwrap();
        own.finish(&3).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n");
    }
}
