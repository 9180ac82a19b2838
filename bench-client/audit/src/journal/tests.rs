use busload_wire::{Transfer, TransferId};

use super::*;
use crate::connector::{Outcome, Reason};
use crate::record::torture::FaultKind;

fn records() -> Vec<Record> {
    let transfer = Transfer {
        from: 4,
        to: 5,
        amount: 1 << 40,
        transfer_id: None,
    };
    let mut records = vec![
        Record::Run {
            seed: u64::MAX,
            accounts: 32,
            initial_balance: 7,
        },
        Record::Balances {
            cycle: 1,
            balances: vec![Some(0), None, Some(-5)],
        },
        Record::Balances {
            cycle: 2,
            balances: Vec::new(),
        },
        Record::Sent {
            worker: 2,
            number: 9,
            transfer,
        },
        Record::Sent {
            worker: 2,
            number: 10,
            transfer: Transfer {
                transfer_id: Some(TransferId::from_u128(u128::MAX - 1)),
                ..transfer
            },
        },
    ];
    records.extend(FaultKind::ALL.map(|fault| Record::Cycle { number: 3, fault }));
    let rejected = Outcome::Rejected(Reason::InsufficientFunds);
    let full = Outcome::Failed(Some(Reason::StorageFull));
    for outcome in [
        Outcome::Committed,
        Outcome::Unknown,
        Outcome::Failed(None),
        rejected,
        full,
    ] {
        records.push(Record::Answer {
            worker: 0,
            number: 1,
            outcome,
        });
        records.push(Record::Late {
            worker: 1,
            number: 2,
            outcome,
        });
    }
    records
}

fn written() -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records() {
        bytes.extend_from_slice(record.line().as_bytes());
    }
    bytes
}

#[test]
fn what_is_written_is_read() {
    let contents = parse(&written());
    assert_eq!(contents.records, records());
    assert_eq!(contents.torn_bytes, 0);
}

/// However short the file was cut, its whole records are read and nothing else.
#[test]
fn a_torn_end_is_ignored() {
    let bytes = written();
    let all = records();
    for cut in 0..bytes.len() {
        let contents = parse(&bytes[..cut]);
        let whole = bytes[..cut].split(|byte| *byte == b'\n').count() - 1;
        assert_eq!(contents.records, all[..whole], "{cut}");
        let torn = bytes[..cut]
            .iter()
            .rev()
            .take_while(|b| **b != b'\n')
            .count();
        assert_eq!(contents.torn_bytes, torn, "{cut}");
    }
}

/// A crash may leave a hole of zeros or garbage before records that did reach the disk.
#[test]
fn nothing_behind_a_damaged_record_is_believed() {
    let bytes = written();
    let ends: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let whole = ends.iter().filter(|end| **end < at).count();
        assert_eq!(parse(&damaged).records, records()[..whole], "{at}");
    }
}

#[test]
fn a_file_that_is_no_journal_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hello\n").unwrap();
    assert!(matches!(
        read(file.path()),
        Err(JournalError::NotOne { .. })
    ));
}

#[tokio::test]
async fn what_is_durable_is_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let journal = Journal::create(&path).unwrap();
    let mut handle = journal.handle();
    for (number, record) in records().iter().enumerate() {
        let position = handle.append(record);
        handle.durable(position).await.unwrap();
        assert_eq!(read(&path).unwrap().records, records()[..=number]);
    }
    drop((journal, handle));
    assert!(
        matches!(Journal::create(&path), Err(JournalError::Io { .. })),
        "evidence is never overwritten"
    );
}
