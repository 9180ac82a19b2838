//! The recorded counts, and what it means when others are counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// How much a count may differ, as a part of the recorded one.
const LIMIT: f64 = 0.03;
/// The same where the system's C compiler, C library, valgrind or processor are not those of the
/// baseline.
const LIMIT_ELSEWHERE: f64 = 0.10;
/// What must be as recorded: the repository pins the compiler, and cannot pin the rest.
const PINNED: &str = "rustc";
/// How the counts are recorded.
const RECORD: &str = "just bench-instructions-record";

/// Counts and where they were counted, as the file has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    /// What decides on the counts besides the code.
    pub(crate) environment: BTreeMap<String, String>,
    /// By path.
    pub(crate) instructions_per_transfer: BTreeMap<String, f64>,
}

impl Baseline {
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| {
            format!(
                "cannot read the baseline {} (record one: {RECORD})",
                file.display()
            )
        })?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is no baseline (record one: {RECORD})", file.display()))
    }

    /// Writes it with a tenth of an instruction.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let mut rounded = self.clone();
        for count in rounded.instructions_per_transfer.values_mut() {
            *count = (*count * 10.0).round() / 10.0;
        }
        let text = serde_json::to_string_pretty(&rounded)? + "\n";
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// What became of one path.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    /// Within the limit.
    None,
    Grown,
    /// Less than recorded: as much could be lost again, and nobody would notice.
    Fallen,
    /// Counted and not recorded.
    New,
    /// Recorded and not counted.
    Gone,
}

/// One path.
#[derive(Debug)]
struct Line {
    name: String,
    recorded: Option<f64>,
    counted: Option<f64>,
    change: Change,
}

impl Line {
    fn new(name: &str, recorded: Option<f64>, counted: Option<f64>, limit: f64) -> Self {
        let change = match (recorded, counted) {
            (Some(recorded), Some(counted)) if counted > recorded * (1.0 + limit) => Change::Grown,
            (Some(recorded), Some(counted)) if counted < recorded * (1.0 - limit) => Change::Fallen,
            (Some(_), Some(_)) => Change::None,
            (None, _) => Change::New,
            (Some(_), None) => Change::Gone,
        };
        Self {
            name: name.to_owned(),
            recorded,
            counted,
            change,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: Option<f64>| count.map_or("-".to_owned(), |n| format!("{n:.1}"));
        let ratio = match (self.recorded, self.counted) {
            (Some(recorded), Some(counted)) => format!("{:.3}", counted / recorded),
            _ => "-".to_owned(),
        };
        let remark = match self.change {
            Change::None => "",
            Change::Grown => "  GROWN",
            Change::Fallen => "  FALLEN",
            Change::New => "  NEW",
            Change::Gone => "  GONE",
        };
        let (recorded, counted) = (count(self.recorded), count(self.counted));
        let name = &self.name;
        writeln!(
            f,
            "{name:28} {recorded:>10} {counted:>10} {ratio:>7}{remark}"
        )
    }
}

/// Counts held against recorded ones.
#[derive(Debug)]
pub(crate) struct Comparison {
    lines: Vec<Line>,
    /// What of the environment differs: its name, as recorded, as it is.
    differing: Vec<(String, String, String)>,
    limit: f64,
}

impl Comparison {
    pub(crate) fn new(recorded: &Baseline, counted: &Baseline) -> Self {
        let of = |environment: &BTreeMap<String, String>, name: &str| {
            environment.get(name).map_or("-", String::as_str).to_owned()
        };
        let (there, here) = (&recorded.environment, &counted.environment);
        let names: BTreeSet<&String> = there.keys().chain(here.keys()).collect();
        let differing: Vec<_> = names
            .into_iter()
            .map(|name| (name.clone(), of(there, name), of(here, name)))
            .filter(|(_, there, here)| there != here)
            .collect();
        let limit = if differing.is_empty() {
            LIMIT
        } else {
            LIMIT_ELSEWHERE
        };
        let (there, here) = (
            &recorded.instructions_per_transfer,
            &counted.instructions_per_transfer,
        );
        let names: BTreeSet<&String> = there.keys().chain(here.keys()).collect();
        let lines = names
            .into_iter()
            .map(|name| {
                Line::new(
                    name,
                    there.get(name).copied(),
                    here.get(name).copied(),
                    limit,
                )
            })
            .collect();
        Self {
            lines,
            differing,
            limit,
        }
    }

    /// Another compiler than the repository asks for says nothing about the code.
    fn is_of_another_compiler(&self) -> bool {
        self.differing.iter().any(|(name, ..)| name == PINNED)
    }

    /// Nothing is to be done.
    pub(crate) fn is_as_recorded(&self) -> bool {
        !self.is_of_another_compiler() && self.lines.iter().all(|line| line.change == Change::None)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [path, recorded, counted, ratio] = ["path", "recorded", "counted", "ratio"];
        writeln!(f, "instructions per transfer")?;
        writeln!(f, "{path:28} {recorded:>10} {counted:>10} {ratio:>7}")?;
        for line in &self.lines {
            line.fmt(f)?;
        }
        for (name, there, here) in &self.differing {
            writeln!(f, "note: recorded with {name} {there}, counted with {here}")?;
        }
        let percent = self.limit * 100.0;
        if !self.differing.is_empty() {
            writeln!(
                f,
                "note: so counts may differ by {percent:.0} % here; to judge a change of yours, \
                 record without it ({RECORD}) and compare with it"
            )?;
        }
        if self.is_of_another_compiler() {
            writeln!(
                f,
                "error: the baseline is of another compiler: record it again: {RECORD}"
            )?;
        }
        for line in self.lines.iter().filter(|line| line.change != Change::None) {
            let Line { name, .. } = line;
            let what = match (line.change, line.recorded, line.counted) {
                (Change::Grown | Change::Fallen, Some(old), Some(new)) => {
                    let ratio = new / old;
                    format!("{old:.1} -> {new:.1}, {ratio:.3} x (limit {percent:.0} %)")
                }
                (Change::New, ..) => "is not recorded".to_owned(),
                _ => "is recorded and was not counted".to_owned(),
            };
            writeln!(
                f,
                "error: {name}: {what}; if it is meant: {RECORD}, and say why in the commit message"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(counts: &[(&str, f64)]) -> Baseline {
        let environment = [("rustc", "1.95.0"), ("cc", "cc 12"), ("valgrind", "3.19")];
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let count = |(name, count): &(&str, f64)| ((*name).to_owned(), *count);
        Baseline {
            environment: environment.iter().map(owned).collect(),
            instructions_per_transfer: counts.iter().map(count).collect(),
        }
    }

    fn with(mut baseline: Baseline, name: &str, value: &str) -> Baseline {
        let environment = &mut baseline.environment;
        environment.insert(name.to_owned(), value.to_owned());
        baseline
    }

    fn errors(comparison: &Comparison) -> Vec<String> {
        let text = comparison.to_string();
        let lines = text.lines().filter(|line| line.starts_with("error: "));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn three_per_cent_are_within_the_limit_and_more_is_not() {
        let recorded = baseline(&[("a", 1_000.0)]);
        for count in [970.0, 1_000.0, 1_030.0] {
            let comparison = Comparison::new(&recorded, &baseline(&[("a", count)]));
            assert!(comparison.is_as_recorded(), "{count}");
            assert_eq!(errors(&comparison), Vec::<String>::new(), "{count}");
        }
        for (count, ratio) in [(1_031.0, "1.031"), (969.0, "0.969")] {
            let comparison = Comparison::new(&recorded, &baseline(&[("a", count)]));
            assert!(!comparison.is_as_recorded(), "{count}");
            let [error] = &errors(&comparison)[..] else {
                panic!("one line: {comparison}");
            };
            for part in [
                "a: 1000.0",
                &format!("{count:.1}"),
                ratio,
                RECORD,
                "say why",
            ] {
                assert!(error.contains(part), "{part} in {error}");
            }
        }
    }

    #[test]
    fn a_path_that_is_only_on_one_side_is_an_error() {
        let (one, two) = (baseline(&[("a", 1.0)]), baseline(&[("a", 1.0), ("b", 1.0)]));
        for (recorded, counted, what) in [
            (&one, &two, "b: is not recorded"),
            (&two, &one, "b: is recorded and was not counted"),
        ] {
            let comparison = Comparison::new(recorded, counted);
            assert!(!comparison.is_as_recorded());
            assert!(errors(&comparison)[0].contains(what), "{comparison}");
        }
    }

    #[test]
    fn elsewhere_the_limit_is_wider_and_the_difference_is_said() {
        let recorded = baseline(&[("a", 1_000.0)]);
        let elsewhere = |count| with(baseline(&[("a", count)]), "cc", "cc 13");
        let comparison = Comparison::new(&recorded, &elsewhere(1_099.0));
        assert!(comparison.is_as_recorded());
        let text = comparison.to_string();
        assert!(
            text.contains("recorded with cc cc 12, counted with cc 13"),
            "{text}"
        );
        assert!(!Comparison::new(&recorded, &elsewhere(1_101.0)).is_as_recorded());
    }

    #[test]
    fn a_baseline_of_another_compiler_is_an_error_whatever_was_counted() {
        let recorded = baseline(&[("a", 1_000.0)]);
        let counted = with(recorded.clone(), "rustc", "1.96.0");
        let comparison = Comparison::new(&recorded, &counted);
        assert!(!comparison.is_as_recorded());
        assert!(
            errors(&comparison)[0].contains("another compiler"),
            "{comparison}"
        );
    }

    #[test]
    fn what_was_written_is_read_to_a_tenth() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("baseline.json");
        baseline(&[("a", 87.64)]).write(&file).unwrap();
        assert_eq!(Baseline::read(&file).unwrap(), baseline(&[("a", 87.6)]));
        std::fs::write(&file, "{}").unwrap();
        let error = format!("{:#}", Baseline::read(&file).unwrap_err());
        assert!(error.contains(RECORD), "{error}");
    }
}
