//! Killed as it enters its Nth sync, one N after the other, whatever the server does then: it
//! makes its ledger, takes back what an earlier kill left half done, or commits.
//!
//! `strace` counts the syncs of each thread from the start of the process. The thread that opens
//! the ledger makes those that come before the server announces itself; the writer those of the
//! commits. With a write-ahead log a restart makes none before its first commit: recovery only
//! reads. With a rollback journal it syncs journal and database before it serves anybody.

#![cfg(target_os = "linux")]

mod support;

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;

use nix::sys::signal::Signal;
use support::{
    FIN, INITIAL_BALANCE, Server, TEXT, WS, balances, directory, frame, is_full_size, read_frame,
    skip, socket, tell, works,
};
use tempfile::TempDir;

/// The last sync of the walk, from the list of cases (docs/reliability-evidence.md, case 4).
const LAST: u64 = 200;
const ACCOUNTS: usize = 100;

/// Whether the test is to be made at all; else it says why not.
fn can_kill(name: &str) -> bool {
    let can = works(&["strace", "-D", "-qq", "-e", "trace=none", "true"]);
    if !can {
        skip(&format!("sync_kills::{name}"), "strace cannot trace");
    }
    can
}

#[track_caller]
fn was_killed(ended: ExitStatus) {
    assert_eq!(ended.signal(), Some(Signal::SIGKILL as i32), "{ended}");
}

/// A server that dies as it enters its sync number `at`; without one when it died before it had
/// announced itself.
fn doomed(directory: &Arc<TempDir>, at: u64, flags: &[&str]) -> Option<Server> {
    let fault = format!("inject=fsync,fdatasync:signal=SIGKILL:when={at}");
    let wrapper = ["strace", "-D", "-f", "-qq", "-o", "trace", "-e"];
    let events = ["trace=fsync,fdatasync", "-e", "signal=none", "-e", &fault];
    let wrapper = [&wrapper[..], &events].concat();
    let server = Server::try_start_under(&wrapper, WS, Arc::clone(directory), flags);
    server.map_err(was_killed).ok()
}

/// What one client knows of its transfers: the first pays 1, the second 2 and so on, so that a
/// sum says which of them were applied.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    sent: i64,
    acknowledged: i64,
}

/// Transfers from one account to the next, a few in flight, until the server dies.
fn pay_until_death(server: &mut Server, from: usize) -> Seen {
    const IN_FLIGHT: i64 = 4;
    let mut stream = socket(server);
    let request = |amount: i64| {
        let text = format!(
            "{{\"id\":{amount},\"name\":\"transfer\",\
             \"args\":{{\"from_id\":{from},\"to_id\":{},\"amount\":{amount}}}}}",
            from + 1
        );
        frame(FIN | TEXT, text.as_bytes())
    };
    let mut seen = Seen::default();
    loop {
        assert!(seen.sent < 10_000, "it is never killed");
        // What could not be written whole may have arrived all the same.
        while seen.sent < seen.acknowledged + IN_FLIGHT {
            seen.sent += 1;
            let _ = stream.write_all(&request(seen.sent));
        }
        let Some((opcode, payload)) = read_frame(&mut stream) else {
            break;
        };
        assert_eq!(opcode, TEXT, "a killed server says no farewell");
        let answer: serde_json::Value = serde_json::from_slice(&payload).expect("it is JSON");
        assert_eq!(answer["ok"], true, "{answer}");
        seen.acknowledged += 1;
        assert_eq!(answer["id"], seen.acknowledged, "in their order");
    }
    server.ended();
    was_killed(server.child.wait().expect("it is our child"));
    seen
}

/// Moves what was applied of these transfers from `from` to the next account. By their sum these
/// must be all that were acknowledged, those after them without a hole, and each of them once.
#[track_caller]
fn settle(books: &mut [i64], now: &[i64], from: usize, seen: Seen, when: &str) {
    let moved = books[from] - now[from];
    let applied = (seen.acknowledged..=seen.sent).find(|last| last * (last + 1) / 2 == moved);
    assert!(
        applied.is_some(),
        "{when}: {moved} moved, which is not 1 + 2 + 3 … of {seen:?}"
    );
    books[from] -= moved;
    books[from + 1] += moved;
}

/// What a walk came across.
#[derive(Debug, Default)]
struct Walk {
    kills: u64,
    /// Of them, before the server had announced itself.
    while_starting: u64,
    acknowledged: i64,
}

/// For each of these pairs of syncs: a server that dies at the first one and leaves what it
/// leaves; one that starts on that and dies at the second; and one that must find all that
/// either had acknowledged, once.
fn walk(moments: impl Iterator<Item = (u64, u64)>, flags: &[&str]) -> Walk {
    let directory = Arc::new(directory());
    let made = Server::start_in(WS, Arc::clone(&directory), flags).terminate();
    assert_eq!(made.0, Some(0));
    let mut books = vec![INITIAL_BALANCE; ACCOUNTS];
    let mut walk = Walk::default();
    for (first, at) in moments {
        // A pair of accounts for the first, and one of the other 49 for the second.
        let (left, pair) = (0, 2 + 2 * (usize::try_from(at).expect("small") % 49));
        let die = |at, from| {
            let server = doomed(&directory, at, flags);
            server.map(|mut server| pay_until_death(&mut server, from))
        };
        let before = die(first, left).expect("nothing was left to be recovered from");
        let after = die(at, pair);
        let when = format!("killed at sync {first}, then at {at}, {after:?}");
        let server = Server::start_in(WS, Arc::clone(&directory), flags);
        let now = balances(&server);
        settle(&mut books, &now, left, before, &when);
        settle(&mut books, &now, pair, after.unwrap_or_default(), &when);
        assert_eq!(books, now, "{when}: nobody else has paid or received");
        walk.kills += 2;
        walk.while_starting += u64::from(after.is_none());
        walk.acknowledged += before.acknowledged + after.unwrap_or_default().acknowledged;
    }
    walk
}

/// The places in a commit at which the first server is killed: with a rollback journal a commit
/// has five syncs, and one that dies at the third or the fourth leaves a journal that must be
/// rolled back. The first commit after a start is left alone.
const FIRST: std::ops::Range<u64> = 6..11;

/// Every N up to [`LAST`], or every twentieth; the lowest ones after each of [`FIRST`], since a
/// recovery has no more syncs than that.
fn moments() -> impl Iterator<Item = (u64, u64)> {
    let (stride, lowest) = if is_full_size() { (1, 6) } else { (20, 2) };
    let lowest = (1..=lowest).flat_map(|at| FIRST.map(move |first| (first, at)));
    let others = (1..=LAST).step_by(stride).map(|at| (6 + at % 5, at));
    lowest.chain(others)
}

fn say(name: &str, walk: &Walk) {
    let text = format!(
        "{} kills, {} of them before the server announced itself; {} transfers acknowledged, \
         none lost",
        walk.kills, walk.while_starting, walk.acknowledged
    );
    tell(&format!("sync_kills::{name}"), &text);
}

#[test]
fn case_04_killed_at_each_sync_with_a_write_ahead_log() {
    const NAME: &str = "case_04_killed_at_each_sync_with_a_write_ahead_log";
    if can_kill(NAME) {
        let walk = walk(moments(), &["--checkpoint-kib=80"]);
        say(NAME, &walk);
        assert!(walk.acknowledged > 100, "{walk:?}");
    }
}

/// Pages that share a block of the disk with others.
#[test]
fn case_04_killed_at_each_sync_with_small_pages() {
    const NAME: &str = "case_04_killed_at_each_sync_with_small_pages";
    if can_kill(NAME) {
        let walk = walk(moments(), &["--checkpoint-kib=80", "--page-size=512"]);
        say(NAME, &walk);
        assert!(walk.acknowledged > 100, "{walk:?}");
    }
}

/// The first syncs of a restart are those of its recovery: the server dies again in the middle
/// of taking back what the first kill left half done.
#[test]
fn case_04_killed_at_each_sync_with_a_rollback_journal() {
    const NAME: &str = "case_04_killed_at_each_sync_with_a_rollback_journal";
    if can_kill(NAME) {
        let walk = walk(moments(), &["--durability=delete-extra"]);
        say(NAME, &walk);
        assert!(walk.acknowledged > 100, "{walk:?}");
        assert!(walk.while_starting >= 4, "{walk:?}");
    }
}

/// The ledger is there whole or not at all, and the next start makes it.
#[test]
fn case_04_killed_at_each_sync_of_the_first_start() {
    const NAME: &str = "case_04_killed_at_each_sync_of_the_first_start";
    if !can_kill(NAME) {
        return;
    }
    for durability in ["--durability=wal-full", "--durability=delete-extra"] {
        let mut kills = 0;
        loop {
            let directory = Arc::new(directory());
            let at = kills + 1;
            // Twice: the second start finds what the first one left.
            let died = [(); 2].map(|()| doomed(&directory, at, &[durability]).is_none());
            let server = Server::start_in(WS, Arc::clone(&directory), &[durability]);
            assert_eq!(balances(&server), [INITIAL_BALANCE; ACCOUNTS], "at {at}");
            if !died[0] {
                break;
            }
            kills += 1;
            assert!(kills < LAST, "it never starts");
        }
        assert!(
            kills >= 4,
            "{durability}: a seeding has more syncs: {kills}"
        );
    }
}
