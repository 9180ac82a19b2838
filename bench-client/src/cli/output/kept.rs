//! A record that stands where another is to be written: what would be lost.

use std::fmt;
use std::path::Path;

use bench_client::figures::{counted, rate};
use serde_json::Value;

/// Versions of records whose form says which verb wrote them.
const FORMS: [(&str, &str); 5] = [
    ("comparison_version", "compare"),
    ("torture_version", "torture"),
    ("fsync_version", "fsync"),
    ("audit_version", "audit"),
    ("shard_version", "shard"),
];

/// Verbs whose records have one form.
const OF_ROWS: [&str; 5] = ["run", "merge", "ceiling", "sweep", "reproduce"];

/// What a record says of itself, of whichever version it is.
pub(super) struct Kept {
    /// Which verb wrote it.
    pub(super) verb: String,
    record: Value,
}

impl Kept {
    /// `None` for what is no record.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let record: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let form = FORMS
            .iter()
            .find(|(version, _)| record.get(version).is_some());
        let verb = match form {
            Some((_, verb)) => (*verb).to_owned(),
            None => verb_of_rows(&record)?,
        };
        Some(Self { verb, record })
    }
}

fn verb_of_rows(record: &Value) -> Option<String> {
    record.get("schema_version")?;
    let words = record["environment"]["command_line"].as_array()?;
    let mut words = words.iter().filter_map(Value::as_str);
    words.find(|word| OF_ROWS.contains(word)).map(str::to_owned)
}

/// When it was measured, and its TPS or how many rows it has.
impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a record of {}", self.verb)?;
        if let Some(at) = self.record["environment"]["started_at"].as_str() {
            let minute: String = at.chars().take("2026-11-29T12:03".len()).collect();
            write!(f, " of {} UTC", minute.replace('T', " "))?;
        }
        let rows = self.record["rows"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        match rows {
            [] => Ok(()),
            [row] => match row["tps"].as_f64() {
                Some(tps) => write!(f, ", {} TPS", rate(tps)),
                None => Ok(()),
            },
            rows => write!(f, ", {}", counted(rows.len() as u64, "row")),
        }
    }
}
