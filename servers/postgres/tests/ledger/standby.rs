//! A synchronous standby that takes over when the primary is lost: no acknowledged transfer is.

use std::thread;
use std::time::Duration;

use busload_engine::EngineError;

use crate::load::{Load, PLENTY};
use crate::support::database::programs_for_standbys;
use crate::support::{Bank, Database, config, is_full_size, tell};

/// Times that a standby takes over, scaled down in CI.
fn promotions() -> usize {
    if is_full_size() { 20 } else { 1 }
}

fn wait_for(database: &Database, question: &str) {
    for _ in 0..1_000 {
        if database.ask(question) == "t" {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("never: {question}");
}

#[test]
fn what_a_standby_has_applied_outlives_the_primary() {
    let name = "what_a_standby_has_applied_outlives_the_primary";
    let Some(programs) = programs_for_standbys(name) else {
        return;
    };
    let commit = "synchronous_commit=remote_apply";
    let mut primary = Database::start(&programs, &[commit]);
    let mut seeding = config(&primary);
    seeding.postgres.seed_balance = PLENTY;
    Bank::start(&seeding).stop_cleanly();
    let mut load = Load::default();
    for _ in 0..promotions() {
        let standby = Database::standby_of(&primary, "second", &[commit]);
        primary.ask("ALTER SYSTEM SET synchronous_standby_names = 'second'");
        primary.ask("SELECT pg_reload_conf()");
        wait_for(
            &primary,
            "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'",
        );
        // Both are named: whoever takes transfers is found.
        let mut config = config(&primary);
        config.postgres.url = format!(
            "postgres://bank@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write",
            primary.port, standby.port
        );
        let bank = Bank::start(&config);
        let about = bank.engine.about();
        assert_eq!(about.durability, "postgres-remote-apply");
        assert_eq!(about.settings["replication"], "streaming sync");
        for _ in 0..20 {
            load.batch(&bank);
        }
        thread::scope(|scope| {
            let killing = scope.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                primary.kill();
            });
            while load.open.is_empty() {
                load.batch(&bank);
            }
            killing.join().expect("it was killed");
        });
        standby.promote();
        load.nothing_is_lost(&standby);
        // What took over waits for nobody: a server that said otherwise when it started stops.
        let (_, ended) = {
            thread::sleep(Duration::from_secs(1));
            bank.stop()
        };
        let changed = ended.expect_err("the durability is another");
        assert!(
            matches!(changed, EngineError::DurabilityChanged { .. }),
            "{changed}"
        );
        standby.ask("ALTER SYSTEM RESET synchronous_standby_names");
        standby.ask("SELECT pg_reload_conf()");
        thread::sleep(Duration::from_millis(300));
        let mut config = config.clone();
        config.postgres.url = standby.url();
        let bank = Bank::start(&config);
        assert_eq!(bank.engine.about().durability, "postgres-local");
        load.resolve(&bank);
        load.nothing_is_lost(&standby);
        bank.verify().expect("it adds up");
        bank.stop_cleanly();
        primary = standby;
    }
    let what = format!(
        "{} promotions, {} acknowledged, {} in doubt, 0 lost",
        promotions(),
        load.acknowledged.len(),
        load.in_doubt
    );
    tell(name, &what);
}
