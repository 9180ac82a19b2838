//! Answers of ours, of strangers and of other versions.

use busload_wire::ErrorCode;
use busload_wire::control::{Info, Stats, TransferIds, Verification};
use busload_wire::json::{AnswerId, decode_answer, decode_control, encode_result};
use bytes::BytesMut;

/// Whatever else is not ours is an unknown outcome, never a success.
#[test]
fn a_foreign_answer_is_success_only_if_it_says_so() {
    let result = |text: &str| decode_answer(text.as_bytes()).map(|answer| answer.result);
    assert_eq!(result(r#"{"ok":true}"#), Ok(Ok(())));
    assert_eq!(result(r#"{"id":1,"ok":true,"result":null}"#), Ok(Ok(())));
    assert_eq!(result(r#"{"ok":false}"#), Ok(Err(None)));
    assert_eq!(result(r#"{"ok":false,"error":null}"#), Ok(Err(None)));
    assert_eq!(
        result(r#"{"ok":false,"error":"internal error"}"#),
        Ok(Err(None))
    );
    assert_eq!(
        result(r#"{"ok":false,"error":"Insufficient_funds"}"#),
        Ok(Err(None))
    );
    assert_eq!(
        result(r#"{"ok":false,"error":"insufficient\u005ffunds"}"#),
        Ok(Err(Some(ErrorCode::InsufficientFunds)))
    );
    for text in [
        "",
        "{}",
        "null",
        "ok",
        r#"{"ok":1}"#,
        r#"{"ok":"true"}"#,
        r#"{"ok":null}"#,
        r#"{"ok":true,"ok":false}"#,
        r#"{"id":"7","ok":true}"#,
        r#"{"id":7.0,"ok":true}"#,
        r#"{"id":-7,"ok":true}"#,
        r#"{"id":9007199254740993,"ok":true}"#,
        r#"{"ok":true}}"#,
        r#"{"ok":false,"error":5}"#,
        "<html>502 Bad Gateway</html>",
    ] {
        assert!(decode_answer(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn answers_of_the_control_plane_survive() {
    let mut text = BytesMut::new();
    encode_result(
        &mut text,
        AnswerId::Absent,
        &Verification::Skipped { skipped: true },
    );
    let read = decode_control(&text).unwrap();
    let verification: Verification = serde_json::from_str(read.result.unwrap().get()).unwrap();
    assert_eq!(verification, Verification::Skipped { skipped: true });

    let mut stats = Stats {
        committed: u64::MAX,
        ..Stats::default()
    };
    stats.transfer_stages.sync_ns.sum = 7;
    text.clear();
    encode_result(&mut text, AnswerId::Absent, &stats);
    let read = decode_control(&text).unwrap();
    assert_eq!(
        serde_json::from_str::<Stats>(read.result.unwrap().get()).unwrap(),
        stats
    );
}

#[test]
fn stats_of_a_server_without_transfer_stages_are_read() {
    let mut stats = serde_json::to_value(Stats::default()).unwrap();
    stats
        .as_object_mut()
        .and_then(|fields| fields.remove("transfer_stages"))
        .expect("it is written");
    assert_eq!(
        serde_json::from_value::<Stats>(stats).unwrap(),
        Stats::default()
    );
}

/// Servers and clients of different versions: what the other does not know is absent.
#[test]
fn what_an_older_server_does_not_tell_is_absent() {
    let mut stats = serde_json::to_value(Stats::default()).unwrap();
    assert_eq!(stats.get("transfer_ids"), None);
    let read: Stats = serde_json::from_value(stats.clone()).unwrap();
    assert_eq!(read.transfer_ids, None);
    stats["transfer_ids"] = serde_json::json!({"remembered": 3, "repeated": 2, "conflicts": 1});
    let read: Stats = serde_json::from_value(stats.clone()).unwrap();
    let ids = TransferIds {
        remembered: 3,
        repeated: 2,
        conflicts: 1,
    };
    assert_eq!(read.transfer_ids, Some(ids));
    assert_eq!(serde_json::to_value(read).unwrap(), stats);
    let mut info = serde_json::json!({
        "server": "s", "version": "0", "transport": "ws", "encodings": ["json"],
        "durability": "wal-full", "pragmas": {}, "sqlite_version": "3", "database": "d",
        "batch_size": 1, "batch_timeout_us": 0.0, "queue_transfers": 1,
        "max_inflight_per_connection": 1, "pid": 1
    });
    let read: Info = serde_json::from_value(info.clone()).unwrap();
    assert_eq!((read.exactly_once, read.id_horizon_seconds), (None, None));
    assert_eq!(read.apply, None);
    assert_eq!(serde_json::to_value(read).unwrap(), info);
    info["exactly_once"] = true.into();
    info["id_horizon_seconds"] = 600.0.into();
    info["apply"] = "coalesced".into();
    let read: Info = serde_json::from_value(info.clone()).unwrap();
    assert_eq!(
        (read.exactly_once, read.id_horizon_seconds),
        (Some(true), Some(600.0))
    );
    assert_eq!(read.apply.as_deref(), Some("coalesced"));
    assert_eq!(serde_json::to_value(read).unwrap(), info);
}
