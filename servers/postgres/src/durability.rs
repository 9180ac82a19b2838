//! What the database's settings promise, as read back from it.

use std::collections::BTreeMap;

use busload_engine::named;

use crate::error::Fault;
use crate::session::Session;

/// In place of a setting that a database does not know.
pub(crate) const NOT_TOLD: &str = "not told";

/// The settings that are read back.
const SETTINGS: &[&str] = &[
    "commit_delay",
    "commit_siblings",
    "data_checksums",
    "fsync",
    "full_page_writes",
    "max_wal_size",
    "server_version",
    "shared_buffers",
    "synchronous_commit",
    "synchronous_standby_names",
    "track_wal_io_timing",
    "wal_compression",
    "wal_level",
    "wal_sync_method",
];

named! {
    /// What a transaction that COMMIT has returned for survives.
    Durability, UnknownDurability = "no durability of PostgreSQL '{0}'";
    /// `fsync=off`: a killed process, no power cut.
    FsyncOff = "postgres-fsync-off",
    /// The table of the accounts is unlogged: a crash of the database empties it.
    Unlogged = "postgres-unlogged",
    /// `synchronous_commit=off`: neither a killed database nor a power cut.
    AsyncCommit = "postgres-async-commit",
    /// `full_page_writes=off`: a power cut may leave half a page where the disk does not write a
    /// page whole.
    TornPages = "postgres-torn-pages",
    /// A power cut of the one machine. Also what asks for more of standbys while none are named.
    Local = "postgres-local",
    /// A power cut, and the loss of the machine unless the standby loses power with it.
    RemoteWrite = "postgres-remote-write",
    /// A power cut and the loss of the machine: a standby has synced it.
    RemoteFlush = "postgres-remote-flush",
    /// The same, and a standby shows it.
    RemoteApply = "postgres-remote-apply",
    /// The database does not say what it syncs: it is another one that speaks the protocol.
    NotTold = "not-told",
}

impl Durability {
    /// Whether an acknowledged transfer survives a power cut of the database's machine; `None`
    /// where the database does not tell.
    #[must_use]
    pub const fn survives_power_cut(self) -> Option<bool> {
        match self {
            Self::FsyncOff | Self::Unlogged | Self::AsyncCommit | Self::TornPages => Some(false),
            Self::Local | Self::RemoteWrite | Self::RemoteFlush | Self::RemoteApply => Some(true),
            Self::NotTold => None,
        }
    }

    /// Whether COMMIT waits for a sync of the write-ahead log.
    #[must_use]
    pub const fn syncs_at_commit(self) -> bool {
        !matches!(self, Self::FsyncOff | Self::AsyncCommit | Self::NotTold)
    }

    fn of(settings: &BTreeMap<String, String>, is_logged: bool) -> Self {
        let setting = |name: &str| settings.get(name).map_or(NOT_TOLD, String::as_str);
        let (fsync, commit) = (setting("fsync"), setting("synchronous_commit"));
        let (pages, standbys) = (
            setting("full_page_writes"),
            setting("synchronous_standby_names"),
        );
        // YugabyteDB knows PostgreSQL's settings and stores elsewhere.
        let is_another = setting("server_version").contains("-YB-");
        if is_another || [fsync, commit, pages, standbys].contains(&NOT_TOLD) {
            return Self::NotTold;
        }
        match commit {
            _ if fsync != "on" => Self::FsyncOff,
            _ if !is_logged => Self::Unlogged,
            "off" => Self::AsyncCommit,
            _ if pages != "on" => Self::TornPages,
            "local" => Self::Local,
            // Nobody is waited for.
            _ if standbys.is_empty() => Self::Local,
            "remote_write" => Self::RemoteWrite,
            "remote_apply" => Self::RemoteApply,
            _ => Self::RemoteFlush,
        }
    }
}

/// What a database runs with.
pub(crate) struct Settings {
    pub(crate) all: BTreeMap<String, String>,
    pub(crate) durability: Durability,
}

impl Settings {
    /// Reads them back over the connection that they are to hold for.
    pub(crate) async fn read(session: &Session) -> Result<Self, Fault> {
        let client = &session.client;
        let mut all = BTreeMap::new();
        for name in SETTINGS {
            // One by one: a database that knows no `missing_ok` refuses one, not all.
            let value = client
                .query_one("SELECT current_setting($1, true)", &[name])
                .await;
            let value = match value {
                Ok(row) => row.get::<_, Option<String>>(0),
                Err(error) if error.is_closed() => return Err(Fault::before_commit(&error)),
                Err(_) => None,
            };
            let value = value.unwrap_or_else(|| NOT_TOLD.to_owned());
            all.insert((*name).to_owned(), value);
        }
        let replication = client.query_one(REPLICATION, &[]).await;
        let replication = replication.map(|row| row.get::<_, Option<String>>(0));
        let replication = match replication {
            Ok(states) => states.unwrap_or_else(|| "none".to_owned()),
            Err(_) => NOT_TOLD.to_owned(),
        };
        all.insert("replication".to_owned(), replication);
        let is_logged = client.query_opt(PERSISTENCE, &[]).await;
        // A database that knows no unlogged tables has none.
        let is_logged = !matches!(is_logged, Ok(Some(_)));
        let durability = Durability::of(&all, is_logged);
        Ok(Self { all, durability })
    }

    /// What whoever started the server should know.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let setting = |name: &str| self.all.get(name).map_or(NOT_TOLD, String::as_str);
        let commit = setting("synchronous_commit");
        let mut warnings = Vec::new();
        match self.durability {
            Durability::FsyncOff => warnings.push(
                "fsync=off: a power cut loses acknowledged transfers, and may lose the database"
                    .to_owned(),
            ),
            Durability::Unlogged => warnings.push(
                "the table of the accounts is unlogged: a crash of the database empties it"
                    .to_owned(),
            ),
            Durability::AsyncCommit => warnings.push(
                "synchronous_commit=off: acknowledged transfers are lost with a killed database"
                    .to_owned(),
            ),
            Durability::TornPages => {
                warnings.push("full_page_writes=off: a power cut may leave torn pages".to_owned());
            }
            Durability::NotTold => warnings.push(
                "the database does not say what it syncs, so its durability is not known"
                    .to_owned(),
            ),
            Durability::Local if !matches!(commit, "on" | "local") => warnings.push(format!(
                "synchronous_commit={commit}, but synchronous_standby_names is empty: COMMIT waits \
                 for this machine alone"
            )),
            _ => {}
        }
        warnings
    }
}

/// Those who may not see the state of standbys see that there are some.
const REPLICATION: &str = "SELECT string_agg(coalesce(state, 'not told') || ' ' ||
    coalesce(sync_state, 'not told'), ', ' ORDER BY sync_state, state) FROM pg_stat_replication";
const PERSISTENCE: &str = "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'busload' AND c.relname IN ('accounts', 'transfer_ids')
    AND c.relpersistence <> 'p' LIMIT 1";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(commit: &str, standbys: &str, other: &[(&str, &str)]) -> Durability {
        let mut settings: BTreeMap<_, _> = [
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", commit),
            ("synchronous_standby_names", standbys),
        ]
        .into();
        settings.extend(other.iter().copied());
        let settings = settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Durability::of(&settings.collect(), true)
    }

    #[test]
    fn a_standby_is_waited_for_only_if_one_is_named() {
        for commit in ["on", "remote_write", "remote_apply", "local"] {
            assert_eq!(of(commit, "", &[]), Durability::Local, "{commit}");
        }
        assert_eq!(of("local", "s", &[]), Durability::Local);
        assert_eq!(of("on", "s", &[]), Durability::RemoteFlush);
        assert_eq!(of("remote_write", "s", &[]), Durability::RemoteWrite);
        assert_eq!(of("remote_apply", "s", &[]), Durability::RemoteApply);
    }

    #[test]
    fn what_is_weaker_counts_before_what_is_stronger() {
        assert_eq!(of("off", "s", &[]), Durability::AsyncCommit);
        assert_eq!(
            of("remote_apply", "s", &[("fsync", "off")]),
            Durability::FsyncOff
        );
        let torn = of("on", "", &[("full_page_writes", "off")]);
        assert_eq!(torn, Durability::TornPages);
        assert_eq!(of("on", "", &[("fsync", NOT_TOLD)]), Durability::NotTold);
        let another = of("on", "", &[("server_version", "15.2-YB-2.25.0.0-b0")]);
        assert_eq!(another, Durability::NotTold);
        assert_eq!(Durability::NotTold.survives_power_cut(), None);
        assert_eq!(torn.survives_power_cut(), Some(false));
    }
}
