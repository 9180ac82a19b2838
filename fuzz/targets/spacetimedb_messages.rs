//! Messages of SpacetimeDB's protocol: a server's, as the load generator reads them, and a client's.
//!
//! Every payload is read or refused; an error is the last thing of it, and there are no more
//! messages than bytes. There is one way to write a call: what is read is written as it was.

#![no_main]

use busload_generator::connector::spacetimedb::bsatn::Reader;
use busload_generator::connector::spacetimedb::messages::{CallReducer, Version, messages};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for version in [Version::V2, Version::V3] {
        let Ok(read) = messages(bytes, version) else {
            continue;
        };
        let read: Vec<_> = read.collect();
        assert!(!read.is_empty() && read.len() < bytes.len());
        assert!(read[..read.len() - 1].iter().all(Result::is_ok));
        assert!(version == Version::V3 || read.len() == 1);
    }
    let mut reader = Reader::new(bytes);
    if let Ok(call) = CallReducer::read(&mut reader) {
        let mut written = BytesMut::new();
        call.put(&mut written);
        assert_eq!(written, bytes[..bytes.len() - reader.left()]);
    }
});
