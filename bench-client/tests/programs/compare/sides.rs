//! Sides that are other programs, or run already.

use nix::unistd::Pid;
use serde_json::json;

use super::{compare, comparison};
use crate::common::{Served, directory, is_alive, rows};

#[test]
fn servers_of_other_programs_and_at_urls_are_sides() {
    let directory = directory();
    let program = env!("CARGO_BIN_EXE_bench-client");
    let flags = ["--accounts=500", "--database=other.sqlite"];
    let served = Served::bench_client(directory.path(), "ws", &flags);
    let sides = [
        format!("sqlite_ws_rpc,server-bin={program}"),
        format!("sqlite_ws_rpc,url={},reseed", served.url()),
    ];
    let words = [sides[0].as_str(), &sides[1], "--rounds=1", "--json"];
    let ended = compare(directory.path(), &words);
    ended.expect_code(0);
    let record = comparison(directory.path(), &ended);
    assert_eq!(record["base"]["label"], json!(sides[0]));
    let rows = rows(&record);
    assert_eq!(rows[0]["target"]["server"]["durability"], "wal-full");
    assert_eq!(rows[1]["target"]["kind"], "url");
    let differences = record["differences"].as_array().expect("differences");
    let of = |field: &str| {
        let mut found = differences.iter();
        found.find(|difference| difference["field"] == field)
    };
    let program_of = of("server-bin").expect("it is named");
    assert_eq!(program_of["base"], json!(program));
    assert_eq!(program_of["candidate"], "this program");
    assert_eq!(of("url").expect("it is named")["base"], "not set");
}

/// A program that takes the flags of a server directly, as the two servers do, and says which
/// it is with `--version`.
#[cfg(unix)]
#[test]
fn a_server_program_takes_its_flags_directly() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = directory();
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo busload-frontend 0.1.0; exit; fi\n\
         echo \"$1\" >> first-words\n\
         setsid sleep 1000 > /dev/null 2>&1 &\necho $! >> left-behind\nexec {} serve ws \"$@\"\n",
        env!("CARGO_BIN_EXE_bench-client")
    );
    let place = |name: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, &script).expect("it can be written");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, executable).expect("it can be made executable");
    };
    place("sqlite-ws-rpc-server");
    place("sqlite-rpc-server");
    let side = "sqlite_ws_rpc,server-bin=./sqlite-ws-rpc-server";
    let ended = compare(directory.path(), &[side, side, "--rounds=1"]);
    ended.expect_code(0);
    let words = std::fs::read_to_string(directory.path().join("first-words"));
    assert_eq!(words.expect("it was started"), "--port=0\n--port=0\n");
    let left = std::fs::read_to_string(directory.path().join("left-behind"));
    let left = left.expect("it was started");
    let mut left = left.lines().map(|pid| pid.parse().expect("a process id"));
    assert_eq!(left.clone().count(), 2);
    assert!(
        !left.any(|pid| is_alive(Pid::from_raw(pid))),
        "nothing is left"
    );
    let other = "sqlite_ws_rpc,server-bin=./sqlite-rpc-server";
    let ended = compare(directory.path(), &[other, side, "--rounds=1"]);
    ended.expect_code(2);
    assert!(
        ended.stderr.contains("does not serve sqlite_ws_rpc"),
        "{}",
        ended.stderr
    );
}
