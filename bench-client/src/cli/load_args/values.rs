//! What the values of the flags may be.

use std::time::Duration;

use busload_frontend::cli::{parse_duration_within, parse_within};

/// Transfers in flight as the environment variable of the original has them: 0 is the largest.
pub(crate) fn parse_env_inflight(text: &str) -> Result<usize, String> {
    parse_within(text, 0, 16_384).map(|n| if n == 0 { 16_384 } else { n })
}

pub(super) fn parse_alpha(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(alpha) if alpha.is_finite() && alpha >= 0.0 => Ok(alpha),
        _ => Err(format!("'{text}' is no finite number from 0")),
    }
}

pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(seconds),
        _ => Err(format!(
            "'{text}' is no number of seconds above 0, up to 86400"
        )),
    }
}

pub(crate) fn parse_warmup(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err(format!("'{text}' is no number of seconds from 0 to 3600")),
    }
}

pub(super) fn parse_op_timeout(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(1)..=Duration::from_hours(1);
    parse_duration_within(text, bounds, "from 1ms to 3600s")
}

/// A rate of transfers per second.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=10e6).contains(&rate) => Ok(rate),
        _ => Err(format!(
            "'{text}' is no number of transfers per second from 0.1 to 10000000"
        )),
    }
}

pub(crate) fn parse_interval(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(100)..=Duration::from_hours(1);
    parse_duration_within(text, bounds, "an interval lasts from 100ms to 1h")
}
