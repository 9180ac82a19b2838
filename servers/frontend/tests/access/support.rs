//! Servers as processes, and clients by hand: a library would not send what is tried here.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use crate::certificate::{Certificate, private_file};

pub(crate) const PATIENCE: Duration = Duration::from_mins(5);
pub(crate) const HTTP: &str = env!("CARGO_BIN_EXE_sqlite-rpc-server");
pub(crate) const WS: &str = env!("CARGO_BIN_EXE_sqlite-ws-rpc-server");
pub(crate) const SECRET: &str = "correct-horse-battery-staple";
pub(crate) const TRANSFER: &str =
    r#"{"id":1,"name":"transfer","args":{"from_id":0,"to_id":1,"amount":1}}"#;
pub(crate) const SEED: &str = r#"{"id":1,"name":"seed","args":{"accounts":5,"initialBalance":7}}"#;

pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new()
        .prefix("busload-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a directory can be made below target")
}

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
pub(crate) fn refused_start(program: &str, directory: &Path, flags: &[&str]) -> (i32, String) {
    let output = Command::new(program)
        .current_dir(directory)
        .args(["--port=0", "--database=a.sqlite", "--seed-accounts=100"])
        .args(flags)
        .stdin(Stdio::null())
        .output()
        .expect("the server can be started");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("it says text");
    (output.status.code().expect("it was not killed"), said)
}

fn gather(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    })
}

/// A server as a process of its own; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) program: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) announced: String,
    pub(crate) directory: Arc<TempDir>,
    output: Vec<JoinHandle<String>>,
}

impl Server {
    pub(crate) fn start(program: &'static str, flags: &[&str]) -> Self {
        Self::start_in(program, Arc::new(directory()), flags)
    }

    /// Only those who show [`SECRET`] are let in.
    pub(crate) fn with_token(program: &'static str, flags: &[&str]) -> Self {
        let directory = Arc::new(directory());
        let token = token_flag(directory.path());
        Self::start_in(program, directory, &[&[&*token], flags].concat())
    }

    pub(crate) fn start_in(program: &'static str, directory: Arc<TempDir>, flags: &[&str]) -> Self {
        let mut child = Command::new(program)
            .current_dir(directory.path())
            .args(["--port=0", "--database=a.sqlite", "--seed-accounts=100"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server can be started");
        let stderr = gather(child.stderr.take().expect("it is piped"));
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut announced = String::new();
        stdout
            .read_line(&mut announced)
            .expect("it announces itself");
        let address = announced
            .split("://")
            .nth(1)
            .and_then(|rest| rest.split('/').next())
            .and_then(|address| address.parse().ok());
        let Some(address) = address else {
            panic!("no address in '{announced}': {:?}", stderr.join());
        };
        Self {
            child,
            program,
            address,
            announced,
            directory,
            output: vec![gather(stdout), stderr],
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
            set(&stream, Some(PATIENCE)).expect("it can be set");
        }
        stream.set_nodelay(true).expect("it can be set");
        stream
    }

    /// What everybody who looks at processes sees of it.
    pub(crate) fn command_line(&self) -> String {
        let path = format!("/proc/{}/cmdline", self.child.id());
        let bytes = std::fs::read(path).expect("it runs");
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    }

    /// SIGTERM; the exit code, and everything that it said.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("process ids fit"));
        kill(pid, Signal::SIGTERM).expect("it runs");
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not stop");
            thread::sleep(Duration::from_millis(5));
        };
        let mut said = self.announced.clone();
        for output in self.output.drain(..) {
            said.push_str(&output.join().expect("it is read"));
        }
        (status.code(), said)
    }

    /// A request with further headers, each with the end of its line.
    pub(crate) fn ask(&self, line: &str, headers: &str, body: &str) -> Response {
        ask(&mut self.connect(), line, headers, body)
    }

    /// Asks for what a transfer or a control call is sent through: a request over HTTP, a
    /// handshake and a message over WebSocket. The message is sent without waiting.
    pub(crate) fn call(&self, headers: &str, request: &str) -> Response {
        if self.program == HTTP {
            return self.ask("POST /rpc", headers, request);
        }
        let mut stream = self.connect();
        let first = handshake(headers);
        let both = [first.as_bytes(), &frame(request.as_bytes())].concat();
        stream.write_all(&both).expect("it reads");
        let mut response = read_response(&mut stream).expect("an answer");
        if response.status == 101 {
            response.body = read_frame(&mut stream);
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

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer: over WebSocket that to the handshake, with the first message as its body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless it is a refusal with this status and code.
    #[track_caller]
    pub(crate) fn expect_refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.json(), json!({"ok": false, "error": code}));
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
    let request = format!("{line} HTTP/1.1\r\n{content}{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut response = read_head(stream).expect("an answer");
    if !line.starts_with("HEAD") {
        read_body(stream, &mut response);
    }
    response
}

pub(crate) fn handshake(headers: &str) -> String {
    format!(
        "GET /rpc HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         {headers}\r\n"
    )
}

pub(crate) fn read_response(stream: &mut impl Read) -> Option<Response> {
    let mut response = read_head(stream)?;
    read_body(stream, &mut response);
    Some(response)
}

/// `None` when the connection ends before it.
fn read_head(stream: &mut impl Read) -> Option<Response> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("heads are text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Some(Response {
        status: status.expect("a status"),
        head: head.to_ascii_lowercase(),
        body: Vec::new(),
    })
}

fn read_body(stream: &mut impl Read, response: &mut Response) {
    let mut lines = response.head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse().expect("a length"));
    response.body = vec![0; length];
    stream.read_exact(&mut response.body).expect("a body");
}

/// A text message of a client; short, under a mask of zeros.
pub(crate) fn frame(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("it is short");
    assert!(length < 126, "it is short");
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text].concat()
}

/// The text of the next message of a server.
pub(crate) fn read_frame(stream: &mut impl Read) -> Vec<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a message");
    assert_eq!(head[0], 0x81, "one text message");
    let length = match head[1] {
        126 => {
            let mut bytes = [0; 2];
            stream.read_exact(&mut bytes).expect("a length");
            usize::from(u16::from_be_bytes(bytes))
        }
        short => usize::from(short),
    };
    let mut text = vec![0; length];
    stream.read_exact(&mut text).expect("a message");
    text
}
