//! Messages of the binary encoding that are none.

use std::io::Write as _;

use serde_json::json;

use crate::support::{
    BINARY, FIN, Server, ask, binary_socket, books, frame, read_answer, read_frame, socket,
};

#[test]
fn broken_binary_messages() {
    let server = Server::ws();
    let before = books(&server);
    // On a connection that did not agree on it: an error, in the encoding that it has.
    let record = [[1, 0, 0, 0, 1, 0, 0, 0].to_vec(), vec![0; 32]].concat();
    let mut plain = socket(&server);
    plain
        .write_all(&frame(FIN | BINARY, &record))
        .expect("it reads");
    let answer = read_answer(&mut plain);
    assert_eq!(
        answer,
        json!({"id": null, "ok": false, "error": "invalid_request"})
    );
    assert_eq!(
        ask(&mut plain, b"{\"id\":3,\"name\":\"health\"}")["id"],
        3,
        "and it goes on"
    );

    let mut stream = binary_socket(&server);
    let header = |kind: u8, count: u32| [&[kind, 0, 0, 0][..], &count.to_le_bytes()].concat();
    let one = |id: u64, from: i64, to: i64, amount: i64| {
        [
            id.to_le_bytes(),
            from.to_le_bytes(),
            to.to_le_bytes(),
            amount.to_le_bytes(),
        ]
        .concat()
    };
    let good = one(1, 0, 1, 1);
    let malformed = [
        Vec::new(),
        vec![1],
        header(1, 0),
        header(1, 1),
        [header(1, 2), good.clone()].concat(),
        [header(1, 1), good.clone(), vec![0]].concat(),
        [header(1, u32::MAX), good.clone()].concat(),
        [header(0, 1), good.clone()].concat(),
        [header(129, 1), vec![0; 16]].concat(),
        [vec![1, 1, 0, 0, 1, 0, 0, 0], good.clone()].concat(),
        [header(1, 2), good.clone(), one(1 << 54, 0, 1, 1)].concat(),
        [header(1, 1), one(u64::MAX, 0, 1, 1)].concat(),
    ];
    // One outcome: no request, code 1 (invalid_request).
    let refused = [
        header(129, 1),
        u64::MAX.to_le_bytes().to_vec(),
        vec![1, 0, 0, 0, 0, 0, 0, 0],
    ];
    for message in malformed {
        stream
            .write_all(&frame(FIN | BINARY, &message))
            .expect("it reads");
        let (opcode, payload) = read_frame(&mut stream).expect("an answer");
        assert_eq!((opcode, payload), (BINARY, refused.concat()), "{message:?}");
    }
    let rejected = [
        (0, 0, 1, 2),
        (0, 1, 0, 2),
        (0, 1, -5, 2),
        (0, 100, 1, 5),
        (0, 1, i64::MAX, 7),
    ];
    for (id, (from, to, amount, code)) in (10_u64..).zip(rejected) {
        let message = [header(1, 1), one(id, from, to, amount)].concat();
        stream
            .write_all(&frame(FIN | BINARY, &message))
            .expect("it reads");
        let (_, payload) = read_frame(&mut stream).expect("an answer");
        assert_eq!(payload[8..16], id.to_le_bytes());
        assert_eq!(
            payload[16..18],
            u16::to_le_bytes(code),
            "{from} to {to}: {amount}"
        );
    }
    assert_eq!(books(&server), before);
    // Calls that are not transfers are JSON on the same connection.
    assert_eq!(ask(&mut stream, b"{\"id\":9,\"name\":\"health\"}")["id"], 9);
}
