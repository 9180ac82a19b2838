//! `seed` wipes: where it may.

use std::sync::Arc;

use serde_json::json;

use crate::client::{SEED, TRANSFER};
use crate::support::{HTTP, Response, Server, WS, directory};

#[track_caller]
fn expect_forbidden(program: &str, answer: &Response) {
    if program == HTTP {
        answer.expect_refused(403, "forbidden");
    } else {
        assert_eq!(answer.status, 101);
        let refused = json!({"id": 1, "ok": false, "error": "forbidden"});
        assert_eq!(answer.json(), refused);
    }
}

#[test]
fn a_ledger_is_wiped_only_by_the_server_that_made_it() {
    for program in [HTTP, WS] {
        let first = Server::start(program, &[]);
        let directory = Arc::clone(&first.directory);
        first.call("", TRANSFER).expect_done();
        first.call("", SEED).expect_done();
        first.call("", TRANSFER).expect_done();
        let before = first.books();
        assert_eq!(before[2]["accounts"], 5);
        assert_eq!(first.stop().0, Some(0));

        let second = Server::start_in(program, Arc::clone(&directory), &[]);
        let found = second.books();
        assert_eq!(found[2], before[2]);
        expect_forbidden(program, &second.call("", SEED));
        assert_eq!(second.books(), found, "nothing was wiped");
        second.call("", TRANSFER).expect_done();
        assert_eq!(second.stop().0, Some(0));

        for flag in ["--allow-seed", "--reseed"] {
            let server = Server::start_in(program, Arc::clone(&directory), &[flag]);
            server.call("", SEED).expect_done();
            assert_eq!(server.books()[2]["total"], "35");
            assert_eq!(server.stop().0, Some(0));
        }
    }
}

#[test]
fn an_empty_file_is_nobodys_ledger() {
    let directory = directory();
    std::fs::write(directory.path().join("a.sqlite"), "").expect("it can be written");
    let server = Server::start_in(HTTP, Arc::new(directory), &[]);
    server.call("", SEED).expect_done();
}

#[test]
fn no_seed_goes_before_everything() {
    for program in [HTTP, WS] {
        for flags in [&["--no-seed"][..], &["--no-seed", "--reseed"]] {
            let server = Server::start(program, flags);
            let before = server.books();
            expect_forbidden(program, &server.call("", SEED));
            assert_eq!(server.books(), before, "nothing was wiped");
            // There is nothing to wipe for one that asks for just what is there.
            let same =
                r#"{"id":1,"name":"seed","args":{"accounts":100,"initialBalance":10000000}}"#;
            server.call("", same).expect_done();
            server.call("", TRANSFER).expect_done();
            expect_forbidden(program, &server.call("", same));
        }
    }
}

#[test]
fn a_null_server_has_nothing_to_wipe() {
    let server = Server::start(WS, &["--null-server"]);
    server.call("", SEED).expect_done();
    let server = Server::start(WS, &["--null-server", "--no-seed"]);
    expect_forbidden(WS, &server.call("", SEED));
}
