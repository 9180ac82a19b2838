//! The binary encoding (`transfer.binary.v1`): fixed-width little-endian records, many
//! per WebSocket message. Transfers only; every other call is a JSON text frame on the
//! same connection.
//!
//! ```text
//! message  = header (8 bytes) records
//! header   = kind u8, zero [u8; 3], record count u32
//! kind 1   = transfers:           request id u64, from i64, to i64, amount i64
//! kind 2   = transfers with ids:  the same, then transfer id [u8; 16]
//! kind 129 = outcomes:            request id u64, code u16 (0 = committed), zero [u8; 6]
//! ```

use bytes::BytesMut;
use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ErrorCode;
use crate::message::{Answer, RequestId, Transfer, TransferId};

/// The WebSocket subprotocol that names this encoding.
pub const SUBPROTOCOL: &str = "transfer.binary.v1";

/// The request id of an outcome that belongs to no request: the message that it answers
/// could not be read.
pub const NO_REQUEST: u64 = u64::MAX;

const KIND_TRANSFERS: u8 = 1;
const KIND_TRANSFERS_WITH_IDS: u8 = 2;
const KIND_OUTCOMES: u8 = 129;

/// Length of the header in bytes.
pub const HEADER_BYTES: usize = size_of::<Header>();
/// Length of a transfer without a transfer id, in bytes.
pub const TRANSFER_BYTES: usize = size_of::<TransferRecord>();
/// Length of an outcome, in bytes.
pub const OUTCOME_BYTES: usize = size_of::<OutcomeRecord>();

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    kind: u8,
    zero: [u8; 3],
    count: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct TransferRecord {
    request: U64,
    from: I64,
    to: I64,
    amount: I64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct TransferWithIdRecord {
    transfer: TransferRecord,
    transfer_id: [u8; 16],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct OutcomeRecord {
    request: U64,
    code: U16,
    zero: [u8; 6],
}

/// A binary message that cannot be read. Nothing of it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    /// Shorter than a header, or not as long as its header says.
    #[error("length does not match the record count")]
    Length,
    /// No such kind of message, or not in this direction.
    #[error("unknown message kind {0}")]
    Kind(u8),
    /// A byte that must be zero is not.
    #[error("reserved bytes are not zero")]
    Reserved,
    /// A request id above 2^53.
    #[error("request id out of range")]
    RequestId,
    /// An outcome code that is no code of this protocol.
    #[error("unknown outcome code {0}")]
    Code(u16),
}

fn body<T: FromBytes + KnownLayout + Immutable + Unaligned>(
    message: &[u8],
) -> Result<&[T], BinaryError> {
    let (header, body) = Header::ref_from_prefix(message).map_err(|_| BinaryError::Length)?;
    let count = usize::try_from(header.count.get()).map_err(|_| BinaryError::Length)?;
    if count == 0 || count.checked_mul(size_of::<T>()) != Some(body.len()) {
        return Err(BinaryError::Length);
    }
    <[T]>::ref_from_bytes(body).map_err(|_| BinaryError::Length)
}

/// Reads a message of transfers, appending to `out`. On an error `out` is as it was.
///
/// # Errors
/// The message is not a well-formed message of transfers.
pub fn decode_transfers(
    message: &[u8],
    out: &mut Vec<(RequestId, Transfer)>,
) -> Result<(), BinaryError> {
    let taken = out.len();
    let result = decode_transfers_into(message, out);
    if result.is_err() {
        out.truncate(taken);
    }
    result
}

fn decode_transfers_into(
    message: &[u8],
    out: &mut Vec<(RequestId, Transfer)>,
) -> Result<(), BinaryError> {
    let push = |record: &TransferRecord, transfer_id, out: &mut Vec<_>| {
        let id = RequestId::new(record.request.get()).ok_or(BinaryError::RequestId)?;
        let transfer = Transfer {
            from: record.from.get(),
            to: record.to.get(),
            amount: record.amount.get(),
            transfer_id,
        };
        out.push((id, transfer));
        Ok(())
    };
    match kind(message)? {
        KIND_TRANSFERS => {
            for record in body::<TransferRecord>(message)? {
                push(record, None, out)?;
            }
        }
        KIND_TRANSFERS_WITH_IDS => {
            for record in body::<TransferWithIdRecord>(message)? {
                let transfer_id = TransferId::from_u128(u128::from_le_bytes(record.transfer_id));
                push(&record.transfer, Some(transfer_id), out)?;
            }
        }
        other => return Err(BinaryError::Kind(other)),
    }
    Ok(())
}

/// Reads a message of outcomes, appending to `out`. On an error `out` is as it was.
///
/// # Errors
/// The message is not a well-formed message of outcomes.
pub fn decode_outcomes(message: &[u8], out: &mut Vec<Answer>) -> Result<(), BinaryError> {
    match kind(message)? {
        KIND_OUTCOMES => {}
        other => return Err(BinaryError::Kind(other)),
    }
    let taken = out.len();
    for record in body::<OutcomeRecord>(message)? {
        let outcome = decode_outcome(record);
        match outcome {
            Ok(answer) => out.push(answer),
            Err(error) => {
                out.truncate(taken);
                return Err(error);
            }
        }
    }
    Ok(())
}

fn decode_outcome(record: &OutcomeRecord) -> Result<Answer, BinaryError> {
    if record.zero != [0; 6] {
        return Err(BinaryError::Reserved);
    }
    let id = match record.request.get() {
        NO_REQUEST => None,
        id => Some(RequestId::new(id).ok_or(BinaryError::RequestId)?),
    };
    let result = match record.code.get() {
        0 => Ok(()),
        number => Err(Some(
            ErrorCode::from_number(number).ok_or(BinaryError::Code(number))?,
        )),
    };
    Ok(Answer { id, result })
}

fn kind(message: &[u8]) -> Result<u8, BinaryError> {
    let (header, _) = Header::ref_from_prefix(message).map_err(|_| BinaryError::Length)?;
    if header.zero != [0; 3] {
        return Err(BinaryError::Reserved);
    }
    Ok(header.kind)
}

/// Builds one message record by record in a buffer that is used again and again.
#[derive(Debug, Default)]
pub struct MessageBuilder {
    buffer: BytesMut,
    count: u32,
    kind: u8,
}

impl MessageBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records in the message so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether this transfer can join the message: a message holds only transfers with
    /// ids or only transfers without.
    #[must_use]
    pub fn accepts(&self, transfer: &Transfer) -> bool {
        self.is_empty() || self.kind == transfer_kind(transfer)
    }

    /// Adds a transfer.
    ///
    /// # Panics
    /// When the message does not [accept](Self::accepts) it: a caller's defect.
    pub fn push_transfer(&mut self, id: RequestId, transfer: &Transfer) {
        assert!(
            self.accepts(transfer),
            "transfers with and without ids in one message"
        );
        self.start(transfer_kind(transfer));
        let record = TransferRecord {
            request: U64::new(id.get()),
            from: I64::new(transfer.from),
            to: I64::new(transfer.to),
            amount: I64::new(transfer.amount),
        };
        self.buffer.extend_from_slice(record.as_bytes());
        if let Some(transfer_id) = transfer.transfer_id {
            self.buffer
                .extend_from_slice(&transfer_id.to_u128().to_le_bytes());
        }
    }

    /// Adds an outcome; `id` is `None` when the request could not be read.
    pub fn push_outcome(&mut self, id: Option<RequestId>, result: Result<(), ErrorCode>) {
        self.start(KIND_OUTCOMES);
        let record = OutcomeRecord {
            request: U64::new(id.map_or(NO_REQUEST, RequestId::get)),
            code: U16::new(result.err().map_or(0, ErrorCode::number)),
            zero: [0; 6],
        };
        self.buffer.extend_from_slice(record.as_bytes());
    }

    fn start(&mut self, kind: u8) {
        debug_assert!(
            self.is_empty() || self.kind == kind,
            "two kinds in one message"
        );
        if self.count == 0 {
            self.kind = kind;
            self.buffer.extend_from_slice(&[0; HEADER_BYTES]);
        }
        self.count += 1;
    }

    /// The finished message; the builder is empty afterwards.
    pub fn finish(&mut self) -> BytesMut {
        let header = Header {
            kind: self.kind,
            zero: [0; 3],
            count: U32::new(self.count),
        };
        if !self.is_empty() {
            self.buffer[..HEADER_BYTES].copy_from_slice(header.as_bytes());
        }
        self.count = 0;
        self.buffer.split()
    }
}

fn transfer_kind(transfer: &Transfer) -> u8 {
    if transfer.transfer_id.is_some() {
        KIND_TRANSFERS_WITH_IDS
    } else {
        KIND_TRANSFERS
    }
}
