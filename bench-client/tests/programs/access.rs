//! The real program at servers that do not let everybody in: tokens, certificates, ledgers that
//! are not to be wiped; and that no record and no process shows a secret.

#[path = "../../../servers/programs/tests/access/certificate.rs"]
mod certificate;

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use crate::common::{
    Directory, Ended, Running, Served, bench_client, directory, row, run, until, verdicts, within,
};
use bench_client::config::ConnectorKind;
use bench_client::connector::{Credentials, Trust};
use bench_client::control::ControlClient;
use busload_net::token::Token;
use certificate::{Certificate, private_file};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::Value;

const SECRET: &str = "correct-horse-battery-staple";
const CONNECTORS: [(&str, &str); 2] = [("http", "sqlite_rpc"), ("ws", "sqlite_ws_rpc")];

/// A server that speaks TLS and wants a token, and what a client needs for it.
struct Guarded {
    served: Served,
    directory: Directory,
}

impl Guarded {
    fn start(transport: &str, further: &[&str]) -> Self {
        let directory = directory();
        let here = directory.path();
        private_file(here, "token-of-server", &format!("{SECRET}\n"));
        let certificate = Certificate::new();
        let [own, key] = certificate.flags(here);
        private_file(here, "authority.pem", &certificate.authority);
        let other = Certificate::new().authority;
        private_file(here, "other-authority.pem", &other);
        private_file(here, "token-of-client", SECRET);
        private_file(here, "wrong-token", "not-the-token-at-all");
        let flags = [
            "--accounts=100",
            "--database=served.sqlite",
            "--token-file=token-of-server",
            &own,
            &key,
        ];
        let served = Served::bench_client(here, transport, &[&flags, further].concat());
        Self { served, directory }
    }

    /// A short load on it; nothing of the tester's is believed.
    fn load(&self, connector: &str, flags: &[&str]) -> Command {
        let mut command = load(self.directory.path(), connector, &self.served.url());
        command.args(flags);
        command
    }

    /// How much it has applied.
    fn applied(&self, transport: &str) -> u64 {
        let here = self.directory.path();
        let credentials = Credentials {
            token: Some(Token::from_file(&here.join("token-of-client")).expect("a token")),
            trust: Some(Trust::in_file(&here.join("authority.pem")).expect("an authority")),
        };
        let target = credentials.target(&self.served.url()).expect("a URL");
        within(async {
            let mut control = match transport {
                "http" => ControlClient::new(ConnectorKind::SqliteRpc, target),
                _ => ControlClient::new(ConnectorKind::SqliteWsRpc, target),
            };
            let info = control.info().await.expect("an answer").expect("ours");
            assert_eq!((info.tls, info.authenticated), (Some(true), Some(true)));
            let stats = control.stats(false).await.expect("an answer");
            stats.expect("ours").applied
        })
    }
}

fn load(directory: &Path, connector: &str, url: &str) -> Command {
    let mut command = bench_client(directory);
    // Whom the operating system believes is the tester's business, and here it is nobody.
    command.env("SSL_CERT_FILE", directory.join("other-authority.pem"));
    command.env_remove("SSL_CERT_DIR");
    command.args([
        "run",
        "--connector",
        connector,
        "--url",
        url,
        "--accounts=100",
        "--concurrency=3",
        "--duration=0.5",
        "--warmup=0.1",
        "--no-null-server",
        "--output=record.json",
    ]);
    command
}

/// Fails unless the program said so in one line, with exit code 2, and made no record.
#[track_caller]
fn expect_refused(ended: &Ended, directory: &Path, says: &[&str]) {
    ended.expect_code(2);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    for says in says {
        assert!(ended.stderr.contains(says), "no '{says}': {}", ended.stderr);
    }
    assert!(!ended.stderr.contains(SECRET), "{}", ended.stderr);
    assert!(!directory.join("record.json").exists());
}

#[test]
fn a_run_over_tls_with_a_token_is_valid_and_its_record_holds_neither_token_nor_path() {
    for (transport, connector) in CONNECTORS {
        let guarded = Guarded::start(transport, &[]);
        let here = guarded.directory.path();
        let scheme = format!("{transport}s://");
        assert!(guarded.served.url().starts_with(&scheme));
        for flags in [
            &["--token-file=token-of-client", "--ca=authority.pem"][..],
            &["--token-file", "token-of-client", "--ca", "authority.pem"],
        ] {
            let before = guarded.applied(transport);
            let ended = run(&mut guarded.load(connector, flags));
            ended.expect_code(0);
            let text = std::fs::read_to_string(here.join("record.json")).expect("a record");
            let record: Value = serde_json::from_str(&text).expect("JSON");
            let measured = row(&record);
            assert_eq!(measured["valid"], true, "{measured}");
            assert!(verdicts(measured, true).is_empty());
            let committed = measured["committed"].as_u64().expect("a count");
            assert!(committed > 0 && guarded.applied(transport) >= before + committed);
            let all = format!("{text}{}{}", ended.stdout, ended.stderr);
            for secret in [SECRET, "token-of-client", "token-of-server"] {
                assert!(!all.contains(secret), "'{secret}' in {all}");
            }
            assert!(
                text.contains("--token-file"),
                "that there was one may be seen"
            );
        }
    }
}

/// What is seen in `/proc` of a load that runs, and of the server under it.
#[test]
fn no_process_shows_the_token() {
    let guarded = Guarded::start("ws", &[]);
    let flags = [
        "--token-file=token-of-client",
        "--ca=authority.pem",
        "--duration=2",
    ];
    let mut command = load(
        guarded.directory.path(),
        "sqlite_ws_rpc",
        &guarded.served.url(),
    );
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let arguments = arguments.into_iter().filter(|arg| arg != "--duration=0.5");
    let mut again = bench_client(guarded.directory.path());
    again.args(arguments).args(flags);
    command = again;
    let load = Running::start(&mut command);
    let before = guarded.applied("ws");
    until("the load is on", || {
        (guarded.applied("ws") > before).then_some(())
    });
    for pid in [load.pid(), guarded.served.pid()] {
        for of in ["cmdline", "environ"] {
            let shown = std::fs::read(format!("/proc/{pid}/{of}")).expect("it runs");
            assert!(!String::from_utf8_lossy(&shown).contains(SECRET), "{of}");
        }
    }
    load.wait().expect_code(0);
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    for (transport, connector) in CONNECTORS {
        let guarded = Guarded::start(transport, &[]);
        let here = guarded.directory.path();
        let before = guarded.applied(transport);
        let token = "--token-file=token-of-client";
        for flags in [&[token, "--ca=other-authority.pem"][..], &[token]] {
            let ended = run(&mut guarded.load(connector, flags));
            expect_refused(&ended, here, &["certificate", "--ca"]);
        }
        assert_eq!(guarded.applied(transport), before);
    }
}

#[test]
fn whom_the_operating_system_believes_is_believed_without_ca() {
    let guarded = Guarded::start("ws", &[]);
    let here = guarded.directory.path();
    let mut command = guarded.load("sqlite_ws_rpc", &["--token-file=token-of-client"]);
    command.env("SSL_CERT_FILE", here.join("authority.pem"));
    run(&mut command).expect_code(0);
    // With --ca nobody else is.
    let _ = std::fs::remove_file(here.join("record.json"));
    command.arg("--ca=other-authority.pem");
    expect_refused(&run(&mut command), here, &["certificate"]);
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let guarded = Guarded::start("http", &["--listen=127.0.0.2"]);
    let here = guarded.directory.path();
    let flags = ["--token-file=token-of-client", "--ca=authority.pem"];
    let ended = run(&mut guarded.load("sqlite_rpc", &flags));
    expect_refused(&ended, here, &["127.0.0.2", "another name"]);
}

#[test]
fn a_wrong_or_missing_token_is_refused() {
    for (transport, connector) in CONNECTORS {
        let guarded = Guarded::start(transport, &[]);
        let here = guarded.directory.path();
        let before = guarded.applied(transport);
        let ca = "--ca=authority.pem";
        let ended = run(&mut guarded.load(connector, &[ca]));
        expect_refused(&ended, here, &["wants a token", "--token-file"]);
        let ended = run(&mut guarded.load(connector, &[ca, "--token-file=wrong-token"]));
        expect_refused(&ended, here, &["does not take this token", "--token-file"]);
        assert!(!ended.stderr.contains("wrong-token"), "{}", ended.stderr);
        assert_eq!(guarded.applied(transport), before);
    }
}

#[test]
fn tls_at_a_server_without_it_and_plain_text_at_one_with_it_are_refused() {
    let directory = directory();
    let here = directory.path();
    let certificate = Certificate::new();
    private_file(here, "other-authority.pem", &certificate.authority);
    let [own, key] = certificate.flags(here);
    for (transport, connector) in CONNECTORS {
        let database = format!("--database={transport}.sqlite");
        let flags = ["--accounts=100", &database];
        let plain = Served::bench_client(here, transport, &flags);
        let url = plain.url().replace("://", "s://");
        let ended = run(&mut load(here, connector, &url));
        expect_refused(&ended, here, &["cannot speak TLS", "http:// or ws://"]);
        let mut with_ca = load(here, connector, &plain.url());
        with_ca.arg("--ca=other-authority.pem");
        expect_refused(&run(&mut with_ca), here, &["--ca", "https:// or wss://"]);
        plain.kill();

        let says = format!("if it serves {transport}s://, write so in the URL");
        let secure = Served::bench_client(here, transport, &[&flags[..], &[&own, &key]].concat());
        let url = secure.url().replace("s://", "://");
        let ended = run(&mut load(here, connector, &url));
        ended.expect_code(5);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.contains(&says), "{}", ended.stderr);
    }
}

/// As TLS libraries other than ours do with plain text, and plain servers with a handshake.
#[test]
fn a_server_that_closes_without_an_answer_may_speak_the_other() {
    let directory = directory();
    let here = directory.path();
    private_file(here, "other-authority.pem", &Certificate::new().authority);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = listener.local_addr().expect("it is bound").to_string();
    let closes = std::thread::spawn(move || {
        for stream in listener.incoming().take(2 * CONNECTORS.len()) {
            let mut stream = stream.expect("a connection");
            // What is not read when it closes would be a reset.
            let read = stream.read(&mut [0; 16 * 1024]).expect("a request");
            assert!(read > 0);
        }
    });
    for (transport, connector) in CONNECTORS {
        let ended = run(&mut load(
            here,
            connector,
            &format!("{transport}://{place}"),
        ));
        ended.expect_code(5);
        let says = format!("if it serves {transport}s://, write so in the URL");
        ended.expect_one_line(&says);
        let ended = run(&mut load(
            here,
            connector,
            &format!("{transport}s://{place}"),
        ));
        expect_refused(&ended, here, &["cannot speak TLS", "http:// or ws://"]);
    }
    closes.join().expect("it saw what it should");
}

#[test]
fn an_authoritys_certificate_is_no_servers() {
    let directory = directory();
    let here = directory.path();
    let names = vec!["127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let own = params.self_signed(&key).expect("a certificate").pem();
    let certificate = Certificate {
        authority: own.clone(),
        own,
        key: key.serialize_pem(),
    };
    let [own, key] = certificate.flags(here);
    private_file(here, "authority.pem", &certificate.authority);
    let flags = ["--accounts=100", "--database=served.sqlite", &own, &key];
    let served = Served::bench_client(here, "ws", &flags);
    let mut command = load(here, "sqlite_ws_rpc", &served.url());
    let ended = run(command.arg("--ca=authority.pem"));
    expect_refused(&ended, here, &["of an authority", "CA:FALSE"]);
    let ended = run(load(here, "sqlite_ws_rpc", &served.url()).arg("--ca=none"));
    expect_refused(&ended, here, &["--ca: cannot read none"]);
    let ended = run(load(here, "sqlite_ws_rpc", &served.url()).arg("--token-file=none"));
    expect_refused(&ended, here, &["--token-file: cannot read"]);
}

#[test]
fn a_ledger_that_is_not_to_be_wiped_is_measured_but_not_reseeded() {
    for (transport, connector) in CONNECTORS {
        let directory = directory();
        let here = directory.path();
        let flags = ["--accounts=100", "--database=served.sqlite"];
        let first = Served::bench_client(here, transport, &flags);
        run(load(here, connector, &first.url()).arg("--reseed")).expect_code(0);
        assert_eq!(first.terminate(), Some(0));
        let _ = std::fs::remove_file(here.join("record.json"));

        let second = Served::bench_client(here, transport, &flags);
        let ended = run(load(here, connector, &second.url()).arg("--reseed"));
        expect_refused(&ended, here, &["wipe", "--allow-seed", "--reseed"]);
        run(&mut load(here, connector, &second.url())).expect_code(0);
        assert_eq!(second.terminate(), Some(0));

        for allowing in ["--allow-seed", "--reseed"] {
            let third = Served::bench_client(here, transport, &[&flags[..], &[allowing]].concat());
            run(load(here, connector, &third.url()).arg("--reseed")).expect_code(0);
            assert_eq!(third.terminate(), Some(0));
        }
    }
}

/// `127.1` gets to where `127.0.0.1` does, and is neither an address to the server nor a name
/// without a dot.
#[test]
fn a_host_name_that_a_server_does_not_serve_under_is_said() {
    let directory = directory();
    let here = directory.path();
    for (transport, connector) in CONNECTORS {
        let database = format!("--database={transport}.sqlite");
        let flags = ["--accounts=100", &database];
        let served = Served::bench_client(here, transport, &flags);
        let url = served.url().replace("127.0.0.1", "127.1");
        let ended = run(&mut load(here, connector, &url));
        expect_refused(&ended, here, &["under this name", "use its address"]);
    }
}

/// `compare` records its sides as they are written: a token's file is not a part of one.
#[test]
fn a_token_file_is_no_key_of_a_side() {
    let directory = directory();
    let here = directory.path();
    let ended = run(bench_client(here).args([
        "compare",
        "sqlite_rpc,token-file=token-of-client",
        "sqlite_rpc",
    ]));
    ended.expect_code(2);
    assert!(ended.stderr.contains("token-file"), "{}", ended.stderr);
}
