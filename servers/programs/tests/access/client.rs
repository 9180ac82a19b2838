//! Clients by hand, with the headers that decide who may connect.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificate::private_file;
use crate::support::{
    FIN, Response, Server, TEXT, command, directory, frame, read_head, read_response, read_text,
};

pub(crate) const SECRET: &str = "correct-horse-battery-staple";
pub(crate) const TRANSFER: &str =
    r#"{"id":1,"name":"transfer","args":{"from_id":0,"to_id":1,"amount":1}}"#;
pub(crate) const SEED: &str = r#"{"id":1,"name":"seed","args":{"accounts":5,"initialBalance":7}}"#;

/// The flag that names a file with [`SECRET`].
pub(crate) fn token_flag(directory: &Path) -> String {
    let path = private_file(directory, "token", &format!("{SECRET}\n"));
    format!("--token-file={}", path.display())
}

/// `Authorization` with a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Runs a server that is not to start: its exit code and what it said.
pub(crate) fn refused_start(program: &str, directory: &TempDir, flags: &[&str]) -> (i32, String) {
    let output = command(&[], program, directory, flags)
        .stderr(Stdio::piped())
        .output()
        .expect("the server can be started");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("it says text");
    (output.status.code().expect("it was not killed"), said)
}

impl Server {
    /// Only those who show [`SECRET`] are let in.
    pub(crate) fn with_token(program: &str, flags: &[&str]) -> Self {
        let directory = Arc::new(directory());
        let token = token_flag(directory.path());
        Self::start_in(program, directory, &[&[&*token], flags].concat())
    }

    /// What everybody who looks at processes sees of it.
    pub(crate) fn command_line(&self) -> String {
        self.proc("cmdline").replace('\0', " ")
    }

    /// A request with further headers, each with the end of its line.
    pub(crate) fn ask(&self, line: &str, headers: &str, body: &str) -> Response {
        ask(&mut self.connect(), line, headers, body)
    }

    /// Asks for what a transfer or a control call is sent through: a request over HTTP, a
    /// handshake and a message over WebSocket. The message is sent without waiting, and the
    /// answer to it is the body of that to the handshake.
    pub(crate) fn call(&self, headers: &str, request: &str) -> Response {
        if !self.is_ws {
            return self.ask("POST /rpc", headers, request);
        }
        let mut stream = self.connect();
        let both = [
            handshake(headers).into_bytes(),
            frame(FIN | TEXT, request.as_bytes()),
        ];
        stream.write_all(&both.concat()).expect("it reads");
        let mut response = read_response(&mut stream).expect("an answer");
        if response.status == 101 {
            response.body = read_text(&mut stream);
        }
        response
    }

    /// All balances and what was applied, as whoever has the token sees them.
    pub(crate) fn books(&self) -> Value {
        let headers = bearer(SECRET);
        let request = json!({"id": 1, "name": "stats", "args": {"balances": true}});
        let answer = self.call(&headers, &request.to_string()).json();
        assert_eq!(answer["ok"], true, "{answer}");
        let stats = &answer["result"];
        json!([stats["applied"], stats["committed"], stats["balances"]])
    }
}

impl Response {
    /// Fails unless it is a refusal with this status and code.
    #[track_caller]
    pub(crate) fn expect_refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        // Beside the code there may be a sentence.
        let said = self.json();
        assert_eq!((&said["ok"], &said["error"]), (&json!(false), &json!(code)));
        let challenged = self.head.contains("\r\nwww-authenticate: bearer\r\n");
        assert_eq!(challenged, status == 401, "{self:?}");
    }

    /// Fails unless the request was done.
    #[track_caller]
    pub(crate) fn expect_done(&self) {
        assert!(matches!(self.status, 101 | 200), "{self:?}");
        assert_eq!(self.json()["ok"], true, "{self:?}");
    }
}

pub(crate) fn ask(
    stream: &mut (impl Read + Write),
    line: &str,
    headers: &str,
    body: &str,
) -> Response {
    let content = if body.is_empty() {
        String::new()
    } else {
        let length = body.len();
        format!("Content-Type: application/json\r\nContent-Length: {length}\r\n")
    };
    let host = host_beside(headers);
    let request = format!("{line} HTTP/1.1\r\n{host}{content}{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it reads");
    let response = if line.starts_with("HEAD") {
        read_head(stream)
    } else {
        read_response(stream)
    };
    response.expect("an answer")
}

/// A host that is let in, where the headers name none.
fn host_beside(headers: &str) -> &'static str {
    let names = |line: &str| line.starts_with("Host:");
    if headers.lines().any(names) {
        ""
    } else {
        "Host: x\r\n"
    }
}

/// A handshake of WebSocket, to a host of this machine where the headers name none.
pub(crate) fn handshake(headers: &str) -> String {
    let host = host_beside(headers);
    format!(
        "GET /rpc HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         {headers}\r\n"
    )
}
