//! Records without rows: of `torture`, `audit` and `fsync`.

use std::path::Path;

use anyhow::Context as _;
use bench_client::host::environment::Environment;
use bench_client::record::durability::{AUDIT_VERSION, AuditRecord};
use bench_client::record::fsync::FsyncRecord;
use bench_client::record::torture::{TORTURE_VERSION, TortureRecord};
use bench_client::render::document::Document;
use bench_client::render::records::{audit, fsync, torture};

/// A record of another kind.
pub(super) enum WithoutRows {
    Fsync(FsyncRecord),
    Audit(AuditRecord),
    Torture(Box<TortureRecord>),
}

impl WithoutRows {
    pub(super) fn read(path: &Path, verb: &str) -> anyhow::Result<Self> {
        if verb == "fsync"
            && let Some(record) = FsyncRecord::read(path)?
        {
            return Ok(Self::Fsync(record));
        }
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        if verb == "audit"
            && let Ok(record) = serde_json::from_str(&text)
        {
            return Ok(Self::Audit(record));
        }
        let record = serde_json::from_str(&text).with_context(|| {
            format!(
                "{shown} is not a record of `torture` (torture_version {TORTURE_VERSION}) or \
                 `audit` (audit_version {AUDIT_VERSION}) that this program reads: use the program \
                 that wrote it"
            )
        })?;
        Ok(Self::Torture(Box::new(record)))
    }

    pub(super) fn document(&self) -> Document {
        let (mut document, naming) = match self {
            Self::Fsync(record) => (fsync::report(record), &record.naming),
            Self::Audit(record) => (audit::document(record), &record.naming),
            Self::Torture(record) => (torture::document(record), &record.naming),
        };
        document.called(naming);
        document
    }

    /// Where it was made.
    pub(super) fn environment(self) -> Environment {
        match self {
            Self::Fsync(record) => record.environment,
            Self::Audit(record) => record.environment,
            Self::Torture(record) => record.environment,
        }
    }
}
