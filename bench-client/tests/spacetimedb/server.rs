//! A small server of SpacetimeDB's protocol with the benchmark's module: it seeds, applies
//! transfers, answers SQL, and has whatever habit a test gives it. Written from the description
//! of the wire and not from this program's codec, but for the reading of calls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bench_client::connector::spacetimedb::bsatn::Reader;
use bench_client::connector::spacetimedb::messages::CallReducer;
use bench_client::connector::{Endpoint, parse_url};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use crate::common::{PATIENCE, runtime};

/// The database.
pub(crate) const DATABASE: &str = "test-1";
/// A frame of the server has at most so many bytes.
const FRAME_BYTES_MAX: usize = 4096;

/// How it is other than the real one.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    /// How long its commit log takes.
    pub(crate) answers_after: Duration,
    /// Every so many transfers, one is acknowledged and not applied.
    pub(crate) forgets_every: Option<u64>,
    /// What a client must show.
    pub(crate) token: Option<&'static str>,
    /// The name of the reducer that moves money.
    pub(crate) transfer: &'static str,
    /// What it refuses every transfer with.
    pub(crate) refuses_with: Option<&'static str>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            answers_after: Duration::ZERO,
            forgets_every: None,
            token: None,
            transfer: "transfer",
            refuses_with: None,
        }
    }
}

/// What it holds and has seen.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) balances: Vec<i64>,
    pub(crate) committed: u64,
    /// The queries and subprotocols of all upgrades.
    pub(crate) upgrades: Vec<(String, String)>,
}

struct Shared {
    habits: Habits,
    ledger: Mutex<Ledger>,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a reducer; its error is a text, and `Err(None)` that it does not exist.
    fn run(&self, call: &CallReducer<'_>) -> Result<(), Option<String>> {
        let text = |text: &str| Err(Some(text.to_owned()));
        let mut args = Reader::new(call.args);
        let mut ledger = self.ledger();
        if call.reducer == "seed" {
            let (count, balance) = (args.u32().expect("args"), args.i64().expect("args"));
            ledger.balances = vec![balance; count as usize];
            ledger.committed = 0;
            return Ok(());
        }
        if call.reducer != self.habits.transfer {
            return Err(None);
        }
        let mut account = || args.u32().expect("args") as usize;
        let (from, to) = (account(), account());
        let amount = args.i64().expect("args");
        if let Some(refusal) = self.habits.refuses_with {
            return text(refusal);
        }
        let count = ledger.balances.len();
        if from == to {
            return text("same_account");
        } else if amount <= 0 {
            return text("non_positive_amount");
        } else if from >= count || to >= count {
            return text("account_missing");
        } else if ledger.balances[from] < amount {
            return text("insufficient_funds");
        }
        ledger.committed += 1;
        let committed = ledger.committed;
        if self
            .habits
            .forgets_every
            .is_some_and(|every| committed.is_multiple_of(every))
        {
            return Ok(());
        }
        ledger.balances[from] -= amount;
        ledger.balances[to] += amount;
        Ok(())
    }
}

/// A server on a thread and a runtime of its own.
pub(crate) struct Server {
    pub(crate) target: Endpoint,
    pub(crate) url: String,
    shared: Arc<Shared>,
    /// `Some(gracefully)` once it is to end.
    stop: watch::Sender<Option<bool>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// A server with so many accounts of a million each.
    pub(crate) fn start(accounts: usize, habits: Habits) -> Self {
        let shared = Arc::new(Shared {
            habits,
            ledger: Mutex::new(Ledger {
                balances: vec![1_000_000; accounts],
                ..Ledger::default()
            }),
        });
        let (stop, stopped) = watch::channel(None);
        let (send, started) = std::sync::mpsc::sync_channel(1);
        let serves = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            runtime().block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("it is bound");
                send.send(address).expect("the test waits");
                serve(&listener, &serves, stopped).await;
            });
        });
        let address = started.recv_timeout(PATIENCE).expect("it starts in time");
        let url = format!("ws://{address}/{DATABASE}");
        Self {
            target: parse_url(&url).expect("a URL"),
            url,
            shared,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger()
    }

    fn end(&mut self, gracefully: bool) {
        let _ = self.stop.send(Some(gracefully));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the server panicked");
        }
    }

    /// Drops its connections without a word.
    pub(crate) fn die(mut self) {
        self.end(false);
    }

    /// Answers what it has taken, and closes.
    pub(crate) fn stop(mut self) {
        self.end(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(false);
    }
}

async fn serve(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    mut stopped: watch::Receiver<Option<bool>>,
) {
    let mut connections = tokio::task::JoinSet::new();
    let gracefully = loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("it listens");
                connections.spawn(connection(stream, Arc::clone(shared), stopped.clone()));
            }
            _ = stopped.changed() => break *stopped.borrow() == Some(true),
        }
    };
    if gracefully {
        // Those that wait for requests have been told as well.
        let all = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(5), all).await;
    }
}

/// The head of the first request, which stays there to be read.
async fn peek_head(stream: &TcpStream) -> String {
    let mut bytes = vec![0; 8192];
    loop {
        let length = stream.peek(&mut bytes).await.unwrap_or(0);
        let head = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if length == 0 || head.contains("\r\n\r\n") {
            return head;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn connection(
    stream: TcpStream,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<Option<bool>>,
) {
    let head = peek_head(&stream).await.to_ascii_lowercase();
    if head.contains("upgrade: websocket") {
        web_socket(stream, shared, stopped).await;
    } else {
        tokio::select! {
            () = http(stream, &shared) => {}
            _ = stopped.changed() => {}
        }
    }
}

fn refusal(status: StatusCode, text: &str) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(text.to_owned()));
    *response.status_mut() = status;
    response
}

#[expect(clippy::result_large_err, reason = "the library's callback")]
fn upgrade(
    shared: &Shared,
    request: &Request,
    mut response: Response,
) -> Result<(Response, bool), ErrorResponse> {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value
            .map_or("", |value| value.to_str().expect("ASCII"))
            .to_owned()
    };
    let path = request.uri().path();
    if path != format!("/v1/database/{DATABASE}/subscribe") {
        return Err(refusal(StatusCode::NOT_FOUND, "`no-such-db` not found"));
    }
    if !is_let_in(shared, &header("authorization")) {
        let text = "Invalid token: InvalidToken";
        return Err(refusal(StatusCode::UNAUTHORIZED, text));
    }
    let offered = header("sec-websocket-protocol");
    let known = ["v3.bsatn.spacetimedb", "v2.bsatn.spacetimedb"];
    let Some(chosen) = known.into_iter().find(|name| offered.contains(name)) else {
        return Err(refusal(
            StatusCode::BAD_REQUEST,
            "no valid protocol selected",
        ));
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let headers = response.headers_mut();
    headers.insert("sec-websocket-protocol", chosen.parse().expect("a value"));
    let upgrade = (query, chosen.to_owned());
    shared.ledger().upgrades.push(upgrade);
    Ok((response, chosen == known[0]))
}

fn is_let_in(shared: &Shared, authorization: &str) -> bool {
    let wanted = shared.habits.token.map(|token| format!("Bearer {token}"));
    wanted.is_none_or(|wanted| wanted == authorization)
}

#[expect(clippy::result_large_err, reason = "the library's callback")]
async fn web_socket(
    stream: TcpStream,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<Option<bool>>,
) {
    let mut v3 = false;
    let callback = |request: &Request, response: Response| {
        let (response, chosen) = upgrade(&shared, request, response)?;
        v3 = chosen;
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, callback).await else {
        return;
    };
    let mut greeting = vec![0; 1 + 1 + 32 + 16];
    put_text(&mut greeting, "a token");
    let greeted = socket.feed(Message::binary(greeting)).await;
    if greeted
        .and(socket.send(Message::Ping(Vec::new().into())).await)
        .is_err()
    {
        return;
    }
    loop {
        let message = tokio::select! {
            biased;
            message = socket.next() => message,
            _ = stopped.changed() => {
                let module_exited = CloseFrame {
                    code: CloseCode::Away,
                    reason: "module exited".into(),
                };
                let _ = socket.close(Some(module_exited)).await;
                while let Some(Ok(_)) = socket.next().await {}
                return;
            }
        };
        let calls = match message {
            Some(Ok(Message::Binary(calls))) => calls,
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => return,
        };
        // One sync of its log is for all that wait.
        let mut messages = vec![calls];
        while messages.len() < 1000
            && let Some(Some(Ok(Message::Binary(calls)))) = socket.next().now_or_never()
        {
            messages.push(calls);
        }
        let mut payloads = vec![vec![0]];
        for calls in &messages {
            let mut reader = Reader::new(calls);
            while reader.left() > 0 {
                let call = CallReducer::read(&mut reader).expect("a call");
                let answers = payloads.last_mut().expect("there is one");
                put_result(answers, call.request_id, shared.run(&call));
                // Requests and answers are grouped otherwise.
                if !v3 || answers.len() > 10 * FRAME_BYTES_MAX {
                    payloads.push(vec![0]);
                }
                // What is behind the one message of v2 is ignored.
                if !v3 {
                    break;
                }
            }
        }
        if !shared.habits.answers_after.is_zero() {
            tokio::time::sleep(shared.habits.answers_after).await;
        }
        for payload in payloads.iter().filter(|payload| payload.len() > 1) {
            let mut parts = payload.chunks(FRAME_BYTES_MAX).peekable();
            let mut opcode = Data::Binary;
            while let Some(part) = parts.next() {
                let last = parts.peek().is_none();
                let frame = Frame::message(part.to_vec(), OpCode::Data(opcode), last);
                if socket.feed(Message::Frame(frame)).await.is_err() {
                    return;
                }
                opcode = Data::Continue;
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(u32::try_from(text.len()).expect("short").to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_result(out: &mut Vec<u8>, request_id: u32, result: Result<(), Option<String>>) {
    out.push(6);
    out.extend(request_id.to_le_bytes());
    out.extend(1_795_224_244_322_573_i64.to_le_bytes());
    match result {
        Ok(()) => {
            out.push(0);
            out.extend([0; 8]);
        }
        Err(Some(text)) => {
            out.push(2);
            out.extend(u32::try_from(text.len() + 4).expect("short").to_le_bytes());
            put_text(out, &text);
        }
        Err(None) => {
            out.push(3);
            put_text(out, "no such reducer");
        }
    }
}

/// Answers requests until the client goes.
async fn http(stream: TcpStream, shared: &Shared) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => head.push(line.trim_end().to_owned()),
            }
        }
        let header = |name: &str| {
            let mut headers = head.iter().filter_map(|line| line.split_once(": "));
            let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
            found.map_or("", |(_, value)| value)
        };
        let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let body = String::from_utf8(body).expect("SQL is text");
        let (status, text) = if is_let_in(shared, header("authorization")) {
            answer(shared, &head[0], &body)
        } else {
            ("401 Unauthorized", "Invalid token: InvalidToken".to_owned())
        };
        let answer = if text.is_empty() {
            format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")
        } else {
            format!(
                "HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n{:X}\r\n{text}\r\n0\r\n\r\n",
                text.len()
            )
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn answer(shared: &Shared, request: &str, body: &str) -> (&'static str, String) {
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let own = format!("/v1/database/{DATABASE}/");
    match (method, path, path.strip_prefix(&own)) {
        ("GET", "/v1/ping", _) => ("200 OK", String::new()),
        ("GET", _, Some("schema?version=9")) => ("200 OK", schema(shared.habits.transfer)),
        ("POST", _, Some("sql?confirmed=true")) => sql(&shared.ledger().balances, body),
        _ => ("404 Not Found", "`no-such-db` not found".to_owned()),
    }
}

const ELEMENTS: &str = "{\"elements\":[{\"name\":{\"some\":\"id\"},\"algebraic_type\":{\"U32\":[]}},\
     {\"name\":{\"some\":\"balance\"},\"algebraic_type\":{\"I64\":[]}}]}";

fn sql(balances: &[i64], query: &str) -> (&'static str, String) {
    let Some(which) = query.strip_prefix("SELECT * FROM accounts") else {
        return ("400 Bad Request", format!("sql parser error: {query}"));
    };
    let id: Option<usize> = which
        .strip_prefix(" WHERE id = ")
        .map(|id| id.parse().expect("a number"));
    // Their order is nobody's business.
    let rows = balances.iter().enumerate().rev();
    let rows = rows.filter(|(account, _)| id.is_none_or(|id| id == *account));
    let rows: Vec<_> = rows
        .map(|(id, balance)| format!("[{id},{balance}]"))
        .collect();
    let rows = rows.join(",");
    let stats = "{\"rows_inserted\":0,\"rows_deleted\":0,\"rows_updated\":0}";
    let text = format!(
        "[{{\"schema\":{ELEMENTS},\"rows\":[{rows}],\"total_duration_micros\":380,\"stats\":{stats}}}]"
    );
    ("200 OK", text)
}

fn schema(transfer: &str) -> String {
    let param =
        |of: &str| format!("{{\"name\":{{\"some\":\"x\"}},\"algebraic_type\":{{\"{of}\":[]}}}}");
    let reducer = |name: &str, of: &[&str]| {
        let params: Vec<_> = of.iter().map(|of| param(of)).collect();
        format!(
            "{{\"name\":\"{name}\",\"params\":{{\"elements\":[{}]}}}}",
            params.join(",")
        )
    };
    format!(
        "{{\"tables\":[{{\"name\":\"accounts\"}}],\"reducers\":[{},{}]}}",
        reducer("seed", &["U32", "I64"]),
        reducer(transfer, &["U32", "U32", "I64"])
    )
}
