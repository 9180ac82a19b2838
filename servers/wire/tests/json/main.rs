//! The JSON encoding: what is written is read back, and nothing else gets through.

mod answers;
mod malformed;
mod requests;
mod round_trips;
#[path = "../support/mod.rs"]
mod support;
mod values;

use busload_wire::json::{RequestError, decode_request, encode_request};
use busload_wire::{Call, ErrorCode, Request, Transfer};
use bytes::BytesMut;
use support::request_id;

fn encoded(request: &Request) -> BytesMut {
    let mut text = BytesMut::new();
    encode_request(&mut text, request);
    text
}

/// What must come of a text that names request 7.
fn refused(text: impl AsRef<[u8]>) -> ErrorCode {
    let text = text.as_ref();
    let shown = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
    let error = decode_request(text).expect_err(&shown);
    assert_eq!(error.id, Some(request_id(7)), "the id of {shown}");
    error.code
}

fn invalid_anonymous(text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    let expected = RequestError {
        id: None,
        code: ErrorCode::InvalidRequest,
    };
    let shown = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
    assert_eq!(decode_request(text), Err(expected), "{shown}");
}

fn transfer_of(args: &str) -> Result<Transfer, RequestError> {
    let text = format!(r#"{{"id":7,"name":"transfer","args":{args}}}"#);
    decode_request(text.as_bytes()).map(|request| match request.call {
        Call::Transfer(transfer) => transfer,
        other => panic!("{other:?}"),
    })
}
