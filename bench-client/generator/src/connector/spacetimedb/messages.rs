//! The messages of SpacetimeDB's WebSocket protocol, v2 and v3, that a client meets which calls
//! reducers and subscribes to nothing.
//!
//! Both versions write a message alike. In v2 a payload is one message, in v3 as many as fit, one
//! right behind the other: what cannot be read hides all that comes after it.

use std::fmt;

use bytes::{BufMut as _, BytesMut};

use super::bsatn::{BsatnError, Reader, put_bytes};

/// The reducer that moves money: `transfer(from: u32, to: u32, amount: i64)`.
pub const TRANSFER: &str = "transfer";
/// The reducer that wipes and creates accounts: `seed(n: u32, initial_balance: i64)`.
pub const SEED: &str = "seed";

/// The tag of a call among the messages of a client.
const CALL_REDUCER: u8 = 3;

/// What a client's or a server's payload may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One message.
    V2,
    /// One or more.
    V3,
}

impl Version {
    /// Its WebSocket subprotocol.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::V2 => "v2.bsatn.spacetimedb",
            Self::V3 => "v3.bsatn.spacetimedb",
        }
    }
}

/// Why a message is none of the protocol, or none that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is cut off, or a text of it is none.
    #[error("in {what}: {source}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        source: BsatnError,
    },
    /// A payload without a message.
    #[error("an empty payload, where a message was expected")]
    Empty,
    /// The payload is compressed.
    #[error("a payload with compression {0}, where compression=None was asked for")]
    Compressed(u8),
    /// A message that nothing was said to ask for.
    #[error(
        "a message with tag {tag} ({name}), where only InitialConnection (0) and ReducerResult (6) \
         were asked for"
    )]
    NotAskedFor {
        /// Its tag.
        tag: u8,
        /// What the protocol calls it.
        name: &'static str,
    },
    /// A tag that the protocol does not have.
    #[error("tag {tag} in {what}, which this program does not know")]
    UnknownTag {
        /// What was being read.
        what: &'static str,
        /// The tag.
        tag: u8,
    },
    /// Rows of subscribed queries, without a subscription.
    #[error("a ReducerResult with {0} query sets, and nothing was subscribed to")]
    QuerySets(u32),
    /// A payload of v2 goes on behind its message.
    #[error("{0} bytes behind the one message that a payload of v2 has; try --encoding bsatn_v3")]
    Trailing(usize),
}

/// Names what is being read.
fn at(what: &'static str) -> impl Fn(BsatnError) -> MessageError {
    move |source| MessageError::Malformed { what, source }
}

/// A client's call of a reducer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallReducer<'a> {
    /// Chosen by the client and echoed; it has no meaning for the server.
    pub request_id: u32,
    /// The reducer's name.
    pub reducer: &'a str,
    /// Its arguments, one after the other.
    pub args: &'a [u8],
}

impl<'a> CallReducer<'a> {
    /// Appends the call.
    pub fn put(&self, out: &mut BytesMut) {
        out.put_u8(CALL_REDUCER);
        out.put_u32_le(self.request_id);
        // Flags, of which there are none.
        out.put_u8(0);
        put_bytes(out, self.reducer.as_bytes());
        put_bytes(out, self.args);
    }

    /// Reads a call, as a server does.
    ///
    /// # Errors
    /// It is another message, or not whole.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let what = "CallReducer";
        let (tag, request_id, flags) =
            (|| Ok((reader.u8()?, reader.u32()?, reader.u8()?)))().map_err(at(what))?;
        if tag != CALL_REDUCER || flags != 0 {
            let tag = if tag == CALL_REDUCER { flags } else { tag };
            return Err(MessageError::UnknownTag { what, tag });
        }
        Ok(Self {
            request_id,
            reducer: reader.string().map_err(at(what))?,
            args: reader.bytes().map_err(at(what))?,
        })
    }
}

/// Appends a call of [`TRANSFER`].
pub fn put_transfer(out: &mut BytesMut, request_id: u32, from: u32, to: u32, amount: i64) {
    let mut args = [0; 16];
    args[..4].copy_from_slice(&from.to_le_bytes());
    args[4..8].copy_from_slice(&to.to_le_bytes());
    args[8..].copy_from_slice(&amount.to_le_bytes());
    CallReducer {
        request_id,
        reducer: TRANSFER,
        args: &args,
    }
    .put(out);
}

/// Appends a call of [`SEED`].
pub fn put_seed(out: &mut BytesMut, request_id: u32, accounts: u32, initial_balance: i64) {
    let mut args = [0; 12];
    args[..4].copy_from_slice(&accounts.to_le_bytes());
    args[4..].copy_from_slice(&initial_balance.to_le_bytes());
    CallReducer {
        request_id,
        reducer: SEED,
        args: &args,
    }
    .put(out);
}

/// A message of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerMessage<'a> {
    /// The first one, without being asked for. Who the client is does not matter here.
    InitialConnection,
    /// The answer to a call.
    ReducerResult {
        /// The call's.
        request_id: u32,
        /// What became of it.
        outcome: ReducerOutcome<'a>,
    },
}

impl fmt::Display for ServerMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InitialConnection => f.write_str("InitialConnection"),
            Self::ReducerResult { request_id, .. } => {
                write!(f, "ReducerResult of the call {request_id}")
            }
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReducerOutcome<'a> {
    /// It is committed.
    Ok,
    /// The reducer returned this error, and nothing is committed.
    Err(ReducerError<'a>),
    /// The server could not run it or it failed, and nothing is committed.
    InternalError(&'a str),
}

/// The error that a reducer returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReducerError<'a> {
    /// A string.
    Text(&'a str),
    /// A value of another type, as it came.
    Value(&'a [u8]),
}

impl<'a> ReducerError<'a> {
    fn of(value: &'a [u8]) -> Self {
        let mut reader = Reader::new(value);
        match reader.string() {
            Ok(text) if reader.left() == 0 => Self::Text(text),
            _ => Self::Value(value),
        }
    }
}

impl<'a> ServerMessage<'a> {
    /// Reads one message.
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let tag = reader.u8().map_err(at("a message"))?;
        match tag {
            0 => Self::initial_connection(reader).map_err(at("InitialConnection")),
            6 => Self::reducer_result(reader),
            1..=5 | 7 => Err(MessageError::NotAskedFor {
                tag,
                name: [
                    "",
                    "SubscribeApplied",
                    "UnsubscribeApplied",
                    "SubscriptionError",
                    "TransactionUpdate",
                    "OneOffQueryResult",
                    "",
                    "ProcedureResult",
                ][usize::from(tag)],
            }),
            tag => Err(MessageError::UnknownTag {
                what: "a message",
                tag,
            }),
        }
    }

    fn initial_connection(reader: &mut Reader<'a>) -> Result<Self, BsatnError> {
        let _identity: [u8; 32] = reader.array()?;
        let _connection: [u8; 16] = reader.array()?;
        let _token = reader.string()?;
        Ok(Self::InitialConnection)
    }

    fn reducer_result(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let what = "ReducerResult";
        let (request_id, _started, tag) =
            (|| Ok((reader.u32()?, reader.i64()?, reader.u8()?)))().map_err(at(what))?;
        let outcome = match tag {
            0 => {
                let _value = reader.bytes().map_err(at(what))?;
                match reader.u32().map_err(at(what))? {
                    0 => ReducerOutcome::Ok,
                    sets => return Err(MessageError::QuerySets(sets)),
                }
            }
            1 => ReducerOutcome::Ok,
            2 => ReducerOutcome::Err(ReducerError::of(reader.bytes().map_err(at(what))?)),
            3 => ReducerOutcome::InternalError(reader.string().map_err(at(what))?),
            tag => return Err(MessageError::UnknownTag { what, tag }),
        };
        Ok(Self::ReducerResult {
            request_id,
            outcome,
        })
    }
}

/// The messages of a server's payload, one after the other. The first error is the last item.
#[derive(Debug)]
pub struct Messages<'a> {
    reader: Reader<'a>,
    version: Version,
    done: bool,
}

/// Opens a payload of a server.
///
/// # Errors
/// It holds no message, or is compressed.
pub fn messages(payload: &[u8], version: Version) -> Result<Messages<'_>, MessageError> {
    let mut reader = Reader::new(payload);
    match reader.u8() {
        Ok(0) if reader.left() > 0 => Ok(Messages {
            reader,
            version,
            done: false,
        }),
        Ok(0) | Err(_) => Err(MessageError::Empty),
        Ok(compression) => Err(MessageError::Compressed(compression)),
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<ServerMessage<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let read = ServerMessage::read(&mut self.reader);
        let left = self.reader.left();
        self.done = read.is_err() || left == 0;
        if self.version == Version::V2 && left > 0 && read.is_ok() {
            self.done = true;
            return Some(Err(MessageError::Trailing(left)));
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a server would send, as it is to be read.
    #[derive(Debug, Clone)]
    enum Told {
        Greeting(String),
        Ok(u32, Vec<u8>),
        OkEmpty(u32),
        Err(u32, String),
        Internal(u32, String),
    }

    fn told() -> impl Strategy<Value = Told> {
        prop_oneof![
            any::<String>().prop_map(Told::Greeting),
            any::<(u32, Vec<u8>)>().prop_map(|(id, value)| Told::Ok(id, value)),
            any::<u32>().prop_map(Told::OkEmpty),
            any::<(u32, String)>().prop_map(|(id, text)| Told::Err(id, text)),
            any::<(u32, String)>().prop_map(|(id, text)| Told::Internal(id, text)),
        ]
    }

    impl Told {
        fn put(&self, out: &mut BytesMut) {
            let result = |out: &mut BytesMut, id: u32, tag: u8| {
                out.put_u8(6);
                out.put_u32_le(id);
                out.put_i64_le(1_795_224_244_322_573);
                out.put_u8(tag);
            };
            match self {
                Self::Greeting(token) => {
                    out.put_bytes(0, 1 + 32 + 16);
                    put_bytes(out, token.as_bytes());
                }
                Self::Ok(id, value) => {
                    result(out, *id, 0);
                    put_bytes(out, value);
                    out.put_u32_le(0);
                }
                Self::OkEmpty(id) => result(out, *id, 1),
                Self::Err(id, text) => {
                    result(out, *id, 2);
                    let mut value = BytesMut::new();
                    put_bytes(&mut value, text.as_bytes());
                    put_bytes(out, &value);
                }
                Self::Internal(id, text) => {
                    result(out, *id, 3);
                    put_bytes(out, text.as_bytes());
                }
            }
        }

        fn read(&self) -> ServerMessage<'_> {
            let (request_id, outcome) = match self {
                Self::Greeting(_) => return ServerMessage::InitialConnection,
                Self::Ok(id, _) | Self::OkEmpty(id) => (*id, ReducerOutcome::Ok),
                Self::Err(id, text) => (*id, ReducerOutcome::Err(ReducerError::Text(text))),
                Self::Internal(id, text) => (*id, ReducerOutcome::InternalError(text)),
            };
            ServerMessage::ReducerResult {
                request_id,
                outcome,
            }
        }
    }

    proptest! {
        #[test]
        fn a_call_is_read_as_it_was_written(request_id: u32, reducer: String, args: Vec<u8>) {
            let call = CallReducer { request_id, reducer: &reducer, args: &args };
            let mut out = BytesMut::new();
            call.put(&mut out);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(CallReducer::read(&mut reader), Ok(call));
            prop_assert_eq!(reader.left(), 0);
        }

        #[test]
        fn every_message_of_a_payload_is_read(told in prop::collection::vec(told(), 1..6)) {
            let mut payload = BytesMut::from(&[0][..]);
            for one in &told {
                one.put(&mut payload);
            }
            let read: Result<Vec<_>, _> = messages(&payload, Version::V3).unwrap().collect();
            prop_assert_eq!(read, Ok(told.iter().map(Told::read).collect::<Vec<_>>()));
            let single: Result<Vec<_>, _> = messages(&payload, Version::V2).unwrap().collect();
            let behind = matches!(single, Err(MessageError::Trailing(_)));
            prop_assert_eq!(behind, told.len() > 1);
        }

        /// Whole messages before the cut are read; the one that was cut off is an error, the last.
        #[test]
        fn a_payload_that_is_cut_off_ends_with_an_error(
            told in prop::collection::vec(told(), 1..6),
            cut: prop::sample::Index,
        ) {
            let mut payload = BytesMut::from(&[0][..]);
            let mut ends = vec![1];
            for one in &told {
                one.put(&mut payload);
                ends.push(payload.len());
            }
            let cut = cut.index(payload.len());
            let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            match messages(&payload[..cut], Version::V3) {
                Err(error) => prop_assert_eq!((error, whole), (MessageError::Empty, 0)),
                Ok(read) => {
                    let read: Vec<_> = read.collect();
                    let good = read.iter().filter(|one| one.is_ok()).count();
                    prop_assert_eq!(good, whole);
                    prop_assert_eq!(read.len() > whole, !ends.contains(&cut));
                }
            }
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(mut bytes: Vec<u8>, of_ours: bool, v3: bool) {
            // Else nearly none of them gets beyond its first two bytes.
            if of_ours && bytes.len() > 1 {
                (bytes[0], bytes[1]) = (0, 6);
            }
            let version = if v3 { Version::V3 } else { Version::V2 };
            if let Ok(read) = messages(&bytes, version) {
                let read: Vec<_> = read.collect();
                prop_assert!(!read.is_empty() && read.len() < bytes.len());
                let errors = read.iter().filter(|one| one.is_err()).count();
                prop_assert!(errors == 0 || errors == 1 && read[read.len() - 1].is_err());
            }
            let _ = CallReducer::read(&mut Reader::new(&bytes));
        }
    }

    #[test]
    fn what_was_not_asked_for_is_named() {
        for (payload, says) in [
            (&[][..], "an empty payload"),
            (&[0], "an empty payload"),
            (&[1, 0, 0], "compression 1"),
            (&[0, 5, 0], "OneOffQueryResult"),
            (&[0, 9], "tag 9 in a message"),
            (
                &[0, 6, 1],
                "in ReducerResult: 4 bytes were expected and 1 are left",
            ),
        ] {
            let read = messages(payload, Version::V3).and_then(|mut read| read.next().unwrap());
            let error = read.unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let mut payload = BytesMut::from(&[0, 6][..]);
        payload.put_bytes(0, 12 + 1 + 4);
        payload.put_u32_le(3);
        let read = messages(&payload, Version::V3).unwrap().next().unwrap();
        assert_eq!(read, Err(MessageError::QuerySets(3)));
    }

    /// An error value of another type than a string is kept as it came.
    #[test]
    fn an_error_of_another_type_is_kept() {
        for value in [&[][..], &[1, 2], &[1, 0, 0, 0, 0xff], &[0, 0, 0, 0, 7]] {
            assert_eq!(ReducerError::of(value), ReducerError::Value(value));
        }
        assert_eq!(
            ReducerError::of(&[1, 0, 0, 0, b'x']),
            ReducerError::Text("x")
        );
    }
}
