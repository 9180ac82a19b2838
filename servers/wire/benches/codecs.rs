//! Both codecs, a message of one and a hundred messages (binary: one message of a hundred
//! records) at a time. Elements are transfers or outcomes.

use std::hint::black_box;

use busload_wire::binary::{self, MessageBuilder};
use busload_wire::json::{self, AnswerId};
use busload_wire::{Answer, ErrorCode, RequestId, Transfer};
use bytes::BytesMut;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const COUNTS: [usize; 2] = [1, 100];

type Outcome = Result<(), ErrorCode>;

/// Ids and accounts as long as those of a real run.
fn transfers(count: usize) -> Vec<(RequestId, Transfer)> {
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

/// One in ten is a rejection.
fn outcomes(count: usize) -> Vec<(RequestId, Outcome)> {
    let outcome = |n: usize| match n % 10 {
        9 => Err(ErrorCode::InsufficientFunds),
        _ => Ok(()),
    };
    let ids = transfers(count).into_iter().map(|(id, _)| id);
    ids.enumerate().map(|(n, id)| (id, outcome(n))).collect()
}

fn json_transfers(messages: &[(RequestId, Transfer)]) -> Vec<BytesMut> {
    let encode = |(id, transfer): &(RequestId, Transfer)| {
        let mut text = BytesMut::new();
        json::encode_transfer(&mut text, Some(*id), transfer);
        text
    };
    messages.iter().map(encode).collect()
}

fn json_outcomes(messages: &[(RequestId, Outcome)]) -> Vec<BytesMut> {
    let encode = |(id, result): &(RequestId, Outcome)| {
        let mut text = BytesMut::new();
        json::encode_outcome(&mut text, AnswerId::Echo(Some(*id)), *result);
        text
    };
    messages.iter().map(encode).collect()
}

fn binary_transfers(builder: &mut MessageBuilder, messages: &[(RequestId, Transfer)]) -> BytesMut {
    for (id, transfer) in messages {
        builder.push_transfer(*id, transfer);
    }
    builder.finish()
}

fn binary_outcomes(builder: &mut MessageBuilder, messages: &[(RequestId, Outcome)]) -> BytesMut {
    for (id, result) in messages {
        builder.push_outcome(Some(*id), *result);
    }
    builder.finish()
}

fn json_codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("json");
    for count in COUNTS {
        let (transfers, outcomes) = (transfers(count), outcomes(count));
        let (requests, answers) = (json_transfers(&transfers), json_outcomes(&outcomes));
        group.throughput(Throughput::Elements(count as u64));
        let mut out = BytesMut::with_capacity(64 * 1024);
        group.bench_function(BenchmarkId::new("encode_transfer", count), |b| {
            b.iter(|| {
                out.clear();
                for (id, transfer) in black_box(&transfers) {
                    json::encode_transfer(&mut out, Some(*id), transfer);
                }
                out.len()
            });
        });
        group.bench_function(BenchmarkId::new("decode_transfer", count), |b| {
            b.iter(|| {
                for text in black_box(&requests) {
                    black_box(json::decode_request(text)).expect("encoded above");
                }
            });
        });
        group.bench_function(BenchmarkId::new("encode_outcome", count), |b| {
            b.iter(|| {
                out.clear();
                for (id, result) in black_box(&outcomes) {
                    json::encode_outcome(&mut out, AnswerId::Echo(Some(*id)), *result);
                }
                out.len()
            });
        });
        group.bench_function(BenchmarkId::new("decode_outcome", count), |b| {
            b.iter(|| {
                for text in black_box(&answers) {
                    black_box(json::decode_answer(text)).expect("encoded above");
                }
            });
        });
    }
    group.finish();
}

fn binary_codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("binary");
    for count in COUNTS {
        let (transfers, outcomes) = (transfers(count), outcomes(count));
        let mut builder = MessageBuilder::new();
        let requests = binary_transfers(&mut builder, &transfers);
        let answers = binary_outcomes(&mut builder, &outcomes);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("encode_transfer", count), |b| {
            b.iter(|| binary_transfers(&mut builder, black_box(&transfers)));
        });
        let mut decoded: Vec<(RequestId, Transfer)> = Vec::with_capacity(count);
        group.bench_function(BenchmarkId::new("decode_transfer", count), |b| {
            b.iter(|| {
                decoded.clear();
                binary::decode_transfers(black_box(&requests), &mut decoded)
                    .expect("encoded above");
                decoded.len()
            });
        });
        group.bench_function(BenchmarkId::new("encode_outcome", count), |b| {
            b.iter(|| binary_outcomes(&mut builder, black_box(&outcomes)));
        });
        let mut decoded: Vec<Answer> = Vec::with_capacity(count);
        group.bench_function(BenchmarkId::new("decode_outcome", count), |b| {
            b.iter(|| {
                decoded.clear();
                binary::decode_outcomes(black_box(&answers), &mut decoded).expect("encoded above");
                decoded.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, json_codec, binary_codec);
criterion_main!(benches);
