//! Baselines: records of `run`, kept by name.

use std::path::{Path, PathBuf};

use super::Conditions;
use crate::config::Flag;
use crate::host::environment::Environment;
use crate::record::load_record::{AnyRecord, ReadError};
use crate::record::{Record, Row, write_json};

/// Where baselines go.
pub const BASELINES: &str = "results/baselines";

/// Rows that were measured earlier under one set of conditions.
#[derive(Debug, Clone)]
pub struct Baseline {
    /// The file.
    pub path: PathBuf,
    /// Where and by what they were measured.
    pub environment: Environment,
    /// The repetitions, each valid and complete.
    pub rows: Vec<Row>,
}

/// Why there is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It cannot be a file name.
    #[error(
        "'{0}' is not the name of a baseline: letters, digits, '.', '-' and '_', not first a '.' or \
         '-', and without the ending .json; files have paths, as in ./{0}"
    )]
    Name(String),
    /// There is none of that name.
    #[error(
        "there is no baseline {name} in {BASELINES}{}: save one with run --save-baseline {name}",
        but(.others)
    )]
    Missing {
        /// The name.
        name: String,
        /// Those that are there.
        others: Vec<String>,
    },
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It has nothing to compare with.
    #[error("{} has no valid row to compare with: measure it again", .0.display())]
    NoRows(PathBuf),
    /// Its rows are of several kinds, and none is chosen.
    #[error(
        "{} has rows of {kinds} kinds: name the side that is compared with it, the rows most \
         like it are taken",
        path.display()
    )]
    Several {
        /// The file.
        path: PathBuf,
        /// How many.
        kinds: usize,
    },
}

fn but(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(", only {}", names.join(", "))
    }
}

/// The file of a baseline with this name.
///
/// # Errors
/// It is no name.
pub fn named_path(name: &str) -> Result<PathBuf, BaselineError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let is_json = Path::new(name)
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(allowed) || is_json {
        return Err(BaselineError::Name(name.to_owned()));
    }
    Ok(Path::new(BASELINES).join(format!("{name}.json")))
}

impl Baseline {
    /// How many runs it has.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    /// Saves a record under a name; whether it replaced another.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(path: &Path, record: &Record) -> std::io::Result<bool> {
        let replaced = path.exists();
        write_json(path, record)?;
        Ok(replaced)
    }

    /// Reads the baseline of this name, or the record in this file. Of rows of several kinds,
    /// those most like `candidate` are taken.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it has no rows to compare with.
    pub fn open(name_or_file: &str, candidate: Option<&Conditions>) -> Result<Self, BaselineError> {
        let path = match named_path(name_or_file) {
            Ok(path) if path.exists() => path,
            // A file in the working directory may look like a name.
            named => {
                let file = PathBuf::from(name_or_file);
                if !file.is_file() && named.is_ok() {
                    return Err(BaselineError::Missing {
                        name: name_or_file.to_owned(),
                        others: saved(),
                    });
                }
                file
            }
        };
        let kinds = Self::all(&path)?;
        if kinds.len() > 1 && candidate.is_none() {
            return Err(BaselineError::Several {
                path,
                kinds: kinds.len(),
            });
        }
        let unlike = |kind: &Self| {
            let both = candidate.zip(kind.conditions());
            both.map_or(0, |(candidate, kind)| kind.differences(candidate).len())
        };
        let chosen = kinds.into_iter().min_by_key(unlike);
        chosen.ok_or(BaselineError::NoRows(path))
    }

    /// Reads all rows of a record that can be compared with, each kind by itself, in the order in
    /// which they were measured: one at least.
    ///
    /// # Errors
    /// It cannot be read, or has no rows to compare with.
    pub fn all(path: &Path) -> Result<Vec<Self>, BaselineError> {
        let read = AnyRecord::read(path)?.record;
        let mut kinds: Vec<(Conditions, Self)> = Vec::new();
        for row in read.rows {
            if !row.valid || row.interrupted {
                continue;
            }
            let conditions = Conditions::of_row(&row, &read.environment);
            let mut known = kinds.iter_mut();
            match known.find(|(kind, _)| kind.differences(&conditions).is_empty()) {
                Some((_, kind)) => kind.rows.push(row),
                None => kinds.push((
                    conditions,
                    Self {
                        path: path.to_owned(),
                        environment: read.environment.clone(),
                        rows: vec![row],
                    },
                )),
            }
        }
        if kinds.is_empty() {
            return Err(BaselineError::NoRows(path.to_owned()));
        }
        Ok(kinds.into_iter().map(|(_, kind)| kind).collect())
    }

    /// Of its first row.
    #[must_use]
    pub fn conditions(&self) -> Option<Conditions> {
        let row = self.rows.first()?;
        Some(Conditions::of_row(row, &self.environment))
    }

    /// The flags of `run` that measure its rows again.
    #[must_use]
    pub fn flags(&self) -> Vec<Flag> {
        let Some(row) = self.rows.first() else {
            return Vec::new();
        };
        let mut flags = row.config.to_flags();
        if row.config.target.is_url() {
            flags.push(("url".to_owned(), row.server_url.clone()));
        }
        flags
    }

    /// Those of them that say for how long.
    #[must_use]
    pub fn times(&self) -> Vec<Flag> {
        let mut flags = self.flags();
        flags.retain(|(name, _)| ["duration", "transfers", "warmup"].contains(&name.as_str()));
        flags
    }
}

/// The names of all baselines.
fn saved() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(BASELINES) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let is_json = path.extension().is_some_and(|ending| ending == "json");
        let name = path.file_stem()?.to_str()?.to_owned();
        is_json.then_some(name)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::row;

    fn environment() -> Environment {
        Environment::capture(Path::new("."))
    }

    fn save(path: &Path, rows: Vec<Row>) -> bool {
        let mut record = Record::new(environment());
        record.rows = rows;
        Baseline::save(path, &record).unwrap()
    }

    #[test]
    fn names_are_no_paths() {
        assert_eq!(
            named_path("main-2.1").unwrap(),
            Path::new("results/baselines/main-2.1.json")
        );
        for name in [
            "", "a/b", "..", ".hidden", "-x", "a b", "a.json", "a.JSON", "ä",
        ] {
            assert!(named_path(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_saved_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let mut invalid = row();
        invalid.valid = false;
        assert!(!save(&path, vec![row(), invalid, row()]));
        assert!(save(&path, vec![row(), row()]), "it is replaced");
        let read = Baseline::open(path.to_str().unwrap(), None).unwrap();
        assert_eq!(read.rows.len(), 2);
        assert!(AnyRecord::read(&path).is_ok(), "it is a record");
        let flags = read.flags();
        for flag in ["connector", "durability", "batch-timeout", "queue"] {
            assert!(flags.iter().any(|(name, _)| name == flag), "{flag}");
        }
        let planned = Conditions::of_plan(&row().config, &environment());
        let conditions = read.conditions().unwrap();
        assert_eq!(conditions.differences(&planned), []);
    }

    #[test]
    fn of_several_kinds_the_most_like_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let mut other = row();
        other.config.load.concurrency += 1;
        save(&path, vec![row(), other.clone(), row()]);
        let name = path.to_str().unwrap();
        let error = Baseline::open(name, None).unwrap_err().to_string();
        assert!(error.contains("2 kinds"), "{error}");
        let like = Conditions::of_row(&other, &environment());
        let chosen = Baseline::open(name, Some(&like)).unwrap();
        assert_eq!(chosen.rows.len(), 1);
        assert_eq!(
            chosen.rows[0].config.load.concurrency,
            other.config.load.concurrency
        );
    }

    #[test]
    fn what_cannot_be_compared_with_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let mut invalid = row();
        invalid.valid = false;
        save(&path, vec![invalid]);
        let name = path.to_str().unwrap();
        let refused = |name: &str| Baseline::open(name, None).unwrap_err().to_string();
        assert!(refused(name).contains("no valid row"));
        std::fs::write(&path, "dear diary").unwrap();
        assert!(refused(name).contains("is not a record"));
        assert!(refused("no-such-baseline").contains("there is no baseline"));
        assert!(refused("./no/such.json").contains("cannot read"));
    }
}
