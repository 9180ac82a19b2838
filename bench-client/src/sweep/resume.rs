//! Going on with a sweep: which rows are there already, and whether they belong together.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::config::{RunConfig, flag_of};
use crate::host::environment::Environment;
use crate::output::is_stream;
use crate::record::{Axis, Record, Row, SCHEMA_VERSION, Sweep};
use crate::target::endpoint;

/// Why a file is not gone on with. It is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is something else.
    #[error(
        "{} is not a record of a sweep, and is not overwritten: name another file with --output",
        .0.display()
    )]
    NoSweep(PathBuf),
    /// It was written by another version.
    #[error(
        "{} has version {version} of the record, this program writes {SCHEMA_VERSION}: name \
         another file with --output",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Its rows were measured under other conditions.
    #[error(
        "{} was measured under other conditions ({}): name another file with --output, or mix \
         them with --resume-anyway",
        path.display(),
        differences.join("; ")
    )]
    Different {
        /// The file.
        path: PathBuf,
        /// What differs: what was, and what is now.
        differences: Vec<String>,
    },
}

/// The record to go on with: the one in the file, if there is one.
///
/// With `anyway`, other conditions are noted in the record instead of being an error.
///
/// # Errors
/// There is a file and it cannot be gone on with.
pub fn open(
    path: &Path,
    environment: &Environment,
    sweep: Sweep,
    anyway: bool,
) -> Result<Record, ResumeError> {
    // What a device or a FIFO gives is no record that was written there.
    let read = if is_stream(path) {
        Err(ErrorKind::NotFound.into())
    } else {
        std::fs::read_to_string(path)
    };
    let text = match read {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut record = Record::new(environment.clone());
            record.sweep = Some(sweep);
            return Ok(record);
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(ResumeError::NoSweep(path.to_owned()));
        }
        Err(source) => {
            let path = path.to_owned();
            return Err(ResumeError::Unreadable { path, source });
        }
    };
    let none = || ResumeError::NoSweep(path.to_owned());
    let value: Value = serde_json::from_str(&text).map_err(|_| none())?;
    let version = value["schema_version"].as_u64().ok_or_else(none)?;
    if version != u64::from(SCHEMA_VERSION) {
        return Err(ResumeError::Version {
            path: path.to_owned(),
            version: u32::try_from(version).unwrap_or(u32::MAX),
        });
    }
    let mut record: Record = serde_json::from_value(value).map_err(|_| none())?;
    let recorded = record.sweep.take().ok_or_else(none)?;
    let mut differences = environment_differences(&record.environment, environment);
    compare(
        "setting",
        &to_value(&recorded.settings),
        &to_value(&sweep.settings),
        &mut differences,
    );
    let mut despite = recorded.resumed_despite;
    if !differences.is_empty() {
        if !anyway {
            return Err(ResumeError::Different {
                path: path.to_owned(),
                differences,
            });
        }
        despite.extend(differences);
        despite.sort();
        despite.dedup();
    }
    record.sweep = Some(Sweep {
        resumed_despite: despite,
        ..sweep
    });
    Ok(record)
}

/// What every row of a sweep shares: all that is compared, less what is swept and what a
/// connector has a default of its own for; and where a server at a URL is.
#[must_use]
pub fn settings(config: &RunConfig, over: &[Axis]) -> BTreeMap<String, Value> {
    let mut settings = config.compared();
    settings.retain(|name, _| {
        let flag = flag_of(name);
        let is_swept = over.iter().any(|axis| axis.knob.name() == flag);
        // The names of targets are in the rows.
        let of_connector = ["connector", "inflight", "server"].contains(&flag.as_str())
            || ["server_version", "promised_durability"].contains(&name.as_str())
            || name.starts_with("label_");
        !is_swept && !of_connector
    });
    if let Ok(Some(endpoint)) = endpoint(&config.target) {
        let url = endpoint.url_for(config.connector);
        settings.insert("url".to_owned(), url.into());
    }
    settings
}

/// What makes two environments give other numbers: machine, storage and program. The time, the
/// command line and what else ran are left out.
#[must_use]
pub fn environment_differences(recorded: &Environment, now: &Environment) -> Vec<String> {
    let mut differences = Vec::new();
    let comparable = |environment: &Environment| {
        let mut machine = environment.machine.clone();
        machine.load_average_1m = None;
        // The kernel keeps a little more or less for itself from one start to the next.
        machine.memory_bytes = machine.memory_bytes.map(|bytes| bytes >> 28 << 28);
        [
            to_value(&machine),
            to_value(&environment.storage),
            to_value(&environment.program),
            serde_json::json!({ "preload": environment.preload }),
        ]
    };
    let sides = comparable(recorded).into_iter().zip(comparable(now));
    for ((was, is), name) in sides.zip(["machine", "storage", "program", "environment"]) {
        compare(name, &was, &is, &mut differences);
    }
    differences
}

fn to_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// Field by field, one level deep.
fn compare(name: &str, was: &Value, is: &Value, differences: &mut Vec<String>) {
    let empty = serde_json::Map::new();
    let (was, is) = (
        was.as_object().unwrap_or(&empty),
        is.as_object().unwrap_or(&empty),
    );
    let fields: std::collections::BTreeSet<_> = was.keys().chain(is.keys()).collect();
    let show = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    for field in fields {
        let (was, is) = (show(was.get(field)), show(is.get(field)));
        if was != is {
            differences.push(format!("{name} {field} was {was}, is {is}"));
        }
    }
}

/// The rows of a record that count as measured, each once.
#[derive(Debug, Default)]
pub struct Recorded {
    taken: Vec<usize>,
}

impl Recorded {
    /// The place of the row that this plan would measure again: same configuration, valid, not
    /// interrupted. `number` is which repetition, from 1; `None` takes any.
    pub fn take(&mut self, rows: &[Row], plan: &RunConfig, number: Option<u32>) -> Option<usize> {
        let place = rows.iter().enumerate().position(|(place, row)| {
            let repetition = row.repetition.map_or(1, |repetition| repetition.number);
            row.valid
                && !row.interrupted
                && number.is_none_or(|number| number == repetition)
                && row.config == *plan
                && !self.taken.contains(&place)
        })?;
        self.taken.push(place);
        Some(place)
    }

    /// A row that was added just now.
    pub fn measured(&mut self, place: usize) {
        self.taken.push(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Repetition;
    use crate::record::fixtures::row;

    fn environment() -> Environment {
        Environment::capture(Path::new("."))
    }

    fn sweep() -> Sweep {
        Sweep {
            over: vec!["alpha=0,1".parse().unwrap()],
            settings: settings(&row().config, &[]),
            resumed_despite: Vec::new(),
        }
    }

    #[test]
    fn what_is_swept_is_no_setting() {
        let over: [Axis; 2] =
            ["alpha=0,1", "batch-timeout=0ms,1ms"].map(|axis| axis.parse().unwrap());
        let settings = settings(&row().config, &over);
        for name in ["alpha", "batch_timeout_us", "seed", "connector"] {
            assert!(!settings.contains_key(name), "{name}");
        }
        assert_eq!(settings["queue"], 1_048_576);
    }

    #[test]
    fn a_record_is_gone_on_with_where_it_was_begun() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let begun = environment();
        let mut record = open(&path, &begun, sweep(), false).unwrap();
        assert!(
            !path.exists(),
            "nothing is written before something is measured"
        );
        record.push(row());
        record.write_to(&path).unwrap();

        let mut later = begun.clone();
        "2030-01-01T00:00:00Z".clone_into(&mut later.started_at);
        later.command_line.push("--runs".to_owned());
        later.machine.load_average_1m = Some(9.0);
        let record = open(&path, &later, sweep(), false).unwrap();
        assert_eq!(
            (record.rows.len(), record.environment.started_at),
            (1, begun.started_at.clone())
        );

        later.machine.kernel = Some("Linux 9.9".to_owned());
        later.program.git_revision = "abc".to_owned();
        let mut other = sweep();
        other.settings.insert("queue".to_owned(), 5.into());
        let error = open(&path, &later, other.clone(), false)
            .unwrap_err()
            .to_string();
        for says in [
            "machine kernel was",
            "is Linux 9.9",
            "git_revision",
            "setting queue was 1048576, is 5",
            "--resume-anyway",
        ] {
            assert!(error.contains(says), "no '{says}' in {error}");
        }
        let record = open(&path, &later, other, true).unwrap();
        let noted = record.sweep.unwrap().resumed_despite;
        assert_eq!(noted.len(), 3, "{noted:?}");
    }

    #[test]
    fn what_is_no_record_of_a_sweep_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let refused = |text: &[u8], says: &str| {
            std::fs::write(&path, text).unwrap();
            let error = open(&path, &environment(), sweep(), true).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), text);
        };
        refused(b"", "not a record of a sweep");
        refused(b"dear diary", "not a record of a sweep");
        refused(b"\xff\xfe", "not a record of a sweep");
        refused(b"{\"rows\": []}", "not a record of a sweep");
        refused(b"{\"schema_version\": 1}", "version 1");
        let run = serde_json::to_vec(&Record::new(environment())).unwrap();
        refused(&run, "not a record of a sweep");
        assert!(matches!(
            open(directory.path(), &environment(), sweep(), true),
            Err(ResumeError::Unreadable { .. })
        ));
    }

    #[test]
    fn only_rows_that_count_are_taken_and_each_once() {
        let (mut invalid, mut interrupted) = (row(), row());
        invalid.valid = false;
        interrupted.interrupted = true;
        let mut second = row();
        second.repetition = Some(Repetition { number: 2, of: 2 });
        let rows = [invalid, interrupted, second, row()];
        let mut recorded = Recorded::default();
        assert_eq!(
            recorded.take(&rows, &row().config, Some(1)),
            Some(3),
            "a single run is the first"
        );
        assert_eq!(recorded.take(&rows, &row().config, Some(1)), None);
        assert_eq!(recorded.take(&rows, &row().config, Some(3)), None);
        assert_eq!(recorded.take(&rows, &row().config, None), Some(2));
        assert_eq!(recorded.take(&rows, &row().config, None), None);
        let mut other = row().config;
        other.workload.seed += 1;
        assert_eq!(Recorded::default().take(&rows, &other, None), None);
    }
}
