//! With what a server starts, and with what not: said in one line, exit code 2.

use std::os::unix::fs::PermissionsExt as _;

use crate::certificate::{Certificate, private_file};
use crate::client::{SECRET, refused_start, token_flag};
use crate::support::{HTTP, Server, WS, directory};

/// Of a network that is kept for documentation: nobody can listen there, so that a server gets
/// as far as trying, and no test is open to others.
const ELSEWHERE: &str = "--listen=192.0.2.1";

#[test]
fn elsewhere_than_on_loopback_a_server_needs_a_token_or_a_word() {
    for program in [HTTP, WS] {
        let directory = directory();
        for listen in [ELSEWHERE, "--listen=0.0.0.0", "--listen=::"] {
            let (code, said) = refused_start(program, &directory, &[listen]);
            assert_eq!(code, 2, "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            for remedy in ["--token-file", "--allow-unauthenticated"] {
                assert!(
                    said.starts_with("error: ") && said.contains(remedy),
                    "{said}"
                );
            }
        }
        let token = token_flag(directory.path());
        for (flag, warning) in [
            (&*token, "without TLS"),
            ("--allow-unauthenticated", "anyone who reaches it"),
        ] {
            let flags = [ELSEWHERE, flag];
            let (code, said) = refused_start(program, &directory, &flags);
            assert_eq!(code, 2, "{said}");
            assert!(said.contains("error: cannot listen on 192.0.2.1"), "{said}");
            assert!(said.contains("warning: listening on 192.0.2.1"), "{said}");
            assert!(said.contains(warning), "{said}");
        }
        let [certificate, key] = Certificate::new().flags(directory.path());
        let flags = [ELSEWHERE, &token, &certificate, &key];
        let (_, said) = refused_start(program, &directory, &flags);
        assert!(!said.contains("warning"), "{said}");
        let made = directory.path().join("a.sqlite").exists();
        assert!(!made, "a server that may not start makes no ledger");
    }
}

#[test]
fn a_token_file_that_is_none_is_refused_without_being_shown() {
    let directory = directory();
    let long = "x".repeat(5000);
    for (text, says) in [
        ("", "is empty"),
        ("\n", "is empty"),
        ("too-short", "too short"),
        (
            "correct-horse-battery-staple\nsecond-line",
            "more than one line",
        ),
        ("correct horse battery staple", "blanks"),
        (&long, "too long"),
    ] {
        let path = private_file(directory.path(), "bad", text);
        let flag = format!("--token-file={}", path.display());
        let (code, said) = refused_start(HTTP, &directory, &[&flag]);
        assert_eq!(code, 2, "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(says), "no '{says}' in {said}");
        assert!(text.len() < 2 || !said.contains(text), "{said}");
        assert!(!said.contains("horse"), "{said}");
    }
    let (code, said) = refused_start(WS, &directory, &["--token-file=none"]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("--token-file: cannot read the token file none: "),
        "{said}"
    );
}

#[test]
fn a_secret_that_others_can_read_is_warned_of() {
    let warned = |server: Server| {
        let (code, said) = server.stop();
        assert_eq!(code, Some(0));
        said.matches("warning: others can read the").count()
    };
    assert_eq!(warned(Server::with_token(HTTP, &[])), 0);
    let directory = directory();
    let token = private_file(directory.path(), "open", SECRET);
    let [certificate, key] = Certificate::new().flags(directory.path());
    for path in [&token, &directory.path().join("key.pem")] {
        let everybody = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(path, everybody).expect("it is ours");
    }
    let token = format!("--token-file={}", token.display());
    let flags = [&*token, &certificate, &key];
    assert_eq!(warned(Server::start(HTTP, &flags)), 2);
}

#[test]
fn a_negative_value_is_refused_with_its_flag_and_what_may_be() {
    let directory = directory();
    for program in [HTTP, WS] {
        for (flag, value, says) in [
            ("--batch-timeout", "-1ms", "such as 2ms"),
            ("--initial-balance", "-5", "of at least 0"),
            ("--max-connections", "-1", "from 1 to 1,000,000"),
            ("--listen", "-1", "is not an IP address"),
        ] {
            let (code, said) = refused_start(program, &directory, &[flag, value]);
            assert_eq!(code, 2, "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(said.contains(&format!("'{flag} <")), "{said}");
            assert!(said.contains(says), "no '{says}' in {said}");
        }
    }
}

/// What acknowledges and writes nothing says so; what writes says nothing.
#[test]
fn a_server_that_discards_its_writes_warns_of_it() {
    for program in [HTTP, WS] {
        let warned = |flags: &[&str]| {
            let (code, said) = Server::start(program, flags).stop();
            assert_eq!(code, Some(0), "{said}");
            let warnings = said.lines().filter(|line| line.starts_with("warning: "));
            warnings.map(str::to_owned).collect::<Vec<_>>()
        };
        let warnings = warned(&["--durability=discard-writes"]);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("writes nothing"), "{warnings:?}");
        for quiet in [&[][..], &["--durability=discard-writes", "--null-server"]] {
            assert_eq!(warned(quiet), [""; 0]);
        }
    }
}

#[test]
fn flags_that_do_not_go_together_are_refused() {
    let directory = directory();
    let token = token_flag(directory.path());
    let [certificate, key] = Certificate::new().flags(directory.path());
    for flags in [
        &[&*token, "--allow-unauthenticated"][..],
        &["--allow-seed", "--no-seed"],
        &[&*certificate],
        &[&*key],
        &["--tls-handshake-timeout=1s"],
        &["--allow-origin=*"],
        &["--allow-origin=page.example"],
        &["--allow-origin=https://page.example/path"],
    ] {
        let (code, said) = refused_start(WS, &directory, flags);
        assert_eq!(code, 2, "{flags:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("error: "), "{said}");
    }
}

#[test]
fn a_certificate_that_cannot_be_served_with_is_refused_without_its_key_being_shown() {
    let directory = directory();
    let ours = Certificate::new();
    let [certificate, key] = ours.flags(directory.path());
    let other = private_file(directory.path(), "other.pem", &Certificate::new().key);
    let other = format!("--tls-key={}", other.display());
    let garbage = private_file(directory.path(), "garbage", "no PEM");
    let broken = private_file(
        directory.path(),
        "broken",
        "-----BEGIN PRIVATE KEY-----\nnot base64!\n-----END PRIVATE KEY-----\n",
    );
    let older = private_file(
        directory.path(),
        "older",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
         DEK-Info: AES-128-CBC,000102030405060708090A0B0C0D0E0F\n\n\
         AAAAAAAA\n-----END EC PRIVATE KEY-----\n",
    );
    let newer = private_file(
        directory.path(),
        "newer",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAAAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let flag = |name: &str, path: &std::path::Path| format!("--tls-{name}={}", path.display());
    for (certificate, key, says) in [
        (&certificate, &other, "they must belong together"),
        (&flag("cert", &garbage), &key, "holds no certificate"),
        (&certificate, &flag("key", &garbage), "holds no private key"),
        (&certificate, &flag("key", &broken), "is not a PEM file"),
        (&certificate, &flag("key", &older), "openssl pkey -in"),
        (&certificate, &flag("key", &newer), "openssl pkey -in"),
        (
            &flag("cert", "none".as_ref()),
            &key,
            "--tls-cert: cannot read none",
        ),
        (
            &certificate,
            &flag("key", "none".as_ref()),
            "--tls-key: cannot read none",
        ),
    ] {
        let (code, said) = refused_start(HTTP, &directory, &[certificate, key]);
        assert_eq!(code, 2, "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(says), "no '{says}' in {said}");
        for line in ours.key.lines().filter(|line| !line.starts_with('-')) {
            assert!(!said.contains(line), "{said}");
        }
        assert!(!said.contains("base64!"), "{said}");
    }
}
