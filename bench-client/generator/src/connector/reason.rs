//! Why a transfer was not committed, whatever the protocol calls it.

use busload_wire::ErrorCode;

/// The reasons that the transfer protocol has error codes for, under the same names, and those
/// that only other protocols have.
macro_rules! reasons {
    ($($coded:ident = $text:literal),+; $($(#[$doc:meta])* $own:ident = $own_text:literal),+ $(,)?) => {
        /// Why a transfer was rejected or failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $(
                #[doc = concat!("The error code `", $text, "` of the transfer protocol.")]
                $coded,
            )+
            $($(#[$doc])* $own,)+
        }

        impl Reason {
            /// Every reason, in the order of their [places](Self::place).
            pub const ALL: &[Self] = &[$(Self::$coded,)+ $(Self::$own,)+];

            /// The name in records.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$coded => $text,)+
                    $(Self::$own => $own_text,)+
                }
            }
        }

        impl From<ErrorCode> for Reason {
            fn from(code: ErrorCode) -> Self {
                match code { $(ErrorCode::$coded => Self::$coded,)+ }
            }
        }
    };
}

reasons! {
    InvalidRequest = "invalid_request",
    InvalidTransfer = "invalid_transfer",
    Unauthorized = "unauthorized",
    Forbidden = "forbidden",
    AccountMissing = "account_missing",
    UnknownMethod = "unknown_method",
    InsufficientFunds = "insufficient_funds",
    BalanceOverflow = "balance_overflow",
    Conflict = "conflict",
    TooLarge = "too_large",
    VerifyFailed = "verify_failed",
    Internal = "internal",
    UnknownOutcome = "unknown_outcome",
    Overloaded = "overloaded",
    ShuttingDown = "shutting_down",
    StorageFull = "storage_full";
    /// The server says that it refused, in words that are not known here.
    Other = "other",
}

impl Reason {
    /// Its place among all, from 0: counts by reason are arrays.
    #[must_use]
    pub const fn place(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of the transfer protocol have the names that they have always had.
    #[test]
    fn a_reason_is_called_what_its_code_is_called() {
        for &code in ErrorCode::ALL {
            assert_eq!(Reason::from(code).as_str(), code.as_str());
        }
    }

    #[test]
    fn every_reason_has_a_place_and_a_name_of_its_own() {
        let mut names: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        for (place, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.place(), place);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
