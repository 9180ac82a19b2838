//! A server's codecs by themselves: the request read, the outcome written.

use std::hint::black_box;

use busload_wire::binary::{self, MessageBuilder};
use busload_wire::json::{self, AnswerId};
use bytes::BytesMut;

use super::HotPath;
use super::messages;

const TRANSFERS: usize = 16;

pub(super) fn paths() -> Vec<HotPath> {
    vec![json(), binary()]
}

fn json() -> HotPath {
    HotPath::new(format!("codec/json/{TRANSFERS}"), TRANSFERS, |_| {
        json_turn()
    })
}

fn json_turn() -> impl FnMut() {
    let requests: Vec<BytesMut> = messages::transfers(TRANSFERS)
        .iter()
        .map(|(id, transfer)| {
            let mut text = BytesMut::new();
            json::encode_transfer(&mut text, Some(*id), transfer);
            text
        })
        .collect();
    let mut out = BytesMut::with_capacity(64 * 1024);
    move || {
        out.clear();
        for text in black_box(&requests) {
            let request = json::decode_request(text).expect("encoded above");
            let id = AnswerId::Echo(black_box(request).id);
            json::encode_outcome(&mut out, id, black_box(Ok(())));
        }
        black_box(&out);
    }
}

fn binary() -> HotPath {
    let name = format!("codec/binary/{TRANSFERS}");
    HotPath::new(name, TRANSFERS, |_| binary_turn())
}

fn binary_turn() -> impl FnMut() {
    let mut builder = MessageBuilder::new();
    for (id, transfer) in messages::transfers(TRANSFERS) {
        builder.push_transfer(id, &transfer);
    }
    let request = builder.finish();
    let mut decoded = Vec::with_capacity(TRANSFERS);
    move || {
        binary::decode_transfers(black_box(&request), &mut decoded).expect("encoded above");
        for (id, _) in black_box(&mut decoded).drain(..) {
            builder.push_outcome(Some(id), black_box(Ok(())));
        }
        black_box(builder.finish());
    }
}
