//! Records read back from their files, and what their rows are called beside each other.

use std::collections::BTreeSet;
use std::path::Path;

use busload_wire::histogram::decode_text;
use hdrhistogram::Histogram;
use serde::Deserialize;

use super::comparison::{COMPARISON_VERSION, ComparisonRecord};
use super::durability::AUDIT_VERSION;
use super::fsync::FSYNC_VERSION;
pub use super::read_error::ReadError;
pub use super::standing::Standing;
use super::torture::TORTURE_VERSION;
use super::{Record, Row, SCHEMA_VERSION};
use crate::figures::{grouped, rate};
use crate::record::sides::rows_by_side;
use crate::record::{Comparison, Edition, Reproduction, SkippedPeer, VendorFigure};

/// A record of `run` or `sweep`, a reproduction, or a comparison.
#[derive(Debug, Clone)]
pub struct AnyRecord {
    /// The name of the file, without its directories.
    pub file: String,
    /// What was measured; of a comparison its runs, each named after its side.
    pub record: Record,
    /// The comparison, when it is one.
    pub comparison: Option<ComparisonRecord>,
    /// The article's figures, one for each row; empty for anything but a reproduction.
    pub article: Vec<Comparison>,
    /// Figures that are quoted beside a reproduction.
    pub vendor: Vec<VendorFigure>,
    /// Which published table is reproduced; `None` for anything but a reproduction.
    pub edition: Option<Edition>,
    /// Peers that were asked for beside a reproduction and not measured.
    pub skipped: Vec<SkippedPeer>,
}

/// What only a reproduction has.
#[derive(Debug, Default, Deserialize)]
struct ArticlePart {
    #[serde(default)]
    article: Vec<Comparison>,
    #[serde(default)]
    vendor: Vec<VendorFigure>,
    edition: Option<Edition>,
    #[serde(default)]
    skipped: Vec<SkippedPeer>,
}

impl AnyRecord {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is cut off, is no record, or is of a newer version.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let text = std::fs::read_to_string(path).map_err(|source| ReadError::Io {
            file: path.display().to_string(),
            source,
        })?;
        let file = path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        Self::parse(file, &text)
    }

    /// Reads the text of a file called `file`.
    ///
    /// # Errors
    /// As [`AnyRecord::read`].
    pub fn parse(file: String, text: &str) -> Result<Self, ReadError> {
        let failed = |source: serde_json::Error| {
            let file = file.clone();
            if source.is_eof() {
                ReadError::CutOff { file, source }
            } else {
                ReadError::NotARecord { file, source }
            }
        };
        let value: serde_json::Value = serde_json::from_str(text).map_err(failed)?;
        // Before anything else: another form may lack what this one has.
        let version = |kind: &str| value.get(kind).and_then(serde_json::Value::as_u64);
        let versions = [
            ("schema_version", SCHEMA_VERSION),
            ("comparison_version", COMPARISON_VERSION),
            ("torture_version", TORTURE_VERSION),
            ("fsync_version", FSYNC_VERSION),
            ("audit_version", AUDIT_VERSION),
        ];
        for (kind, read) in versions {
            let Some(found) = version(kind).or_else(|| value.get(kind).map(|_| 0)) else {
                continue;
            };
            if found < u64::from(read) {
                let (file, oldest) = (file, read);
                return Err(ReadError::Older {
                    file,
                    kind,
                    found,
                    oldest,
                });
            }
            if found > u64::from(read) {
                let (file, newest) = (file, read);
                return Err(ReadError::Newer {
                    file,
                    kind,
                    found,
                    newest,
                });
            }
        }
        if value.get("shard_version").is_some() {
            return Err(ReadError::OneShard { file });
        }
        if value.get("comparison_version").is_some() {
            let comparison = ComparisonRecord::deserialize(value).map_err(failed)?;
            return Ok(Self::of_comparison(file, comparison));
        }
        for (kind, verb) in [
            ("torture_version", "torture"),
            ("fsync_version", "fsync"),
            ("audit_version", "audit"),
        ] {
            if value.get(kind).is_some() {
                return Err(ReadError::NoRows { file, verb });
            }
        }
        let extra = ArticlePart::deserialize(&value).map_err(failed)?;
        let record = Record::deserialize(value).map_err(failed)?;
        Ok(Self {
            file,
            record,
            comparison: None,
            // Records of earlier versions do not tell: all are of the article.
            edition: extra
                .edition
                .or_else(|| (!extra.article.is_empty()).then(Edition::default)),
            article: extra.article,
            vendor: extra.vendor,
            skipped: extra.skipped,
        })
    }

    /// A record that is in no file yet.
    #[must_use]
    pub fn of_record(record: Record) -> Self {
        Self {
            file: String::new(),
            record,
            comparison: None,
            article: Vec::new(),
            vendor: Vec::new(),
            edition: None,
            skipped: Vec::new(),
        }
    }

    /// The reproduction of a published table, when it is one.
    #[must_use]
    pub fn reproduction(&self) -> Option<Reproduction> {
        Some(Reproduction {
            record: self.record.clone(),
            edition: self.edition?,
            article: self.article.clone(),
            vendor: self.vendor.clone(),
            skipped: self.skipped.clone(),
        })
    }

    /// A comparison as reports show it.
    #[must_use]
    pub fn of_comparison(file: String, comparison: ComparisonRecord) -> Self {
        let mut record = Record::new(comparison.environment.clone());
        record.naming.clone_from(&comparison.naming);
        for row in rows_by_side(&comparison) {
            record.push(row);
        }
        Self {
            file,
            comparison: Some(comparison),
            ..Self::of_record(record)
        }
    }
}

/// A row as reports show it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Which record it is of, from 0.
    pub record: usize,
    /// Its place in all records together, from 1.
    pub number: usize,
    /// What it is called: no two rows of a report are called the same.
    pub label: &'a str,
    /// What was measured.
    pub row: &'a Row,
    /// The article's figures for it.
    pub article: Option<&'a Comparison>,
}

impl Shown<'_> {
    /// What its TPS is good for.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.row.standing()
    }

    /// Its TPS, never to be mistaken for what it is not.
    #[must_use]
    pub fn tps(&self) -> String {
        let figure = rate(self.row.tps);
        match self.standing() {
            Standing::Invalid => format!("INVALID ({figure})"),
            Standing::NullServer => format!("null server ({figure})"),
            Standing::AtLeast => format!("at least {figure}"),
            Standing::Plain => figure,
        }
    }

    /// Its label, never without what makes its figures less than plain numbers.
    #[must_use]
    pub fn name(&self) -> String {
        match self.standing() {
            Standing::Invalid => format!("{} (INVALID)", self.label),
            Standing::NullServer => format!("{} (null server)", self.label),
            Standing::AtLeast => format!("{} (at least)", self.label),
            Standing::Plain => self.label.to_owned(),
        }
    }
}

/// Everything that one report shows.
#[derive(Debug, Clone)]
pub struct Report {
    /// The records, in the order in which they were named.
    pub records: Vec<AnyRecord>,
    labels: Vec<String>,
}

impl Report {
    /// Puts records together.
    #[must_use]
    pub fn new(records: Vec<AnyRecord>) -> Self {
        let rows: Vec<&Row> = records.iter().flat_map(|one| &one.record.rows).collect();
        let labels = labels(&rows);
        Self { records, labels }
    }

    /// The rows of all records.
    #[must_use]
    pub fn rows(&self) -> Vec<Shown<'_>> {
        let rows = self.records.iter().enumerate().flat_map(|(record, one)| {
            one.record
                .rows
                .iter()
                .enumerate()
                .map(move |(place, row)| (record, row, one.article.get(place)))
        });
        rows.zip(&self.labels)
            .enumerate()
            .map(|(place, ((record, row, article), label))| Shown {
                record,
                number: place + 1,
                label,
                row,
                article,
            })
            .collect()
    }

    /// Decodes a histogram of a row.
    ///
    /// # Errors
    /// It is none.
    pub fn histogram(&self, shown: &Shown<'_>, text: &str) -> Result<Histogram<u64>, ReadError> {
        decode_text(text).ok_or_else(|| ReadError::Histogram {
            file: self.records[shown.record].file.clone(),
            row: shown.number,
        })
    }
}

/// What a row was set to, in words, each with the name of its knob; empty where it was not.
#[must_use]
pub fn settings(row: &Row) -> [(&'static str, String); 11] {
    let config = &row.config;
    let (workload, load) = (&config.workload, &config.load);
    let said = |text: Option<String>| text.unwrap_or_default();
    let durability = row.durability_and_apply();
    let asked = config.target.durability().map(ToString::to_string);
    let asked = asked.filter(|asked| *asked != row.durability);
    let wait = row.batch_timeout_us.filter(|wait| *wait > 0.0);
    let offered = row.open_loop.as_ref().map(|open| rate(open.offered_tps));
    [
        ("connector", config.subject()),
        ("encoding", config.encoding.to_string()),
        (
            "durability",
            match asked {
                Some(asked) => format!("{durability} (asked for {asked})"),
                None => durability,
            },
        ),
        (
            "batch-size",
            said(
                row.batch_size
                    .map(|size| format!("batch {}", grouped(size))),
            ),
        ),
        (
            "batch-timeout",
            said(wait.map(|wait| format!("{} ms", wait / 1e3))),
        ),
        (
            "page-size",
            said(row.page_size.map(|bytes| format!("pages of {bytes}"))),
        ),
        (
            "in-flight",
            format!("{}×{}", load.concurrency, load.max_inflight_per_worker),
        ),
        ("alpha", format!("alpha {}", workload.alpha)),
        (
            "accounts",
            format!("{} accounts", grouped(u64::from(workload.accounts))),
        ),
        ("rate", said(offered.map(|rate| format!("{rate}/s")))),
        ("seed", format!("seed {}", workload.seed)),
    ]
}

/// What rows are called: by their names, and by the knobs in which they differ.
#[must_use]
pub fn names(rows: &[&Row]) -> Vec<String> {
    let set: Vec<_> = rows.iter().map(|row| settings(row)).collect();
    let unnamed = || {
        rows.iter()
            .zip(&set)
            .filter(|(row, _)| row.config.name.is_none())
    };
    let differs = |place: &usize| {
        let values: BTreeSet<&String> = unnamed().map(|(_, set)| &set[*place].1).collect();
        values.len() > 1
    };
    let differing: Vec<usize> = (0..11).filter(differs).collect();
    let label = |(row, set): (&&Row, &[(&str, String); 11])| {
        let mut parts = match &row.config.name {
            Some(name) => vec![name.clone()],
            None if differing.is_empty() => vec![row.config.subject()],
            None => differing
                .iter()
                .map(|place| set[*place].1.clone())
                .collect(),
        };
        let repetition = row.repetition.filter(|one| one.of > 1);
        parts.extend(repetition.map(|one| format!("run {}", one.number)));
        parts.retain(|part| !part.is_empty());
        parts.join(", ")
    };
    rows.iter().zip(&set).map(label).collect()
}

/// The same, with a number where that is what several are called.
fn labels(rows: &[&Row]) -> Vec<String> {
    let mut labels = names(rows);
    let mut taken = BTreeSet::new();
    for label in &mut labels {
        let mut candidate = label.clone();
        let mut copy = 2;
        while !taken.insert(candidate.clone()) {
            candidate = format!("{label} #{copy}");
            copy += 1;
        }
        *label = candidate;
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPRODUCTION: &str = include_str!("../../../tests/records/reproduce.json");

    fn reproduction() -> AnyRecord {
        AnyRecord::parse("reproduce.json".to_owned(), REPRODUCTION).unwrap()
    }

    #[test]
    fn a_reproduction_is_read_with_the_articles_figures() {
        let report = Report::new(vec![reproduction()]);
        let rows = report.rows();
        assert_eq!(rows.len(), 11);
        for shown in &rows {
            let article = shown.article.unwrap();
            assert_eq!(Some(&article.name), shown.row.config.name.as_ref());
        }
        assert_eq!(rows[0].standing(), Standing::Invalid);
        assert_eq!(rows[0].tps(), "INVALID (42,053)");
        assert_eq!(rows[1].standing(), Standing::Plain);
        assert_eq!(rows[1].tps(), "1,417");
    }

    #[test]
    fn rows_are_called_by_what_they_differ_in_and_never_alike() {
        let mut rows: Vec<Row> = reproduction().record.rows[6..9].to_vec();
        for row in &mut rows {
            row.config.name = None;
            row.batch_size = Some(1_000);
            row.config.load.max_inflight_per_worker = 16;
        }
        rows[1].config.workload.alpha = 0.5;
        let named = labels(&rows.iter().collect::<Vec<_>>());
        assert_eq!(named, ["alpha 1.5", "alpha 0.5", "alpha 1.5 #2"]);
        rows.truncate(1);
        let named = labels(&rows.iter().collect::<Vec<_>>());
        assert_eq!(named, ["sqlite_ws_rpc"]);
    }

    #[test]
    fn a_file_that_is_cut_off_is_told_from_one_that_is_no_record() {
        let parse = |text: &str| AnyRecord::parse("a.json".to_owned(), text).unwrap_err();
        let half = &REPRODUCTION[..REPRODUCTION.len() / 2];
        assert!(matches!(parse(half), ReadError::CutOff { .. }));
        assert!(matches!(parse("[]"), ReadError::NotARecord { .. }));
        assert!(matches!(
            parse("{\"schema_version\": 1000}"),
            ReadError::Newer { found: 1_000, .. }
        ));
        let older = parse("{\"schema_version\": 2}").to_string();
        assert!(
            older.contains("from schema_version 3 on: measure again"),
            "{older}"
        );
    }
}
