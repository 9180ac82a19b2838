//! What the values of the flags and variables may be.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::quantities::{count, parse_duration_within, parse_time_within};
use busload_engine::{ACCOUNTS_MAX, ACCOUNTS_MIN};
use busload_sqlite::{Durability, PAGE_BYTES};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

const BATCH_SIZE_MAX: usize = 1_048_576;
const BATCH_TIMEOUT_MAX: Duration = Duration::from_mins(1);

/// A durability mode and what the person who asked for it should be told.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String")]
pub struct Mode {
    /// The mode.
    pub durability: Durability,
    /// It was asked for by a name that promises something else, or keeps nothing.
    pub warning: Option<&'static str>,
}

impl PartialEq for Mode {
    fn eq(&self, other: &Self) -> bool {
        self.durability == other.durability
    }
}

impl From<Durability> for Mode {
    fn from(durability: Durability) -> Self {
        Self {
            durability,
            warning: None,
        }
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        mode.durability.to_string()
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_durability(&text).map_err(de::Error::custom)
    }
}

/// A durability mode by our name, or by the original benchmark's (`SQLITE_MODE`).
///
/// # Errors
/// It is neither.
pub fn parse_durability(text: &str) -> Result<Mode, String> {
    let plain = |durability| Ok(Mode::from(durability));
    match text.to_ascii_lowercase().as_str() {
        "baseline" | "default" => plain(Durability::DeleteFull),
        "realistic" => plain(Durability::WalFull),
        "realistic_fast" => plain(Durability::WalNormal),
        "fastest" => plain(Durability::Memory),
        "realistic_cached" => Ok(Mode {
            durability: Durability::WalNormal,
            warning: Some(
                "SQLITE_MODE=realistic_cached sets synchronous=MEMORY, which sqlite does not know \
                 and takes as NORMAL: no sync at commit, so this runs as wal-normal",
            ),
        }),
        other => other
            .parse()
            .map_err(|error| format!("{error}"))
            .map(|durability| Mode {
                durability,
                warning: (durability == Durability::DiscardWrites).then_some(
                    "discard-writes answers and writes nothing: every transfer that it \
                     acknowledges is lost; it is for testing whoever checks servers",
                ),
            }),
    }
}

pub(super) fn parse_listen(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    text.parse().map_err(|_| {
        format!(
            "'{text}' is not an IP address: write one without a port, such as 127.0.0.1 or ::1, or \
             localhost"
        )
    })
}

/// A batch timeout: a duration of at most a minute.
///
/// # Errors
/// It is no duration, or longer.
pub fn parse_batch_timeout(text: &str) -> Result<Duration, String> {
    let bounds = Duration::ZERO..=BATCH_TIMEOUT_MAX;
    parse_duration_within(text, bounds, "a batch timeout is at most 60s")
}

/// How long to wait between two tries to write: from 1 ms to a minute.
pub(super) fn parse_probe_interval(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(1)..=Duration::from_mins(1);
    parse_duration_within(text, bounds, "a probe interval is from 1ms to 60s")
}

/// Milliseconds without a unit, as the environment variables of the original have them.
pub(super) fn parse_milliseconds(text: &str) -> Result<Duration, String> {
    let help = || format!("'{text}' is not a number of milliseconds from 0 to 60000");
    let milliseconds: f64 = text.parse().map_err(|_| help())?;
    let timeout = Duration::try_from_secs_f64(milliseconds / 1e3).map_err(|_| help())?;
    if timeout > BATCH_TIMEOUT_MAX {
        Err(help())
    } else {
        Ok(timeout)
    }
}

/// A whole number within bounds.
///
/// # Errors
/// It is not.
pub fn parse_within(text: &str, lowest: usize, highest: usize) -> Result<usize, String> {
    count(lowest as u64..=highest as u64)(text)
}

/// Bytes within bounds, or with one of the units KiB, MiB, GiB and TiB; otherwise the error is
/// `wanted`.
pub(crate) fn parse_bytes_within(
    text: &str,
    bounds: RangeInclusive<usize>,
    wanted: &str,
) -> Result<usize, String> {
    let help = || format!("'{text}' is not a {wanted}");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: usize = match &text[digits.len()..] {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(help()),
    };
    let number: usize = digits.trim_end().parse().map_err(|_| help())?;
    let bytes = number.checked_mul(unit).ok_or_else(help)?;
    if bounds.contains(&bytes) {
        Ok(bytes)
    } else {
        Err(help())
    }
}

/// The size of a page: a power of two from 512 bytes to 64 KiB.
///
/// # Errors
/// It is not.
pub fn parse_page_size(text: &str) -> Result<u32, String> {
    let wanted = "page size: write a power of two from 512 to 65,536, such as 4096 or 4KiB";
    let bounds = *PAGE_BYTES.start() as usize..=*PAGE_BYTES.end() as usize;
    let bytes = parse_bytes_within(text, bounds, wanted)?;
    match u32::try_from(bytes) {
        Ok(bytes) if bytes.is_power_of_two() => Ok(bytes),
        _ => Err(format!("'{text}' is not a {wanted}")),
    }
}

/// A batch size.
///
/// # Errors
/// It is out of range.
pub fn parse_batch_size(text: &str) -> Result<usize, String> {
    parse_within(text, 1, BATCH_SIZE_MAX)
}

/// A batch size of the original's environment, where 0 means no limit.
pub(super) fn parse_env_batch_size(text: &str) -> Result<usize, String> {
    parse_within(text, 0, BATCH_SIZE_MAX).map(|n| if n == 0 { BATCH_SIZE_MAX } else { n })
}

pub(super) fn parse_switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "0" | "false" => Ok(false),
        "1" | "true" => Ok(true),
        _ => Err(format!("'{text}' is neither 0 nor 1")),
    }
}

/// The queue's length.
///
/// # Errors
/// It is out of range.
pub fn parse_queue(text: &str) -> Result<usize, String> {
    parse_within(text, 1, 16_777_216)
}

/// Transfers in flight on a connection.
///
/// # Errors
/// It is out of range.
pub fn parse_inflight(text: &str) -> Result<usize, String> {
    parse_within(text, 1, 16_384)
}

/// How long ids are remembered: from a second to a week.
///
/// # Errors
/// It is no duration, or out of range.
pub fn parse_id_horizon(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_secs(1)..=Duration::from_hours(168);
    parse_time_within(text, bounds, "ids are remembered from 1s to 168h")
}

/// How many ids are remembered.
///
/// # Errors
/// It is out of range.
pub fn parse_max_ids(text: &str) -> Result<usize, String> {
    parse_within(text, 1, 1 << 28)
}

/// The number of accounts.
///
/// # Errors
/// It is out of range.
pub fn parse_accounts(text: &str) -> Result<i64, String> {
    count(ACCOUNTS_MIN.unsigned_abs()..=ACCOUNTS_MAX.unsigned_abs())(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_powers_of_two_in_bytes_or_kib() {
        for (text, bytes) in [
            ("512", 512),
            ("4096", 4096),
            ("4KiB", 4096),
            ("64KiB", 65_536),
        ] {
            assert_eq!(parse_page_size(text), Ok(bytes));
        }
        for bad in [
            "", "0", "256", "513", "3000", "128KiB", "1MiB", "4kb", "4 096", "0.5KiB",
        ] {
            let said = parse_page_size(bad).unwrap_err();
            assert!(
                said.contains(&format!("'{bad}'")) && said.contains("4KiB"),
                "{said}"
            );
        }
    }

    #[test]
    fn the_originals_modes_are_understood_and_others_refused() {
        let mode = |text| parse_durability(text).map(|mode| mode.durability);
        assert_eq!(mode("baseline"), Ok(Durability::DeleteFull));
        assert_eq!(mode("DEFAULT"), Ok(Durability::DeleteFull));
        assert_eq!(mode("realistic"), Ok(Durability::WalFull));
        assert_eq!(mode("fastest"), Ok(Durability::Memory));
        assert_eq!(mode("delete-extra"), Ok(Durability::DeleteExtra));
        assert!(
            parse_durability("realistic_cached")
                .unwrap()
                .warning
                .is_some()
        );
        assert!(mode("fast").is_err());
        assert!(parse_durability("wal-full").unwrap().warning.is_none());
        let discards = parse_durability("discard-writes").unwrap();
        assert!(discards.warning.unwrap().contains("writes nothing"));
    }

    #[test]
    fn a_server_listens_on_an_address_or_on_localhost() {
        assert_eq!(
            parse_listen("localhost"),
            Ok(IpAddr::V4(Ipv4Addr::LOCALHOST))
        );
        assert_eq!(parse_listen("::1").map(|at| at.is_loopback()), Ok(true));
        for bad in ["foo", "", "127.0.0.1:4103", "localhost:1", "[::1]"] {
            let said = parse_listen(bad).unwrap_err();
            assert!(
                said.contains(&format!("'{bad}'")) && said.contains("127.0.0.1"),
                "{said}"
            );
        }
    }
}
