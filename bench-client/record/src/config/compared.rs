//! Which fields of a configuration make two rows comparable: all but those that say
//! `x-compared: false` in the schema, each where it is declared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{RunConfig, Target};

/// The key in the schema.
const COMPARED: &str = "x-compared";

/// The fields that are not compared, by the names that records have.
static NOT_COMPARED: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let settings = SchemaSettings::default().with(|it| it.inline_subschemas = true);
    let schema = settings
        .into_generator()
        .into_root_schema_for::<RunConfig>();
    let mut names = BTreeSet::new();
    collect(schema.as_value(), &mut names);
    names
});

fn collect(schema: &Value, names: &mut BTreeSet<String>) {
    let below: Vec<&Value> = match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                let marked = properties.iter().filter(|(_, it)| it[COMPARED] == false);
                names.extend(marked.map(|(name, _)| name.clone()));
            }
            fields.values().collect()
        }
        Value::Array(values) => values.iter().collect(),
        _ => Vec::new(),
    };
    for schema in below {
        collect(schema, names);
    }
}

fn fields_of(value: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

pub(super) fn compared(config: &RunConfig) -> BTreeMap<String, Value> {
    let mut fields = fields_of(config);
    if let Some(server) = config.target.server() {
        fields.extend(fields_of(server));
    }
    fields.extend(of_target(&config.target));
    let compared = fields.into_iter();
    compared
        .filter(|(name, _)| !NOT_COMPARED.contains(name))
        .collect()
}

/// What is compared of whose server it is. Of one at a URL that no target file describes, nothing
/// is known.
fn of_target(target: &Target) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut add = |name: &str, value: String| fields.insert(name.to_owned(), value.into());
    match target {
        Target::BuiltIn { .. } => {
            add("server", "built-in".to_owned());
        }
        Target::Null { .. } => {
            add("server", "null".to_owned());
        }
        Target::Command { .. } | Target::Url { .. } => {
            if let Some(about) = target.about() {
                add("server", about.name.clone());
                add("promised_durability", about.durability.to_string());
                if let Some(version) = &about.version {
                    add("server_version", version.clone());
                }
                if !about.arguments.is_empty() {
                    add("target_args", joined(&about.arguments));
                }
                for (label, value) in &about.labels {
                    add(&format!("label_{label}"), value.clone());
                }
            }
        }
    }
    fields
}

/// What decides how a target stores: the knobs of a server of this project, and of a command that
/// starts another a hash, since the command is private.
pub(super) fn settings(target: &Target) -> BTreeMap<String, Value> {
    if let Some(server) = target.server() {
        let fields = fields_of(server).into_iter();
        return fields
            .filter(|(name, _)| !NOT_COMPARED.contains(name))
            .collect();
    }
    let Target::Command { start, .. } = target else {
        return BTreeMap::new();
    };
    let digest = Sha256::digest(start.0.command.join("\0").as_bytes());
    let digest = digest.iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    [("command".to_owned(), digest.into())].into()
}

/// Arguments as a command line has them.
fn joined(arguments: &[String]) -> String {
    let words = arguments.iter().map(String::as_str);
    // None of them holds a zero byte: no process has such an argument.
    shlex::try_join(words).unwrap_or_default()
}

/// What a field of the record is called on the command line: units are part of its name there
/// only in the value.
#[must_use]
pub fn flag_of(field: &str) -> String {
    /// Where the flag has a name of its own.
    const OTHERS: [(&str, &str); 4] = [
        ("max_inflight_per_worker", "inflight"),
        ("op_timeout_seconds", "timeout"),
        ("transfer_ids", "exactly-once"),
        ("window_seconds", "duration"),
    ];
    if let Some((_, flag)) = OTHERS.iter().find(|(name, _)| *name == field) {
        return (*flag).to_owned();
    }
    let units = ["_seconds", "_ms", "_us"];
    let name = units.iter().find_map(|unit| field.strip_suffix(unit));
    name.unwrap_or(field).replace('_', "-")
}

/// A flag and its value; none for a switch.
pub type Flag = (String, Option<String>);

/// The flags that say what the fields say; what is not set is not said.
fn flags(fields: Map<String, Value>) -> impl Iterator<Item = Flag> {
    fields.into_iter().filter_map(|(name, value)| {
        let unit = [("_seconds", "s"), ("_ms", "ms"), ("_us", "us")];
        let unit = unit.iter().find(|(ending, _)| name.ends_with(ending));
        let value = match value {
            Value::Bool(true) => None,
            Value::String(text) => Some(text),
            Value::Number(number) => Some(format!("{number}{}", unit.map_or("", |(_, it)| it))),
            _ => return None,
        };
        Some((flag_of(&name), value))
    })
}

/// The flags that make a row so, but for its name and what is private.
pub(super) fn to_flags(config: &RunConfig) -> Vec<Flag> {
    let mut fields = fields_of(config);
    fields.remove("name");
    let target = fields.remove("target").unwrap_or_default();
    let mut all: Vec<Flag> = flags(fields).collect();
    if let Some(server) = config.target.server() {
        all.extend(flags(fields_of(server)));
    }
    if let Some(about) = config.target.about() {
        // It says so itself.
        all.retain(|(name, _)| name != "connector");
        all.push(("target".to_owned(), Some(about.name.clone())));
        if !about.arguments.is_empty() {
            all.push(("target-args".to_owned(), Some(joined(&about.arguments))));
        }
    }
    if target["reseed"] == true {
        all.push(("reseed".to_owned(), None));
    }
    // Some go with others only.
    let (no_series, no_verify) = (config.load.no_intervals, config.verification.no_verify);
    all.retain(|(name, _)| match name.as_str() {
        "interval" => !no_series,
        name if name.starts_with("verify-") => !no_verify,
        name if name.starts_with("resolve-") => config.load.exactly_once,
        _ => true,
    });
    all
}

/// A value as a person would write it for the flag.
#[must_use]
pub fn setting_in_words(name: &str, value: &Value) -> String {
    let unit = [("_seconds", " s"), ("_ms", " ms"), ("_us", " µs")];
    let unit = unit.iter().find(|(ending, _)| name.ends_with(ending));
    match value {
        Value::Null if name == "rate" => "closed loop".to_owned(),
        Value::Null => "not set".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        // Without the `.0` of a whole number.
        Value::Number(number) => {
            let number = number
                .as_f64()
                .map_or_else(|| number.to_string(), |it| it.to_string());
            format!("{number}{}", unit.map_or("", |(_, unit)| unit))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_compared_that_does_not_say_otherwise() {
        let compared = compared(&RunConfig::default());
        let names: Vec<&str> = compared.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "accounts",
                "alpha",
                "amount",
                "apply",
                "arrival",
                "batch_size",
                "batch_timeout_us",
                "busy_wait_us",
                "cache_kib",
                "checkpoint",
                "checkpoint_kib",
                "client_cpus",
                "concurrency",
                "connector",
                "durability",
                "encoding",
                "engine",
                "id_horizon_seconds",
                "initial_balance",
                "io_threads",
                "isolation",
                "latency_limit_ms",
                "log_limit_mib",
                "max_ids",
                "max_inflight_per_worker",
                "no_stage_timings",
                "op_timeout_seconds",
                "page_size",
                "probe_interval_us",
                "queue",
                "rate",
                "server",
                "server_cpus",
                "threads",
                "transfer_ids",
                "transfers",
                "warmup_seconds",
                "window_seconds",
                "writers",
            ]
        );
    }

    #[test]
    fn fields_have_the_names_of_their_flags() {
        for (field, flag) in [
            ("op_timeout_seconds", "timeout"),
            ("batch_timeout_us", "batch-timeout"),
            ("latency_limit_ms", "latency-limit"),
            ("window_seconds", "duration"),
            ("transfer_ids", "exactly-once"),
            ("max_inflight_per_worker", "inflight"),
        ] {
            assert_eq!(flag_of(field), flag);
        }
    }
}
