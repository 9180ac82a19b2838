//! Binary messages of outcomes, as the client reads them.
//!
//! There is one way to write a message: what is read is written byte for byte as it was. What
//! cannot be read leaves nothing behind. Every message survives being written and read.

#![no_main]

use busload_fuzz::any;
use busload_wire::Answer;
use busload_wire::binary::{MessageBuilder, decode_outcomes};
use bytes::BytesMut;
use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut read = vec![Answer {
        id: None,
        result: Ok(()),
    }];
    match decode_outcomes(bytes, &mut read) {
        Ok(()) => assert_eq!(written(&read[1..]), bytes),
        Err(_) => assert_eq!(read.len(), 1),
    }
    if let Ok(answers) = any::answers(&mut Unstructured::new(bytes)) {
        let mut read = Vec::new();
        decode_outcomes(&written(&answers), &mut read).expect("it is a message");
        assert_eq!(read, answers);
    }
});

fn written(answers: &[Answer]) -> BytesMut {
    let mut builder = MessageBuilder::new();
    for Answer { id, result } in answers {
        let result = result.map_err(|code| code.expect("a code that was read has a number"));
        builder.push_outcome(*id, result);
    }
    builder.finish()
}
