//! Baselines: records of `run`, kept by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use busload_sqlite::{Durability, default_page_bytes};
use serde::{Deserialize, Serialize};

use super::Conditions;
use super::conditions::{self, PAGE_SIZE};
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
    /// What rows do not name ([`Conditions::settings`]), if it is known: only what was saved as
    /// a baseline has it.
    pub settings: Option<BTreeMap<String, String>>,
}

/// Why there is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It cannot be a file name.
    #[error(
        "'{0}' is no name of a baseline: letters, digits, '.', '-' and '_', not first a '.' or \
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

/// A record with what its rows do not name. Whatever reads records reads this as well.
#[derive(Serialize)]
struct Saved<'a> {
    #[serde(flatten)]
    record: &'a Record,
    settings: &'a BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Settings {
    #[serde(default)]
    settings: Option<BTreeMap<String, String>>,
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
    pub fn save(
        path: &Path,
        record: &Record,
        settings: &BTreeMap<String, String>,
    ) -> std::io::Result<bool> {
        let replaced = path.exists();
        write_json(path, &Saved { record, settings })?;
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
        let read = AnyRecord::read(&path)?.record;
        let settings = settings_in(&path);
        let rows = read.rows.into_iter();
        let mut rows: Vec<Row> = rows.filter(|row| row.valid && !row.interrupted).collect();
        let of = |row: &Row| Conditions::of_row(row, &read.environment);
        let mut kinds: Vec<Conditions> = Vec::new();
        for row in &rows {
            let conditions = of(row);
            if kinds
                .iter()
                .all(|kind| !kind.differences(&conditions).is_empty())
            {
                kinds.push(conditions);
            }
        }
        let unlike =
            |kind: &&Conditions| candidate.map_or(0, |candidate| kind.differences(candidate).len());
        let Some(kind) = kinds.iter().min_by_key(unlike) else {
            return Err(BaselineError::NoRows(path));
        };
        if kinds.len() > 1 && candidate.is_none() {
            return Err(BaselineError::Several {
                path,
                kinds: kinds.len(),
            });
        }
        rows.retain(|row| kind.differences(&of(row)).is_empty());
        Ok(Self {
            path,
            environment: read.environment,
            rows,
            settings,
        })
    }

    /// Of its first row.
    #[must_use]
    pub fn conditions(&self) -> Option<Conditions> {
        let row = self.rows.first()?;
        let conditions = Conditions::of_row(row, &self.environment);
        Some(match &self.settings {
            Some(settings) => conditions.with_settings(settings),
            None => conditions,
        })
    }

    /// The flags of `run` and their values that measure its rows again, and for how long.
    #[must_use]
    pub fn flags(&self) -> Vec<(String, String)> {
        let Some(row) = self.rows.first() else {
            return Vec::new();
        };
        let mut flags: Vec<(String, String)> = [
            ("connectors", row.connector.clone()),
            ("encoding", row.encoding.clone()),
            ("concurrency", row.concurrency.to_string()),
            (
                "max-inflight-per-worker",
                row.max_inflight_per_worker.to_string(),
            ),
            ("threads", row.threads.to_string()),
            ("alpha", row.alpha.to_string()),
            ("accounts", row.accounts.to_string()),
            ("amount", row.amount.to_string()),
            ("op-timeout", format!("{}s", row.op_timeout_seconds)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        flags.extend(self.times());
        let mut add = |name: &str, value: Option<String>| {
            flags.extend(value.map(|value| (name.to_owned(), value)));
        };
        if let Some(durability) = &row.durability_requested {
            add("durability", Some(durability.clone()));
            add("apply", row.apply.clone());
            add("batch-size", row.batch_size.map(|size| size.to_string()));
            let is_set = self
                .settings
                .as_ref()
                .is_some_and(|settings| settings.contains_key(PAGE_SIZE));
            // What the server chose then it may not choose now.
            let chosen = durability.parse().ok().map(|durability: Durability| {
                default_page_bytes(durability, row.accounts.into()).to_string()
            });
            let had = conditions::page_size(row).filter(|_| !is_set);
            add(PAGE_SIZE, had.filter(|had| chosen.as_ref() != Some(had)));
            add(
                "batch-timeout",
                row.batch_timeout_us.map(|us| format!("{us}us")),
            );
        }
        if let Some(once) = &row.exactly_once {
            let timeout = format!("{}s", once.resolve_timeout_seconds);
            add("exactly-once", Some("true".to_owned()));
            add("resolve-timeout", Some(timeout));
            add("resolve-tries", Some(once.resolve_tries.to_string()));
        }
        if let Some(open) = &row.open_loop {
            let arrival = match open.arrival {
                crate::record::Arrival::Constant => "constant",
                crate::record::Arrival::Poisson => "poisson",
            };
            add("rate", Some(open.offered_tps.to_string()));
            add("arrival", Some(arrival.to_owned()));
            let limit = open.latency_limit_ms;
            add("latency-limit", limit.map(|ms| format!("{ms}ms")));
        }
        for (name, value) in self.settings.iter().flatten() {
            match (name.as_str(), value.as_str()) {
                ("url", url) if url.contains("://") => add(name, Some(url.to_owned())),
                ("url", authority) => add(name, Some(format!("{}://{authority}", row.transport))),
                // A switch, off by default.
                ("reseed", "false") => {}
                (name, value) => add(name, Some(value.to_owned())),
            }
        }
        flags
    }

    /// The flags of the lengths of warm-up and window. Windows are measured, so they are
    /// rounded to three digits.
    #[must_use]
    pub fn times(&self) -> Vec<(String, String)> {
        let Some(row) = self.rows.first() else {
            return Vec::new();
        };
        let seconds: f64 = format!("{:.2e}", row.seconds)
            .parse()
            .unwrap_or(row.seconds);
        vec![
            ("seconds".to_owned(), seconds.to_string()),
            ("warmup".to_owned(), row.warmup_seconds.to_string()),
        ]
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

fn settings_in(path: &Path) -> Option<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let settings: Settings = serde_json::from_str(&text).unwrap_or_default();
    settings.settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::knobs::tests::row;

    fn environment() -> Environment {
        Environment::capture(Path::new("."))
    }

    fn save(path: &Path, rows: Vec<Row>) -> bool {
        let mut record = Record::new(environment());
        record.rows = rows;
        let settings = BTreeMap::from([("queue".to_owned(), "1000".to_owned())]);
        Baseline::save(path, &record, &settings).unwrap()
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
        assert_eq!(read.settings.as_ref().unwrap()["queue"], "1000");
        assert!(AnyRecord::read(&path).is_ok(), "it is a record");
        let flags = read.flags();
        for flag in ["connectors", "durability", "batch-timeout", "queue"] {
            assert!(flags.iter().any(|(name, _)| name == flag), "{flag}");
        }
        let planned = crate::row::knobs::tests::plan();
        let planned = Conditions::of_plan(&planned, &environment())
            .with_settings(&Conditions::settings(&planned));
        let conditions = read.conditions().unwrap();
        assert_eq!(conditions.differences(&planned), []);
    }

    /// Pages that this program would choose by itself are not named: an older server does not know
    /// the flag.
    #[test]
    fn other_pages_than_the_default_are_asked_for_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let flag = |accounts: u32, page_size: u32| {
            let of = || Row {
                accounts,
                page_size: Some(page_size),
                ..row()
            };
            save(&path, vec![of(), of()]);
            let read = Baseline::open(path.to_str().unwrap(), None).unwrap();
            let flags = read.flags().into_iter();
            let mut named = flags.filter(|(name, _)| name == "page-size");
            named.next().map(|(_, value)| value)
        };
        assert_eq!(flag(1_000, 4096), None);
        assert_eq!(flag(1_000, 512).as_deref(), Some("512"));
        assert_eq!(flag(10_000_000, 512), None);
        assert_eq!(flag(10_000_000, 4096).as_deref(), Some("4096"));
    }

    #[test]
    fn of_several_kinds_the_most_like_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let mut other = row();
        other.concurrency += 1;
        save(&path, vec![row(), other.clone(), row()]);
        let name = path.to_str().unwrap();
        let error = Baseline::open(name, None).unwrap_err().to_string();
        assert!(error.contains("2 kinds"), "{error}");
        let like = Conditions::of_row(&other, &environment());
        let chosen = Baseline::open(name, Some(&like)).unwrap();
        assert_eq!(chosen.rows.len(), 1);
        assert_eq!(chosen.rows[0].concurrency, other.concurrency);
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
        assert!(refused(name).contains("is no record"));
        assert!(refused("no-such-baseline").contains("there is no baseline"));
        assert!(refused("./no/such.json").contains("cannot read"));
    }
}
