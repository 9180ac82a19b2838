//! The floor under every server of many connections: two threads that exchange messages of a
//! transfer's sizes over loopback TCP with one in flight on each connection, and nothing else.
//! Each thread has an epoll of its own, reads once per event and writes once per message, as the
//! servers and the load generator do.
//!
//! ```text
//! cargo run --release -p busload-frontend --example epoll_echo -- \
//!     CONNECTIONS [SECONDS [REQUEST_BYTES ANSWER_BYTES [EVENTS]]]
//! ```
//!
//! Prints exchanges per second and the processor time of both ends together per exchange.
//! `EVENTS` is how many events one call of epoll may bring; the servers' runtime takes 1,024.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeVal;

/// A transfer of WebSocket in JSON, as one masked frame, and its answer.
const REQUEST_BYTES: usize = 98;
const ANSWER_BYTES: usize = 23;
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
const CONNECTIONS_MAX: usize = 100_000;
const SECONDS_MAX: u64 = 3_600;
const EVENTS: usize = 1_024;
const EVENTS_MAX: usize = 1 << 20;
/// Not measured: the kernel's buffers and caches find their sizes.
const WARMUP: Duration = Duration::from_millis(700);
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Descriptors besides the connections.
const DESCRIPTORS: u64 = 64;

struct Plan {
    connections: usize,
    seconds: u64,
    request_bytes: usize,
    answer_bytes: usize,
    events: usize,
}

fn number(text: Option<String>, name: &str, or: usize, max: usize) -> anyhow::Result<usize> {
    let Some(text) = text else { return Ok(or) };
    let number = text
        .parse()
        .with_context(|| format!("{name} is no number: {text}"))?;
    ensure!(
        (1..=max).contains(&number),
        "{name} must be from 1 to {max}, and is {number}"
    );
    Ok(number)
}

impl Plan {
    fn from(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let connections = arguments.next();
        ensure!(
            connections.is_some(),
            "how many connections? epoll_echo CONNECTIONS [SECONDS [REQUEST_BYTES ANSWER_BYTES \
             [EVENTS]]]"
        );
        let mut next = |name, or, max| number(arguments.next(), name, or, max);
        let plan = Self {
            connections: number(connections, "CONNECTIONS", 1, CONNECTIONS_MAX)?,
            seconds: next("SECONDS", 3, usize::try_from(SECONDS_MAX)?)? as u64,
            request_bytes: next("REQUEST_BYTES", REQUEST_BYTES, MESSAGE_BYTES_MAX)?,
            answer_bytes: next("ANSWER_BYTES", ANSWER_BYTES, MESSAGE_BYTES_MAX)?,
            events: next("EVENTS", EVENTS, EVENTS_MAX)?,
        };
        if let Some(more) = arguments.next() {
            bail!("one argument too many: {more}");
        }
        Ok(plan)
    }
}

/// One end of a connection: takes messages of one size and answers each with one of another.
struct End {
    stream: TcpStream,
    /// Of the message that is coming in.
    missing: usize,
}

impl End {
    /// Reads what an event has announced; says whether a message is whole.
    fn read(&mut self, buffer: &mut [u8], message_bytes: usize) -> io::Result<bool> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) if read > self.missing => return Err(io::ErrorKind::InvalidData.into()),
                Ok(read) => {
                    self.missing -= read;
                    // Of one in flight there is nothing after its end, and less than the buffer
                    // means that there is no more now.
                    if self.missing == 0 {
                        self.missing = message_bytes;
                        return Ok(true);
                    }
                    if read < buffer.len() {
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// With one in flight the peer's window always has room.
    fn write(&mut self, message: &[u8]) -> io::Result<()> {
        match self.stream.write(message)? {
            written if written == message.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

/// One thread's ends, until the other thread is through.
struct Ends {
    poll: Poll,
    all: Vec<End>,
    incoming_bytes: usize,
    outgoing: Vec<u8>,
    events: usize,
}

impl Ends {
    fn new(
        poll: Poll,
        streams: Vec<TcpStream>,
        (incoming_bytes, outgoing_bytes): (usize, usize),
        events: usize,
    ) -> io::Result<Self> {
        let mut all = Vec::with_capacity(streams.len());
        for (index, mut stream) in streams.into_iter().enumerate() {
            stream.set_nodelay(true)?;
            let interest = Interest::READABLE;
            poll.registry()
                .register(&mut stream, Token(index), interest)?;
            let missing = incoming_bytes;
            all.push(End { stream, missing });
        }
        Ok(Self {
            poll,
            all,
            incoming_bytes,
            outgoing: vec![b'x'; outgoing_bytes],
            events,
        })
    }

    /// Answers every message; after each round of events, `round` is told how many, and says
    /// whether to go on.
    fn exchange(&mut self, mut round: impl FnMut(u64) -> bool) -> io::Result<()> {
        let mut events = Events::with_capacity(self.events);
        let mut buffer = vec![0; self.incoming_bytes.max(4 * 1024)];
        loop {
            self.poll.poll(&mut events, Some(POLL_TIMEOUT))?;
            let mut messages = 0;
            for event in &events {
                let end = &mut self.all[event.token().0];
                if end.read(&mut buffer, self.incoming_bytes)? {
                    end.write(&self.outgoing)?;
                    messages += 1;
                }
            }
            if !round(messages) {
                return Ok(());
            }
        }
    }
}

fn cpu() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let of = |time: TimeVal| -> anyhow::Result<Duration> {
        let seconds = Duration::from_secs(time.tv_sec().try_into()?);
        Ok(seconds + Duration::from_micros(time.tv_usec().try_into()?))
    };
    Ok(of(usage.user_time())? + of(usage.system_time())?)
}

/// Both ends of every connection are descriptors of this process.
fn raise_limit(connections: usize) -> anyhow::Result<()> {
    let wanted = 2 * connections as u64 + DESCRIPTORS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < wanted {
        ensure!(
            wanted <= hard,
            "at most {hard} files may be open and {wanted} are needed: raise it (ulimit -n) or \
             take fewer connections"
        );
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok(())
}

/// Both ends of so many connections, opened one after the other.
fn connect(connections: usize) -> anyhow::Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listener.local_addr()?;
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for _ in 0..connections {
        let stream = std::net::TcpStream::connect(address)?;
        let (accepted, _) = listener.accept()?;
        for (stream, side) in [(stream, &mut near), (accepted, &mut far)] {
            stream.set_nonblocking(true)?;
            side.push(TcpStream::from_std(stream));
        }
    }
    Ok((near, far))
}

fn main() -> anyhow::Result<()> {
    let plan = Plan::from(std::env::args().skip(1))?;
    raise_limit(plan.connections)?;
    let (near, far) = connect(plan.connections)?;
    let (request, answer) = (plan.request_bytes, plan.answer_bytes);
    let mut server = Ends::new(Poll::new()?, far, (request, answer), plan.events)?;
    let mut client = Ends::new(Poll::new()?, near, (answer, request), plan.events)?;
    let is_over = AtomicBool::new(false);
    let (exchanges, took, used) = thread::scope(|scope| -> anyhow::Result<_> {
        let serving = scope.spawn(|| server.exchange(|_| !is_over.load(Ordering::Relaxed)));
        let asking = ask(&mut client, plan.seconds);
        is_over.store(true, Ordering::Relaxed);
        serving
            .join()
            .map_err(|_| anyhow::anyhow!("the server's thread panicked"))??;
        asking
    })?;
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
    let exchanges = exchanges as f64;
    #[expect(clippy::print_stdout, reason = "a program's result")]
    {
        println!(
            "{} connections, {request} + {answer} bytes: {:.0} exchanges/s, {:.2} us of processor \
             time each",
            plan.connections,
            exchanges / took.as_secs_f64(),
            used.as_secs_f64() * 1e6 / exchanges
        );
    }
    Ok(())
}

/// Begins on every connection, and counts once warm: exchanges, how long, and processor time.
fn ask(client: &mut Ends, seconds: u64) -> anyhow::Result<(u64, Duration, Duration)> {
    let request = client.outgoing.clone();
    for end in &mut client.all {
        end.write(&request)?;
    }
    let began = Instant::now();
    client.exchange(|_| began.elapsed() < WARMUP)?;
    let (began, used) = (Instant::now(), cpu()?);
    let (mut exchanges, length) = (0, Duration::from_secs(seconds));
    client.exchange(|messages| {
        exchanges += messages;
        began.elapsed() < length
    })?;
    Ok((exchanges, began.elapsed(), cpu()?.saturating_sub(used)))
}
