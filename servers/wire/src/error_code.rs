//! The error codes of the protocol: one table for text, HTTP status, binary number
//! and what the client may conclude.

use std::fmt;
use std::str::FromStr;

/// What a client may conclude from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutcomeClass {
    /// The request was understood and refused; nothing was applied.
    Rejected,
    /// Known not to be committed, for a reason that is not the request's fault.
    Failed,
    /// May or may not have been committed.
    Unknown,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $text:literal, $status:literal, $class:ident;)*) => {
        /// Why a request was not done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant = $number,)*
        }

        impl ErrorCode {
            /// Every code, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The text on the wire. Holds no digit: the original benchmark's client
            /// (copies from before March 2026) retries on any error text that contains certain numbers.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }

            /// What the client of a transfer may conclude.
            #[must_use]
            pub const fn class(self) -> OutcomeClass {
                match self { $(Self::$variant => OutcomeClass::$class),* }
            }

            /// The number in the binary encoding; 0 is success and no code.
            #[must_use]
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// The code with this number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }

        impl FromStr for ErrorCode {
            type Err = UnknownErrorCode;
            fn from_str(text: &str) -> Result<Self, UnknownErrorCode> {
                match text { $($text => Ok(Self::$variant),)* _ => Err(UnknownErrorCode) }
            }
        }
    };
}

error_codes! {
    /// Not a request of this protocol: malformed, missing or mistyped parts.
    InvalidRequest = 1, "invalid_request", 400, Rejected;
    /// An amount below one, or an account paying itself.
    InvalidTransfer = 2, "invalid_transfer", 400, Rejected;
    /// No or a wrong token.
    Unauthorized = 3, "unauthorized", 401, Failed;
    /// Not allowed here.
    Forbidden = 4, "forbidden", 403, Failed;
    /// An account that does not exist.
    AccountMissing = 5, "account_missing", 404, Rejected;
    /// No such method.
    UnknownMethod = 6, "unknown_method", 404, Rejected;
    /// The payer has less than the amount.
    InsufficientFunds = 7, "insufficient_funds", 409, Rejected;
    /// The receiver's balance would not fit 64 bits.
    BalanceOverflow = 8, "balance_overflow", 409, Rejected;
    /// The same transfer id with another payload.
    Conflict = 9, "conflict", 409, Rejected;
    /// A body, message or frame above the limit.
    TooLarge = 10, "too_large", 413, Failed;
    /// The ledger does not add up, or nothing changed.
    VerifyFailed = 11, "verify_failed", 500, Unknown;
    /// A defect of the server.
    Internal = 12, "internal", 500, Unknown;
    /// An I/O error at COMMIT: the transfer may or may not be durable.
    UnknownOutcome = 13, "unknown_outcome", 500, Unknown;
    /// The queue is full; the transfer was not queued.
    Overloaded = 14, "overloaded", 503, Failed;
    /// The server is stopping; the transfer was not applied.
    ShuttingDown = 15, "shutting_down", 503, Failed;
    /// The disk is full; the transfer was rolled back.
    StorageFull = 16, "storage_full", 507, Failed;
}

/// The text is no error code of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an error code of this protocol")]
pub struct UnknownErrorCode;

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_text_and_number() {
        for &code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert_eq!(ErrorCode::from_number(code.number()), Some(code));
            assert_ne!(code.number(), 0, "0 is success");
        }
        assert_eq!(
            "insufficient funds".parse::<ErrorCode>(),
            Err(UnknownErrorCode)
        );
        assert_eq!(ErrorCode::from_number(0), None);
    }

    #[test]
    fn no_text_holds_a_digit() {
        for code in ErrorCode::ALL {
            assert!(
                !code.as_str().contains(|c: char| c.is_ascii_digit()),
                "{code}"
            );
        }
    }
}
