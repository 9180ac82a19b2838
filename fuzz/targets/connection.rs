//! A connection to a server, from its first byte: hyper, the handshake, tungstenite, and our own
//! code behind them.
//!
//! The first byte of the input says what the rest is, the second where it is cut in two. The
//! server closes the connection when the client has no more to say, sends nothing but whole
//! answers of its protocol, and refuses in HTTP what the codec refuses.

#![no_main]

use busload_fuzz::servers::Servers;
use busload_wire::binary::decode_outcomes;
use busload_wire::json::{decode_control, decode_request};
use libfuzzer_sys::fuzz_target;

thread_local! {
    /// Never dropped: a runtime cannot be taken down with its thread.
    static SERVERS: &'static Servers = Box::leak(Box::new(Servers::start()));
}

const HANDSHAKE: &str = "GET /rpc HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n\
    connection: Upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-version: 13\r\n";
const BINARY: &str = "sec-websocket-protocol: transfer.binary.v1\r\n";

fuzz_target!(|bytes: &[u8]| {
    let [kind, cut, data @ ..] = bytes else {
        return;
    };
    SERVERS.with(|servers| {
        let send = |address, head: &str, body: &[u8], is_enough: fn(&[u8]) -> bool| {
            let all = [head.as_bytes(), body].concat();
            let cut = all.len() * usize::from(*cut) / 256;
            let (first, second) = all.split_at(cut);
            servers.exchange(address, [first, second], is_enough)
        };
        let plain = format!("{HANDSHAKE}\r\n");
        let binary = format!("{HANDSHAKE}{BINARY}\r\n");
        let never: fn(&[u8]) -> bool = |_| false;
        match kind % 8 {
            0 => begins_as_http(&send(servers.http, "", data, never)),
            1 => begins_as_http(&send(servers.ws, "", data, never)),
            2 => are_frames(&send(servers.ws, &plain, data, never)),
            3 => are_frames(&send(servers.ws, &binary, data, never)),
            4 => are_frames(&send(servers.ws, &plain, &frames(data), never)),
            5 => are_frames(&send(servers.ws, &plain, &frame(0x81, data), has_frame)),
            6 => are_frames(&send(servers.ws, &binary, &frame(0x82, data), has_frame)),
            _ => is_answer(data, &send(servers.http, &post(data.len()), data, has_end)),
        }
    });
});

fn post(length: usize) -> String {
    format!(
        "POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
}

/// Frames, each from a first byte, a length and so many bytes.
fn frames(mut data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let [first, length, rest @ ..] = data {
        let (payload, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes.extend(frame(*first, payload));
        data = rest;
    }
    bytes
}

/// A frame of a client. The mask is zero: what the fuzzer writes is what the server sees.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        length => {
            let length = u16::try_from(length).expect("inputs are short");
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

fn begins_as_http(received: &[u8]) {
    let expected = &b"HTTP/1."[..received.len().min(7)];
    assert!(
        received.starts_with(expected),
        "{}",
        received.escape_ascii()
    );
}

/// What stands behind the empty line.
fn behind_head(received: &[u8]) -> Option<&[u8]> {
    let end = received
        .windows(4)
        .position(|window| window == b"\r\n\r\n")?;
    Some(&received[end + 4..])
}

fn has_frame(received: &[u8]) -> bool {
    behind_head(received).is_some_and(|frames| !frames.is_empty())
}

fn has_end(received: &[u8]) -> bool {
    behind_head(received).is_some_and(|body| !body.is_empty())
}

/// The answer to the handshake, and frames of answers. The last may be cut off.
fn are_frames(received: &[u8]) {
    begins_as_http(received);
    let Some(mut rest) = behind_head(received) else {
        return;
    };
    while let [first, length, behind @ ..] = rest {
        assert_eq!(first & 0xF0, 0x80, "whole, plain frames");
        assert_eq!(length & 0x80, 0, "a server does not mask");
        let (length, behind) = match (length, behind) {
            (126, [a, b, behind @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), behind),
            (127, [a, b, c, d, e, f, g, h, behind @ ..]) => {
                let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                (usize::try_from(length).expect("it fits"), behind)
            }
            (126 | 127, _) => return,
            (short, behind) => (usize::from(*short), behind),
        };
        let Some((payload, behind)) = behind.split_at_checked(length) else {
            return;
        };
        match first & 0x0F {
            1 => drop(decode_control(payload).expect("an answer")),
            2 => decode_outcomes(payload, &mut Vec::new()).expect("outcomes"),
            8..=10 => assert!(length < 126, "a long control frame"),
            other => panic!("opcode {other}"),
        }
        rest = behind;
    }
}

/// One answer to one request, with the status that goes with it. None if the server saw the
/// client leave before it had answered.
fn is_answer(request: &[u8], received: &[u8]) {
    let Some(body) = behind_head(received).filter(|body| !body.is_empty()) else {
        return;
    };
    let status = received.split(|&byte| byte == b' ').nth(1);
    let answer = decode_control(body).expect("an answer");
    assert_eq!(answer.ok, status == Some(b"200"));
    if let Err(error) = decode_request(request) {
        assert!(!answer.ok);
        assert_eq!(answer.error.as_deref(), Some(error.code.as_str()));
    }
}
