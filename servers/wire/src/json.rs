//! The JSON encoding: one object per HTTP body or WebSocket text frame.
//!
//! Requests are `{"id": 7, "name": "transfer", "args": {…}}` (`id` over WebSocket only),
//! answers `{"id": 7, "ok": true, "result": …}` or `{"id": 7, "ok": false, "error": "…"}`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bytes::BytesMut;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::ErrorCode;
use crate::message::{Answer, Call, Request, RequestId, Transfer, TransferId};

/// A request that was refused before it was a request. Nothing was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code}")]
pub struct RequestError {
    /// The id, if the text held a readable one: anywhere in it when it is JSON, before the
    /// place where it went wrong when it is not.
    pub id: Option<RequestId>,
    /// `invalid_request` or `unknown_method`.
    pub code: ErrorCode,
}

/// Reads a request. `args` may be absent; keys that no method knows are ignored; a key
/// that comes twice (or under both of its names) is an error.
///
/// # Errors
/// The text is no request of this protocol. The error carries the id when one was seen,
/// so that the answer can name it.
pub fn decode_request(text: &[u8]) -> Result<Request, RequestError> {
    let mut id = None;
    let invalid = |id: Option<u64>| RequestError {
        id: id.and_then(RequestId::new),
        code: ErrorCode::InvalidRequest,
    };
    // All of it at once: serde_json does not look into strings that nobody reads.
    let text = std::str::from_utf8(text).map_err(|_| invalid(None))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parts = RequestSeed { id: &mut id }.deserialize(&mut deserializer);
    let parts = parts.and_then(|parts| deserializer.end().map(|()| parts));
    let Ok((name, args)) = parts else {
        return Err(salvage(text).unwrap_or_else(|| invalid(id)));
    };
    let request_id = match id {
        Some(id) => Some(RequestId::new(id).ok_or_else(|| invalid(None))?),
        None => None,
    };
    let call = match name {
        Name::Transfer => args.transfer().map(Call::Transfer),
        Name::Health => Some(Call::Health),
        Name::GetAccount => args.id.map(|id| Call::GetAccount { id }),
        Name::Seed => args.seed(),
        Name::Verify => Some(Call::Verify),
        Name::Info => Some(Call::Info),
        Name::Stats => Some(Call::Stats {
            balances: args.balances.unwrap_or(false),
            histograms: args.histograms.unwrap_or(true),
        }),
        Name::Unknown => {
            return Err(RequestError {
                id: request_id,
                code: ErrorCode::UnknownMethod,
            });
        }
    };
    let call = call.ok_or_else(|| invalid(id))?;
    Ok(Request {
        id: request_id,
        call,
    })
}

/// What can still be said of a text that is no request: `None` when it is no JSON object.
/// Only refusals pay for this second reading.
#[cold]
fn salvage(text: &str) -> Option<RequestError> {
    let Pairs(pairs) = serde_json::from_str(text).ok()?;
    let only = |key: &str| {
        let mut values = pairs
            .iter()
            .filter(|pair| pair.0 == key)
            .map(|pair| pair.1.get());
        // Of two, neither counts.
        values.next().filter(|_| values.next().is_none())
    };
    let id = only("id").and_then(|id| serde_json::from_str(id).ok());
    let id = id.and_then(RequestId::new);
    let name = only("name").and_then(|name| serde_json::from_str(name).ok());
    let code = match name {
        Some(Name::Unknown) => ErrorCode::UnknownMethod,
        _ => ErrorCode::InvalidRequest,
    };
    Some(RequestError { id, code })
}

/// The keys and values of an object, also those that come twice.
struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(PairsVisitor).map(Pairs)
    }
}

/// Reads `T` from an object only: a derived struct is also read from an array, field by
/// field in the order of the declaration, which is no part of this protocol.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

enum Name {
    Transfer,
    Health,
    GetAccount,
    Seed,
    Verify,
    Info,
    Stats,
    Unknown,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a method name")
            }
            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    "transfer" => Name::Transfer,
                    "health" => Name::Health,
                    "getAccount" => Name::GetAccount,
                    "seed" => Name::Seed,
                    "verify" => Name::Verify,
                    "info" => Name::Info,
                    "stats" => Name::Stats,
                    _ => Name::Unknown,
                })
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// The arguments of all methods together: `args` may come before `name`, so the method
/// is not known yet when they are read.
#[derive(Deserialize, Default)]
struct Args {
    #[serde(default, alias = "from")]
    from_id: Option<i64>,
    #[serde(default, alias = "to")]
    to_id: Option<i64>,
    amount: Option<i64>,
    /// `null` is no id: a client whose id got lost must not believe that it has one.
    #[serde(default, deserialize_with = "present")]
    transfer_id: Option<TransferIdText>,
    id: Option<i64>,
    accounts: Option<i64>,
    #[serde(rename = "initialBalance", alias = "initial_balance")]
    initial_balance: Option<Balance>,
    balances: Option<bool>,
    histograms: Option<bool>,
}

/// A value under a key that is there; `null` is read as any other value.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Args {
    fn transfer(self) -> Option<Transfer> {
        Some(Transfer {
            from: self.from_id?,
            to: self.to_id?,
            amount: self.amount?,
            transfer_id: self.transfer_id.map(|id| id.0),
        })
    }

    fn seed(self) -> Option<Call> {
        Some(Call::Seed {
            accounts: self.accounts?,
            initial_balance: self.initial_balance?.0,
        })
    }
}

/// A balance as a number or, as the original's tools also send it, a decimal string.
struct Balance(i64);

impl<'de> Deserialize<'de> for Balance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BalanceVisitor;
        impl Visitor<'_> for BalanceVisitor {
            type Value = Balance;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer or a decimal string")
            }
            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Balance, E> {
                Ok(Balance(n))
            }
            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Balance, E> {
                i64::try_from(n).map(Balance).map_err(E::custom)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Balance, E> {
                text.parse().map(Balance).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(BalanceVisitor)
    }
}

/// A transfer id: a non-negative integer, or up to 32 hexadecimal digits in a string.
///
/// Read from its text: as a number, an integer above 64 bits would have lost digits.
struct TransferIdText(TransferId);

impl<'de> Deserialize<'de> for TransferIdText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let number = if text.starts_with('"') {
            let digits: Option<Cow<'_, str>> = serde_json::from_str(text).ok();
            digits.and_then(|digits| hexadecimal(&digits))
        } else {
            text.parse().ok()
        };
        number
            .map(|number| Self(TransferId::from_u128(number)))
            .ok_or_else(|| serde::de::Error::custom("not a transfer id"))
    }
}

fn hexadecimal(digits: &str) -> Option<u128> {
    let is_one =
        (1..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_one.then(|| u128::from_str_radix(digits, 16));
    number?.ok()
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Id,
    Name,
    Args,
    #[serde(other)]
    Other,
}

/// Reads the request's object while keeping the id outside: what was seen of it survives
/// an error further on.
struct RequestSeed<'a> {
    id: &'a mut Option<u64>,
}

impl<'de> DeserializeSeed<'de> for RequestSeed<'_> {
    type Value = (Name, Args);
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RequestSeed<'_> {
    type Value = (Name, Args);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        use serde::de::Error;
        let (mut name, mut args) = (None, None);
        while let Some(key) = map.next_key()? {
            match key {
                Key::Id if self.id.is_some() => return Err(A::Error::duplicate_field("id")),
                Key::Id => *self.id = Some(map.next_value()?),
                Key::Name if name.is_some() => return Err(A::Error::duplicate_field("name")),
                Key::Name => name = Some(map.next_value()?),
                Key::Args if args.is_some() => return Err(A::Error::duplicate_field("args")),
                Key::Args => args = Some(map.next_value::<Option<Object<Args>>>()?),
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let name = name.ok_or_else(|| A::Error::missing_field("name"))?;
        Ok((
            name,
            args.flatten().map(|Object(args)| args).unwrap_or_default(),
        ))
    }
}

#[derive(Serialize)]
struct Envelope<'a, R> {
    #[serde(skip_serializing_if = "AnswerId::is_absent")]
    id: AnswerId,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<R>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// Writes at the end of a buffer. The writer of `bytes` goes through `Write::write` and its
/// loop for each of the dozens of pieces that a serialiser writes.
struct Appender<'a>(&'a mut BytesMut);

impl std::io::Write for Appender<'_> {
    #[inline]
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(piece);
        Ok(piece.len())
    }

    #[inline]
    fn write_all(&mut self, piece: &[u8]) -> std::io::Result<()> {
        self.0.extend_from_slice(piece);
        Ok(())
    }

    #[inline]
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether an answer names its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerId {
    /// HTTP: the answer has no `id` key.
    Absent,
    /// WebSocket: the answer carries the request's id, `null` if none could be read.
    Echo(Option<RequestId>),
}

impl AnswerId {
    fn is_absent(&self) -> bool {
        *self == Self::Absent
    }
}

impl Serialize for AnswerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Echo(Some(id)) => serializer.serialize_u64(id.get()),
            Self::Echo(None) | Self::Absent => serializer.serialize_none(),
        }
    }
}

fn put<R: Serialize>(out: &mut BytesMut, envelope: &Envelope<'_, R>) {
    let written = serde_json::to_writer(Appender(out), envelope);
    debug_assert!(
        written.is_ok(),
        "plain structs into memory always serialise"
    );
}

/// Appends the answer to a transfer, or any answer without a result.
pub fn encode_outcome(out: &mut BytesMut, id: AnswerId, result: Result<(), ErrorCode>) {
    let error = result.err().map(ErrorCode::as_str);
    put::<()>(
        out,
        &Envelope {
            id,
            ok: error.is_none(),
            result: None,
            error,
            detail: None,
        },
    );
}

/// Appends a refusal with a sentence for people: what is wrong, and what to do. Programs look at
/// the code.
pub fn encode_refusal(out: &mut BytesMut, id: AnswerId, code: ErrorCode, detail: &str) {
    debug_assert!(
        !detail.contains(|character: char| character.is_ascii_digit()),
        "the original's older client repeats a request when it finds certain digits"
    );
    put::<()>(
        out,
        &Envelope {
            id,
            ok: false,
            result: None,
            error: Some(code.as_str()),
            detail: Some(detail),
        },
    );
}

/// Appends a successful answer that has a result.
pub fn encode_result<R: Serialize>(out: &mut BytesMut, id: AnswerId, result: &R) {
    put(
        out,
        &Envelope {
            id,
            ok: true,
            result: Some(result),
            error: None,
            detail: None,
        },
    );
}

#[derive(Serialize)]
struct RequestText<A> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<A>,
}

#[derive(Serialize)]
struct TransferArgs {
    from_id: i64,
    to_id: i64,
    amount: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer_id: Option<HexId>,
}

struct HexId(TransferId);

impl Serialize for HexId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", self.0.to_u128()))
    }
}

#[derive(Serialize)]
struct GetAccountArgs {
    id: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SeedArgs {
    accounts: i64,
    initial_balance: i64,
}

#[derive(Serialize)]
struct StatsArgs {
    balances: bool,
    /// Absent when true, which is the default and all that older servers know.
    #[serde(skip_serializing_if = "Clone::clone")]
    histograms: bool,
}

fn put_request<A: Serialize>(
    out: &mut BytesMut,
    id: Option<RequestId>,
    name: &'static str,
    args: Option<A>,
) {
    let written = serde_json::to_writer(
        Appender(out),
        &RequestText {
            id: id.map(RequestId::get),
            name,
            args,
        },
    );
    debug_assert!(
        written.is_ok(),
        "plain structs into memory always serialise"
    );
}

/// Appends a transfer request; the hot path of a client.
pub fn encode_transfer(out: &mut BytesMut, id: Option<RequestId>, transfer: &Transfer) {
    let args = TransferArgs {
        from_id: transfer.from,
        to_id: transfer.to,
        amount: transfer.amount,
        transfer_id: transfer.transfer_id.map(HexId),
    };
    put_request(out, id, "transfer", Some(args));
}

/// Appends any request.
pub fn encode_request(out: &mut BytesMut, request: &Request) {
    let id = request.id;
    match &request.call {
        Call::Transfer(transfer) => encode_transfer(out, id, transfer),
        Call::Health => put_request::<()>(out, id, "health", None),
        Call::GetAccount { id: account } => {
            put_request(out, id, "getAccount", Some(GetAccountArgs { id: *account }));
        }
        Call::Seed {
            accounts,
            initial_balance,
        } => {
            let args = SeedArgs {
                accounts: *accounts,
                initial_balance: *initial_balance,
            };
            put_request(out, id, "seed", Some(args));
        }
        Call::Verify => put_request::<()>(out, id, "verify", None),
        Call::Info => put_request::<()>(out, id, "info", None),
        Call::Stats {
            balances,
            histograms,
        } => {
            put_request(
                out,
                id,
                "stats",
                Some(StatsArgs {
                    balances: *balances,
                    histograms: *histograms,
                }),
            );
        }
    }
}

/// An answer that is no answer of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an answer of this protocol")]
pub struct AnswerError;

#[derive(Deserialize)]
struct AnswerText<'a> {
    id: Option<u64>,
    ok: bool,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    result: Option<IgnoredAny>,
}

/// Reads the answer to a transfer as [`read_answer`] does; one that contradicts itself is of
/// unknown outcome.
///
/// # Errors
/// As for [`read_answer`].
pub fn decode_answer(text: &[u8]) -> Result<Answer, AnswerError> {
    read_answer(text).map(|(answer, _)| answer)
}

/// Reads the answer to a transfer. A result, if there is one, is skipped. The second value is
/// false when it contradicts itself, `ok` beside an error or a refusal beside a result (`null` is
/// neither): nothing is known then of what became of the transfer.
///
/// # Errors
/// The text is no JSON object with a boolean `ok`, or its id is above 2^53.
pub fn read_answer(text: &[u8]) -> Result<(Answer, bool), AnswerError> {
    // Once for the whole text: cheaper than once per string.
    let text = std::str::from_utf8(text).map_err(|_| AnswerError)?;
    let Object::<AnswerText<'_>>(answer) = serde_json::from_str(text).map_err(|_| AnswerError)?;
    let id = match answer.id {
        Some(id) => Some(RequestId::new(id).ok_or(AnswerError)?),
        None => None,
    };
    let consistent = !if answer.ok {
        answer.error.is_some()
    } else {
        answer.result.is_some()
    };
    let result = match answer.ok {
        _ if !consistent => Err(None),
        true => Ok(()),
        false => Err(answer.error.as_deref().and_then(|text| text.parse().ok())),
    };
    Ok((Answer { id, result }, consistent))
}

/// An answer of the control plane, its result still as text.
#[derive(Debug, Deserialize)]
pub struct ControlAnswer<'a> {
    /// Which request this answers.
    pub id: Option<u64>,
    /// Whether it succeeded.
    pub ok: bool,
    /// The result as JSON text.
    #[serde(borrow)]
    pub result: Option<&'a RawValue>,
    /// The error text: a code of ours, or the original's free text.
    #[serde(borrow)]
    pub error: Option<Cow<'a, str>>,
}

/// Reads any answer with its result.
///
/// # Errors
/// The text is no JSON object with a boolean `ok`.
pub fn decode_control(text: &[u8]) -> Result<ControlAnswer<'_>, AnswerError> {
    let Object(answer) = serde_json::from_slice(text).map_err(|_| AnswerError)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_contradicts_itself_is_of_unknown_outcome() {
        let funds = Err(Some(ErrorCode::InsufficientFunds));
        for (text, result, consistent) in [
            (r#"{"ok":true}"#, Ok(()), true),
            (
                r#"{"ok":true,"error":null,"result":{"a":[1]}}"#,
                Ok(()),
                true,
            ),
            (
                r#"{"ok":true,"error":"insufficient_funds"}"#,
                Err(None),
                false,
            ),
            (r#"{"error":"","ok":true}"#, Err(None), false),
            (r#"{"ok":false,"error":"insufficient_funds"}"#, funds, true),
            (
                r#"{"ok":false,"error":"insufficient_funds","result":null}"#,
                funds,
                true,
            ),
            (
                r#"{"ok":false,"error":"insufficient_funds","result":{}}"#,
                Err(None),
                false,
            ),
            (r#"{"ok":false}"#, Err(None), true),
        ] {
            let (answer, agrees) = read_answer(text.as_bytes()).expect("an answer");
            assert_eq!((answer.result, agrees), (result, consistent), "{text}");
            assert_eq!(
                decode_answer(text.as_bytes()).expect("an answer").result,
                result
            );
        }
    }
}
