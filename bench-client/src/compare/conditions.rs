//! What makes the figures of two rows comparable, and a hash of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::config::{RunConfig, flag_of, setting_in_words};
use crate::host::environment::{BlockDevice, Environment};
use crate::record::Row;
use crate::record::comparison::Difference;
use crate::record::fsync::FsyncRecord;

/// Workload, load, server, storage and machine of a row: what must be the same for figures
/// measured at different times to be held against each other. By the names of fields; what is
/// not there is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// The configuration, and the environment.
    asked: BTreeMap<String, Value>,
    /// What the server said of itself, which counts more.
    read_back: BTreeMap<String, Value>,
}

impl Conditions {
    /// Of a row that is planned for this environment.
    #[must_use]
    pub fn of_plan(config: &RunConfig, environment: &Environment) -> Self {
        let mut asked = config.compared();
        asked.extend(place(environment));
        Self {
            asked,
            read_back: BTreeMap::new(),
        }
    }

    /// Of a sync baseline.
    #[must_use]
    pub fn of_fsync(record: &FsyncRecord) -> Self {
        let mut asked = place(&record.environment);
        let kernel = record.environment.machine.kernel.clone();
        asked.extend([
            ("kernel".to_owned(), Value::from(kernel)),
            ("block".to_owned(), Value::from(record.block_bytes)),
            (
                "mount options".to_owned(),
                Value::from(record.environment.storage.mount_options.join(",")),
            ),
        ]);
        Self {
            asked,
            read_back: BTreeMap::new(),
        }
    }

    /// Of a row that was measured in this environment.
    #[must_use]
    pub fn of_row(row: &Row, environment: &Environment) -> Self {
        let known = Some(row.durability.as_str()).filter(|it| *it != "unknown");
        let told = [
            ("durability", known.map(Value::from)),
            ("apply", row.apply.clone().map(Value::from)),
            ("batch_size", row.batch_size.map(Value::from)),
            ("batch_timeout_us", row.batch_timeout_us.map(Value::from)),
            ("page_size", row.page_size.map(Value::from)),
        ];
        let told = told.into_iter();
        Self {
            read_back: told
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
            ..Self::of_plan(&row.config, environment)
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.read_back.get(name).or_else(|| self.asked.get(name))
    }

    /// The first 16 digits of SHA-256 over the fields as JSON, in alphabetical order.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut fields = self.asked.clone();
        fields.extend(self.read_back.clone());
        let canonical = serde_json::to_vec(&fields).unwrap_or_default();
        let mut text = String::new();
        for byte in Sha256::digest(&canonical).iter().take(8) {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// In what a candidate differs from these. What is not known of one of the two is no
    /// difference, and neither is what one was told by its server and the other leaves to it.
    #[must_use]
    pub fn differences(&self, candidate: &Self) -> Vec<Difference> {
        let names = self.asked.keys().chain(self.read_back.keys());
        let mut differences: Vec<Difference> = names
            .filter_map(|name| {
                let (base, other) = (self.value(name)?, candidate.value(name)?);
                let left_to_server = base.is_null() && candidate.read_back.contains_key(name)
                    || other.is_null() && self.read_back.contains_key(name);
                (base != other && !left_to_server).then(|| Difference {
                    field: flag_of(name),
                    base: setting_in_words(name, base),
                    candidate: setting_in_words(name, other),
                })
            })
            .collect();
        differences.sort_by(|a, b| a.field.cmp(&b.field));
        differences.dedup();
        differences
    }
}

/// Storage and machine.
fn place(environment: &Environment) -> BTreeMap<String, Value> {
    let (storage, machine) = (&environment.storage, &environment.machine);
    let device = |device: &BlockDevice| match &device.model {
        Some(model) => format!("{} ({model})", device.name),
        None => device.name.clone(),
    };
    let devices: Vec<String> = storage.block_devices.iter().map(device).collect();
    let devices = match devices.as_slice() {
        [] => storage.mount_source.clone(),
        devices => Some(devices.join(" + ")),
    };
    let boost = |on| if on { "on" } else { "off" };
    let preload = Some(environment.preload.join(" + "));
    let fields = [
        ("file system", storage.file_system.clone().map(Value::from)),
        ("device", devices.map(Value::from)),
        ("cpu", machine.cpu_model.clone().map(Value::from)),
        ("cpu quota", machine.cpu_quota_cores.map(Value::from)),
        ("governor", machine.cpu_governor.clone().map(Value::from)),
        ("boost", machine.cpu_boost.map(boost).map(Value::from)),
        (
            "preloaded",
            preload.filter(|it| !it.is_empty()).map(Value::from),
        ),
        ("cores", machine.usable_cores.map(Value::from)),
        (
            "build profile",
            Some(environment.program.profile.clone().into()),
        ),
    ];
    let fields = fields.into_iter();
    fields
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

#[cfg(test)]
mod tests;
