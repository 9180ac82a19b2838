//! The last audit of a server, found among the records that are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::durability::{AUDIT_VERSION, DurabilityVerdict, RowAudit};
use crate::config::target_file::Start;
use crate::config::{ConnectorKind, Target};
use crate::host::environment::Program;

/// What is in the name of every file that `audit` writes by itself.
const IN_THE_NAME: &str = "-audit-";
/// Most records that are looked through, the newest first.
const RECORDS_MAX: usize = 1_000;

/// Endings of files that say what a server needs.
const MANIFESTS: [&str; 3] = ["json", "lock", "toml"];

/// Whose audits are one's own: the same name, version, settings and files.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct AuditKey {
    /// The target's name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Its knobs.
    pub settings: BTreeMap<String, Value>,
}

impl AuditKey {
    /// Of a target that this program starts; `None` for one that cannot be audited: it runs
    /// already, or has no database.
    #[must_use]
    pub fn of(target: &Target, connector: ConnectorKind, program: &Program) -> Option<Self> {
        match target {
            Target::BuiltIn {
                program: started, ..
            } => Some(Self {
                name: connector.as_str().to_owned(),
                // Of another file nobody knows it before it is started.
                version: started
                    .0
                    .file
                    .is_none()
                    .then(|| format!("{} ({})", program.version, program.git_revision)),
                settings: target.settings(),
            }),
            Target::Command { about, start, .. } => {
                let mut settings = target.settings();
                settings.insert("files".to_owned(), files(&start.0).into());
                Some(Self {
                    name: about.name.clone(),
                    version: about.version.clone(),
                    settings,
                })
            }
            Target::Null { .. } | Target::Url { .. } => None,
        }
    }
}

/// A hash of the files that are the server, as far as its command names them: those that are words
/// of it, and in the folder where it is started those of the same kinds and its manifests. Data
/// that lies among them has other endings.
fn files(start: &Start) -> String {
    let is_file = |word: &&String| start.directory.join(word).is_file();
    let named = start.command.iter().filter(is_file).map(PathBuf::from);
    let mut files: BTreeSet<PathBuf> = named.collect();
    let mut endings: BTreeSet<OsString> = files
        .iter()
        .filter_map(|file| Some(file.extension()?.to_owned()))
        .collect();
    endings.extend(MANIFESTS.map(OsString::from));
    if !start.directory.as_os_str().is_empty() {
        let beside = std::fs::read_dir(&start.directory).into_iter().flatten();
        let beside = beside.filter_map(|entry| Some(PathBuf::from(entry.ok()?.file_name())));
        files.extend(beside.filter(|file| file.extension().is_some_and(|of| endings.contains(of))));
    }
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update(std::fs::read(start.directory.join(&file)).unwrap_or_default());
    }
    let hash = hash.finalize();
    let first = hash
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes));
    format!("{first:016x}")
}

/// What of a record says whose it is.
#[derive(Deserialize)]
struct Head {
    audit_version: u32,
    environment: Began,
    target: AuditKey,
    verdict: DurabilityVerdict,
    interrupted: bool,
}

#[derive(Deserialize)]
struct Began {
    started_at: String,
}

/// What the last whole audit of this server came to, among the records in `directory`. What cannot
/// be read is no record.
#[must_use]
pub fn last_audit(directory: &Path, key: &AuditKey) -> Option<RowAudit> {
    let entries = std::fs::read_dir(directory).ok()?;
    let mut records: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.contains(IN_THE_NAME) && name.ends_with(".json")
        })
        .collect();
    // Names begin with the time.
    records.sort_unstable_by(|a, b| b.cmp(a));
    let heads = records.iter().take(RECORDS_MAX).filter_map(|path| {
        let text = std::fs::read(path).ok()?;
        serde_json::from_slice::<Head>(&text).ok()
    });
    let mut own = heads.filter(|head| {
        head.audit_version == AUDIT_VERSION && !head.interrupted && head.target == *key
    });
    let last = own.next()?;
    Some(RowAudit {
        verdict: last.verdict,
        at: last.environment.started_at,
    })
}

#[cfg(test)]
mod tests {
    use crate::config::TargetFile;
    use crate::config::target_file::Choices;
    use serde_json::json;

    use super::*;

    fn write(directory: &Path, name: &str, target: &str, verdict: &str, interrupted: bool) {
        let record = json!({
            "audit_version": AUDIT_VERSION,
            "environment": {"started_at": name.get(..4), "more": 1},
            "target": {"name": target, "version": null, "settings": {"batch_size": 1}},
            "verdict": verdict,
            "interrupted": interrupted,
        });
        std::fs::write(directory.join(name), record.to_string()).unwrap();
    }

    #[test]
    fn the_newest_whole_audit_of_the_same_server_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let mut key = AuditKey {
            name: "a".to_owned(),
            version: None,
            settings: [("batch_size".to_owned(), json!(1))].into(),
        };
        assert_eq!(last_audit(&place.join("nowhere"), &key), None);
        assert_eq!(last_audit(place, &key), None);
        write(place, "2020T-audit-1.json", "a", "durable", false);
        write(place, "2021T-audit-2.json", "a", "not durable", false);
        write(place, "2022T-audit-3.json", "b", "fake", false);
        write(place, "2023T-audit-4.json", "a", "cannot tell", true);
        write(place, "2024T-run-5.json", "a", "fake", false);
        std::fs::write(place.join("2025T-audit-6.json"), "{").unwrap();
        let found = last_audit(place, &key).unwrap();
        assert_eq!(found.verdict, DurabilityVerdict::NotDurable);
        assert_eq!(found.at, "2021");
        key.settings.insert("batch_size".to_owned(), json!(2));
        assert_eq!(last_audit(place, &key), None);
    }

    #[test]
    fn a_key_says_what_decides_about_durability() {
        let program = Program::default();
        let key = |target: &Target| AuditKey::of(target, ConnectorKind::SqliteWsRpc, &program);
        let own = Target::default();
        let mut other = own.clone();
        let durability = busload_sqlite::Durability::WalNormal;
        other.server_mut().unwrap().durability.durability = durability;
        let [own, other] = [own, other].map(|target| key(&target).unwrap());
        assert_eq!(own.name, "sqlite_ws_rpc");
        assert_eq!(own.settings["durability"], "wal-full");
        assert_ne!(own, other);
        let command = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let file = TargetFile::of_command("node", words, ConnectorKind::SqliteWsRpc).unwrap();
            file.target(Path::new(""), Choices::default())
        };
        let one = key(&command(&["/bin/node", "a.mjs"])).unwrap();
        assert_eq!(one.name, "node");
        assert_ne!(one, key(&command(&["/bin/node", "b.mjs"])).unwrap());
        assert!(!format!("{one:?}").contains("a.mjs"), "{one:?}");
    }

    #[test]
    fn a_server_whose_files_changed_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let files = || {
            files(&Start {
                command: ["node", "server.mjs", "{port}"].map(str::to_owned).to_vec(),
                directory: folder.path().to_owned(),
                ..Start::default()
            })
        };
        let mut seen = BTreeSet::from([files()]);
        for (name, text, is_other) in [
            ("server.mjs", "a", true),
            ("server.mjs", "b", true),
            ("helper.mjs", "a", true),
            ("package.json", "{}", true),
            ("ledger.sqlite", "data", false),
            ("helper.mjs", "a", false),
        ] {
            write(name, text);
            assert_eq!(seen.insert(files()), is_other, "{name} {text}");
        }
    }
}
