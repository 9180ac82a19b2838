//! Both servers in this process, with the null engine behind them, and a client that has no
//! manners.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use busload_frontend::{HttpArgs, Server, WsArgs};
use clap::Parser;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, yield_now};

/// A server that has not closed the connection by then has lost it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the server may have its turn before the client says that it has no more to say.
const TURNS: usize = 100;

const FLAGS: [&str; 4] = ["fuzz", "--port=0", "--null-server", "--accounts=100"];

#[derive(Parser)]
struct HttpFlags {
    #[command(flatten)]
    http: HttpArgs,
}

#[derive(Parser)]
struct WsFlags {
    #[command(flatten)]
    ws: WsArgs,
}

/// The servers and the runtime in which they and the client take turns.
pub struct Servers {
    runtime: Runtime,
    tasks: LocalSet,
    /// Where HTTP is spoken.
    pub http: SocketAddr,
    /// Where WebSocket is spoken.
    pub ws: SocketAddr,
}

impl Servers {
    /// Starts both on free ports.
    ///
    /// # Panics
    /// They cannot be started.
    #[must_use]
    pub fn start() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            // A turn of the client must not be forty of the server's.
            .event_interval(1)
            .build()
            .expect("a runtime");
        let tasks = LocalSet::new();
        let start = |settings| {
            let server = Server::start(&settings).expect("it starts");
            let address = server.address();
            tasks.spawn_local(async move {
                let end = server.run(std::future::pending()).await;
                panic!("the server stopped: {:?}", end.err());
            });
            address
        };
        let within = runtime.enter();
        let http = start(HttpFlags::parse_from(FLAGS).http.settings().expect("flags"));
        let ws = start(WsFlags::parse_from(FLAGS).ws.settings().expect("flags"));
        drop(within);
        Self {
            runtime,
            tasks,
            http,
            ws,
        }
    }

    /// Sends bytes in two pieces, waits until `is_enough` of what came back or for a while, says
    /// that there is no more, and reads to the end.
    ///
    /// # Panics
    /// The server does not close the connection.
    pub fn exchange(
        &self,
        address: SocketAddr,
        [first, second]: [&[u8]; 2],
        is_enough: impl Fn(&[u8]) -> bool,
    ) -> Vec<u8> {
        let client = async {
            let mut received = Vec::new();
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            stream.write_all(first).await?;
            if !second.is_empty() {
                yield_now().await;
                stream.write_all(second).await?;
            }
            for _ in 0..TURNS {
                yield_now().await;
                match stream.try_read_buf(&mut received) {
                    Ok(0) => break,
                    Ok(_) if is_enough(&received) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            stream.shutdown().await?;
            // What came before a reset counts.
            let _ = stream.read_to_end(&mut received).await;
            Ok(received)
        };
        let client = async { tokio::time::timeout(PATIENCE, client).await };
        let ended = self.tasks.block_on(&self.runtime, client);
        // A server may hang up while it is spoken to.
        let ended: io::Result<Vec<u8>> = ended.expect("the server closes the connection");
        ended.unwrap_or_default()
    }
}
