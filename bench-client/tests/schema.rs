//! The published JSON Schema of the record is the one that the types describe.
//!
//! `UPDATE_SCHEMA=1 cargo test --package bench-client --test schema` writes it anew.

use std::path::{Path, PathBuf};

use bench_client::config::TargetFile;
use bench_client::observation::{SHARD_VERSION, ShardRecord};
use bench_client::record::comparison::{COMPARISON_VERSION, ComparisonRecord};
use bench_client::record::durability::{AUDIT_VERSION, AuditRecord};
use bench_client::record::fsync::{FSYNC_VERSION, FsyncRecord};
use bench_client::record::torture::{TORTURE_VERSION, TortureRecord};
use bench_client::record::{Record, Reproduction, SCHEMA_VERSION};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(file)
}

/// The schema of what is written, so that what is always written is required.
fn described() -> Value {
    schema_of::<Record>("busload run record", "schema_version", SCHEMA_VERSION)
}

fn schema_of<T: JsonSchema>(title: &str, field: &str, number: u32) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    // A reader of one version must not take another for it.
    let version = schema
        .pointer_mut(&format!("/properties/{field}"))
        .and_then(Value::as_object_mut);
    version
        .expect("a record names its version")
        .insert("const".to_owned(), number.into());
    schema.to_value()
}

/// Holds a published schema against the types, or writes it anew when told to.
fn hold(file: &str, described: &Value) {
    let mut described = serde_json::to_string_pretty(described).expect("a schema is JSON");
    described.push('\n');
    let path = docs(file);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &described).expect("the schema can be written");
        return;
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == described,
        "docs/{file} is not the schema of the types: if the change is meant, raise \
         SCHEMA_VERSION where a reader of old records would stumble, and run\n\
         UPDATE_SCHEMA=1 cargo test --package bench-client --test schema"
    );
}

#[test]
fn the_published_schema_is_that_of_the_record() {
    hold("record.schema.json", &described());
}

#[test]
fn the_published_schema_is_that_of_a_reproduction() {
    let title = "busload reproduction";
    let described = schema_of::<Reproduction>(title, "schema_version", SCHEMA_VERSION);
    hold("reproduction.schema.json", &described);
}

#[test]
fn the_published_schema_is_that_of_a_comparison() {
    let title = "busload comparison";
    let described = schema_of::<ComparisonRecord>(title, "comparison_version", COMPARISON_VERSION);
    hold("comparison.schema.json", &described);
}

#[test]
fn the_published_schema_is_that_of_a_sync_baseline() {
    let title = "busload sync baseline";
    let described = schema_of::<FsyncRecord>(title, "fsync_version", FSYNC_VERSION);
    hold("fsync.schema.json", &described);
}

#[test]
fn the_published_schema_is_that_of_a_shard() {
    let described = schema_of::<ShardRecord>("busload shard", "shard_version", SHARD_VERSION);
    hold("shard.schema.json", &described);
}

#[test]
fn the_published_schema_is_that_of_an_audit_of_durability() {
    let described = schema_of::<AuditRecord>(
        "busload audit of durability",
        "audit_version",
        AUDIT_VERSION,
    );
    hold("audit.schema.json", &described);
    let required = described["required"].as_array().expect("it is a list");
    for field in [
        "verdict",
        "because",
        "transfers_per_sync",
        "checks",
        "target",
    ] {
        assert!(
            required.contains(&field.into()),
            "{field} not in {required:?}"
        );
    }
}

#[test]
fn the_published_schema_is_that_of_an_audit() {
    let described = schema_of::<TortureRecord>("busload audit", "torture_version", TORTURE_VERSION);
    hold("torture.schema.json", &described);
    let required = described["required"].as_array().expect("it is a list");
    for field in [
        "kills",
        "cuts",
        "acknowledged",
        "lost",
        "applied_twice",
        "unknown",
        "seed",
    ] {
        assert!(
            required.contains(&field.into()),
            "{field} not in {required:?}"
        );
    }
}

/// For editors, which complete and check a target file by it.
#[test]
fn the_published_schema_is_that_of_a_target_file() {
    let settings = SchemaSettings::draft2020_12();
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<TargetFile>();
    schema.insert("title".to_owned(), "busload target file".into());
    hold("target.schema.json", &schema.to_value());
}

#[test]
fn what_a_reader_relies_on_is_required() {
    let described = described();
    let required = |pointer: &str| -> Vec<String> {
        let list = described
            .pointer(pointer)
            .and_then(Value::as_array)
            .cloned();
        let names = list.unwrap_or_default();
        names
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let record = required("/required");
    for field in ["schema_version", "environment", "rows"] {
        assert!(
            record.iter().any(|name| name == field),
            "{field} not in {record:?}"
        );
    }
    let row = required("/$defs/Row/required");
    for field in [
        "connector",
        "durability",
        "tps",
        "latency_ms",
        "verify",
        "verdicts",
        "valid",
    ] {
        assert!(
            row.iter().any(|name| name == field),
            "{field} not in {row:?}"
        );
    }
    assert!(
        !row.iter().any(|name| name == "name"),
        "only rows of reproduce have names"
    );
}
