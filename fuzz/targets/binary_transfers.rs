//! Binary messages of transfers, as a server reads them.
//!
//! There is one way to write a message: what is read is written byte for byte as it was. What
//! cannot be read leaves nothing behind. Every message survives being written and read.

#![no_main]

use busload_fuzz::any;
use busload_wire::binary::{MessageBuilder, decode_transfers};
use busload_wire::{RequestId, Transfer};
use bytes::BytesMut;
use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Something that was there before.
    let earlier = Transfer {
        from: 1,
        to: 2,
        amount: 3,
        transfer_id: None,
    };
    let mut read = vec![(RequestId::new(4).expect("small"), earlier)];
    match decode_transfers(bytes, &mut read) {
        Ok(()) => assert_eq!(written(&read[1..]), bytes),
        Err(_) => assert_eq!(read.len(), 1),
    }
    assert_eq!(read[0].1, earlier);
    if let Ok(transfers) = any::transfers(&mut Unstructured::new(bytes)) {
        let mut read = Vec::new();
        decode_transfers(&written(&transfers), &mut read).expect("it is a message");
        assert_eq!(read, transfers);
    }
});

fn written(transfers: &[(RequestId, Transfer)]) -> BytesMut {
    let mut builder = MessageBuilder::new();
    for (id, transfer) in transfers {
        assert!(builder.accepts(transfer));
        builder.push_transfer(*id, transfer);
    }
    builder.finish()
}
