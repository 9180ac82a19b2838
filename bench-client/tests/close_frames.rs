//! Every WebSocket of the client ends with a close frame, whatever it was for.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use common::{Served, bench_client, directory, run};

/// How one connection of the client ended: the last bytes it sent.
#[derive(Debug)]
struct Ended {
    last: Vec<u8>,
}

impl Ended {
    /// The code of the close frame that was the last frame, unmasked.
    fn code(&self) -> Option<u16> {
        let (head, [first, second]) = self.last.split_last_chunk::<2>()?;
        let [.., 0x88, 0x82, a, b, _, _] = head else {
            return None;
        };
        Some(u16::from_be_bytes([first ^ a, second ^ b]))
    }
}

/// Between the client and a server, byte for byte; notes how the client's connections end.
fn peer(server: &str) -> (String, Arc<Mutex<Vec<Ended>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens").to_string();
    let (server, ended) = (server.to_owned(), Arc::<Mutex<Vec<Ended>>>::default());
    let all = Arc::clone(&ended);
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.expect("a connection");
            let server = TcpStream::connect(&server).expect("it listens");
            let back = (server.try_clone(), client.try_clone());
            let (mut from, mut to) = (back.0.expect("a clone"), back.1.expect("a clone"));
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let ended = Arc::clone(&all);
            thread::spawn(move || {
                let how = forward(client, server);
                ended.lock().expect("no panic").push(how);
            });
        }
    });
    (address, ended)
}

fn forward(mut client: TcpStream, mut server: TcpStream) -> Ended {
    let mut last = Vec::new();
    let mut buffer = vec![0; 65536];
    loop {
        match client.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => {
                last.extend_from_slice(&buffer[..read]);
                last.drain(..last.len().saturating_sub(16));
                let _ = server.write_all(&buffer[..read]);
            }
        }
    }
    let _ = server.shutdown(Shutdown::Write);
    Ended { last }
}

#[test]
fn a_run_ends_all_its_websockets_with_1000() {
    let directory = directory();
    let server = Served::bench_client(directory.path(), "ws", &["--accounts=100"]);
    let url = server.url();
    let at = url.trim_start_matches("ws://").trim_end_matches("/rpc");
    let (address, ended) = peer(at);
    for encoding in ["json", "binary"] {
        let mut command = bench_client(directory.path());
        command.args(["run", "--connector=sqlite_ws_rpc", "--accounts=100"]);
        command.args(["--duration=0.6", "--warmup=0.1", "--concurrency=5"]);
        command.args(["--encoding", encoding, "--json"]);
        command.args(["--url", &format!("ws://{address}")]);
        run(&mut command).expect_code(0);
        let ended = std::mem::take(&mut *ended.lock().expect("no panic"));
        // The workers, and the control plane.
        assert!(ended.len() >= 6, "{ended:?}");
        for one in &ended {
            // A control connection is dropped after its close frame, so a reset may follow it.
            assert_eq!(one.code(), Some(1000), "{one:?}");
        }
    }
}
