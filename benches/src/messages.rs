//! Messages as both sides write them, with ids and accounts as long as those of a real run.

use bench_client::config::Encoding;
use busload_wire::binary::MessageBuilder;
use busload_wire::json::{AnswerId, encode_outcome, encode_transfer};
use busload_wire::{RequestId, Transfer};
use bytes::BytesMut;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
/// The longest payload whose length is in the header's second byte.
const SHORT_MAX: usize = 125;
const MASKED: u8 = 0x80;
const LENGTH_IN_2: u8 = 126;

pub(super) fn transfers(count: usize) -> Vec<(RequestId, Transfer)> {
    (0..count as u64)
        .map(|n| {
            let id = RequestId::new(1_000_000 + n).expect("far below the limit");
            let account = |salt: u64| (n * 7_919 + salt).cast_signed() % 100_000;
            let transfer = Transfer {
                from: account(3),
                to: account(54_321),
                amount: 1,
                transfer_id: None,
            };
            (id, transfer)
        })
        .collect()
}

/// A client's frames with these transfers.
pub(super) fn requests(encoding: Encoding, transfers: &[(RequestId, Transfer)]) -> Vec<u8> {
    let mut frames = Vec::new();
    match encoding {
        Encoding::BsatnV2 | Encoding::BsatnV3 => {
            unreachable!("the benches are of the transfer protocol")
        }
        Encoding::Json => {
            for (id, transfer) in transfers {
                let mut text = BytesMut::new();
                encode_transfer(&mut text, Some(*id), transfer);
                push_frame(&mut frames, TEXT, &text, Some([0x37, 0xfa, 0x21, 0x3d]));
            }
        }
        Encoding::Binary => {
            let mut builder = MessageBuilder::new();
            for (id, transfer) in transfers {
                builder.push_transfer(*id, transfer);
            }
            let mask = Some([0x37, 0xfa, 0x21, 0x3d]);
            push_frame(&mut frames, BINARY, &builder.finish(), mask);
        }
    }
    frames
}

/// A server's frames that say that these transfers were committed.
pub(super) fn answers(encoding: Encoding, transfers: &[(RequestId, Transfer)]) -> Vec<u8> {
    let mut frames = Vec::new();
    match encoding {
        Encoding::BsatnV2 | Encoding::BsatnV3 => {
            unreachable!("the benches are of the transfer protocol")
        }
        Encoding::Json => {
            for (id, _) in transfers {
                let mut text = BytesMut::new();
                encode_outcome(&mut text, AnswerId::Echo(Some(*id)), Ok(()));
                push_frame(&mut frames, TEXT, &text, None);
            }
        }
        Encoding::Binary => {
            let mut builder = MessageBuilder::new();
            for (id, _) in transfers {
                builder.push_outcome(Some(*id), Ok(()));
            }
            push_frame(&mut frames, BINARY, &builder.finish(), None);
        }
    }
    frames
}

fn push_frame(out: &mut Vec<u8>, first: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    let masked = if mask.is_some() { MASKED } else { 0 };
    let length = u16::try_from(payload.len()).expect("turns are short");
    out.push(first);
    if payload.len() <= SHORT_MAX {
        out.push(masked | length.to_be_bytes()[1]);
    } else {
        out.push(masked | LENGTH_IN_2);
        out.extend_from_slice(&length.to_be_bytes());
    }
    match mask {
        None => out.extend_from_slice(payload),
        Some(mask) => {
            out.extend_from_slice(&mask);
            let keys = mask.into_iter().cycle();
            out.extend(payload.iter().zip(keys).map(|(byte, key)| byte ^ key));
        }
    }
}
