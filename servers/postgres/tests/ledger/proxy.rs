//! Between a ledger and its database: cuts the ledger off when it sends COMMIT.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

/// A simple query, as the protocol has it: length, text, end.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// What becomes of the next COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Cut {
    None,
    /// The database gets it, and its answer goes nowhere.
    Answer,
    /// It goes nowhere, and the database is cut off as well.
    Commit,
    /// The ledger is cut off at once, and the database gets it later.
    Late,
}

const ALL: [Cut; 4] = [Cut::None, Cut::Answer, Cut::Commit, Cut::Late];

/// How much later.
pub(crate) const LATE: Duration = Duration::from_millis(700);

pub(crate) struct Proxy {
    pub(crate) port: u16,
    cut: Arc<AtomicU8>,
}

impl Proxy {
    /// Its threads end with their connections; the listening one with the test process.
    pub(crate) fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let cut = Arc::new(AtomicU8::new(0));
        let asked = Arc::clone(&cut);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else {
                    continue;
                };
                let asked = Arc::clone(&asked);
                let (from, into) = (server.try_clone(), client.try_clone());
                let (Ok(from), Ok(into)) = (from, into) else {
                    continue;
                };
                thread::spawn(move || copy(from, into, None));
                thread::spawn(move || copy(client, server, Some(&asked)));
            }
        });
        Self { port, cut }
    }

    /// What becomes of the next COMMIT, and of no other.
    pub(crate) fn cut(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }

    /// Whether there was one.
    pub(crate) fn has_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst) == Cut::None as u8
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, cut: Option<&AtomicU8>) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let bytes = &buffer[..read];
        let at = bytes
            .windows(COMMIT.len())
            .position(|window| window == COMMIT);
        let Some(cut) = cut else {
            // What the database says to whom was cut off goes nowhere, and it is not told.
            let _ = to.write_all(bytes);
            continue;
        };
        let cut = match at {
            Some(_) => ALL[usize::from(cut.swap(0, Ordering::SeqCst))],
            None => Cut::None,
        };
        let before = &bytes[..at.unwrap_or(0)];
        match cut {
            Cut::None => {
                if to.write_all(bytes).is_err() {
                    break;
                }
                continue;
            }
            Cut::Answer => {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.write_all(bytes);
                // Until it has answered, into a socket that nobody reads any more.
                thread::sleep(Duration::from_millis(200));
            }
            Cut::Commit => {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.write_all(before);
            }
            Cut::Late => {
                let _ = to.write_all(before);
                let _ = from.shutdown(Shutdown::Both);
                thread::sleep(LATE);
                let _ = to.write_all(&bytes[before.len()..]);
                thread::sleep(Duration::from_millis(200));
            }
        }
        break;
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
