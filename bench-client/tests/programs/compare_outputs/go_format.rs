//! A strict reader of the Go benchmark format, written from its description (golang/proposal
//! 14313 and the documentation of `golang.org/x/perf/benchfmt`): whatever a line is not allowed
//! to be is a failure here, also where benchstat would pass over it.

use std::collections::BTreeMap;

/// A line of results.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Without `Benchmark`.
    pub(crate) name: String,
    /// The configuration lines above it, the last of each key.
    pub(crate) config: BTreeMap<String, String>,
    /// By unit.
    pub(crate) values: BTreeMap<String, f64>,
}

/// `key: value`; a key begins with a lower-case letter and holds no upper-case letter and no
/// space.
fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let begins = key.chars().next()?.is_lowercase();
    let holds = key.chars().all(|c| !c.is_uppercase() && !c.is_whitespace());
    let spaced = value.is_empty() || value.starts_with([' ', '\t']);
    (begins && holds && spaced).then(|| (key, value.trim()))
}

fn result(line: &str) -> Option<(String, BTreeMap<String, f64>)> {
    let mut words = line.split_whitespace();
    let name = words.next()?.strip_prefix("Benchmark")?;
    // After the prefix no lower-case letter, or a test would be called like that.
    assert!(!name.chars().next()?.is_lowercase(), "{line}");
    // `-8` at the end would be the number of processors.
    if let Some((_, end)) = name.rsplit_once('-') {
        assert!(end.parse::<u64>().is_err(), "{line}");
    }
    let iterations: u64 = words.next()?.parse().ok()?;
    assert!(iterations > 0, "{line}");
    let mut values = BTreeMap::new();
    while let Some(value) = words.next() {
        let value: f64 = value.parse().ok()?;
        assert!(value.is_finite(), "{line}");
        let unit = words.next()?;
        let twice = values.insert(unit.to_owned(), value);
        assert!(twice.is_none(), "{line}");
    }
    (!values.is_empty()).then(|| (name.to_owned(), values))
}

/// Reads a file.
#[track_caller]
pub(crate) fn read(text: &str) -> Vec<Line> {
    let mut config = BTreeMap::new();
    let mut lines = Vec::new();
    let mut units = BTreeMap::new();
    for line in text.lines() {
        if line.trim().is_empty() {
        } else if let Some(rest) = line.strip_prefix("Unit ") {
            let (unit, better) = rest
                .split_once(" better=")
                .expect("a unit and its direction");
            assert!(["higher", "lower"].contains(&better), "{line}");
            units.insert(unit.to_owned(), better.to_owned());
        } else if line.starts_with("Benchmark") {
            let (name, values) = result(line).unwrap_or_else(|| panic!("no result: {line}"));
            assert!(values.keys().all(|unit| units.contains_key(unit)), "{line}");
            lines.push(Line {
                name,
                config: config.clone(),
                values,
            });
        } else {
            let (key, value) =
                key_and_value(line).unwrap_or_else(|| panic!("no configuration: {line}"));
            config.insert(key.to_owned(), value.to_owned());
        }
    }
    lines
}
