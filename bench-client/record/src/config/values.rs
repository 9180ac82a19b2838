//! What the values of the flags may be.

use std::time::Duration;

use busload_frontend::cli::{parse_duration_within, parse_within};

/// Transfers in flight as the environment variable of the original has them: 0 is the largest.
///
/// # Errors
/// It is no number, or too large.
pub fn parse_env_inflight(text: &str) -> Result<usize, String> {
    parse_within(text, 0, 16_384).map(|n| if n == 0 { 16_384 } else { n })
}

pub(super) fn parse_accounts(text: &str) -> Result<u32, String> {
    let accounts = busload_frontend::cli::parse_accounts(text)?;
    u32::try_from(accounts).map_err(|error| error.to_string())
}

pub(super) fn parse_alpha(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(alpha) if alpha.is_finite() && alpha >= 0.0 => Ok(alpha),
        _ => Err(format!("'{text}' is no finite number from 0")),
    }
}

/// A time in seconds, or with a unit.
fn seconds(text: &str) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => busload_frontend::cli::parse_duration(text).ok(),
    }
}

/// The length of a window: seconds, or a time with a unit.
///
/// # Errors
/// It is neither, or out of range.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let time = seconds(text).filter(|time| !time.is_zero() && *time <= Duration::from_hours(24));
    time.ok_or_else(|| format!("'{text}' is no number of seconds above 0, up to 86400"))
}

/// The length of a warm-up: seconds, or a time with a unit.
///
/// # Errors
/// It is neither, or out of range.
pub fn parse_warmup(text: &str) -> Result<Duration, String> {
    let time = seconds(text).filter(|time| *time <= Duration::from_hours(1));
    time.ok_or_else(|| format!("'{text}' is no number of seconds from 0 to 3600"))
}

pub(super) fn parse_op_timeout(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(1)..=Duration::from_hours(1);
    parse_duration_within(text, bounds, "from 1ms to 3600s")
}

pub(super) fn parse_resolve_timeout(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(10)..=Duration::from_hours(1);
    parse_duration_within(text, bounds, "from 10ms to 1h")
}

pub(super) fn parse_read_time(text: &str) -> Result<Duration, String> {
    let bounds = Duration::ZERO..=Duration::from_hours(1);
    parse_duration_within(text, bounds, "balances are read for 1h at most")
}

/// A rate of transfers per second.
///
/// # Errors
/// It is no number, or out of range.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=10e6).contains(&rate) => Ok(rate),
        _ => Err(format!(
            "'{text}' is no number of transfers per second from 0.1 to 10000000"
        )),
    }
}

/// The length of an interval of a time series.
///
/// # Errors
/// It is no time, or out of range.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(100)..=Duration::from_hours(1);
    parse_duration_within(text, bounds, "an interval lasts from 100ms to 1h")
}
