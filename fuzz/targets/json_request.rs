//! Requests in JSON, as a server reads them.
//!
//! What is read as a request is JSON with those very values to any other reader too, and is
//! written so that it is read as the same. Every request survives being written and read.

#![no_main]

use busload_fuzz::any;
use busload_wire::json::{decode_request, encode_request};
use busload_wire::{Call, ErrorCode, Request, RequestId, Transfer};
use bytes::BytesMut;
use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let read = decode_request(bytes);
    // White space in front keeps the reader of the canonical form out.
    assert_eq!(read, decode_request(&[b" ", bytes].concat()));
    match read {
        Ok(request) => {
            serde_json::from_slice::<IgnoredAny>(bytes).expect("it is JSON");
            // A `Value` has limits of its own: depth, and the size of numbers.
            if let Ok(value) = serde_json::from_slice(bytes) {
                agrees(&request, &value);
            }
            survives(&request);
        }
        Err(error) => assert!(matches!(
            error.code,
            ErrorCode::InvalidRequest | ErrorCode::UnknownMethod
        )),
    }
    if let Ok(request) = any::request(&mut Unstructured::new(bytes)) {
        survives(&request);
    }
});

fn survives(request: &Request) {
    let mut text = BytesMut::new();
    encode_request(&mut text, request);
    assert_eq!(decode_request(&text).as_ref(), Ok(request), "{text:?}");
}

/// Whether another reader of the text sees the same id and the same transfer.
fn agrees(request: &Request, value: &Value) {
    let id = value.get("id").map(|id| id.as_u64().expect("a number"));
    assert_eq!(id, request.id.map(RequestId::get));
    let Call::Transfer(Transfer {
        from, to, amount, ..
    }) = request.call
    else {
        return;
    };
    let args = &value["args"];
    let number = |names: [&str; 2]| names.iter().find_map(|name| args.get(name)?.as_i64());
    assert_eq!(number(["from_id", "from"]), Some(from));
    assert_eq!(number(["to_id", "to"]), Some(to));
    assert_eq!(number(["amount", "amount"]), Some(amount));
}
