//! TLS: what is spoken, what is refused, and that a peer who dawdles holds up nobody.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use busload_net::tls::{HTTP_1_1, certificates, provider};
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version,
};

use crate::certificate::{Certificate, private_file};
use crate::client::{SECRET, TRANSFER, ask, bearer, handshake, token_flag};
use crate::support::{FIN, HTTP, Server, TEXT, WS, directory, frame, read_response, read_text};

const HTTP_2: &[u8] = b"h2";

type Client = StreamOwned<ClientConnection, TcpStream>;

struct Secure {
    server: Server,
    roots: RootCertStore,
}

impl Secure {
    fn start(program: &str, flags: &[&str]) -> Self {
        let directory = Arc::new(directory());
        let certificate = Certificate::new();
        let files = certificate.flags(directory.path());
        let token = token_flag(directory.path());
        let authority = private_file(directory.path(), "authority.pem", &certificate.authority);
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&authority).expect("it was just written") {
            roots.add(certificate).expect("it is a certificate");
        }
        let flags = [&[&*files[0], &files[1], &token], flags].concat();
        Self {
            server: Server::start_in(program, directory, &flags),
            roots,
        }
    }

    /// A client that speaks this version and offers these protocols; the handshake is done.
    fn client(
        &self,
        speaks: &'static SupportedProtocolVersion,
        offers: &[&[u8]],
    ) -> std::io::Result<Client> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[speaks])
            .expect("the version is built in")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = offers.iter().map(|offer| offer.to_vec()).collect();
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut client = StreamOwned::new(client, self.server.connect());
        while client.conn.is_handshaking() {
            client.conn.complete_io(&mut client.sock)?;
        }
        Ok(client)
    }
}

#[test]
fn both_versions_are_spoken_over_http() {
    let secure = Secure::start(HTTP, &[]);
    assert!(secure.server.announced.contains(" https://127.0.0.1:"));
    let right = bearer(SECRET);
    for speaks in [&version::TLS12, &version::TLS13] {
        for offers in [&[][..], &[HTTP_1_1], &[HTTP_2, HTTP_1_1]] {
            let mut client = secure.client(speaks, offers).expect("a handshake");
            let agreed = offers.last().copied();
            assert_eq!(client.conn.alpn_protocol(), agreed);
            let done = ask(&mut client, "POST /rpc", &right, TRANSFER);
            done.expect_done();
            let info = r#"{"name":"info"}"#;
            let info = ask(&mut client, "POST /rpc", &right, info).json();
            assert_eq!(info["result"]["tls"], true, "{info}");
            assert_eq!(info["result"]["authenticated"], true, "{info}");
            let refused = ask(&mut client, "POST /rpc", "", TRANSFER);
            refused.expect_refused(401, "unauthorized");
        }
    }
    // HTTP/2 is not served, which a client that speaks nothing else is told at once.
    assert!(secure.client(&version::TLS13, &[HTTP_2]).is_err());
}

#[test]
fn a_websocket_is_spoken_under_tls_and_closed_properly() {
    let secure = Secure::start(WS, &[]);
    assert!(secure.server.announced.contains(" wss://127.0.0.1:"));
    let mut refused = secure.client(&version::TLS13, &[]).expect("a handshake");
    let first = handshake("");
    refused.write_all(first.as_bytes()).expect("it reads");
    let answer = read_response(&mut refused).expect("an answer");
    answer.expect_refused(401, "unauthorized");

    let mut client = secure.client(&version::TLS13, &[]).expect("a handshake");
    let first = handshake(&bearer(SECRET));
    // In one write: what comes right behind the handshake belongs to the WebSocket.
    let both = [first.as_bytes(), &frame(FIN | TEXT, TRANSFER.as_bytes())].concat();
    client.write_all(&both).expect("it reads");
    let answer = read_response(&mut client).expect("an answer");
    assert_eq!(answer.status, 101, "{answer:?}");
    assert_eq!(read_text(&mut client), br#"{"id":1,"ok":true}"#);
    for _ in 0..100 {
        client
            .write_all(&frame(FIN | TEXT, TRANSFER.as_bytes()))
            .expect("it reads");
    }
    for _ in 0..100 {
        assert_eq!(read_text(&mut client), br#"{"id":1,"ok":true}"#);
    }
    let stop = std::thread::spawn(|| secure.server.stop());
    let mut end = Vec::new();
    // No error: TLS was told of the end, so that it cannot be taken for a cut wire.
    client.read_to_end(&mut end).expect("a proper end");
    assert_eq!(end, [0x88, 2, 0x03, 0xE9], "close, going away");
    drop(client);
    let (code, said) = stop.join().expect("it stops");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn who_speaks_no_tls_gets_nothing() {
    let secure = Secure::start(HTTP, &[]);
    let mut plain = secure.server.connect();
    let request = format!("GET /health HTTP/1.1\r\nhost: x\r\n{}\r\n", bearer(SECRET));
    plain.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    // The next one is served.
    let mut client = secure.client(&version::TLS13, &[]).expect("a handshake");
    ask(&mut client, "GET /health", "", "").expect_done();
}

#[test]
fn who_dawdles_in_the_handshake_is_dropped_in_time() {
    let secure = Secure::start(WS, &["--tls-handshake-timeout=300ms"]);
    let began = Instant::now();
    let mut silent = secure.server.connect();
    let mut slow = secure.server.connect();
    slow.write_all(&[22, 3, 1, 2, 0]).expect("it reads");
    // Others are served meanwhile.
    let mut client = secure.client(&version::TLS13, &[]).expect("a handshake");
    ask(&mut client, "GET /health", "", "").expect_done();
    for waiting in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        let _ = waiting.read_to_end(&mut rest);
        assert!(began.elapsed() >= Duration::from_millis(300));
    }
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_stop_does_not_wait_for_a_handshake() {
    let secure = Secure::start(
        HTTP,
        &["--tls-handshake-timeout=60s", "--shutdown-timeout=20s"],
    );
    let _silent = secure.server.connect();
    // Accepted before this one, which is answered.
    let mut client = secure.client(&version::TLS13, &[]).expect("a handshake");
    ask(&mut client, "GET /health", "", "").expect_done();
    drop(client);
    let began = Instant::now();
    assert_eq!(secure.server.stop().0, Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn nothing_that_a_server_says_has_the_key_in_it() {
    let secure = Secure::start(HTTP, &[]);
    let key = secure.server.directory.path().join("key.pem");
    let key = std::fs::read_to_string(key).expect("it was just written");
    let mut said = secure.server.command_line();
    let mut client = secure.client(&version::TLS13, &[]).expect("a handshake");
    let info = r#"{"name":"info"}"#;
    let answer = ask(&mut client, "POST /rpc", &bearer(SECRET), info);
    said += &String::from_utf8_lossy(&answer.body);
    drop(client);
    said += &secure.server.stop().1;
    for line in key.lines().filter(|line| !line.starts_with('-')) {
        assert!(!said.contains(line), "{said}");
    }
    assert!(!said.contains(SECRET), "{said}");
    assert!(said.contains("key.pem"), "only where it is: {said}");
}
