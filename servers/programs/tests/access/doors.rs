//! Tokens, origins and host names, on both kinds of server.

use crate::client::{SECRET, TRANSFER, ask, bearer};
use crate::support::{HTTP, Server, WS};

#[test]
fn a_token_opens_and_nothing_else_does() {
    for program in [HTTP, WS] {
        let server = Server::with_token(program, &[]);
        let before = server.books();
        let right = bearer(SECRET);
        for wrong in [
            String::new(),
            bearer(""),
            bearer(&SECRET[1..]),
            bearer(&SECRET[..SECRET.len() - 1]),
            bearer(&format!("{SECRET}x")),
            bearer(&SECRET.to_uppercase()),
            format!("Authorization: Basic {SECRET}\r\n"),
            format!("Authorization: {SECRET}\r\n"),
            format!("X-Authorization: Bearer {SECRET}\r\n"),
            format!("Cookie: token={SECRET}\r\n"),
            format!("{right}{right}"),
        ] {
            let refused = server.call(&wrong, TRANSFER);
            refused.expect_refused(401, "unauthorized");
            for line in ["GET /", "GET /metrics", "GET /nothing", "PUT /rpc"] {
                let refused = server.ask(line, &wrong, "");
                refused.expect_refused(401, "unauthorized");
            }
        }
        // Nor does one in the path.
        let line = format!("GET /metrics?access_token={SECRET}");
        server
            .ask(&line, "", "")
            .expect_refused(401, "unauthorized");
        assert_eq!(server.books(), before, "nothing was applied");
        server.call(&right, TRANSFER).expect_done();
        assert_ne!(server.books(), before);
        for line in ["GET /", "GET /metrics"] {
            assert_eq!(server.ask(line, &right, "").status, 200);
        }
    }
}

#[test]
fn health_is_open_to_those_without_a_token() {
    for program in [HTTP, WS] {
        let server = Server::with_token(program, &[]);
        server.ask("GET /health", "", "").expect_done();
        assert_eq!(server.ask("HEAD /health", "", "").status, 200);
        // The page is; the method of that name goes through the same door as all others.
        let method = r#"{"id":1,"name":"health"}"#;
        let refused = server.call("", method);
        refused.expect_refused(401, "unauthorized");
        server.call(&bearer(SECRET), method).expect_done();
    }
}

#[test]
fn one_wrong_request_does_not_open_the_connection_for_the_next() {
    let server = Server::with_token(HTTP, &[]);
    let before = server.books();
    let mut stream = server.connect();
    let right = bearer(SECRET);
    for (headers, status) in [(&*right, 200), ("", 401), (&right, 200), ("", 401)] {
        let answer = ask(&mut stream, "GET /metrics", headers, "");
        assert_eq!(answer.status, status);
    }
    assert_eq!(server.books(), before);
}

#[test]
fn info_says_whether_there_is_a_token() {
    let info = r#"{"id":1,"name":"info"}"#;
    for program in [HTTP, WS] {
        let open = Server::start(program, &[]).call("", info).json();
        assert_eq!(open["result"]["authenticated"], false, "{open}");
        assert_eq!(open["result"]["tls"], false, "{open}");
        let server = Server::with_token(program, &[]);
        let closed = server.call(&bearer(SECRET), info).json();
        assert_eq!(closed["result"]["authenticated"], true, "{closed}");
    }
}

const STRANGER: &str = "Origin: https://evil.example\r\n";
const PAGE: &str = "Origin: https://page.example:8443\r\n";

#[test]
fn case_25_a_foreign_origin_is_refused() {
    for program in [HTTP, WS] {
        for flags in [&[][..], &["--allow-origin=https://page.example:8443"]] {
            let server = Server::start(program, flags);
            let before = server.books();
            for origin in [
                STRANGER,
                "Origin: null\r\n",
                "Origin:\r\n",
                "Origin: https://page.example\r\n",
                "Origin: http://page.example:8443\r\n",
                "Origin: https://page.example:8443.evil.example\r\n",
                "Origin: http://127.0.0.1\r\n",
                &format!("{PAGE}{STRANGER}"),
            ] {
                server
                    .call(origin, TRANSFER)
                    .expect_refused(403, "forbidden");
                for line in ["GET /health", "GET /metrics", "OPTIONS /rpc"] {
                    let refused = server.ask(line, origin, "");
                    refused.expect_refused(403, "forbidden");
                    assert!(!refused.head.contains("access-control"), "{refused:?}");
                }
            }
            assert_eq!(server.books(), before, "nothing was applied");
            server.call("", TRANSFER).expect_done();
        }
        // The token of a page that is not listed does not help it.
        let server = Server::with_token(program, &[]);
        let headers = format!("{STRANGER}{}", bearer(SECRET));
        let refused = server.call(&headers, TRANSFER);
        refused.expect_refused(403, "forbidden");
    }
}

#[test]
fn a_listed_origin_is_served_and_told_so() {
    let flags = [
        "--allow-origin=https://page.example:8443/",
        "--allow-origin=http://b.example",
    ];
    for program in [HTTP, WS] {
        let server = Server::start(program, &flags);
        server.call(PAGE, TRANSFER).expect_done();
        server
            .call("Origin: http://B.example:80\r\n", TRANSFER)
            .expect_done();
        let answer = server.ask("GET /metrics", PAGE, "");
        assert_eq!(answer.status, 200);
        let named = "\r\naccess-control-allow-origin: https://page.example:8443\r\n";
        assert!(answer.head.contains(named), "{answer:?}");
        assert!(answer.head.contains("\r\nvary: origin\r\n"), "{answer:?}");
        // What no page asked for says nothing of pages.
        let plain = server.ask("GET /metrics", "", "");
        assert!(!plain.head.contains("access-control"), "{plain:?}");
        // A browser asks first whether a page may send JSON or a token.
        let asks = format!("{PAGE}Access-Control-Request-Method: POST\r\n");
        let told = server.ask("OPTIONS /rpc", &asks, "");
        assert_eq!(told.status, 204, "{told:?}");
        for header in [
            "-origin: https://page",
            "-methods: get, head, post",
            "authorization",
        ] {
            assert!(told.head.contains(header), "no '{header}' in {told:?}");
        }
    }
}

/// A page can give its own name the address 127.0.0.1, and then a browser takes the server for
/// a part of the page.
#[test]
fn a_foreign_host_is_refused_where_there_is_no_token() {
    for program in [HTTP, WS] {
        let server = Server::start(program, &[]);
        let before = server.books();
        let port = server.address.port();
        for host in [
            "Host: evil.example\r\n",
            &format!("Host: evil.example:{port}\r\n"),
            "Host: localhost.evil.example\r\n",
            "Host:\r\n",
        ] {
            server.call(host, TRANSFER).expect_refused(403, "forbidden");
            let refused = server.ask("GET /metrics", host, "");
            refused.expect_refused(403, "forbidden");
        }
        let in_line = "GET http://evil.example/metrics";
        let refused = server.ask(in_line, "Host: localhost\r\n", "");
        refused.expect_refused(403, "forbidden");
        let two = "Host: localhost\r\nHost: evil.example\r\n";
        let refused = server.call(two, TRANSFER);
        refused.expect_refused(400, "invalid_request");
        assert_eq!(server.books(), before, "nothing was applied");
        for host in [
            &format!("Host: 127.0.0.1:{port}\r\n"),
            "Host: localhost\r\n",
            "Host: [::1]:1\r\n",
            "Host: server\r\n",
        ] {
            server.call(host, TRANSFER).expect_done();
        }
        let elsewhere = "Host: ledger.example\r\n";
        let server = Server::start(program, &["--allow-unauthenticated"]);
        server.call(elsewhere, TRANSFER).expect_done();
        let server = Server::with_token(program, &[]);
        let with_token = format!("{elsewhere}{}", bearer(SECRET));
        server.call(&with_token, TRANSFER).expect_done();
    }
}

#[test]
fn nothing_that_a_server_says_has_the_token_in_it() {
    for program in [HTTP, WS] {
        let server = Server::with_token(program, &[]);
        let right = bearer(SECRET);
        let mut answers = vec![server.ask("GET /metrics", &right, "")];
        for name in ["info", "stats", "verify", "health"] {
            let request = format!(r#"{{"id":1,"name":"{name}"}}"#);
            answers.push(server.call(&right, &request));
        }
        let mut said = format!("{answers:?}");
        for answer in &answers {
            said += &String::from_utf8_lossy(&answer.body);
        }
        server.call(&bearer("not-the-token-at-all"), TRANSFER);
        said += &server.command_line();
        let database = std::fs::read(server.directory.path().join("a.sqlite"));
        said += &String::from_utf8_lossy(&database.expect("it is there"));
        let (code, printed) = server.stop();
        assert_eq!(code, Some(0));
        said += &printed;
        for secret in [SECRET, &SECRET[1..], "not-the-token-at-all"] {
            assert!(!said.contains(secret), "{said}");
        }
        assert!(said.contains("listening on"), "{said}");
    }
}
