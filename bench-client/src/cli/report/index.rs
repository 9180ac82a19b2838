//! Directories of results: one page, or text, over all records in them, and a page for each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bench_client::record::load_record::{AnyRecord, ReadError, Report};
use bench_client::render::document::Document;
use bench_client::render::forms::{FormError, Options};
use bench_client::render::records::index::{self, Content, Entry};
use bench_client::with_causes;

use super::{UsageError, WithoutRows, is_new, write};

/// More files than this are not what a person keeps results in.
const FILES_MAX: usize = 10_000;
/// Directories inside of each other.
const DEPTH_MAX: usize = 16;

/// What a link to a record's file is called.
const RECORD: &str = "Record (JSON)";

/// How a form makes text of a document.
type ToText = fn(&Document, &Options) -> Result<String, FormError>;

/// A file, and where it is below what was named.
struct Found {
    path: PathBuf,
    name: String,
}

/// Where an index will be.
pub(super) enum Place<'a> {
    /// In this directory, with a page for each record beside it, and the records themselves.
    Pages(&'a Path),
    /// In this directory, if that is known, by itself.
    Alone(Option<&'a Path>),
}

/// The records in `named`, files and directories, as one document; with pages each is written
/// there, too, as the form makes it, and its file, unless it lies there already.
///
/// # Errors
/// A directory cannot be read or written to, or holds too much.
pub(super) fn document(
    named: &[PathBuf],
    to_text: ToText,
    options: &Options,
    place: &Place<'_>,
) -> anyhow::Result<Document> {
    let (at, pages) = match place {
        Place::Pages(directory) => (Some(*directory), Some(*directory)),
        Place::Alone(directory) => (*directory, None),
    };
    let mut found = Vec::new();
    for path in named {
        if path.is_dir() {
            let before = found.len();
            collect(path, "", DEPTH_MAX, &mut found)?;
            if found.len() == before {
                return Err(UsageError(format!(
                    "there is no record in {}: name another directory, or measure with run",
                    path.display()
                ))
                .into());
            }
        } else {
            let name = path.file_name().unwrap_or(path.as_os_str());
            let (path, name) = (path.clone(), name.to_string_lossy().into_owned());
            found.push(Found { path, name });
        }
    }
    if let Some(directory) = pages {
        let failed = || format!("cannot create {}", directory.display());
        std::fs::create_dir_all(directory).with_context(failed)?;
    }
    let mut seen = BTreeSet::new();
    found.retain(|one| is_new(&one.path, &mut seen));
    let mut taken = BTreeSet::from(["index".to_owned()]);
    let mut entries = Vec::new();
    for Found { path, name } in found {
        let (content, mut document) = match read(&path) {
            Ok(read) => read,
            // What was named is to be shown.
            Err(error) if named.contains(&path) => return Err(error),
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = error.as_ref();
                let content = Content::Unread(without_path(&with_causes(error), &path));
                entries.push(Entry {
                    file: name,
                    page: None,
                    record: None,
                    content,
                });
                continue;
            }
        };
        let mut record = at.and_then(|at| record_from(at, &path));
        let page = pages.map(|directory| {
            let page_name = page_name(&name, &mut taken);
            let page = format!("{page_name}.html");
            if record.is_none() {
                let copy = format!("{page_name}.json");
                let copied = std::fs::copy(&path, directory.join(&copy));
                copied.with_context(|| format!("cannot copy {}", path.display()))?;
                record = Some((RECORD, copy));
            }
            document
                .links
                .push(("All records", "index.html".to_owned()));
            document.links.extend(record.clone());
            let text = to_text(&document, options).map_err(anyhow::Error::from_boxed);
            let text = text.with_context(|| format!("cannot show {}", path.display()))?;
            write(&directory.join(&page), &text)?;
            anyhow::Ok(page)
        });
        let page = page.transpose()?;
        entries.push(Entry {
            file: name,
            page,
            record: record.map(|(_, address)| address),
            content,
        });
    }
    Ok(index::document(&entries))
}

/// What is in a file, and what it says by itself.
fn read(path: &Path) -> anyhow::Result<(Content, Document)> {
    match AnyRecord::read(path) {
        Ok(record) => {
            let report = Report::new(vec![record]);
            let document = bench_client::render::records::report::document(&report)?;
            let mut records = report.records;
            let record = records.pop().context("one was put in")?;
            Ok((Content::of_rows(record), document))
        }
        Err(ReadError::NoRows { verb, .. }) => {
            let record = WithoutRows::read(path, verb)?;
            let document = record.document();
            Ok((
                Content::alone(verb, &document, record.environment()),
                document,
            ))
        }
        Err(error) => Err(error.into()),
    }
}

/// The way from a page in a directory to a record that lies there, too.
pub(super) fn record_from(directory: &Path, record: &Path) -> Option<(&'static str, String)> {
    let record = record.canonicalize().ok()?;
    let below = record.strip_prefix(directory.canonicalize().ok()?).ok()?;
    let address = below.to_str()?.replace('%', "%25").replace('#', "%23");
    Some((RECORD, address.replace('?', "%3F")))
}

/// The index has the file's name before it.
fn without_path(why: &str, path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let why = why.strip_prefix(&*path.to_string_lossy()).unwrap_or(why);
    let why = why.strip_prefix(&*name).unwrap_or(why);
    why.trim_start().to_owned()
}

/// All records below a directory, in the order of their names. Links are not followed, and what
/// begins with a dot is left out.
fn collect(
    directory: &Path,
    below: &str,
    depth: usize,
    found: &mut Vec<Found>,
) -> anyhow::Result<()> {
    let shown = directory.display();
    if depth == 0 {
        let deep = format!("{shown} is {DEPTH_MAX} directories deep: name what is to be shown");
        return Err(UsageError(deep).into());
    }
    let unread = || format!("cannot read {shown}");
    let entries: Result<Vec<_>, _> = std::fs::read_dir(directory).with_context(unread)?.collect();
    let mut entries = entries.with_context(unread)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().with_context(unread)?;
        let path = entry.path();
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{below}{name}");
        if kind.is_dir() {
            collect(&path, &format!("{name}/"), depth - 1, found)?;
        } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "json") {
            found.push(Found { path, name });
        }
        if found.len() > FILES_MAX {
            let many = format!("{shown} has over {FILES_MAX} records: name a part of it");
            return Err(UsageError(many).into());
        }
    }
    Ok(())
}

/// A name that no other page has and that an address can have as it is.
fn page_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    let name = name.strip_suffix(".json").unwrap_or(name);
    let plain = |character: char| match character {
        '/' => '-',
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => character,
        _ => '_',
    };
    let name: String = name.chars().map(plain).collect();
    let numbered = (2_u64..).map(|number| format!("{name}-{number}"));
    let mut candidates = std::iter::once(name.clone()).chain(numbered);
    let free = candidates.find(|one| taken.insert(one.clone()));
    free.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_called_after_their_records_and_never_alike() {
        let mut taken = BTreeSet::from(["index".to_owned()]);
        let mut name = |text: &str| page_name(text, &mut taken);
        assert_eq!(name("2026-11-21-vm/run.json"), "2026-11-21-vm-run");
        assert_eq!(name("2026-11-21-vm-run.json"), "2026-11-21-vm-run-2");
        assert_eq!(name("index.json"), "index-2");
        assert_eq!(name("a b#?%.json"), "a_b___");
    }

    #[test]
    fn a_reason_does_not_repeat_the_file() {
        let path = Path::new("some/a.json");
        assert_eq!(without_path("a.json is cut off", path), "is cut off");
        assert_eq!(
            without_path("some/a.json is no record", path),
            "is no record"
        );
        assert_eq!(
            without_path("cannot read some/a.json", path),
            "cannot read some/a.json"
        );
    }
}
