//! A peer: an honest server of the protocol that answers as the original's servers do, knows
//! neither `info` nor `stats`, and has whatever one habit a test gives it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use busload_frontend::Transport;
use busload_wire::ErrorCode;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::{PATIENCE, runtime};

/// What each account holds until the peer is seeded.
pub(crate) const PEER_BALANCE: i64 = 1_000_000;

/// What a peer sends back.
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// Over HTTP.
    pub(crate) status: u16,
    /// How often; a request that is not answered stays open.
    pub(crate) times: usize,
}

impl Answer {
    /// An answer with the status that belongs to it, as it is to be sent once.
    pub(crate) fn of(body: Value) -> Self {
        let code: Option<ErrorCode> = body["error"].as_str().and_then(|error| error.parse().ok());
        let status = match code {
            None if body["ok"] == true => 200,
            // The original's servers answer with a text.
            None => 500,
            Some(code) => code.http_status(),
        };
        Self {
            body,
            status,
            times: 1,
        }
    }

    pub(crate) fn ok(result: impl Into<Value>) -> Self {
        Self::of(json!({"ok": true, "result": result.into()}))
    }

    pub(crate) fn error(error: &str) -> Self {
        Self::of(json!({"ok": false, "error": error}))
    }
}

/// The accounts of a peer.
pub(crate) struct Ledger {
    pub(crate) balances: Vec<i64>,
    /// What every account was seeded with.
    pub(crate) initial: i64,
    /// What `verify` compares with, where that is not what was seeded.
    pub(crate) verifies_with: Option<i64>,
    /// Transfers that came.
    pub(crate) seen: u64,
    /// Transfers that were applied.
    pub(crate) applied: u64,
    /// Requests that are never answered.
    pub(crate) unanswered: u64,
}

impl Ledger {
    fn new(accounts: usize) -> Self {
        Self {
            balances: vec![PEER_BALANCE; accounts],
            initial: PEER_BALANCE,
            verifies_with: None,
            seen: 0,
            applied: 0,
            unanswered: 0,
        }
    }

    /// Both accounts of a transfer and its amount.
    pub(crate) fn parts(args: &Value) -> (usize, usize, i64) {
        let account = |name: &str| {
            usize::try_from(args[name].as_u64().expect("an account")).expect("it is small")
        };
        let amount = args["amount"].as_i64().expect("an amount");
        (account("from_id"), account("to_id"), amount)
    }

    /// Moves the money, if it is there.
    pub(crate) fn transfer(&mut self, args: &Value) -> Answer {
        self.seen += 1;
        let (from, to, amount) = Self::parts(args);
        if self.balances[from] < amount {
            return Answer::error("insufficient_funds");
        }
        self.balances[from] -= amount;
        self.balances[to] += amount;
        self.applied += 1;
        Answer::of(json!({"ok": true}))
    }

    pub(crate) fn total(&self) -> i64 {
        self.balances.iter().sum()
    }

    fn verify(&self) -> Answer {
        let initial = self.verifies_with.unwrap_or(self.initial);
        let count = i64::try_from(self.balances.len()).expect("it is small");
        let changed = self.balances.iter().filter(|b| **b != initial).count();
        let total = self.total();
        if total != initial * count || changed == 0 {
            return Answer::error("internal error");
        }
        Answer::ok(json!({
            "accounts": count.to_string(),
            "total": total.to_string(),
            "changed": changed.to_string(),
        }))
    }

    /// The honest answer to any request.
    pub(crate) fn answer(&mut self, request: &Value) -> Answer {
        let args = &request["args"];
        match request["name"].as_str().unwrap_or_default() {
            "health" => Answer::ok(json!({"status": "ok"})),
            "transfer" => self.transfer(args),
            "getAccount" => {
                let id = args["id"].as_u64().and_then(|id| usize::try_from(id).ok());
                let found = id.and_then(|id| self.balances.get(id));
                Answer::ok(
                    found.map_or(Value::Null, |b| json!({"id": id, "balance": b.to_string()})),
                )
            }
            "verify" => self.verify(),
            "seed" => {
                let accounts = args["accounts"].as_u64().expect("a count");
                let accounts = usize::try_from(accounts).expect("it is small");
                self.initial = args["initialBalance"].as_i64().expect("a balance");
                self.balances = vec![self.initial; accounts];
                Answer::of(json!({"ok": true}))
            }
            name => Answer::error(&format!("unknown method: {name}")),
        }
    }
}

type Answers = Arc<dyn Fn(&mut Ledger, &Value) -> Answer + Send + Sync>;
type Delay = Arc<dyn Fn(&Value) -> Duration + Send + Sync>;

/// A peer that is not started yet; without a habit it is honest and quick.
#[derive(Clone)]
pub(crate) struct Peer {
    transport: Transport,
    accounts: usize,
    answers: Answers,
    delay: Delay,
    idle: Option<Duration>,
}

impl Peer {
    pub(crate) fn new(transport: Transport, accounts: usize) -> Self {
        Self {
            transport,
            accounts,
            answers: Arc::new(Ledger::answer),
            delay: Arc::new(|_| Duration::ZERO),
            idle: None,
        }
    }

    /// What it answers, instead of what [`Ledger::answer`] says.
    pub(crate) fn answers(
        mut self,
        answers: impl Fn(&mut Ledger, &Value) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.answers = Arc::new(answers);
        self
    }

    /// How long it holds the answer to a request back, once it has done what was asked.
    pub(crate) fn delays(
        mut self,
        delay: impl Fn(&Value) -> Duration + Send + Sync + 'static,
    ) -> Self {
        self.delay = Arc::new(delay);
        self
    }

    /// Over HTTP, it closes a connection on which nothing was asked for this long.
    pub(crate) fn closes_idle(mut self, after: Duration) -> Self {
        self.idle = Some(after);
        self
    }

    /// Starts it on a free port of the loopback address; it ends when dropped.
    pub(crate) fn start(self) -> Serving {
        let ledger = Arc::new(Mutex::new(Ledger::new(self.accounts)));
        let (send, started) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let shared = Arc::clone(&ledger);
        let transport = self.transport;
        let accept = async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            send.send(listener.local_addr().expect("it is bound"))
                .expect("the test waits");
            while let Ok((stream, _)) = listener.accept().await {
                let connection = Conversation {
                    peer: self.clone(),
                    ledger: Arc::clone(&shared),
                };
                match self.transport {
                    Transport::Http => tokio::spawn(connection.http(stream)),
                    Transport::Ws => tokio::spawn(connection.ws(stream)),
                };
            }
        };
        thread::spawn(move || {
            runtime().block_on(async {
                tokio::select! {
                    () = accept => {}
                    _ = stopped => {}
                }
            });
        });
        let address = started.recv_timeout(PATIENCE).expect("it starts");
        Serving {
            url: format!("{}://{address}", transport.as_str()),
            ledger,
            _stop: stop,
        }
    }
}

/// A peer that serves.
pub(crate) struct Serving {
    pub(crate) url: String,
    ledger: Arc<Mutex<Ledger>>,
    _stop: oneshot::Sender<()>,
}

impl Serving {
    /// Its accounts, which stand still as long as this is held.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panicked")
    }
}

/// One connection.
struct Conversation {
    peer: Peer,
    ledger: Arc<Mutex<Ledger>>,
}

impl Conversation {
    /// The answer, with the request's id, and how long it is held back.
    fn answer(&self, request: &str) -> (Answer, Duration) {
        let request: Value = serde_json::from_str(request).expect("the client sends JSON");
        let mut ledger = self.ledger.lock().expect("nobody panicked");
        let mut answer = (self.peer.answers)(&mut ledger, &request);
        ledger.unanswered += u64::from(answer.times == 0);
        if !request["id"].is_null() {
            answer.body["id"] = request["id"].clone();
        }
        (answer, (self.peer.delay)(&request))
    }

    async fn http(self, stream: TcpStream) {
        stream.set_nodelay(true).expect("a socket of TCP");
        let mut stream = BufReader::new(stream);
        let idle = self.peer.idle.unwrap_or(PATIENCE);
        while let Ok(Some(request)) = tokio::time::timeout(idle, next_request(&mut stream)).await {
            let (answer, delay) = self.answer(&request);
            if answer.times == 0 {
                // An answer that never comes, on a connection that stays.
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(delay).await;
            let (status, body) = (answer.status, answer.body.to_string());
            let text = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    async fn ws(self, stream: TcpStream) {
        stream.set_nodelay(true).expect("a socket of TCP");
        let Ok(mut socket) = accept_async(stream).await else {
            return;
        };
        // As many as the client has in flight.
        let mut held = FuturesUnordered::new();
        loop {
            let (body, times) = tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Text(request))) => {
                        let (answer, delay) = self.answer(&request);
                        if delay > Duration::ZERO {
                            held.push(async move {
                                tokio::time::sleep(delay).await;
                                (answer.body, answer.times)
                            });
                            continue;
                        }
                        (answer.body, answer.times)
                    }
                    Some(Ok(_)) => continue,
                    _ => return,
                },
                Some(answer) = held.next() => answer,
            };
            for _ in 0..times {
                if socket.send(Message::text(body.to_string())).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The body of the next request; `None` at the end.
async fn next_request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    String::from_utf8(body).ok()
}
