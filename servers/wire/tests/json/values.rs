//! What a number, an id and a balance may be.

use busload_wire::json::decode_request;
use busload_wire::{Call, ErrorCode, TransferId};

use crate::support::request_id;
use crate::{invalid_anonymous, transfer_of};

/// docs/reliability-evidence.md, case 16: each as a transfer's amount, from and to.
#[test]
fn case_16_a_number_is_an_integer_of_64_bits_and_nothing_like_one() {
    let bad = [
        "1e3",
        "1E3",
        "1e0",
        "1.0",
        "0.5",
        "-0.0",
        "NaN",
        "Infinity",
        "-Infinity",
        "\"1\"",
        "\"\"",
        "null",
        "true",
        "[1]",
        "{}",
        "0x10",
        "01",
        "+1",
        "1_000",
        "--1",
        "1n",
        "",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "1e400",
        "99999999999999999999999999999999999999999999999999999999999999999999",
    ];
    for value in bad {
        for key in ["from_id", "to_id", "amount"] {
            let number = |name| if name == key { value } else { "1" };
            let (from, to, amount) = (number("from_id"), number("to_id"), number("amount"));
            let args = format!(r#"{{"from_id":{from},"to_id":{to},"amount":{amount}}}"#);
            let error = transfer_of(&args).expect_err(&args);
            assert_eq!(error.code, ErrorCode::InvalidRequest, "{args}");
            assert_eq!(error.id, Some(request_id(7)), "{args}");
        }
    }
    for amount in [0, -1, i64::MIN, i64::MAX] {
        let args = format!(r#"{{"from_id":1,"to_id":1,"amount":{amount}}}"#);
        let read = transfer_of(&args).expect("for the ledger to judge");
        assert_eq!((read.from, read.to, read.amount), (1, 1, amount));
    }
}

#[test]
fn an_id_is_an_integer_up_to_two_to_the_53() {
    let id_of = |id: &str| {
        decode_request(format!(r#"{{"id":{id},"name":"health"}}"#).as_bytes()).map(|r| r.id)
    };
    assert_eq!(id_of("0"), Ok(Some(request_id(0))));
    assert_eq!(id_of("9007199254740992"), Ok(Some(request_id(1 << 53))));
    for id in [
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "7.0",
        "7e0",
        "1e400",
        "\"7\"",
        "null",
        "true",
        "[7]",
        "{}",
    ] {
        invalid_anonymous(format!(r#"{{"id":{id},"name":"health"}}"#));
        invalid_anonymous(format!(r#"{{"name":"health","id":{id}}}"#));
    }
    assert_eq!(
        decode_request(br#"{"name":"health"}"#).map(|r| r.id),
        Ok(None)
    );
}

#[test]
fn a_transfer_id_is_a_number_or_hexadecimal_digits() {
    let id_of = |id: &str| {
        let args = format!(r#"{{"from":1,"to":2,"amount":3,"transfer_id":{id}}}"#);
        transfer_of(&args).map(|transfer| transfer.transfer_id.map(TransferId::to_u128))
    };
    assert_eq!(id_of("0"), Ok(Some(0)));
    assert_eq!(
        id_of("18446744073709551615"),
        Ok(Some(u128::from(u64::MAX)))
    );
    assert_eq!(id_of("18446744073709551616"), Ok(Some(1 << 64)));
    assert_eq!(
        id_of("340282366920938463463374607431768211455"),
        Ok(Some(u128::MAX))
    );
    assert_eq!(id_of(r#""ff""#), Ok(Some(255)));
    assert_eq!(id_of(r#""\u0066f""#), Ok(Some(255)), "JSON's escapes");
    assert_eq!(
        id_of(r#""000000000000000000000000000000FF""#),
        Ok(Some(255))
    );
    assert_eq!(
        id_of(r#""ffffffffffffffffffffffffffffffff""#),
        Ok(Some(u128::MAX))
    );
    for id in [
        "null",
        "-1",
        "1.0",
        "1e3",
        "-0",
        "340282366920938463463374607431768211456",
        "true",
        "[]",
        "{}",
        r#""""#,
        r#""+1""#,
        r#""-1""#,
        r#"" 1""#,
        r#""0x1""#,
        r#""g""#,
        r#""é""#,
        r#""0000000000000000000000000000000001""#,
        r#""100000000000000000000000000000000""#,
        r#""b0e42fe7-31a5-4894-a441-007e5256afea""#,
    ] {
        assert!(id_of(id).is_err(), "{id}");
    }
}

#[test]
fn a_seeding_takes_its_balance_as_number_or_text() {
    let seed = |balance: &str, key: &str| {
        let text = format!(r#"{{"id":7,"name":"seed","args":{{"accounts":5,"{key}":{balance}}}}}"#);
        decode_request(text.as_bytes()).map(|request| request.call)
    };
    let call = |initial_balance| {
        Ok(Call::Seed {
            accounts: 5,
            initial_balance,
        })
    };
    assert_eq!(seed("10", "initialBalance"), call(10));
    assert_eq!(seed("10", "initial_balance"), call(10));
    assert_eq!(
        seed(r#""9223372036854775807""#, "initialBalance"),
        call(i64::MAX)
    );
    assert_eq!(seed("-1", "initialBalance"), call(-1));
    for bad in [
        r#""""#,
        r#""1e3""#,
        r#""1.0""#,
        r#""1n""#,
        r#"" 1""#,
        "1.0",
        "1e3",
        "null",
        "9223372036854775808",
        r#""9223372036854775808""#,
        "[]",
    ] {
        assert!(seed(bad, "initialBalance").is_err(), "{bad}");
    }
}
