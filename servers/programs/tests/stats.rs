//! `stats` as a client sees it: at once and ending no batch, with balances in turn.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use busload_frontend::{Access, LedgerConfig, Limits, Server, Settings, Transport};
use busload_sqlite::{Config, Durability};
use busload_wire::binary::{MessageBuilder, SUBPROTOCOL, decode_outcomes};
use busload_wire::control::Stats;
use busload_wire::{RequestId, Transfer};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// A timeout that no test waits for.
const NEVER: Duration = Duration::from_hours(1);
/// Far longer than anything takes: only so that a test which would hang fails instead.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(5);

struct Running {
    url: String,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

/// A server whose batches wait until there are four transfers.
fn start(transport: Transport) -> Running {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let settings = Settings {
        transport,
        listen: "127.0.0.1:0".parse().expect("an address"),
        engine: busload_engine::Config {
            batch_size: 4,
            batch_timeout: NEVER,
            queue_transfers: 1000,
            stage_timings: true,
        },
        ledger: LedgerConfig::Sqlite(Config {
            database: directory.path().join("ledger.sqlite"),
            fresh: false,
            durability: Durability::WalFull,
            apply: busload_sqlite::Apply::PerTransfer,
            seed_accounts: 10,
            seed_balance: 1000,
            initial_balance: None,
            cache_kib: 1024,
            page_bytes: None,
            checkpoint_kib: Some(4000),
            id_horizon: Duration::from_hours(1),
            max_ids: 1 << 20,
            checkpoint_mode: busload_sqlite::CheckpointMode::Background,
            log_limit_bytes: 1 << 34,
            probe_interval: std::time::Duration::from_millis(20),
            busy_wait: std::time::Duration::ZERO,
        }),
        limits: Limits::standard(),
        access: Access::standard(),
    };
    let (stop, stopped) = oneshot::channel();
    let (announce, announced) = std::sync::mpsc::sync_channel(1);
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let server = Server::start(&settings).expect("it starts");
            announce.send(server.url()).expect("the test waits");
            let ended = server.run(async { stopped.await.unwrap_or(()) }).await;
            ended.expect("it ends well");
        });
    });
    Running {
        url: announced.recv_timeout(ANSWER_TIMEOUT).expect("it starts"),
        stop,
        thread,
        _directory: directory,
    }
}

impl Running {
    fn stop(self) {
        self.stop.send(()).expect("it runs");
        self.thread.join().expect("it ends well");
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn connect(url: &str) -> Socket {
    let mut request = url.into_client_request().expect("a url");
    let offer = SUBPROTOCOL.parse().expect("a header");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", offer);
    let authority = url.split('/').nth(2).expect("an authority");
    let stream = TcpStream::connect(authority).await.expect("it listens");
    stream.set_nodelay(true).expect("it can be set");
    let (socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .expect("it upgrades");
    socket
}

async fn next(socket: &mut Socket) -> Message {
    let message = tokio::time::timeout(ANSWER_TIMEOUT, socket.next()).await;
    message.expect("in time").expect("open").expect("a message")
}

async fn ask(socket: &mut Socket, request: Value) -> Value {
    let text = Message::text(request.to_string());
    socket.send(text).await.expect("it reads");
    let answer = next(socket).await;
    serde_json::from_slice(&answer.into_data()).expect("an answer in JSON")
}

fn stats_of(answer: &Value) -> Stats {
    assert_eq!(answer["ok"], true, "{answer}");
    serde_json::from_value(answer["result"].clone()).expect("stats")
}

fn transfers(count: u64) -> Message {
    let mut builder = MessageBuilder::new();
    for n in 1..=count {
        let transfer = Transfer {
            from: 0,
            to: 1,
            amount: 1,
            transfer_id: None,
        };
        builder.push_transfer(RequestId::new(n).expect("small"), &transfer);
    }
    Message::binary(builder.finish().freeze())
}

#[tokio::test]
async fn counters_come_at_once_and_stages_count_every_transfer() {
    let server = start(Transport::Ws);
    let mut socket = connect(&server.url).await;
    socket.send(transfers(3)).await.expect("it reads");
    let light = json!({"id": 9, "name": "stats", "args": {"histograms": false}});
    // Three of four: the writer waits, and an answer that waited for it would never come.
    let heavy = json!({"id": 10, "name": "stats"});
    for (request, histogram) in [(&light, false), (&heavy, true), (&light, false)] {
        let before = stats_of(&ask(&mut socket, request.clone()).await);
        assert_eq!((before.queue.depth, before.committed), (3, 0));
        let read = &before.transfer_stages.read_ns;
        assert_eq!((read.count, !read.histogram.is_empty()), (3, histogram));
    }
    socket.send(transfers(1)).await.expect("it reads");
    let mut outcomes = Vec::new();
    while outcomes.len() < 4 {
        let message = next(&mut socket).await.into_data();
        decode_outcomes(&message, &mut outcomes).expect("outcomes");
    }
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
    // Whoever has an answer finds it counted. The writer times a batch after its answers, and
    // before it turns to a call.
    let counted = stats_of(&ask(&mut socket, light.clone()).await);
    assert_eq!((counted.committed, counted.batches), (4, 1));
    let account = json!({"id": 11, "name": "getAccount", "args": {"id": 0}});
    assert_eq!(ask(&mut socket, account).await["ok"], true);
    let full = stats_of(&ask(&mut socket, heavy).await);
    let after = stats_of(&ask(&mut socket, light).await);
    let (s, t) = (&after.transfer_stages, &full.transfer_stages);
    for (light, heavy) in [
        (&after.stages.wait_ns, &full.stages.wait_ns),
        (&s.read_ns, &t.read_ns),
        (&s.apply_ns, &t.apply_ns),
        (&s.commit_write_ns, &t.commit_write_ns),
        (&s.sync_ns, &t.sync_ns),
        (&s.answer_ns, &t.answer_ns),
        (&s.reply_ns, &t.reply_ns),
    ] {
        assert_eq!((light.count, light.sum), (heavy.count, heavy.sum));
        assert_eq!((light.count, light.histogram.as_str()), (4, ""));
        let histogram = busload_wire::histogram::decode(heavy).expect("it is sent");
        assert_eq!(histogram.len(), 4);
    }
    assert!(s.read_ns.sum > 0 && s.reply_ns.sum > 0);
    server.stop();
}

#[tokio::test]
async fn many_full_answers_at_the_same_time_all_come() {
    let server = start(Transport::Ws);
    let mut socket = connect(&server.url).await;
    for id in 0..50 {
        let request = json!({"id": id, "name": "stats"});
        let text = Message::text(request.to_string());
        socket.send(text).await.expect("it reads");
    }
    let mut ids = Vec::new();
    for _ in 0..50 {
        let answer = next(&mut socket).await.into_data();
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        let stats = stats_of(&answer);
        assert!(busload_wire::histogram::decode(&stats.stages.sync_ns).is_some());
        ids.push(answer["id"].as_u64().expect("an id"));
    }
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..50));
    server.stop();
}

#[tokio::test]
async fn over_http_the_stages_count_every_transfer() {
    let server = start(Transport::Http);
    let address = server.url.split('/').nth(2).expect("an authority");
    let rpc = async |request: Value| {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("HTTP");
        tokio::spawn(connection);
        let request = hyper::Request::post("/rpc")
            .header("host", address)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(request.to_string())))
            .expect("a request");
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await;
        let body = answer.expect("in time").expect("an answer").collect().await;
        let answer: Value =
            serde_json::from_slice(&body.expect("a body").to_bytes()).expect("JSON");
        answer
    };
    let transfer =
        || rpc(json!({"name": "transfer", "args": {"from_id": 0, "to_id": 1, "amount": 1}}));
    let light = json!({"name": "stats", "args": {"histograms": false}});
    let heavy = json!({"name": "stats"});
    let looks = async {
        // Three of four: the writer waits for the fourth, whoever looks.
        while stats_of(&rpc(light.clone()).await).queue.depth < 3 {}
        for request in [&heavy, &light] {
            let stats = stats_of(&rpc(request.clone()).await);
            assert_eq!((stats.queue.depth, stats.batches), (3, 0));
        }
        transfer().await
    };
    let four = tokio::join!(transfer(), transfer(), transfer(), looks);
    for answer in [four.0, four.1, four.2, four.3] {
        assert_eq!(answer["ok"], true);
    }
    // The writer times a batch after its answers, and before it turns to a call.
    let account = json!({"name": "getAccount", "args": {"id": 0}});
    assert_eq!(rpc(account).await["ok"], true);
    let full = stats_of(&rpc(heavy).await);
    let totals = stats_of(&rpc(light).await);
    for stats in [&totals, &full] {
        let t = &stats.transfer_stages;
        assert_eq!((t.read_ns.count, t.reply_ns.count), (4, 4));
        assert_eq!((t.sync_ns.count, stats.committed), (4, 4));
    }
    assert_eq!(totals.transfer_stages.reply_ns.histogram, "");
    assert_ne!(full.transfer_stages.reply_ns.histogram, "");
    server.stop();
}
