//! The recordings in `frames/`, and a server that plays one: what it sends is what was recorded,
//! and what it reads must be what was recorded.

use bench_client::connector::{Endpoint, parse_url};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Who sent a line of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Server,
}

/// What a line of a recording holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A request or an answer of HTTP.
    Http(Vec<u8>),
    /// A frame of a WebSocket.
    Frame {
        fin: bool,
        opcode: u8,
        payload: Vec<u8>,
    },
    /// The end of the connection.
    Eof,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) from: From,
    pub(crate) what: What,
}

impl Line {
    /// The payload of a frame of data, or of a part of it.
    pub(crate) fn data(&self) -> Option<&[u8]> {
        match &self.what {
            What::Frame {
                opcode: 0..=2,
                payload,
                ..
            } => Some(payload),
            _ => None,
        }
    }

    pub(crate) fn is_ping(&self) -> bool {
        matches!(self.what, What::Frame { opcode: 9, .. })
    }

    fn is_pong(&self) -> bool {
        matches!(self.what, What::Frame { opcode: 10, .. })
    }

    pub(crate) fn is_close(&self) -> bool {
        matches!(self.what, What::Frame { opcode: 8, .. })
    }
}

/// A connection of a recording: its title, if it has one, and its lines.
pub(crate) type Connection = (String, Vec<Line>);

fn line(text: &str) -> Line {
    let words: Vec<&str> = text.split(' ').collect();
    let [_, from, kind, fin, opcode, length, hex] = words[..] else {
        panic!("no line of a recording: {text}");
    };
    let hex = if hex == "-" { "" } else { hex };
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|place| u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).expect("hex"))
        .collect();
    assert_eq!(bytes.len().to_string(), length, "{text}");
    let from = if from == "C" {
        From::Client
    } else {
        From::Server
    };
    let what = match kind {
        "http" => What::Http(bytes),
        "eof" => What::Eof,
        _ => What::Frame {
            fin: fin == "1",
            opcode: opcode.parse().expect("a number"),
            payload: bytes,
        },
    };
    Line { from, what }
}

fn file(name: &str) -> String {
    let frames = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/spacetimedb/frames");
    std::fs::read_to_string(format!("{frames}/{name}.txt")).expect("the recording is there")
}

/// The names of all recordings.
pub(crate) fn names() -> Vec<String> {
    let frames = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/spacetimedb/frames");
    let entries = std::fs::read_dir(frames).expect("the recordings are there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut names: Vec<_> = paths
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// The connections of a recording.
pub(crate) fn connections(name: &str) -> Vec<Connection> {
    let mut all: Vec<Connection> = Vec::new();
    for text in file(name).lines().filter(|line| !line.starts_with('#')) {
        if let Some(title) = text.strip_prefix("@ ") {
            all.push((title.to_owned(), Vec::new()));
            continue;
        }
        if all.is_empty() {
            all.push((String::new(), Vec::new()));
        }
        all.last_mut().expect("there is one").1.push(line(text));
    }
    all
}

/// The one connection of this title, with its upgrade and greeting: those of a session where the
/// recording leaves them out.
pub(crate) fn connection(name: &str, title: &str) -> Vec<Line> {
    let mut all = connections(name).into_iter();
    let (_, lines) = all.find(|(other, _)| other == title).expect("it is there");
    if matches!(lines[0].what, What::Http(_)) {
        return lines;
    }
    let session = format!("{}-session", &name[..2]);
    let mut whole = connections(&session).remove(0).1;
    // Upgrade, greeting, ping and pong.
    whole.truncate(5);
    whole.extend(lines);
    whole
}

/// How closely the client is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// What it sends must be what was recorded, byte for byte.
    Recorded,
    /// It may send something else in as many frames: the recorded client did what no session does.
    Another,
}

/// A server that plays these connections one after the other.
pub(crate) struct Player {
    pub(crate) target: Endpoint,
    played: JoinHandle<()>,
}

impl Player {
    pub(crate) async fn start(connections: Vec<Vec<Line>>, client: Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let played = tokio::spawn(async move {
            for lines in connections {
                let (stream, _) = listener.accept().await.expect("the client comes");
                play(stream, &lines, client).await;
            }
        });
        Self {
            target: parse_url(&format!("ws://{address}/test-1")).expect("a URL"),
            played,
        }
    }

    /// Fails unless the client has said all that it was to say.
    pub(crate) async fn end(self) {
        self.played
            .await
            .expect("the client says what was recorded");
    }
}

async fn play(mut stream: TcpStream, lines: &[Line], client: Client) {
    let mut key = String::new();
    let (mut asked, mut answered) = (0, 0);
    for line in lines {
        match (line.from, &line.what) {
            (From::Client, What::Http(recorded)) => {
                key = request(&mut stream, recorded, client).await;
            }
            (From::Server, What::Http(recorded)) => {
                let text = String::from_utf8_lossy(recorded);
                let of_recorded = derive_accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
                let answer = text.replace(&of_recorded, &derive_accept_key(key.as_bytes()));
                stream
                    .write_all(answer.as_bytes())
                    .await
                    .expect("it is read");
            }
            (From::Client, What::Frame { .. }) if line.is_pong() => {}
            (From::Client, What::Frame { .. }) => loop {
                let came = read_frame(&mut stream).await;
                // It may answer a ping before or after what it says anyway.
                if came.is_pong() {
                    answered += 1;
                    continue;
                }
                if client == Client::Recorded || line.is_close() {
                    assert_eq!(&came, line);
                }
                break;
            },
            (
                From::Server,
                What::Frame {
                    fin,
                    opcode,
                    payload,
                },
            ) => {
                asked += usize::from(line.is_ping());
                let mut frame = vec![u8::from(*fin) << 7 | opcode];
                match u16::try_from(payload.len()).expect("frames are short") {
                    short @ 0..126 => frame.push(u8::try_from(short).expect("below 126")),
                    long => {
                        frame.push(126);
                        frame.extend(long.to_be_bytes());
                    }
                }
                frame.extend(payload);
                stream.write_all(&frame).await.expect("it is read");
            }
            (_, What::Eof) => assert_eq!(asked, answered, "every ping is answered"),
        }
    }
}

/// Reads a request and holds it against the recorded one; gives its key of a WebSocket.
async fn request(stream: &mut TcpStream, recorded: &[u8], client: Client) -> String {
    let mut bytes = Vec::new();
    let end = loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            break head.len() + 4;
        }
        let read = stream
            .read_buf(&mut bytes)
            .await
            .expect("the client is there");
        assert!(read > 0, "the client goes");
    };
    let fields = |head: &str| -> Vec<(String, String)> {
        let lines = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        let mut all: Vec<_> = lines
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        all.sort();
        all
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("ASCII");
    let field = |name: &str| {
        let all = fields(&head);
        let found = all.into_iter().find(|(other, _)| other == name);
        found.map_or_else(String::new, |(_, value)| value)
    };
    let length = field("content-length").parse().unwrap_or(0);
    while bytes.len() < end + length {
        let read = stream
            .read_buf(&mut bytes)
            .await
            .expect("the client is there");
        assert!(read > 0, "the client goes");
    }
    let (key, host) = (field("sec-websocket-key"), field("host"));
    if client == Client::Recorded {
        let recorded = String::from_utf8(recorded.to_vec()).expect("text");
        let recorded = recorded.replace("127.0.0.1:3000", &host);
        if key.is_empty() || !field("authorization").is_empty() {
            // The case and the order of headers are free.
            let recorded = recorded.replace("dGhlIHNhbXBsZSBub25jZQ==", &key);
            let (wanted, body) = recorded.split_once("\r\n\r\n").expect("a head");
            assert_eq!(head.lines().next(), wanted.lines().next());
            assert_eq!(fields(&head), fields(wanted));
            assert_eq!(&bytes[end..], body.as_bytes());
        } else {
            let recorded = recorded.replace("dGhlIHNhbXBsZSBub25jZQ==", &key);
            assert_eq!(head, recorded);
        }
    }
    key
}

/// Reads a frame of a client, which must be masked, and takes its mask off.
async fn read_frame(stream: &mut TcpStream) -> Line {
    let mut start = [0; 2];
    stream.read_exact(&mut start).await.expect("a frame");
    assert_eq!(start[1] & 0x80, 0x80, "a client's frame is masked");
    let length = match start[1] & 0x7f {
        126 => usize::from(stream.read_u16().await.expect("a length")),
        127 => usize::try_from(stream.read_u64().await.expect("a length")).expect("it fits"),
        short => usize::from(short),
    };
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await.expect("a mask");
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.expect("a payload");
    let masked = payload.iter_mut().zip(mask.iter().cycle());
    masked.for_each(|(byte, mask)| *byte ^= mask);
    Line {
        from: From::Client,
        what: What::Frame {
            fin: start[0] & 0x80 != 0,
            opcode: start[0] & 0x0f,
            payload,
        },
    }
}
