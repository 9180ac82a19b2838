//! A server at a URL: left as it is, and left alone when it is none.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::thread;
use std::time::Duration;

use busload_frontend::Transport;
use serde_json::{Value, json};

use crate::common::{
    InProcess, PATIENCE, Served, bench_client, directory, records, row, run, settings,
};
use crate::end_to_end::{books, refused, short_run};

/// It would be seeded in the place of the one that the command starts.
#[test]
fn a_server_that_was_there_is_left_alone_by_a_command_for_its_place() {
    let directory = directory();
    let served = Served::bench_client(directory.path(), "ws", &["--accounts=1000"]);
    let before = books(&served);
    let url = format!("--url={}", served.url());
    let flags = ["run", "--server-command=sleep 60", &url];
    let says = "a server already listens at 127.0.0.1";
    refused(directory.path(), &[], &flags, 2, says);
    assert_eq!(books(&served), before);
    assert_eq!(served.terminate(), Some(0));
}

#[test]
fn a_server_at_a_url_is_wiped_only_when_asked() {
    for (transport, connector) in [("http", "sqlite_rpc"), ("ws", "sqlite_ws_rpc")] {
        let directory = directory();
        let flags = [
            "--accounts=1000",
            "--initial-balance=5000",
            "--database=a.sqlite",
        ];
        let mut served = Served::bench_client(directory.path(), transport, &flags);
        let connector = format!("--connector={connector}");
        let url = format!("--url={}", served.url());
        let fresh = books(&served);
        assert_eq!((fresh.0, fresh.1.as_str()), (1000, "5000000"));

        short_run(directory.path(), &[&connector, &url]).expect_code(0);
        let worked = books(&served);
        assert_eq!(worked.1, fresh.1, "money is conserved");
        assert_ne!(worked.2, fresh.2, "and moved");

        // The second run finds what the first left, and judges by what it changes itself.
        short_run(directory.path(), &[&connector, &url]).expect_code(0);
        assert_ne!(books(&served).2, worked.2);
        for file in records(directory.path()) {
            let text = std::fs::read_to_string(file).expect("it can be read");
            let record: Value = serde_json::from_str(&text).expect("it is JSON");
            let row = row(&record);
            assert_eq!(
                (&row["valid"], &row["verify"]["applied"]),
                (&json!(true), &row["verify"]["acknowledged"])
            );
            assert!(row["target"]["server"].is_null());
            assert!(
                row["sync_baseline"]["before"].is_null(),
                "whose disk would that be?"
            );
        }

        let larger = |flags: &[&str]| {
            let base = [
                "run",
                "--duration=0.5",
                "--warmup=0.1",
                "--concurrency=4",
                "--accounts=2000",
            ];
            run(bench_client(directory.path()).args(base).args(flags))
        };
        // Wrong number of accounts: refused, not seeded.
        let before = books(&served);
        let ended = larger(&[&connector, &url]);
        ended.expect_code(2);
        assert!(ended.stderr.contains("--reseed"), "{}", ended.stderr);
        assert_eq!(books(&served), before);

        larger(&[&connector, &url, "--reseed", "--initial-balance=70"]).expect_code(0);
        let reseeded = books(&served);
        assert_eq!((reseeded.0, reseeded.1.as_str()), (2000, "140000"));
        assert!(
            served.is_alive(),
            "a server that is not ours is not stopped"
        );
        assert_eq!(served.terminate(), Some(0));
    }
}

/// The control plane's connection is idle for the whole window, and servers close such.
#[test]
fn a_connection_that_was_closed_while_idle_is_opened_again() {
    let directory = directory();
    let mut settings = settings(directory.path(), Transport::Http);
    settings.limits.header_timeout = Duration::from_millis(250);
    let server = InProcess::start(settings);
    let mut command = bench_client(directory.path());
    command.args([
        "run",
        "--json",
        "--duration=1",
        "--warmup=0.5",
        "--concurrency=2",
    ]);
    command.args(["--accounts=1000", "--connector=sqlite_rpc"]);
    command.arg(format!("--url=http://{}", server.target.authority));
    let ended = run(&mut command);
    let record = ended.expect_code(0).json();
    let row = row(&record);
    assert!(
        !row["server"].is_null(),
        "its counters were read at both ends: {row:#}"
    );
    assert_eq!(row["verify"]["ledger_ok"], true);
    server.stop();
}

/// A port where `answer` is said to whoever connects, after its first bytes.
fn stranger(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                match answer {
                    Some(text) => {
                        let _ = stream.write_all(text.as_bytes());
                        let _ = stream.shutdown(Shutdown::Write);
                    }
                    // Says nothing, and keeps the line.
                    None => thread::sleep(PATIENCE),
                }
            });
        }
    });
    address.to_string()
}

/// A run with this connector finds nobody to measure at the address, which it names.
#[track_caller]
/// The URL of a server at this address, if it spoke what the connector speaks.
fn url_for(connector: &str, address: &str) -> String {
    let scheme = if connector == "sqlite_rpc" {
        "http"
    } else {
        "ws"
    };
    format!("--url={scheme}://{address}")
}

fn no_server(directory: &Path, address: &str, connector: &str, flags: &[&str]) {
    let url = url_for(connector, address);
    let connector = format!("--connector={connector}");
    let flags = [&["run", &*url, &connector], flags].concat();
    refused(directory, &[], &flags, 5, address);
}

#[test]
fn a_server_that_does_not_speak_the_protocol_is_code_five() {
    let directory = directory();
    let answers: [&str; 9] = [
        "",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n<html></html",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 500 Oops\r\ncontent-length: 4\r\nconnection: close\r\n\r\noops",
        "HTTP/1.1 301 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull",
        "HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\n{\"ok\":true,\"result\":\"cats\"}",
        "HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n",
    ];
    for answer in answers {
        let address = stranger(Some(answer));
        for connector in ["sqlite_rpc", "sqlite_ws_rpc"] {
            no_server(directory.path(), &address, connector, &[]);
        }
    }
    // Nobody there.
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = closed.local_addr().expect("it is bound").to_string();
    drop(closed);
    for connector in ["sqlite_rpc", "sqlite_ws_rpc"] {
        for flags in [&[][..], &["--reseed"]] {
            no_server(directory.path(), &address, connector, flags);
        }
    }
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let directory = directory();
    let address = stranger(None);
    thread::scope(|scope| {
        for connector in ["sqlite_rpc", "sqlite_ws_rpc"] {
            let (address, directory) = (&address, directory.path());
            scope.spawn(move || {
                let url = url_for(connector, address);
                let connector = format!("--connector={connector}");
                refused(directory, &[], &["run", &url, &connector], 5, "");
            });
        }
    });
}

/// The handshake with a connector of the other transport's server.
#[test]
fn the_wrong_transport_is_refused() {
    let directory = directory();
    let http = Served::bench_client(directory.path(), "http", &["--accounts=100"]);
    let ws = Served::bench_client(directory.path(), "ws", &["--accounts=100"]);
    let cases = [("sqlite_rpc", &ws), ("sqlite_ws_rpc", &http)];
    for (connector, served) in cases {
        let url = served.url();
        let (_, address) = url.split_once("://").expect("a URL");
        let address = address.trim_end_matches("/rpc").trim_end_matches('/');
        // Refused in its own words where the URL says it, and found out where it does not.
        let as_it_is = format!("--url={url}");
        let other = url_for(connector, address);
        let connector = format!("--connector={connector}");
        refused(
            directory.path(),
            &[],
            &["run", &as_it_is, &connector],
            2,
            "--url",
        );
        refused(directory.path(), &[], &["run", &other, &connector], 5, "");
    }
}

/// More workers than the server has places for: it accepts no more and says nothing.
#[test]
fn a_server_without_a_place_left_is_code_five() {
    let directory = directory();
    let flags = ["--accounts=100", "--max-connections=3"];
    let served = Served::bench_client(directory.path(), "ws", &flags);
    let url = format!("--url={}", served.url());
    let flags = [
        "run",
        &url,
        "--accounts=100",
        "--concurrency=8",
        "--duration=0.4",
        "--warmup=0",
    ];
    refused(directory.path(), &[], &flags, 5, "--concurrency");
}
