//! What the values of the flags may be.

use std::time::Duration;

use busload_frontend::cli::{parse_duration_within, parse_number, parse_time_within, parse_within};

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
        _ => Err("write a number from 0, such as 0 or 1.5".to_owned()),
    }
}

/// How long to measure: seconds, or a time with a unit.
///
/// # Errors
/// It is neither, or out of range.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_nanos(1)..=Duration::from_hours(24);
    parse_time_within(text, bounds, "write a time above 0, up to 24h")
}

/// The length of a warm-up: seconds, or a time with a unit.
///
/// # Errors
/// It is neither, or out of range.
pub fn parse_warmup(text: &str) -> Result<Duration, String> {
    let bounds = Duration::ZERO..=Duration::from_hours(1);
    parse_time_within(text, bounds, "write a time from 0s to 1h")
}

/// How long to wait for an answer: seconds, or a time with a unit.
///
/// # Errors
/// It is neither, or out of range.
pub fn parse_op_timeout(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(1)..=Duration::from_hours(1);
    parse_time_within(text, bounds, "write a time from 1ms to 1h")
}

/// A limit of some milliseconds: a bare number would be taken for them.
pub(super) fn parse_latency_limit(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(1)..=Duration::from_hours(1);
    parse_duration_within(text, bounds, "write a duration from 1ms to 1h")
}

pub(super) fn parse_resolve_timeout(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(10)..=Duration::from_hours(1);
    parse_time_within(text, bounds, "write a time from 10ms to 1h")
}

pub(super) fn parse_read_time(text: &str) -> Result<Duration, String> {
    let bounds = Duration::ZERO..=Duration::from_hours(1);
    parse_time_within(text, bounds, "write a time from 0s to 1h")
}

/// A rate of transfers per second.
///
/// # Errors
/// It is no number, or out of range.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = parse_number(text).filter(|rate| (0.1..=10e6).contains(rate));
    rate.ok_or_else(|| "write transfers per second from 0.1 to 10M, such as 500 or 5k".to_owned())
}

/// The length of an interval of a time series: seconds, or a time with a unit.
///
/// # Errors
/// It is no time, or out of range.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(100)..=Duration::from_hours(1);
    parse_time_within(text, bounds, "write a time from 100ms to 1h")
}
