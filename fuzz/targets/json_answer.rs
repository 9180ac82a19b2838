//! Answers in JSON, as the client reads them.
//!
//! Its two readers agree; what is read as an answer is written so that it is read as the same. The
//! canonical form, which is read without a library, is read as the library reads it.

#![no_main]

use busload_fuzz::any;
use busload_wire::json::{
    AnswerId, decode_answer, decode_control, encode_outcome, encode_result, read_answer,
};
use busload_wire::{Answer, RequestId};
use bytes::BytesMut;
use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = read_answer(bytes);
    // White space in front keeps the canonical reader out.
    assert_eq!(read, read_answer(&[b" ", bytes].concat()));
    if let (Ok((answer, is_consistent)), Ok(control)) = (&read, decode_control(bytes)) {
        assert_eq!(answer.id.map(RequestId::get), control.id);
        if *is_consistent {
            assert_eq!(answer.result.is_ok(), control.ok);
            if let Err(code) = answer.result {
                let text = control.error.as_deref();
                assert_eq!(code, text.and_then(|text| text.parse().ok()));
            }
        } else {
            assert_eq!(answer.result, Err(None), "in doubt");
        }
    }
    if let Ok((answer, _)) = read {
        survives(&answer);
    }
    let mut any = Unstructured::new(bytes);
    if let Ok(answer) = any::answer(&mut any) {
        survives(&answer);
    }
    if let Ok(result) = any.arbitrary::<&str>() {
        let mut text = BytesMut::new();
        encode_result(&mut text, AnswerId::Absent, &result);
        let control = decode_control(&text).expect("it is an answer");
        let shown = control.result.expect("a result").get();
        assert_eq!(
            serde_json::from_str::<String>(shown).expect("a text"),
            result
        );
    }
});

/// An error text of somebody else's has no encoding here.
fn survives(answer: &Answer) {
    let result = match answer.result {
        Ok(()) => Ok(()),
        Err(Some(code)) => Err(code),
        Err(None) => return,
    };
    let mut text = BytesMut::new();
    encode_outcome(&mut text, AnswerId::Echo(answer.id), result);
    assert_eq!(decode_answer(&text).as_ref(), Ok(answer), "{text:?}");
}
