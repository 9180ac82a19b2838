//! Values of a target file.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a server promises of a transfer that it has answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Promise {
    /// It survives a power cut.
    #[serde(rename = "durable")]
    Durable,
    /// It may be lost.
    #[serde(rename = "not durable")]
    NotDurable,
    /// Nothing is said.
    #[default]
    #[serde(rename = "not told")]
    NotTold,
}

impl Promise {
    /// As it is written in target files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::NotDurable => "not durable",
            Self::NotTold => "not told",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When a server that was started is ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// When it answers a call of `health` over its connector.
    #[default]
    Health,
    /// When it accepts connections at its port.
    Port,
}

/// What tells a server to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopSignal(pub Signal);

impl Default for StopSignal {
    fn default() -> Self {
        Self(Signal::SIGTERM)
    }
}

impl Serialize for StopSignal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for StopSignal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let signal = name.parse().map_err(|_| {
            let why = format!("stop_signal: '{name}' is not a signal: write SIGTERM, SIGINT …");
            serde::de::Error::custom(why)
        })?;
        Ok(Self(signal))
    }
}

impl JsonSchema for StopSignal {
    fn schema_name() -> Cow<'static, str> {
        "StopSignal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^SIG[A-Z0-9]+$" })
    }
}

pub(super) const fn start_timeout() -> Duration {
    Duration::from_secs(30)
}

pub(super) const fn stop_timeout() -> Duration {
    Duration::from_secs(10)
}

/// What toml says of a key or value, without its own quotation marks.
pub(super) fn plain(message: &str) -> String {
    message.replace('`', "'").replace('\n', " ")
}

/// A duration as people write it: `30s`.
pub(super) mod duration {
    use std::time::Duration;

    use busload_frontend::cli::parse_duration_within;
    use serde::{Deserialize as _, Deserializer, Serializer};

    const BOUNDS: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(10)..=Duration::from_hours(1);

    pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{time:?}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        let wanted = format!("'{text}' is no time from 10ms to 1h");
        parse_duration_within(&text, BOUNDS, &wanted).map_err(serde::de::Error::custom)
    }
}
