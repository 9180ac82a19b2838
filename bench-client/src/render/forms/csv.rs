//! Rows, or their intervals, as CSV with a header row. A cell without a value is empty.
//!
//! The columns are the record's own fields, by their paths, and come from its schema: they do not
//! depend on what was measured, so that files of several runs can be put together. A histogram is
//! no figure and has no column. A list of parts that are told apart by a name has a column for
//! each part (`budget.stages.wire.mean_us`).

use std::borrow::Cow;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use super::tracked::UnfitError;
use super::{Form, compare_csv};
use crate::record::Row;
use crate::record::load_record::{Report, Shown};
use crate::record::series::Interval;

/// For a spreadsheet: rows, their intervals, or the metrics of comparisons.
pub const FORM: Form = Form {
    options: &["series"],
    ..Form::plain(
        "csv",
        "One line per row, or per metric of a comparison",
        |report, options| {
            if options.series {
                return Ok(series_to_csv(report)?);
            }
            let records = report.records.iter();
            let comparisons: Vec<_> = records
                .filter_map(|one| Some((one.file.as_str(), one.comparison.as_ref()?)))
                .collect();
            match comparisons.len() {
                0 => Ok(to_csv(report)?),
                count if count == report.records.len() => Ok(compare_csv::to_csv(comparisons)?),
                _ => Err(UnfitError::MixedTable.into()),
            }
        },
    )
};

/// Fields that no figure stands in.
fn is_no_figure(name: &str) -> bool {
    name.ends_with("_histogram") || ["intervals", "shards"].contains(&name)
}

/// One step from a value to a part of it.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    /// The one of a list in which this field has this value.
    Part(String, String),
}

/// The steps from a row to a figure.
type Column = Vec<Step>;

fn name_of(column: &[Step]) -> String {
    let steps = column.iter().map(|step| match step {
        Step::Field(name) | Step::Part(_, name) => name.as_str(),
    });
    steps.collect::<Vec<_>>().join(".")
}

/// The columns of a type, in the order of its fields.
fn columns_of<T: JsonSchema>() -> Vec<Column> {
    let settings = SchemaSettings::default().with(|it| it.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut columns = Vec::new();
    collect(schema.as_value(), &mut Vec::new(), &mut columns);
    columns
}

/// The alternatives of a schema, `null` left out; itself when there are none.
fn alternatives(schema: &Value) -> Vec<&Value> {
    let listed = ["anyOf", "oneOf"]
        .iter()
        .find_map(|key| schema[key].as_array());
    let all = listed.map_or_else(|| vec![schema], |all| all.iter().collect());
    let some = all.into_iter().filter(|one| one["type"] != "null");
    some.collect()
}

/// The values of an enumeration; `None` for anything else.
fn values_of(schema: &Value) -> Option<Vec<String>> {
    let mut values = Vec::new();
    for one in alternatives(schema) {
        match (&one["const"], &one["enum"]) {
            (Value::String(value), _) => values.push(value.clone()),
            (_, Value::Array(several)) => {
                values.extend(several.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            _ => return None,
        }
    }
    (!values.is_empty()).then_some(values)
}

/// Adds the columns below a schema.
fn collect(schema: &Value, path: &mut Column, columns: &mut Vec<Column>) {
    let mut add = |column: &Column| {
        // Variants of an enumeration share fields.
        if !columns.contains(column) {
            columns.push(column.clone());
        }
    };
    let all = alternatives(schema);
    // A row has some of its fields beside those of its configuration.
    let properties = all.iter().filter_map(|one| one["properties"].as_object());
    let properties: Vec<_> = properties.flatten().collect();
    if properties.is_empty() {
        let parts = all.iter().find_map(|one| one["items"].as_object());
        let fields = parts.and_then(|items| items.get("properties")?.as_object());
        let discriminator = fields.and_then(|fields| {
            let mut named = fields.iter();
            named.find_map(|(name, field)| Some((name, values_of(field)?)))
        });
        match (discriminator, fields) {
            (Some((by, values)), Some(fields)) if by != "code" => {
                for value in values {
                    path.push(Step::Part(by.clone(), value));
                    for (name, field) in fields.iter().filter(|(name, _)| *name != by) {
                        path.push(Step::Field(name.clone()));
                        collect(field, path, columns);
                        path.pop();
                    }
                    path.pop();
                }
            }
            _ => add(path),
        }
        return;
    }
    for (name, field) in properties {
        if !is_no_figure(name) {
            path.push(Step::Field(name.clone()));
            collect(field, path, columns);
            path.pop();
        }
    }
}

/// What stands in the cell of a column.
fn cell(value: &Value, column: &[Step]) -> String {
    let found = column.iter().try_fold(value, |value, step| match step {
        Step::Field(name) => value.get(name),
        Step::Part(by, which) => value.as_array()?.iter().find(|part| part[by] == **which),
    });
    found.map(shown).unwrap_or_default().into_owned()
}

/// A value as one word, or as several with spaces between them.
fn shown(value: &Value) -> Cow<'_, str> {
    let words = |words: Vec<String>| Cow::Owned(words.join(" "));
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(is) => Cow::Borrowed(if *is { "true" } else { "false" }),
        // Without the `.0` of a whole number.
        Value::Number(number) => Cow::Owned(match number.as_f64() {
            Some(float) if number.is_f64() => float.to_string(),
            _ => number.to_string(),
        }),
        Value::Array(values) => words(values.iter().map(|one| shown(one).into_owned()).collect()),
        // What has a code is known by it.
        Value::Object(fields) => match fields.get("code") {
            Some(code) => shown(code),
            None => words(
                fields
                    .iter()
                    .map(|(name, value)| format!("{name}={}", shown(value)))
                    .collect(),
            ),
        },
    }
}

/// What stands before the fields of a row and of an interval.
const BEFORE: [&str; 3] = ["record", "number", "row"];
/// What stands behind those of a row.
const BEHIND: [&str; 4] = [
    "article.tps",
    "article.p50_ms",
    "disk_ceiling_tps",
    "started_at",
];

fn before(report: &Report, shown: &Shown<'_>) -> Vec<String> {
    vec![
        report.records[shown.record].file.clone(),
        shown.number.to_string(),
        shown.label.to_owned(),
    ]
}

fn behind(report: &Report, shown: &Shown<'_>) -> Vec<String> {
    let article = shown.article;
    let of_article = |value: Option<f64>| value.map_or_else(String::new, |it| it.to_string());
    let ceiling = article.and_then(|article| article.ceiling.as_ref()?.tps);
    let record = &report.records[shown.record].record;
    vec![
        of_article(article.and_then(|article| article.article_tps)),
        of_article(article.and_then(|article| article.article_p50_ms)),
        of_article(ceiling),
        record.environment.started_at.clone(),
    ]
}

fn cells(of: &impl Serialize, columns: &[Column]) -> Vec<String> {
    let value = serde_json::to_value(of).unwrap_or_default();
    columns.iter().map(|column| cell(&value, column)).collect()
}

/// One line for each row, with every single figure of it.
///
/// # Errors
/// A line cannot be put together.
pub fn to_csv(report: &Report) -> Result<String, csv::Error> {
    let columns = columns_of::<Row>();
    let rows = report.rows();
    let lines = rows.iter().map(|shown| {
        let mut line = before(report, shown);
        line.extend(cells(shown.row, &columns));
        line.extend(behind(report, shown));
        line
    });
    write(&columns, &BEHIND, lines)
}

/// One line for each interval of each row.
///
/// # Errors
/// A line cannot be put together.
pub fn series_to_csv(report: &Report) -> Result<String, csv::Error> {
    let columns = columns_of::<Interval>();
    let rows = report.rows();
    let lines = rows.iter().flat_map(|shown| {
        shown.row.intervals.iter().map(|interval| {
            let mut line = before(report, shown);
            line.extend(cells(interval, &columns));
            line
        })
    });
    write(&columns, &[], lines)
}

fn write(
    columns: &[Column],
    behind: &[&str],
    lines: impl Iterator<Item = Vec<String>>,
) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = columns.iter().map(|column| name_of(column));
    let header = BEFORE.iter().map(|name| (*name).to_owned()).chain(names);
    writer.write_record(header.chain(behind.iter().map(|name| (*name).to_owned())))?;
    for line in lines {
        writer.write_record(line)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::row;

    fn leaves_of(value: &Value, path: &str, leaves: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields.iter().filter(|(name, _)| !is_no_figure(name)) {
                    let path = format!("{path}{name}");
                    if names_its_keys(&path) {
                        continue;
                    }
                    leaves_of(value, &format!("{path}."), leaves);
                }
            }
            Value::Array(_) | Value::Null => {}
            _ => leaves.push(path.trim_end_matches('.').to_owned()),
        }
    }
    /// Maps, whose keys are no fields.
    fn names_its_keys(path: &str) -> bool {
        path.ends_with("_by_reason")
            || path.ends_with("pragmas")
            || path.ends_with("engine.settings")
    }

    #[test]
    fn every_figure_of_a_row_has_a_column() {
        let columns = columns_of::<Row>();
        let names: Vec<String> = columns.iter().map(|column| name_of(column)).collect();
        for name in [
            "tps",
            "alpha",
            "max_inflight_per_worker",
            "latency_ms.p99",
            "target.kind",
            "target.server.batch_size",
            "server.commit_us.p50",
            "budget.stages.wire.mean_us",
            "verdicts",
            "rejected_by_reason",
            "generator.thread_cpu",
        ] {
            assert!(
                names.iter().any(|other| other == name),
                "{name} in {names:?}"
            );
        }
        let first = names.iter().position(|name| name == "connector");
        assert!(
            first < names.iter().position(|name| name == "tps"),
            "in order"
        );
        // Whatever is in a row and is no list or histogram has a cell.
        let value = serde_json::to_value(row()).unwrap();
        let mut leaves = Vec::new();
        leaves_of(&value, "", &mut leaves);
        for leaf in leaves {
            assert!(names.contains(&leaf), "{leaf}");
        }
    }

    #[test]
    fn lists_and_maps_are_one_cell() {
        let value = serde_json::json!({
            "list": [1.0, 2.5], "map": {"b": 2, "a": 1}, "none": null,
            "verdicts": [{"code": "fake", "message": "m"}, {"code": "tmpfs"}],
            "stages": [{"stage": "wire", "mean_us": 7.0}],
        });
        let at = |name: &str| cell(&value, &[Step::Field(name.to_owned())]);
        assert_eq!(at("list"), "1 2.5");
        assert_eq!(at("verdicts"), "fake tmpfs");
        assert_eq!((at("none").as_str(), at("missing").as_str()), ("", ""));
        assert!(["b=2 a=1", "a=1 b=2"].contains(&at("map").as_str()));
        let stage = [
            Step::Field("stages".to_owned()),
            Step::Part("stage".to_owned(), "wire".to_owned()),
            Step::Field("mean_us".to_owned()),
        ];
        assert_eq!(cell(&value, &stage), "7");
    }
}
