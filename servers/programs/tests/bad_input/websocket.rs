//! What is no WebSocket, and frames that are only unusual.

use std::io::Write as _;

use crate::support::{
    CLOSE, FIN, PING, PONG, Server, TEXT, books, close_code, frame, header, read_answer,
    read_frame, read_response, socket, transfer_between, upgrade,
};

/// Breaches of the WebSocket protocol, with the code to close with.
#[test]
fn case_24_broken_websocket() {
    let server = Server::ws();
    let before = books(&server);
    let good = transfer_between(1, 0, 1);
    let unmasked = [header(FIN | TEXT, good.len(), 0), good.clone().into_bytes()].concat();
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("unmasked", unmasked, &[1002]),
        (
            "reserved bit",
            frame(FIN | 0x40 | TEXT, good.as_bytes()),
            &[1002],
        ),
        ("unknown opcode", frame(FIN | 0x3, good.as_bytes()), &[1002]),
        ("unknown control opcode", frame(FIN | 0xB, b""), &[1002]),
        ("long ping", frame(FIN | PING, &[0; 126]), &[1002]),
        ("fragmented ping", frame(PING, b"x"), &[1002]),
        (
            "continuation of nothing",
            frame(FIN, good.as_bytes()),
            &[1002],
        ),
        (
            "text inside a text",
            [frame(TEXT, b"{"), frame(FIN | TEXT, good.as_bytes())].concat(),
            &[1002],
        ),
        ("close of one byte", frame(FIN | CLOSE, &[3]), &[1002]),
        (
            "reserved close code",
            frame(FIN | CLOSE, &1005_u16.to_be_bytes()),
            &[1002],
        ),
        (
            "invalid UTF-8",
            frame(FIN | TEXT, b"{\"id\":1,\"name\":\"\xff\"}"),
            &[1007],
        ),
        ("cut UTF-8", frame(FIN | TEXT, b"\xf0\x9f"), &[1007]),
        (
            "invalid UTF-8 in fragments",
            [frame(TEXT, b"\xf0"), frame(FIN, b"\x28")].concat(),
            &[1007],
        ),
        ("2 MiB", frame(FIN | TEXT, &vec![b' '; 2 << 20]), &[1009]),
        (
            "2 MiB in fragments",
            [
                frame(TEXT, &vec![b' '; 1 << 20]),
                frame(FIN, &vec![b' '; 1 << 20]),
            ]
            .concat(),
            &[1009],
        ),
        (
            "length above 2^63",
            [vec![FIN | TEXT, 0xFF], vec![0xFF; 8], vec![0; 4]].concat(),
            &[1002, 1009],
        ),
        (
            "a good close",
            frame(FIN | CLOSE, &1000_u16.to_be_bytes()),
            &[1000],
        ),
    ];
    for (what, bytes, expected) in cases {
        let mut stream = socket(&server);
        let _ = stream.write_all(&bytes);
        let code = close_code(&mut stream);
        assert!(
            code.is_some_and(|code| expected.contains(&code)),
            "{what}: {code:?}"
        );
    }
    assert_eq!(books(&server), before);
}

/// A length in more bytes than it needs (RFC 6455, 5.2, forbids it) is read as what it says, and
/// what comes after its payload is the next frame: nothing hides in the difference.
#[test]
fn a_length_written_too_long_is_the_length() {
    let server = Server::ws();
    let mut stream = socket(&server);
    let ask = |id: u64| format!("{{\"id\":{id},\"name\":\"health\"}}").into_bytes();
    let long = |id: u64, marker: u8, length: &[u8]| {
        let mut bytes = vec![FIN | TEXT, 0x80 | marker];
        bytes.extend(length);
        bytes.extend([0; 4]);
        bytes.extend(ask(id));
        bytes
    };
    let length = ask(1).len();
    let two = u16::try_from(length).expect("short").to_be_bytes();
    let eight = (length as u64).to_be_bytes();
    let bytes = [
        long(1, 126, &two),
        long(2, 127, &eight),
        frame(FIN | TEXT, &ask(3)),
    ];
    stream.write_all(&bytes.concat()).expect("it reads");
    for id in 1..=3 {
        assert_eq!(read_answer(&mut stream)["id"], id);
    }
}

#[test]
fn unusual_but_right_websocket() {
    let server = Server::ws();
    let mut stream = socket(&server);
    // Fragments with a ping in between; an empty ping; an unasked pong.
    let health = b"{\"id\":5,\"name\":\"health\"}";
    let bytes = [
        frame(TEXT, &health[..7]),
        frame(FIN | PING, b"are you there"),
        frame(0, b""),
        frame(FIN, &health[7..]),
        frame(FIN | PONG, b"by the way"),
    ];
    stream.write_all(&bytes.concat()).expect("it reads");
    let mut seen =
        [read_frame(&mut stream), read_frame(&mut stream)].map(|f| f.expect("two frames"));
    seen.sort();
    assert_eq!(seen[0].0, TEXT);
    assert_eq!(seen[1], (PONG, b"are you there".to_vec()));
    // The path / is as good as /rpc, others are not; a query does not matter.
    for (path, status) in [
        ("/", 101),
        ("/rpc?a=b", 101),
        ("/other", 404),
        ("/rpc/", 404),
    ] {
        assert_eq!(upgrade(&server, path, "").1.status, status, "{path}");
    }
    let (_, response) = upgrade(&server, "/rpc", "sec-websocket-protocol: chat, soap\r\n");
    assert_eq!(response.status, 101);
    assert!(
        !response.head.contains("sec-websocket-protocol"),
        "none that it does not speak"
    );
    // The platform's clients offer compression; it is not taken.
    let offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";
    let (_, response) = upgrade(&server, "/rpc", offer);
    assert!(response.status == 101 && !response.head.contains("sec-websocket-extensions"));
}

#[test]
fn broken_handshakes() {
    let server = Server::ws();
    let full = "GET /rpc HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
    for (what, with) in [
        ("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        ("sec-websocket-version: 13\r\n", ""),
        ("sec-websocket-version: 13", "sec-websocket-version: 8"),
        ("connection: Upgrade", "connection: close"),
        ("upgrade: websocket", "upgrade: h2c"),
        ("GET", "POST"),
    ] {
        let mut stream = server.connect();
        stream
            .write_all(full.replace(what, with).as_bytes())
            .expect("it reads");
        let status = read_response(&mut stream).expect("an answer").status;
        assert!((400..500).contains(&status), "without {what}: {status}");
    }
    // An HTTP server upgrades to nothing.
    assert_eq!(upgrade(&Server::http(), "/rpc", "").1.status, 404);
}
