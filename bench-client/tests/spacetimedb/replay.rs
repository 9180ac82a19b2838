//! Every recording, played to the connector or read by its codec.

use bench_client::config::{ConnectorKind, Encoding};
use bench_client::connector::spacetimedb::bsatn::Reader;
use bench_client::connector::spacetimedb::messages::{
    CallReducer, MessageError, ReducerError, ReducerOutcome, ServerMessage, Version, messages,
    put_seed, put_transfer,
};
use bench_client::connector::{
    Connector as _, Outcome, Reason, Reply, Session as _, SpacetimeDbConnector, WorkerId,
};
use bench_client::control::{ControlClient, ControlError};
use busload_wire::control::Verification;
use busload_wire::{RequestId, Transfer};
use bytes::BytesMut;
use futures_util::FutureExt as _;

use crate::common::within;
use crate::recorded::{Client, From, Line, Player, What, connection, connections, names};

fn version(name: &str) -> Version {
    if name.starts_with("v2") {
        Version::V2
    } else {
        Version::V3
    }
}

fn encoding(name: &str) -> Encoding {
    if name.starts_with("v2") {
        Encoding::BsatnV2
    } else {
        Encoding::BsatnV3
    }
}

/// The payloads that one side sent, put together from their fragments.
fn payloads(lines: &[Line], from: From) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut one = Vec::new();
    for line in lines.iter().filter(|line| line.from == from) {
        let (Some(data), What::Frame { fin, .. }) = (line.data(), &line.what) else {
            continue;
        };
        one.extend_from_slice(data);
        if *fin {
            all.push(std::mem::take(&mut one));
        }
    }
    assert!(one.is_empty(), "a message without an end");
    all
}

/// The calls of a client's payload; `None` where it is none of the protocol.
fn calls(payload: &[u8], version: Version) -> Option<Vec<CallReducer<'_>>> {
    let mut reader = Reader::new(payload);
    let mut calls = vec![CallReducer::read(&mut reader).ok()?];
    while version == Version::V3 && reader.left() > 0 {
        calls.push(CallReducer::read(&mut reader).ok()?);
    }
    (reader.left() == 0).then_some(calls)
}

/// From and to which account, and how much.
fn transfer_of(call: &CallReducer<'_>) -> Option<(u32, u32, i64)> {
    let mut args = Reader::new(call.args);
    let all = (args.u32().ok()?, args.u32().ok()?, args.i64().ok()?);
    (call.reducer == "transfer" && args.left() == 0).then_some(all)
}

/// What was recorded of the client is what the codec writes, byte for byte; what was recorded of
/// the server is read to its end.
#[test]
fn the_codec_writes_and_reads_every_recording() {
    let (mut transfers, mut seeds, mut results, mut greetings) = (0, 0, 0, 0);
    for name in names().iter().filter(|name| name.starts_with('v')) {
        let version = version(name);
        for (title, lines) in connections(name) {
            for payload in payloads(&lines, From::Client) {
                // `v?-bad` has what is none, `v3-query` has a query.
                let Some(calls) = calls(&payload, version) else {
                    assert!(
                        name.ends_with("-bad") || name == "v3-query",
                        "{name} {title}"
                    );
                    continue;
                };
                let mut written = BytesMut::new();
                for call in calls {
                    let id = call.request_id;
                    let mut args = Reader::new(call.args);
                    match (transfer_of(&call), call.reducer) {
                        (Some((from, to, amount)), _) => {
                            put_transfer(&mut written, id, from, to, amount);
                            transfers += 1;
                        }
                        (None, "seed") => {
                            let (count, balance) = (args.u32().unwrap(), args.i64().unwrap());
                            put_seed(&mut written, id, count, balance);
                            seeds += 1;
                        }
                        (None, _) => call.put(&mut written),
                    }
                }
                assert_eq!(written, payload, "{name} {title}");
            }
            for payload in payloads(&lines, From::Server) {
                let read: Result<Vec<_>, _> =
                    messages(&payload, version).and_then(Iterator::collect);
                match read {
                    Ok(read) => {
                        let greeted = read.contains(&ServerMessage::InitialConnection);
                        greetings += usize::from(greeted);
                        results += read.len() - usize::from(greeted);
                    }
                    Err(MessageError::Compressed(1)) => assert_eq!(name, "v3-brotli"),
                    Err(MessageError::Compressed(2)) => assert_eq!(name, "v3-gzip"),
                    Err(error) => {
                        assert!(matches!(error, MessageError::NotAskedFor { tag: 5, .. }));
                        assert_eq!(name, "v3-query");
                    }
                }
            }
        }
    }
    assert!(transfers > 500 && results > 450, "{transfers}, {results}");
    assert_eq!(seeds, 2);
    assert!(greetings >= 8, "{greetings}");
}

/// What the answers of a payload say, by their requests.
fn outcomes(payload: &[u8], version: Version) -> Vec<(u32, Outcome)> {
    let read = messages(payload, version).expect("messages");
    let results = read.filter_map(|message| match message.expect("a message") {
        ServerMessage::InitialConnection => None,
        ServerMessage::ReducerResult {
            request_id,
            outcome,
        } => Some((
            request_id,
            match outcome {
                ReducerOutcome::Ok => Outcome::Committed,
                ReducerOutcome::Err(ReducerError::Text("insufficient_funds")) => {
                    Outcome::Rejected(Reason::InsufficientFunds)
                }
                ReducerOutcome::Err(ReducerError::Text("same_account")) => {
                    Outcome::Rejected(Reason::InvalidTransfer)
                }
                other => panic!("{other:?}"),
            },
        )),
    });
    results.collect()
}

/// Plays a session: the same transfers in the same messages, and the recorded answers.
fn plays_session(name: &str, title: &str) {
    within(async {
        let lines = connection(name, title);
        let version = version(name);
        let player = Player::start(vec![lines.clone()], Client::Recorded).await;
        let first = payloads(&lines, From::Client)[0].clone();
        let first = calls(&first, version).expect("calls")[0].request_id;
        let connector = SpacetimeDbConnector::new(player.target.clone(), encoding(name).into());
        let connector = connector.counting_from(first);
        let mut session = connector.connect(WorkerId(0)).await.expect("it is greeted");
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        for payload in payloads(&lines, From::Server) {
            expected.extend(outcomes(&payload, version));
        }
        for payload in payloads(&lines, From::Client) {
            for call in calls(&payload, version).expect("calls") {
                let (from, to, amount) = transfer_of(&call).expect("a transfer");
                let transfer = Transfer {
                    from: from.into(),
                    to: to.into(),
                    amount,
                    transfer_id: None,
                };
                let id = RequestId::new(call.request_id.into()).expect("small");
                session.submit(id, transfer).expect("it is taken");
            }
            // The turn is over: what was submitted is one message.
            if let Some(ended) = session.replies(&mut out).now_or_never() {
                ended.expect("the server is there");
            }
        }
        while out.len() < expected.len() {
            session
                .replies(&mut out)
                .await
                .expect("the server is there");
        }
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(id, outcome)| Reply {
                id: RequestId::new(id.into()).expect("small"),
                outcome,
            })
            .collect();
        assert_eq!(out, expected, "{name}");
        assert_eq!((session.late_answers(), session.remark()), (0, None));
        session.close().await;
        player.end().await;
    });
}

#[test]
fn sessions_are_played_byte_for_byte() {
    plays_session("v2-session", "");
    plays_session("v3-session", "");
}

#[test]
fn a_batch_is_one_message_and_its_answers_are_several() {
    plays_session("v3-batch", "");
}

/// 420 calls, whose answers come in frames that are cut anywhere.
#[test]
fn fragments_are_put_together() {
    plays_session("v3-large", "v3-large");
}

/// Submits as many transfers as there are answers, whatever they are, and gives the outcomes by
/// request; a session that ends gives its error as well.
async fn answered(
    name: &str,
    title: &str,
    first: u32,
    count: u64,
) -> (Vec<(u64, Outcome)>, Option<String>, Option<String>) {
    let player = Player::start(vec![connection(name, title)], Client::Another).await;
    let connector = SpacetimeDbConnector::new(player.target.clone(), encoding(name).into());
    let connector = connector.counting_from(first);
    let mut session = connector.connect(WorkerId(0)).await.expect("it is greeted");
    let (mut out, mut error) = (Vec::new(), None);
    let per_message = payloads(&connection(name, title), From::Client).len() == 1;
    for number in 0..count {
        let transfer = Transfer {
            from: 0,
            to: 1,
            amount: 1,
            transfer_id: None,
        };
        let id = RequestId::new(u64::from(first) + number).expect("small");
        session.submit(id, transfer).expect("it is taken");
        if per_message && number + 1 < count {
            continue;
        }
        let wanted = if per_message { count } else { number + 1 };
        while (out.len() as u64) < wanted && error.is_none() {
            error = session.replies(&mut out).await.err();
        }
        if error.is_some() {
            break;
        }
    }
    let remark = session.remark();
    if error.is_none() {
        session.close().await;
        player.end().await;
    }
    let out = out.iter().map(|reply| (reply.id.get(), reply.outcome));
    (out.collect(), error.map(|error| error.to_string()), remark)
}

/// A call that is refused before it runs is answered before those that wait for the disk.
#[test]
fn answers_that_overtake_find_their_calls() {
    within(async {
        let (out, error, remark) = answered("v3-overtake", "", 300, 8).await;
        let refused = Outcome::Rejected(Reason::UnknownMethod);
        let expected: Vec<_> = [300, 301, 302, 306, 303, 304, 305, 307]
            .map(|id| {
                (
                    id,
                    if id == 306 {
                        refused
                    } else {
                        Outcome::Committed
                    },
                )
            })
            .into();
        assert_eq!((out, error), (expected, None));
        let remark = remark.expect("a module without the reducer is worth a word");
        for says in [
            "transfer(from: u32, to: u32, amount: i64)",
            "no such reducer",
            "publish",
        ] {
            assert!(remark.contains(says), "{remark}");
        }
    });
}

#[test]
fn every_refusal_has_its_reason() {
    use Reason::{AccountMissing, InsufficientFunds, InvalidRequest, InvalidTransfer};
    within(async {
        for name in ["v2-errors", "v3-errors"] {
            let (out, error, _) = answered(name, name, 10, 10).await;
            let reasons = [
                Some(InvalidTransfer),
                Some(InvalidTransfer),
                Some(InvalidTransfer),
                Some(AccountMissing),
                Some(AccountMissing),
                Some(InsufficientFunds),
                Some(Reason::UnknownMethod),
                Some(InvalidRequest),
                None,
                Some(Reason::UnknownMethod),
            ];
            let expected: Vec<_> = (10..)
                .zip(reasons.map(|it| it.map_or(Outcome::Committed, Outcome::Rejected)))
                .collect();
            assert_eq!((out, error), (expected, None), "{name}");
        }
    });
}

/// What the server says when it closes is what a person reads.
#[test]
fn a_close_frame_is_quoted() {
    within(async {
        for (name, title, says) in [
            (
                "v2-bad",
                "truncated message",
                "code 1011: 'data too short for [u8]",
            ),
            (
                "v3-bad",
                "flags byte 1",
                "code 1011: 'invalid call reducer flag 1'",
            ),
        ] {
            let (out, error, _) = answered(name, title, 1, 1).await;
            assert!(out.is_empty());
            let error = error.expect("the session ends");
            assert!(error.contains(says), "{error}");
        }
    });
}

/// A server that compresses although it was asked not to.
#[test]
fn compressed_answers_are_refused_with_a_word() {
    within(async {
        for (name, says) in [("v3-gzip", "compression 2"), ("v3-brotli", "compression 1")] {
            let (_, error, _) = answered(name, name, 1000, 150).await;
            let error = error.expect("the session ends");
            assert!(
                error.contains(says) && error.contains("compression=None"),
                "{error}"
            );
        }
    });
}

/// Upgrades that are refused, in the server's words and with what to do.
#[test]
fn a_refused_upgrade_says_what_was_asked_what_came_and_what_to_do() {
    within(async {
        for (title, says) in [
            (
                "no subprotocol",
                &[
                    "v3.bsatn.spacetimedb",
                    "400 Bad Request",
                    "--encoding bsatn_v2",
                ][..],
            ),
            (
                "unknown database",
                &[
                    "GET /v1/database/test-1/subscribe?",
                    "404 Not Found",
                    "publish the module",
                ],
            ),
            ("malformed token", &["wants a token", "--token-file"]),
        ] {
            let lines = connection("handshakes", title);
            let player = Player::start(vec![lines], Client::Another).await;
            let target = player.target.clone();
            let connector = SpacetimeDbConnector::new(target, Encoding::BsatnV3.into());
            let refused = connector.connect(WorkerId(0)).await.err().expect("refused");
            let text = refused.to_string();
            for says in says {
                assert!(text.contains(says), "no '{says}' in {text}");
            }
            assert!(text.contains("/test-1"), "{text}");
            player.end().await;
        }
    });
}

/// The accepted upgrade with a token is what the recorded client sent.
#[test]
fn a_token_is_shown_as_it_was_recorded() {
    within(async {
        let mut lines = connection("handshakes", "bearer token, v3");
        // The recording ends here; a server greets.
        lines.extend(connection("v3-session", "").into_iter().skip(2).take(2));
        let What::Http(head) = &lines[0].what else {
            panic!("an upgrade");
        };
        let head = String::from_utf8(head.clone()).expect("ASCII");
        let (_, token) = head.split_once("Bearer ").expect("a token");
        let token = token.lines().next().expect("a line");
        let directory = crate::common::directory();
        let path = directory.path().join("token");
        std::fs::write(&path, token).expect("it can be written");
        let player = Player::start(vec![lines], Client::Recorded).await;
        let mut target = player.target.clone();
        target.token = Some(busload_net::token::Token::from_file(&path).expect("a token"));
        let connector = SpacetimeDbConnector::new(target, Encoding::BsatnV3.into());
        connector.connect(WorkerId(0)).await.expect("it is greeted");
        player.end().await;
    });
}

fn control(player: &Player) -> ControlClient {
    ControlClient::new(ConnectorKind::SpacetimeDb, player.target.clone())
}

/// Seeding looks at the module and calls its reducer, as it was recorded.
#[test]
fn seeding_is_played_byte_for_byte() {
    within(async {
        let plays = vec![
            connection("http", "module schema"),
            connection("v2-seed", ""),
            connection("http", "sql all rows after seed(4, 1000)"),
        ];
        let player = Player::start(plays, Client::Recorded).await;
        let mut control = control(&player);
        control.seed(4, 1000).await.expect("it is seeded");
        // The connection of the schema has been closed: it is asked on another.
        let read = control.verify().await.expect("an answer");
        let expected = Verification::Verified {
            accounts: "4".to_owned(),
            total: "4000".to_owned(),
            changed: "0".to_owned(),
            compared_with: None,
        };
        assert_eq!(read, expected);
        player.end().await;
    });
}

#[test]
fn all_balances_are_read_as_they_were_recorded() {
    within(async {
        let plays = vec![connection("http", "sql all rows after the v3 session")];
        let player = Player::start(plays, Client::Recorded).await;
        let found = control(&player)
            .balances(&[0, 1, 2, 3, 4], 64, None, |_| {})
            .await;
        let expected = [
            (0, Some(900)),
            (1, Some(850)),
            (2, Some(1249)),
            (3, Some(1001)),
            (4, None),
        ];
        assert_eq!(found.expect("an answer"), expected);
        player.end().await;
    });
}

/// Errors of its SQL, in the server's words and with what to do.
#[test]
fn a_refused_query_says_what_was_asked_what_came_and_what_to_do() {
    within(async {
        for (title, says) in [
            (
                "sql unknown table",
                &["POST /v1/database/test-1/sql", "no such table", "publish"][..],
            ),
            ("sql syntax error", &["400 Bad Request", "sql parser error"]),
            (
                "sql unknown database",
                &["404 Not Found", "`no-such-db` not found", "host of the URL"],
            ),
            ("sql malformed token", &["wants a token", "--token-file"]),
            (
                "sql count",
                &[
                    "asked for SELECT * FROM accounts WHERE id = 2",
                    "no rows of a u32",
                ],
            ),
            (
                "ping",
                &[
                    "asked for SELECT * FROM accounts",
                    "no rows of a u32 and an i64",
                ],
            ),
        ] {
            let player = Player::start(vec![connection("http", title)], Client::Another).await;
            let error = control(&player).balance(2).await.expect_err(title);
            assert!(matches!(error, ControlError::Connect(_)), "{error:?}");
            let text = error.to_string();
            for says in says {
                assert!(text.contains(says), "no '{says}' in {text}");
            }
            player.end().await;
        }
    });
}

#[test]
fn one_balance_is_read_as_it_was_recorded() {
    within(async {
        let title = "sql one row, with a bearer token";
        let player = Player::start(vec![connection("http", title)], Client::Another).await;
        let found = control(&player).balance(2).await.expect("an answer");
        assert_eq!(found, Some(1249));
        player.end().await;
    });
}
