//! Bodies and messages of 100 MB.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;

use serde_json::json;

use crate::support::{
    BINARY, FIN, FLAT_KIB, Server, TEXT, binary_socket, books, close_code, frame, header,
    read_response, socket,
};

/// Pushes up to 100 MB and reads meanwhile; what was answered.
fn flood(mut stream: TcpStream, head: &[u8], chunk: &[u8]) -> Vec<u8> {
    stream.write_all(head).expect("it reads the beginning");
    let mut reader = stream.try_clone().expect("it can be cloned");
    let answered = thread::spawn(move || {
        let mut answer = Vec::new();
        // What came before a reset counts.
        let _ = reader.read_to_end(&mut answer);
        answer
    });
    let mut sent = 0;
    while sent < 100_000_000 && stream.write_all(chunk).is_ok() {
        sent += chunk.len();
    }
    let _ = stream.shutdown(Shutdown::Write);
    answered.join().expect("the reader ends")
}

#[test]
fn case_20_a_body_of_100_megabytes_is_too_large() {
    let server = Server::http();
    let before = books(&server);
    let peak = server.peak_kib();
    let head = "POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let plain = format!("{head}content-length: 100000000\r\n\r\n");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
    let block = vec![b' '; 0x10000];
    let chunk = [b"10000\r\n", &block[..], b"\r\n"].concat();
    for (head, chunk) in [(&plain, &block), (&chunked, &chunk)] {
        let answer = flood(server.connect(), head.as_bytes(), chunk);
        let response = read_response(&mut &answer[..]);
        let response = response.unwrap_or_else(|| panic!("no answer to {head}"));
        assert_eq!(response.status, 413);
        assert_eq!(response.json(), json!({"ok": false, "error": "too_large"}));
    }
    // One that announces it and sends nothing is told at once.
    let mut stream = server.connect();
    stream.write_all(plain.as_bytes()).expect("it reads");
    assert_eq!(read_response(&mut stream).expect("an answer").status, 413);
    let grown = server.peak_kib().saturating_sub(peak);
    assert!(grown < FLAT_KIB, "memory grew by {grown} KiB");
    assert_eq!(books(&server), before);
}

#[test]
fn case_20_and_24_a_message_of_100_megabytes_and_endless_fragments_are_too_large() {
    let server = Server::ws();
    let before = books(&server);
    let peak = server.peak_kib();
    let block = vec![b' '; 0x10000];
    // One frame; and fragments without an end.
    let whole = [header(FIN | TEXT, 100_000_000, 0x80), vec![0; 4]].concat();
    let fragment = frame(0, &block);
    for (head, chunk) in [(whole, block.clone()), (frame(TEXT, b" "), fragment)] {
        let answer = flood(socket(&server), &head, &chunk);
        assert_eq!(close_code(&mut &answer[..]), Some(1009));
    }
    let endless = flood(
        binary_socket(&server),
        &frame(BINARY, b" "),
        &frame(0, &block),
    );
    assert_eq!(close_code(&mut &endless[..]), Some(1009));
    let grown = server.peak_kib().saturating_sub(peak);
    assert!(grown < FLAT_KIB, "memory grew by {grown} KiB");
    assert_eq!(books(&server), before);
}
